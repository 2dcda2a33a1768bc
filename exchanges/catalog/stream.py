"""Market data of many series as one stream in time order, of which no more is in memory than a portion of each.

The order is total and always the same: by the time a row is known (see ``exchanges.catalog.clock``), then by
``Series.rank`` (bars, shorter first; funding, tickers, books, quotes, trades; within a kind by symbol), then as the
rows of a series lie. A stream that ends earlier is the beginning of one that ends later.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from exchanges.catalog.batch import Batch, Ints, maker
from exchanges.catalog.catalog import FOR_EVER_NS, Catalog, batches
from exchanges.catalog.clock import DOUBTFUL_NS, Clock, due_times
from exchanges.catalog.errors import DataError
from exchanges.catalog.series import Series
from exchanges.model.market import MarketData

PORTION_ROWS = 65_536
"""Rows of a series that are read at once, of one series alone."""
_FEWEST_ROWS = 2_048
"""And of very many."""
_TOTAL_ROWS = 1 << 19


class Window(NamedTuple):
    """A span of the stream: all its rows, by series. Windows follow each other in time and share no moment.

    ``batches`` are by rank, none of them empty.
    """

    batches: tuple[Batch, ...]

    def order(self) -> tuple[Ints, Ints]:
        """The rows in the stream's order: for each the place of its batch, and its place in that."""
        sizes = [len(batch) for batch in self.batches]
        which = np.repeat(np.arange(len(sizes)), sizes)
        where = np.concatenate([np.arange(size) for size in sizes])
        if len(sizes) == 1:
            return which, where
        order = np.argsort(np.concatenate([batch.due_ns for batch in self.batches]), kind="stable")
        return which[order], where[order]

    def messages(self) -> list[MarketData]:
        """The rows as messages in the stream's order."""
        if len(self.batches) == 1:
            return self.batches[0].messages()
        flat = [message for batch in self.batches for message in batch.messages()]
        order = np.argsort(np.concatenate([batch.due_ns for batch in self.batches]), kind="stable")
        return list(map(flat.__getitem__, order.tolist()))


class MarketStream:
    """The rows of ``series`` in ``[start_ns, end_ns)`` by their own time, without bars that end after ``end_ns``.

    By the clock of receipt those from ``start_ns`` on that were received before ``end_ns``.

    Each symbol's data are numbered from 1 in ``epoch``, over all kinds, as an exchange connection numbers them. It can
    be read any number of times; ``rows_held`` is the most that was in memory at once in the last reading.

    Raises:
        DataError: a series is not in the catalog, or is given twice.
    """

    def __init__(
        self,
        catalog: Catalog,
        series: Sequence[Series],
        start_ns: int = 0,
        end_ns: int = FOR_EVER_NS,
        *,
        epoch: int = 1,
        clock: Clock = Clock.VENUE,
        portion_rows: int = 0,
    ) -> None:
        self.series = tuple(sorted(series, key=lambda each: each.rank))
        _check(catalog, self.series)
        self.rows_held = 0
        self._catalog, self._epoch = catalog, epoch
        self._span = _Span(start_ns, end_ns, clock)
        most = max(_FEWEST_ROWS, min(PORTION_ROWS, _TOTAL_ROWS // max(1, len(self.series))))
        self._portion_rows = portion_rows or most

    def windows(self) -> Iterator[Window]:
        """The stream as columns, window by window.

        Raises:
            DataError, RecordingError: a file can't be read.
        """
        self.rows_held = 0
        numbers = _Numbers(self.series)
        pending = [_Source(self._catalog, each, self._span, self._portion_rows) for each in self.series]
        while True:
            for source in pending:
                source.fill()
            pending = [source for source in pending if source.held]
            if not pending:
                return
            self.rows_held = max(self.rows_held, sum(source.held for source in pending))
            horizon_ns = min((source.reach_ns for source in pending if not source.ended), default=FOR_EVER_NS)
            taken = [(source.series, *source.take(horizon_ns)) for source in pending]
            due = [(series, rows, due_ns) for series, rows, due_ns in taken if len(due_ns)]
            if due:
                seqs = numbers.next([(series, due_ns) for series, _, due_ns in due])
                yield Window(
                    tuple(
                        Batch(series, rows, due_ns, seq, self._epoch)
                        for (series, rows, due_ns), seq in zip(due, seqs, strict=True)
                    )
                )
            for source in pending:
                if source.reach_ns == horizon_ns:
                    source.wants_more = True

    def messages(self) -> Iterator[MarketData]:
        """The stream as messages.

        Raises:
            DataError, RecordingError: a file can't be read, or a kind has no message.
        """
        for each in self.series:
            maker(each)
        for window in self.windows():
            yield from window.messages()


def _check(catalog: Catalog, series: Sequence[Series]) -> None:
    if not series or len(set(series)) < len(series):
        raise DataError(f"expected series to stream, each of them once, found {[str(each) for each in series]}")
    for each in series:
        if not catalog.files(each):
            there = ", ".join(str(other) for other in catalog.series(symbols=[each.symbol])) or "nothing of that symbol"
            raise DataError(f"expected {each} in {catalog.root}, found {there}; import it or correct the name")


class _Span(NamedTuple):
    """What of its series a stream takes."""

    start_ns: int
    end_ns: int
    clock: Clock

    @property
    def reach_ns(self) -> int:
        """No row of this time or later is taken."""
        doubt_ns = 0 if self.clock is Clock.VENUE else DOUBTFUL_NS
        return min(self.end_ns, FOR_EVER_NS - doubt_ns) + doubt_ns

    def taken(self, series: Series, rows: Any, last_ns: int) -> tuple[Any, Ints, bool]:
        """The rows that are taken, when they are due, and whether later ones are not."""
        rows = rows.slice(int(np.searchsorted(rows.column("ts_ns").to_numpy(), self.start_ns)))
        due_ns = due_times(series, rows, self.clock, last_ns)
        by_end = self.clock is Clock.VENUE and series.interval_ns > 0
        last = int(np.searchsorted(due_ns, self.end_ns, side="right" if by_end else "left"))
        return rows.slice(0, last), due_ns[:last], last < len(due_ns)


class _Source:
    """One series on its way into the stream. What it holds is due from its first row to ``reach_ns``."""

    def __init__(self, catalog: Catalog, series: Series, span: _Span, portion_rows: int) -> None:
        self.series = series
        self.ended = False
        """Whether all of it has been read."""
        self.wants_more = True
        self.reach_ns = 0
        """No row that has not been read is due earlier."""
        self._span = span
        self._portions = _portions(catalog, series, span.start_ns, span.reach_ns, portion_rows)
        self._rows: Any = None
        self._due = np.empty(0, np.int64)

    @property
    def held(self) -> int:
        """Rows in memory."""
        return len(self._due)

    def fill(self) -> None:
        """Read on, if all up to ``reach_ns`` may have been handed over; what is left is kept."""
        while not self.ended and (self.wants_more or not self.held):
            portion, self.ended = next(self._portions, (None, True))
            if portion is None:
                return
            rows, due_ns, beyond = self._span.taken(self.series, portion, self.reach_ns)
            if beyond:
                self.ended = True
                self._portions.close()
            if not len(due_ns):
                continue
            self.wants_more = False
            if self.held:
                rows = pa.concat_batches([_copied(self._rows), rows])
                due_ns = np.concatenate([self._due, due_ns])
            self._rows, self._due, self.reach_ns = rows, due_ns, int(due_ns[-1])

    def take(self, before_ns: int) -> tuple[Any, Ints]:
        """Hand over the rows due before a time."""
        count = int(np.searchsorted(self._due, before_ns))
        rows, due_ns = self._rows.slice(0, count), self._due[:count]
        self._rows, self._due = self._rows.slice(count), self._due[count:]
        return rows, due_ns


def _copied(rows: Any) -> Any:
    """The few rows that are left of a portion, so that they don't keep all of it in memory."""
    return rows.take(pa.array(np.arange(rows.num_rows)))


def _portions(
    catalog: Catalog, series: Series, start_ns: int, end_ns: int, most: int
) -> Generator[tuple[Any, bool], None, None]:
    """Record batches of at most ``most`` rows in time order, and whether each is the last.

    Small files are put together: where a portion ends the stream has to look at all series again.
    """
    waiting: list[Any] = []
    for batch in batches(series, catalog.clusters(series, start_ns, end_ns), most):
        if waiting and sum(map(len, waiting)) + len(batch) > most:
            yield pa.concat_batches(waiting), False
            waiting = []
        waiting.append(batch)
    if waiting:
        yield pa.concat_batches(waiting), True


class _Numbers:
    """Numbers the data of each symbol over its kinds, from 1."""

    def __init__(self, series: Sequence[Series]) -> None:
        self._last = dict.fromkeys((each.symbol for each in series), 0)

    def next(self, batches: Sequence[tuple[Series, Ints]]) -> list[Ints]:
        """The numbers of each batch of a window; the batches are by rank."""
        by_symbol: dict[str, list[int]] = {}
        for place, (series, _) in enumerate(batches):
            by_symbol.setdefault(series.symbol, []).append(place)
        found: list[Ints] = [np.empty(0, np.int64)] * len(batches)
        for symbol, places in by_symbol.items():
            due = [batches[place][1] for place in places]
            count = sum(map(len, due))
            numbers = np.arange(self._last[symbol] + 1, self._last[symbol] + count + 1)
            self._last[symbol] += count
            if len(due) > 1:
                order = np.argsort(np.concatenate(due), kind="stable")
                ranks = np.empty(count, np.int64)
                ranks[order] = numbers
                numbers = ranks
            ends = np.cumsum([len(part) for part in due])
            for place, start, end in zip(places, [0, *ends.tolist()], ends.tolist(), strict=False):
                found[place] = numbers[start:end]
        return found
