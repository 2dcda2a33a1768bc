"""One series of a recording or a catalog, of however many files, as a table to replay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from exchanges.catalog import DataError, Series
from exchanges.catalog.catalog import read
from exchanges.recording.reader import Recorded
from exchanges.simulators.errors import FeedError
from exchanges.simulators.feeds.parquet import ParquetTable, rows_of


class RecordedTable(ParquetTable):
    """The rows of ``files`` in time order; those that lie in two of them are played once.

    Raises:
        FeedError: a file can't be read.
    """

    def __init__(self, series: Series, files: Sequence[Recorded]) -> None:
        self._series, self._files = series, files
        self.symbol, self._interval_ns = series.native, series.interval_ns
        self.rows = sum(rows_of(file.path) for file in files)
        self._begin(files[0].path.parent.parent, series.table.schema)

    def first_ns(self) -> int:
        """No row is earlier than this."""
        return min(file.partition.start_ns for file in self._files)

    def _read_batches(self, rows: int, columns: list[str]) -> Iterator[Any]:
        try:
            for portion in read(self._series, self._files):
                yield from portion.select(columns).to_batches(rows)
        except DataError as error:
            raise FeedError(str(error)) from error
