"""The rows of one table of one partition that are not on the disk yet."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from exchanges.recording.files import ordered
from exchanges.recording.layout import Partition
from exchanges.recording.schemas import OURS, table_of

logger = logging.getLogger(__name__)

_UNFIT = (pa.ArrowException, TypeError, ValueError, AttributeError)

SLICE_ROWS = 512
"""Rows turned into columns at once: about a quarter of a millisecond, so that the event loop is never kept waiting."""


class Key(NamedTuple):
    """Which file rows belong in."""

    partition: Partition
    table: str

    @property
    def ours(self) -> bool:
        """Whether the rows are orders or fills, which are never dropped."""
        return self.table in OURS


class Buffer:
    """Rows in the order they came, kept as columns but for the last few. ``born_ns`` is when the first one came."""

    def __init__(self, key: Key, born_ns: int) -> None:
        self.key, self.born_ns = key, born_ns
        self.unfit = 0
        """Rows given up because their values don't fit the columns."""
        self.retry_ns = 0
        """Not before this is a file that could not be written tried again."""
        self._table = table_of(key.table)
        self._batches: list[pa.RecordBatch] = []
        self._rows: list[Any] = []
        self._packed = 0

    def __len__(self) -> int:
        return self._packed + len(self._rows)

    def add(self, row: Any) -> None:
        self._rows.append(row)
        if len(self._rows) >= SLICE_ROWS:
            self._pack()

    def _pack(self) -> None:
        rows, self._rows = self._rows, []
        if not rows:
            return
        try:
            batches = [self._table.batch(rows)]
        except _UNFIT:
            batches = list(self._fitting(rows))
        self._batches += batches
        self._packed += sum(batch.num_rows for batch in batches)

    def _fitting(self, rows: list[Any]) -> Iterator[pa.RecordBatch]:
        """The rows one by one: what is wrong with one of them costs no other."""
        for row in rows:
            try:
                yield self._table.batch([row])
            except _UNFIT as error:
                self.unfit += 1
                logger.error(
                    "expected a row for %s of %s, found %r (%s)", self.key.table, self.key.partition, row, error
                )

    def table(self) -> pa.Table:
        """All rows by time; they stay in the buffer."""
        self._pack()
        return ordered(pa.Table.from_batches(self._batches, schema=self._table.schema))

    def drop_oldest(self) -> int:
        """Give up the oldest rows to make room; returns how many."""
        self._pack()
        gone = self._batches.pop(0).num_rows if self._batches else 0
        self._packed -= gone
        return gone
