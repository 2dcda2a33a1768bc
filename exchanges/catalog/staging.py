"""Rows on their way into a catalog, in files by series and period: no more than one is ever in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exchanges.catalog.checks import times
from exchanges.catalog.series import Series
from exchanges.catalog.shaping import Portion

_CODES = {"day": "D", "month": "M", "year": "Y"}


class Staging:
    """Takes rows in any order under ``folder``, and gives them back period by period."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers: dict[Series, int] = {}
        self._pieces: dict[tuple[Series, str], list[Path]] = {}
        self._count = itertools.count()

    def add(self, portion: Portion) -> None:
        """Take rows; those of a period keep their order.

        Raises:
            OSError: they can't be written.
        """
        series = portion.series
        number = self._numbers.setdefault(series, len(self._numbers))
        for period, rows in by_period(portion.rows, series.unit):
            path = self._folder / f"{number}-{period}-{next(self._count)}.parquet"
            pq.write_table(rows, path, compression="none", use_dictionary=False)
            self._pieces.setdefault((series, period), []).append(path)

    def series(self) -> list[Series]:
        """All series there are rows of."""
        return sorted(self._numbers)

    def periods(self, series: Series) -> list[str]:
        """The periods there are rows of, in order."""
        return sorted(period for each, period in self._pieces if each == series)

    def take(self, series: Series, period: str) -> pa.Table:
        """The rows of a period as they came; they are gone from the disk."""
        paths = self._pieces.pop((series, period))
        rows = pa.concat_tables([pq.ParquetFile(path).read() for path in paths]).combine_chunks()
        for path in paths:
            path.unlink()
        return rows


def by_period(rows: pa.Table, unit: str) -> Iterator[tuple[str, pa.Table]]:
    """``rows`` by UTC day, month or year, each with its text; rows of a period keep their order."""
    if not rows.num_rows:
        return
    marks = times(rows).astype("M8[ns]").astype(f"M8[{_CODES[unit]}]")
    if np.any(marks[1:] < marks[:-1]):
        order = np.argsort(marks, kind="stable")
        rows, marks = rows.take(pa.array(order)), marks[order]
    edges = [0, *(np.flatnonzero(marks[1:] != marks[:-1]) + 1).tolist(), len(marks)]
    for start, end in itertools.pairwise(edges):
        yield str(marks[start]), rows.slice(start, end - start)
