"""The end of event contracts in a backtest: when trading stops, and what a contract then pays."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import msgspec

from bigwheel.backtests.errors import BacktestError
from bigwheel.backtests.feed import Feed
from bigwheel.backtests.floor import Floor
from bigwheel.times import moment_ns
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.venue import InstrumentsReport

_VALUES = {"yes": Decimal(1), "no": Decimal(0)}

Value = Decimal | float | int | str
Settled = Value | tuple[Value, int | str | dt.datetime]
"""What a contract pays (``1``, ``0``, ``yes``, ``no``), and perhaps when."""


class Outcome(NamedTuple):
    """Times in ns since the epoch. Without a ``value`` trading ends, and nothing is paid in the run."""

    value: Decimal | None
    closes_ns: int
    settles_ns: int


def outcomes(
    feed: Feed,
    data: Path,
    instruments: Iterable[Instrument],
    told: Mapping[str, Settled] | str | Path | None,
) -> dict[str, Outcome]:
    """What becomes of each event contract, by what was told, else by a file of markets beside the data.

    Args:
        told: by symbol what a contract pays, or a file of markets with columns ``ticker``, ``close_time_ns`` and
            ``result``. A market closes when the file says so, and is paid then unless another time is told. Where
            nothing says when, that is the end of the symbol's data.

    Raises:
        BacktestError: another symbol is named, a value is no outcome, or the file says nothing of these symbols.
        FeedError: a result is neither yes, no nor empty.
    """
    events = {each.symbol: each for each in instruments if each.kind is ContractKind.BINARY_EVENT}
    if isinstance(told, Mapping):
        strange = [symbol for symbol in told if symbol not in events]
        if strange:
            raise BacktestError(
                f"expected settlements of event contracts among {', '.join(events) or 'none'}, found {strange[0]!r}"
            )
    if not events:
        return {}
    filed = isinstance(told, str | Path)
    path = Path(told) if isinstance(told, str | Path) else data if data.is_dir() else data.parent
    found = _recorded(path, tuple(events.values()))
    if filed and not found:
        raise BacktestError(f"expected markets {', '.join(events)} at {path}, found none of them; give another file")
    for symbol, settled in told.items() if isinstance(told, Mapping) else ():
        found[symbol] = _given(events[symbol], settled, found.get(symbol), feed)
    return found


def _recorded(path: Path, events: Sequence[Instrument]) -> dict[str, Outcome]:
    from exchanges.simulators.kalshi.listing import Result  # here: they bring the venue's simulator along
    from exchanges.simulators.kalshi.recording import markets

    listings = markets(path, [each.native for each in events])
    found = {}
    for each in events:
        listing = listings.get(each.native)
        if listing is not None and listing.recorded_close_ns:
            values = {Result.YES: each.contract_value, Result.NO: Decimal(0)}
            closes_ns = listing.recorded_close_ns
            found[each.symbol] = Outcome(values.get(listing.recorded_result), closes_ns, closes_ns)
    return found


def _given(event: Instrument, settled: Settled, known: Outcome | None, feed: Feed) -> Outcome:
    value, at = settled if isinstance(settled, tuple) else (settled, None)
    try:
        paid = _VALUES.get(str(value).lower())
        paid = Decimal(str(value)) if paid is None else paid * event.contract_value
    except ArithmeticError:
        paid = None
    if paid is None or not 0 <= paid <= event.contract_value:
        raise BacktestError(
            f"expected yes, no or what a contract of {event.symbol} pays, 0 to {event.contract_value}, found {value!r}"
        )
    if at is None:
        closes_ns = known.closes_ns if known is not None else feed.last_ns(event.symbol)
        return Outcome(paid, closes_ns, closes_ns)
    settles_ns = at if isinstance(at, int) else moment_ns(at if isinstance(at, str) else at.isoformat())
    return Outcome(paid, min(known.closes_ns, settles_ns) if known is not None else settles_ns, settles_ns)


class Outcomes:
    """Closes and pays out the event contracts of one venue."""

    def __init__(self, floor: Floor, instruments: Iterable[Instrument], found: Mapping[str, Outcome]) -> None:
        self._floor = floor
        self._events = {each.symbol: each for each in instruments if each.symbol in found}
        self._found = found

    def open(self) -> None:
        """Await the end of each market."""
        for symbol in self._events:
            outcome = self._found[symbol]
            self._floor.at(outcome.closes_ns, self._close, symbol)
            if outcome.value is not None:
                self._floor.at(outcome.settles_ns, self._settle, symbol, outcome.value)

    def listed(self, instrument: Instrument) -> Instrument:
        """The instrument with the time its trading ends."""
        outcome = self._found.get(instrument.symbol)
        return instrument if outcome is None else msgspec.structs.replace(instrument, closes_ns=outcome.closes_ns)

    def last_ns(self, end_ns: int) -> int:
        """When the last thing happens before ``end_ns``, 0 if nothing does."""
        times = (self._found[symbol] for symbol in self._events)
        return max((at for each in times for at in each[1:] if at < end_ns), default=0)

    def _close(self, symbol: str) -> None:
        """The market takes no orders from now on, and cancels those it has."""
        closed = msgspec.structs.replace(self._events[symbol], trading=False)
        self._floor.changed(self._floor.books.close_market(closed))
        self._floor.report(InstrumentsReport((closed,)))

    def _settle(self, symbol: str, value: Decimal) -> None:
        self._floor.changed(self._floor.books.settle(symbol, value))
