"""Bars of several lengths, made of trades or of the venue's own shorter bars.

A bar is given once its interval is over, and only when all of it was seen: an interval without
data gives no bar, and neither does one in which watching began or something may have been missed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from exchanges.model.market import Bar, MarketData, Trade
from strategies.errors import StrategyError

SECOND = 1_000_000_000
_UNITS = {"s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND, "d": 86_400 * SECOND}
_NAME = re.compile(r"([1-9][0-9]{0,4})([smhd])")
UNKNOWN = 1 << 62
"""Later than any time: nothing is known to be complete."""


def interval_ns(name: str) -> int:
    """The length behind ``30s``, ``1m``, ``4h`` or ``1d``.

    Raises:
        StrategyError: it is no such name.
    """
    found = _NAME.fullmatch(name) if isinstance(name, str) else None
    if found is None:
        raise StrategyError(f"expected a timeframe such as 30s, 1m, 4h or 1d, found {name!r}; correct it")
    return int(found[1]) * _UNITS[found[2]]


class Building(msgspec.Struct, array_like=True):
    """A bar whose interval is not over."""

    start_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    def add(self, high: float, low: float, close: float, volume: float) -> None:
        """Take in what came next."""
        self.high, self.low = max(self.high, high), min(self.low, low)
        self.close = close
        self.volume += volume


class SeriesState(msgspec.Struct, array_like=True):
    """How far one series of bars is; times in ns.

    ``since_ns``: from here on all has been seen. ``ended_ns``: bars have been given up to here.
    ``reached_ns``: up to here shorter bars have been taken in.
    """

    since_ns: int = UNKNOWN
    ended_ns: int = 0
    reached_ns: int = 0
    late: int = 0
    incomplete: int = 0
    building: Building | None = None


class Series:
    """Bars of one length, of one symbol.

    Args:
        interval_ns: their length.
        step_ns: the length of the venue's bars they are made of, which divides it; 0: of trades.
        state: where to go on.
    """

    def __init__(self, interval_ns: int, step_ns: int = 0, state: SeriesState | None = None) -> None:
        self.interval_ns, self.step_ns = interval_ns, step_ns
        self.state = state if state is not None else SeriesState()

    def take(self, data: Trade | Bar) -> Iterator[Bar]:
        """Take in a trade or a closed bar of ``step_ns``; gives the bars that it ends."""
        state, at = self.state, data.ts_ns
        if at < max(state.ended_ns, state.reached_ns):
            state.late += 1
            return
        start = at - at % self.interval_ns
        if state.building is not None and start > state.building.start_ns:
            yield from self._end(data)
        if isinstance(data, Bar):
            first_ns = at
            values = (data.high, data.low, data.close, data.volume)
            state.reached_ns = at + self.step_ns
        else:
            # Another trade may have come before it in the same interval.
            first_ns = at + 1
            values = (data.price, data.price, data.price, data.size)
        if state.since_ns == UNKNOWN:
            state.since_ns = first_ns
        if state.building is None:
            opened = data.open if isinstance(data, Bar) else data.price
            state.building = Building(start, opened, *values)
        else:
            state.building.add(*values)
        if state.reached_ns >= start + self.interval_ns:
            yield from self._end(data)

    def _end(self, by: MarketData) -> Iterator[Bar]:
        """Close the bar in the making; ``by`` is what showed that its time is over."""
        state, made = self.state, self.state.building
        if made is None:
            return
        state.building = None
        state.ended_ns = made.start_ns + self.interval_ns
        if made.start_ns < state.since_ns:
            state.incomplete += 1
            return
        values = (made.open, made.high, made.low, made.close, made.volume)
        yield Bar(by.symbol, by.epoch, by.seq, made.start_ns, by.recv_ns, *values, self.interval_ns, True)

    def known(self, until_ns: int) -> None:
        """Bars up to ``until_ns`` have been given from elsewhere; what is older is late."""
        self.state.ended_ns = max(self.state.ended_ns, until_ns)

    def missed(self) -> None:
        """Something may have been missed: only intervals that begin from now on can be complete."""
        self.state.since_ns = UNKNOWN


class Wanted(NamedTuple):
    """The bars a strategy asks for, ascending by length, and how many of each from the past."""

    frames: tuple[int, ...]
    history: dict[int, int]


def wanted(timeframes: Iterable[str], history: Mapping[str, int], most: int) -> Wanted:
    """What a strategy's ``timeframes`` and ``history`` come to.

    Raises:
        StrategyError: a name is none, or more than ``most`` bars are asked for.
    """
    asked = {interval_ns(name): count for name, count in history.items()}
    for name, count in history.items():
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= most:
            raise StrategyError(f"expected a history of 1 to {most} bars of {name}, found {count!r}; correct it")
    lengths = {interval_ns(name) for name in timeframes} | asked.keys()
    return Wanted(tuple(sorted(lengths)), asked)


class Frames:
    """All series of a strategy: of each symbol, in each length, the longest last.

    Args:
        frames: the lengths, ascending.
        steps: by symbol, the length of the bars its venue streams, 0 where it streams none.
        states: where to go on, by ``symbol|length``.
    """

    def __init__(
        self, frames: Iterable[int], steps: Mapping[str, int], states: Mapping[str, SeriesState] | None = None
    ) -> None:
        self.frames = tuple(frames)
        self.series: dict[str, tuple[Series, ...]] = {}
        for symbol, step_ns in steps.items():
            fits = [step_ns if step_ns and frame % step_ns == 0 else 0 for frame in self.frames]
            self.series[symbol] = tuple(
                Series(frame, step, (states or {}).get(f"{symbol}|{frame}"))
                for frame, step in zip(self.frames, fits, strict=True)
            )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The market data they are made of."""
        steps = {bool(series.step_ns) for many in self.series.values() for series in many}
        return tuple(kind for kind, bars in (("Trade", False), ("Bar", True)) if bars in steps)

    def step_ns(self, symbol: str) -> int:
        """The length of the venue's bars that some series of ``symbol`` is made of; 0: none is."""
        return max((series.step_ns for series in self.series[symbol]), default=0)

    def take(self, data: MarketData) -> list[Bar]:
        """The bars that this piece of data ends, the shortest first."""
        if isinstance(data, Bar):
            return [
                bar
                for series in self.series[data.symbol]
                if data.closed and series.step_ns == data.interval_ns
                for bar in series.take(data)
            ]
        if isinstance(data, Trade):
            return [bar for series in self.series[data.symbol] if not series.step_ns for bar in series.take(data)]
        return []

    def missed(self, symbol: str) -> None:
        """Data of ``symbol`` may have been missed."""
        for series in self.series[symbol]:
            series.missed()

    def of(self, symbol: str, interval_ns: int) -> Series:
        """The series of one length."""
        return next(series for series in self.series[symbol] if series.interval_ns == interval_ns)

    def states(self) -> dict[str, SeriesState]:
        """What to go on from, by ``symbol|length``."""
        return {
            f"{symbol}|{series.interval_ns}": series.state for symbol, many in self.series.items() for series in many
        }

    def counts(self) -> Counter[str]:
        """``bars_late`` and ``bars_incomplete``, of all series together."""
        every = [series.state for many in self.series.values() for series in many]
        return Counter(
            bars_late=sum(state.late for state in every), bars_incomplete=sum(state.incomplete for state in every)
        )
