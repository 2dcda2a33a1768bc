"""Funding of perpetuals in a backtest: paid at the venue's moments, on what is held then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from bigwheel.backtests.errors import BacktestError
from bigwheel.backtests.feed import Feed
from bigwheel.backtests.floor import Floor
from exchanges.catalog.catalog import FOR_EVER_NS
from exchanges.catalog.loading import load
from exchanges.catalog.series import Series
from exchanges.catalog.shaping import Told
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.market import Ticker
from exchanges.recording.schemas import FUNDING

_USUAL_NS = 8 * 3_600 * 1_000_000_000
"""The distance of two payments where the instrument doesn't tell."""

Rate = Decimal | float | int
Moment = tuple[int, Decimal]
"""When funding is paid, in ns since the epoch, and its rate."""


class Rates(NamedTuple):
    """What a perpetual pays. ``source``: ``series``, ``tickers``, ``constant`` or ``none``."""

    source: str
    series: tuple[Moment, ...] = ()
    constant: Decimal = Decimal(0)

    def moments(self, after_ns: int, interval_ns: int) -> Iterator[Moment]:
        """The payments that are known beforehand, from ``after_ns`` on."""
        if self.source == "constant":
            return ((number * interval_ns, self.constant) for number in count(after_ns // interval_ns + 1))
        return (moment for moment in self.series if moment[0] > after_ns)


def rates(feed: Feed, instruments: Iterable[Instrument], told: Rate | str | Path | None) -> dict[str, Rates]:
    """What each perpetual pays: by the file or the series of the data, else by its tickers, else the constant ``told``.

    Args:
        told: a rate for each interval, or where rates lie: a catalog, a recording or a file with times and rates.

    Raises:
        BacktestError: there are no rates where they were said to lie.
        DataError: they can't be read.
    """
    perpetuals = [each for each in instruments if each.kind is ContractKind.LINEAR_PERPETUAL]
    filed, constant = _told(told)
    series = _filed(filed, perpetuals, feed) if filed is not None else {}
    found = {}
    for symbol in (each.symbol for each in perpetuals):
        rows = series.get(symbol) or _rows(feed.catalog.portions(Series(symbol, FUNDING), feed.start_ns, feed.end_ns))
        if rows:
            found[symbol] = Rates("series", rows)
        elif any(each.symbol == symbol for each in feed.tickers):
            found[symbol] = Rates("tickers")
        else:
            found[symbol] = Rates("none") if constant is None else Rates("constant", constant=constant)
    return found


def _told(told: Rate | str | Path | None) -> tuple[Path | None, Decimal | None]:
    """Where rates lie, or the one rate."""
    if told is None or isinstance(told, Path):
        return told, None
    try:
        rate = Decimal(str(told))
    except ArithmeticError:
        return Path(str(told)), None
    if not rate.is_finite() or abs(rate) >= 1:
        raise BacktestError(f"expected a funding rate such as 0.0001, a fraction of the position's value, found {told}")
    return None, rate


def _filed(path: Path, perpetuals: list[Instrument], feed: Feed) -> dict[str, tuple[Moment, ...]]:
    by_venue: dict[str, list[str]] = {}
    for each in perpetuals:
        by_venue.setdefault(each.venue, []).append(each.symbol.partition(":")[2])
    found: dict[str, tuple[Moment, ...]] = {}
    for venue, natives in by_venue.items():
        for portion in load(path, Told(venue=venue, symbols=tuple(natives))):
            if portion.series.kind == FUNDING:
                symbol = portion.series.symbol
                found[symbol] = (*found.get(symbol, ()), *_rows([portion.rows]))
    if perpetuals and not found:
        names = ", ".join(each.symbol for each in perpetuals)
        raise BacktestError(f"expected funding rates of {names} at {path}, found none; give another file, or a rate")
    return {
        symbol: tuple(row for row in sorted(rows) if feed.start_ns <= row[0] < feed.end_ns)
        for symbol, rows in found.items()
    }


def _rows(portions: Iterable[Any]) -> tuple[Moment, ...]:
    found: list[Moment] = []
    for rows in portions:
        columns = (rows[name].to_pylist() for name in ("ts_ns", "rate"))
        found += [(ts_ns, Decimal(repr(rate))) for ts_ns, rate in zip(*columns, strict=True)]
    return tuple(found)


class Accruals:
    """Pays the funding of one venue's perpetuals."""

    def __init__(self, floor: Floor, instruments: Iterable[Instrument], found: Mapping[str, Rates]) -> None:
        self._floor = floor
        self._rates = {each.symbol: found[each.symbol] for each in instruments if each.symbol in found}
        self._intervals = {each.symbol: each.funding_interval_ns or _USUAL_NS for each in instruments}
        self._due: dict[str, Iterator[Moment]] = {}
        self._announced: dict[tuple[str, int], Decimal] = {}

    def open(self) -> None:
        """Await the first payments."""
        now = self._floor.driver.now
        for symbol, found in self._rates.items():
            self._due[symbol] = found.moments(now, self._intervals[symbol])
            self._await(symbol)

    def _await(self, symbol: str) -> None:
        at_ns, rate = next(self._due[symbol], (FOR_EVER_NS, Decimal(0)))
        if at_ns < FOR_EVER_NS:
            self._floor.at(at_ns, self._pay, symbol, at_ns, rate)

    def _pay(self, symbol: str, at_ns: int, rate: Decimal) -> None:
        self._floor.changed(self._floor.books.fund(symbol, rate, at_ns))
        self._await(symbol)

    # -- announced by tickers --------------------------------------------------------------

    def heard(self, ticker: Ticker) -> None:
        """A ticker tells when funding is paid next, and until then what its rate would be now."""
        symbol, at_ns = ticker.symbol, ticker.funding_ns
        if at_ns <= self._floor.driver.now or self._rates.get(symbol, Rates("none")).source != "tickers":
            return
        awaited = (symbol, at_ns) in self._announced
        self._announced[symbol, at_ns] = Decimal(repr(ticker.funding_rate))
        if not awaited:
            self._floor.at(at_ns, self._pay_announced, symbol, at_ns)

    def _pay_announced(self, symbol: str, at_ns: int) -> None:
        rate = self._announced.pop((symbol, at_ns))
        self._floor.changed(self._floor.books.fund(symbol, rate, at_ns))
