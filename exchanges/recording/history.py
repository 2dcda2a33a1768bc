"""A venue's past, fetched over an explicit span of time into the files of a recording.

What a file covers without a gap stands in its footer, so a second run asks for what is missing and for nothing else,
whatever ended the first one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import pyarrow as pa

from exchanges.failures import VenueError
from exchanges.model.market import Bar, Trade
from exchanges.recording.compaction import compact
from exchanges.recording.coverage import Span, by_day, covered, missing
from exchanges.recording.errors import RecordingError
from exchanges.recording.files import Draft, make_folder, ordered
from exchanges.recording.layout import Note, Partition, day_of, name_of, next_number, with_note
from exchanges.recording.schemas import FUNDING, TRADES, FundingRate, bars_interval_ns, table_of
from exchanges.recording.validation import check

logger = logging.getLogger(__name__)

R = TypeVar("R")
SECOND = 1_000_000_000
EPOCH = 0
"""The epoch in the names of downloaded files: no connection has it."""
_BARS_A_CALL = 1_000
_TRADES_A_CALL = 10_000
_TRADES_NS = 3_600 * SECOND
_FUNDING_NS = 30 * 86_400 * SECOND
_SETTLE_NS = 5 * SECOND
"""What a venue says of the last moments may still change."""
_TRIES = 5
_WAIT_S = 1.0
_MOST_WAIT_S = 60.0


class BarHistory(Protocol):
    """What every adapter offers of the past (see ``exchanges.interface.Exchange``)."""

    venue: str

    async def bars(self, symbol: str, interval_ns: int, start_ns: int, end_ns: int) -> list[Bar]: ...

    async def trades(self, symbol: str, limit: int) -> list[Trade]: ...


@runtime_checkable
class TradeHistory(Protocol):
    """An adapter whose venue tells the public trades of any time."""

    async def trades_between(self, symbol: str, start_ns: int, end_ns: int) -> list[Trade]:
        """All trades in ``[start_ns, end_ns)``, oldest first."""


@runtime_checkable
class FundingHistory(Protocol):
    """An adapter whose venue settles funding."""

    async def funding(self, symbol: str, start_ns: int, end_ns: int) -> list[tuple[int, float]]:
        """Time and rate of each settlement in ``[start_ns, end_ns)``, oldest first."""


class Wanted(NamedTuple):
    """What is to be there at the end; ``symbol`` is a full name, ``table`` one of ``schemas``."""

    symbol: str
    table: str
    span: Span


class Answer(NamedTuple):
    """Rows in time order, and the span in which they are all there are."""

    rows: Sequence[Any]
    covers: Span


class Report(NamedTuple):
    """What a download did.

    ``span`` is what could be asked for: the future, and the moments that may still change, are not in it. ``pending``
    is what of it the venue does not tell; ``calls`` counts the pieces that were fetched.
    """

    span: Span
    rows: int
    duplicates: int
    calls: int
    pending: tuple[Span, ...]


Told = Callable[[int, int], None]
"""Hears how many nanoseconds of the wanted span are done with, and how many rows were written."""


class Downloader:
    """Fetches what is missing through an adapter, held back by its own limiter.

    ``clock`` gives nanoseconds since the epoch.
    """

    def __init__(
        self, exchange: BarHistory, root: Path, told: Told | None = None, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._exchange, self._root, self._clock = exchange, root, clock
        self._told: Told = told or (lambda done_ns, rows: None)
        self._counts: Counter[str] = Counter()

    async def download(self, wanted: Wanted) -> Report:
        """Have all of ``wanted`` on the disk.

        Raises:
            RecordingError: the venue refuses, does not answer, or its answer can't be right; what came before is kept.
            OSError: a file can't be written.
        """
        self._counts.clear()
        span = wanted.span._replace(end_ns=max(wanted.span.start_ns, min(wanted.span.end_ns, self._final_ns(wanted))))
        there = self._covered(wanted, span)
        open_spans = missing(span, there)
        done_ns = span.length_ns - sum(piece.length_ns for piece in open_spans)
        self._told(done_ns, 0)
        for piece in self._pieces(wanted, open_spans):
            self._keep(wanted, await self._fetch(wanted, piece), open_spans)
            done_ns += piece.length_ns
            self._told(min(done_ns, span.length_ns), self._counts["rows"])
        self._tidy(wanted, open_spans)
        pending = tuple(missing(span, self._covered(wanted, span)))
        return Report(span, self._counts["rows"], self._counts["duplicates"], self._counts["calls"], pending)

    def _covered(self, wanted: Wanted, span: Span) -> list[Span]:
        return covered(self._root, self._exchange.venue, _name(wanted.symbol), wanted.table, span)

    def _final_ns(self, wanted: Wanted) -> int:
        """Up to here nothing changes any more: a bar that begins earlier is over."""
        return self._clock() - bars_interval_ns(wanted.table) - _SETTLE_NS

    # -- fetching --------------------------------------------------------------------------

    def _pieces(self, wanted: Wanted, open_spans: Sequence[Span]) -> list[Span]:
        """``open_spans`` in portions of a call or so each, cut where an adapter that keeps whole blocks cuts too."""
        length_ns = bars_interval_ns(wanted.table) * _BARS_A_CALL or _FUNDING_NS
        if wanted.table == TRADES:
            if not isinstance(self._exchange, TradeHistory):
                # One call gives all there is; what it does not reach can't be had.
                return [Span(open_spans[0].start_ns, open_spans[-1].end_ns)] if open_spans else []
            length_ns = _TRADES_NS
        return [
            Span(max(piece.start_ns, start), min(piece.end_ns, start + length_ns))
            for piece in open_spans
            for start in range(piece.start_ns // length_ns * length_ns, piece.end_ns, length_ns)
        ]

    async def _fetch(self, wanted: Wanted, piece: Span) -> Answer:
        self._counts["calls"] += 1
        interval_ns = bars_interval_ns(wanted.table)
        if interval_ns:
            bars = await self._asked(lambda: self._exchange.bars(wanted.symbol, interval_ns, *piece))
            return Answer(bars, piece)
        if wanted.table == FUNDING:
            return Answer(await self._funding(wanted.symbol, piece), piece)
        source = self._exchange
        if isinstance(source, TradeHistory):
            return Answer(await self._asked(lambda: source.trades_between(wanted.symbol, *piece)), piece)
        return await self._recent(wanted.symbol, piece)

    async def _funding(self, symbol: str, piece: Span) -> list[FundingRate]:
        source = self._exchange
        if not isinstance(source, FundingHistory):
            raise RecordingError(
                f"expected a venue that tells funding rates, found {self._exchange.venue}; choose bars or trades"
            )
        rates = await self._asked(lambda: source.funding(symbol, *piece))
        return [FundingRate(ts_ns, rate) for ts_ns, rate in rates]

    async def _recent(self, symbol: str, piece: Span) -> Answer:
        """The latest trades, which are complete after the time of the first of them."""
        asked_ns = self._clock()
        found = await self._asked(lambda: self._exchange.trades(symbol, _TRADES_A_CALL))
        since_ns = found[0].ts_ns + 1 if found else asked_ns
        span = Span(max(piece.start_ns, since_ns), max(min(piece.end_ns, asked_ns), piece.start_ns, since_ns))
        return Answer([trade for trade in found if span.start_ns <= trade.ts_ns < span.end_ns], span)

    async def _asked(self, call: Callable[[], Awaitable[R]]) -> R:
        """The answer to a call; asked again where that may help, as late as the venue wants it."""
        venue, attempt = self._exchange.venue, 0
        while True:
            attempt += 1
            try:
                return await call()
            except VenueError as error:
                repeatable = error.failure.repeatable
                if not repeatable or attempt == _TRIES:
                    advice = "run it again later" if repeatable else "check symbol, span and key"
                    raise RecordingError(
                        f"expected history from {venue}, found {error}; what was fetched is kept: {advice}"
                    ) from error
                wait_s = max(error.failure.retry_after_ns / 1e9, min(_MOST_WAIT_S, _WAIT_S * 2 ** (attempt - 1)))
                logger.warning("%s: %s; asked again in %.1f s", venue, error, wait_s)
                await asyncio.sleep(wait_s)
            except ValueError as error:
                raise RecordingError(f"{venue}: {error}") from error

    # -- writing ---------------------------------------------------------------------------

    def _keep(self, wanted: Wanted, answer: Answer, open_spans: Sequence[Span]) -> None:
        """Write what an answer says of the spans that were open."""
        rows, twice = check(wanted.symbol, wanted.table, answer.rows, answer.covers)
        self._counts["duplicates"] += twice
        for asked in open_spans:
            start_ns, end_ns = max(asked.start_ns, answer.covers.start_ns), min(asked.end_ns, answer.covers.end_ns)
            if start_ns < end_ns:
                self._write(wanted, rows, Span(start_ns, end_ns))

    def _write(self, wanted: Wanted, rows: Sequence[Any], span: Span) -> None:
        """A file for each day of ``span``, one without rows where there are none."""
        table = table_of(wanted.table)
        for day in by_day(span):
            own = [row for row in rows if day.start_ns <= row.ts_ns < day.end_ns]
            folder = self._folder(wanted, day)
            make_folder(folder)
            target = folder / name_of(wanted.table, EPOCH, next_number(folder, wanted.table))
            with Draft(target, with_note(table.schema, Note(covers=((day.start_ns, day.end_ns),)))) as draft:
                draft.add(ordered(pa.Table.from_batches([table.batch(own)], schema=table.schema)))
                draft.keep()
            self._counts["rows"] += len(own)

    def _folder(self, wanted: Wanted, day: Span) -> Path:
        return Partition(self._exchange.venue, _name(wanted.symbol), day_of(day.start_ns)).folder(self._root)

    def _tidy(self, wanted: Wanted, spans: Sequence[Span]) -> None:
        """Merge the files of the days that were written to; what had been recorded live as well is then there once."""
        folders = {self._folder(wanted, day) for span in spans for day in by_day(span)}
        for folder in sorted(folders):
            compact(folder)


def _name(symbol: str) -> str:
    return symbol.partition(":")[2]
