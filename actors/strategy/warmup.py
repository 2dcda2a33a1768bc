"""Bars of the past: asked for once, before the first live data, and shown one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from actors.messages.history import AskHistory, HistoryTold
from actors.names import exchange_of
from actors.strategy.settings import BrainSettings
from actors.strategy.state import PastDue, WarmState, WarmUpOver
from exchanges.model.market import Bar
from runtime.behavior import Context
from strategies.timeframes import Frames, Wanted

_TIMER = "warm-up"

Tally = Callable[[str, int], None]


class WarmUp:
    """Asks for history, and makes it the past bars of a strategy.

    Phases: nothing asked; asked, waiting for every answer or for ``history_wait_ns``; bars waiting
    to be shown, each in a message of its own; over. What does not come is gone without. Besides
    what the strategy wants, the venue's bars of the interval under way are asked for, so that its
    longer bars have no hole where the past meets the present.
    """

    def __init__(
        self, settings: BrainSettings, wanted: Wanted, frames: Frames, symbols: tuple[str, ...], tally: Tally
    ) -> None:
        self._settings, self._wanted, self._frames = settings, wanted, frames
        self._symbols, self._tally = symbols, tally
        self.state = WarmState(over=not wanted.history)

    def resume(self, state: WarmState | None, frames: Frames) -> None:
        """Go on where an earlier incarnation was; one that knew of no past is past it."""
        self._frames = frames
        self.state = state if state is not None and self._wanted.history else WarmState(over=True)

    @property
    def over(self) -> bool:
        """Whether live data may begin."""
        return self.state.over

    def begin(self, ctx: Context) -> None:
        """Ask, or go on where a restart left off."""
        state = self.state
        if not self._settings.history:
            self._tally("history_unavailable", 1)
            ctx.send(ctx.name, WarmUpOver(True))
        elif state.merged:
            self._show(ctx)
        else:
            ctx.timer(_TIMER, self._settings.history_wait_ns, WarmUpOver(False))
            self._ask(ctx, "")

    def again(self, connection: str, ctx: Context) -> None:
        """A connection came back: ask it for what has not been answered."""
        if self._settings.history and not self.state.merged:
            self._ask(ctx, connection)

    def told(self, told: HistoryTold, ctx: Context) -> None:
        """Take an answer; with the last one the bars are shown."""
        state, key = self.state, (told.symbol, told.interval_ns)
        if state.over or state.merged or key not in self._questions() or _name(*key) in state.told:
            self._tally("history_late", 1)
            return
        state.told[_name(*key)] = told
        if len(state.told) == len(self._questions()):
            self._merge()
            self._show(ctx)

    def ended(self, message: WarmUpOver, ctx: Context) -> Mapping[str, tuple[int, int]] | None:
        """The wait is over, or everything has been shown.

        Returns:
            By symbol, where live data goes on if it begins now: after what had come when the history was
            asked for. ``None`` when it does not begin yet.
        """
        state = self.state
        if state.over or (state.merged and not message.shown):
            return None
        if state.told and not state.merged:
            self._merge()
            self._show(ctx)
            return None
        ctx.cancel(_TIMER)
        missing = [key for key in self._questions() if self._answer(*key) is None]
        if missing and self._settings.history:
            self._tally("history_missing", len(missing))
        marks: dict[str, tuple[int, int]] = {}
        for told in state.told.values():
            marks[told.symbol] = min(marks.get(told.symbol, told.mark), told.mark)
        self.state = WarmState(over=True)
        return marks

    def due(self, number: int) -> Bar | None:
        """The bar to be shown now."""
        return self.state.past.pop(number, None)

    # -- inside --------------------------------------------------------------------------

    def _questions(self) -> dict[tuple[str, int], int]:
        """How many bars are asked for, by symbol and length."""
        asked = {(symbol, length): count for symbol in self._symbols for length, count in self._wanted.history.items()}
        for symbol in self._symbols:
            step_ns = self._frames.step_ns(symbol)
            if step_ns and (bridge := self._frames.frames[-1] // step_ns) > 1:
                asked[symbol, step_ns] = max(asked.get((symbol, step_ns), 0), bridge)
        return asked

    def _ask(self, ctx: Context, connection: str) -> None:
        for (symbol, length), count in self._questions().items():
            if connection in ("", exchange_of(symbol)) and _name(symbol, length) not in self.state.told:
                ctx.send(exchange_of(symbol), AskHistory(symbol, length, count))

    def _answer(self, symbol: str, length: int) -> HistoryTold | None:
        told = self.state.told.get(_name(symbol, length))
        return told if told is not None and not told.reason else None

    def _merge(self) -> None:
        """Make the answers the bars to be shown, in the order in which they ended."""
        bars = [bar for symbol in self._symbols for bar in self._of(symbol)]
        bars.sort(key=lambda bar: (bar.ts_ns + bar.interval_ns, bar.interval_ns))
        self.state.past, self.state.merged = dict(enumerate(bars)), True
        self._tally("history_bars", len(bars))

    def _of(self, symbol: str) -> Iterator[Bar]:
        """A symbol's past bars, and from its venue's own bars what goes on from there."""
        for length, count in self._wanted.history.items():
            told = self._answer(symbol, length)
            bars = told.bars[-count:] if told is not None else ()
            if bars:
                self._frames.of(symbol, length).known(bars[-1].ts_ns + length)
            yield from bars
        step_ns = self._frames.step_ns(symbol)
        told = self._answer(symbol, step_ns) if step_ns else None
        for series in self._frames.series[symbol] if told is not None else ():
            for bar in told.bars if told is not None and series.step_ns else ():
                if bar.ts_ns >= series.state.ended_ns:
                    yield from series.take(bar)

    def _show(self, ctx: Context) -> None:
        """Have each bar shown in a message of its own: one that the strategy fails on loses that one alone."""
        ctx.cancel(_TIMER)
        for number in self.state.past:
            ctx.send(ctx.name, PastDue(number))
        ctx.send(ctx.name, WarmUpOver(True))


def _name(symbol: str, length: int) -> str:
    return f"{symbol}|{length}"
