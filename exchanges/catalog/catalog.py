"""Market data by venue, symbol, kind and time, in the folders of a recording.

A catalog is a recording's folder (see ``exchanges.recording.layout``): what the recorder and ``bigwheel download``
write is one as it lies, and what is imported lies beside it. There is no index that could disagree with the files.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from exchanges.catalog.errors import DataError
from exchanges.catalog.series import Series, is_market
from exchanges.recording.history import EPOCH
from exchanges.recording.layout import part_of, symbol_folder
from exchanges.recording.merge import merged
from exchanges.recording.reader import Recorded, recorded
from exchanges.recording.schemas import table_of

FOR_EVER_NS = sys.maxsize
_PORTION_ROWS = 65_536


class Holding(NamedTuple):
    """What there is of a series. ``rows`` counts what is in two files twice; without a row the times are 0."""

    series: Series
    rows: int
    first_ns: int
    last_ns: int
    files: int
    bytes: int


class Catalog:
    """The market data under ``root``. It holds nothing open and may be used while others write.

    Raises:
        DataError: there is no such folder, or it is a part of a catalog.
    """

    def __init__(self, root: Path) -> None:
        above = [folder for folder in (root.resolve(), *root.resolve().parents) if folder.name.startswith("venue=")]
        if above:
            raise DataError(f"expected a whole catalog, found a part of one at {root}; give {above[0].parent}")
        if not root.is_dir():
            raise DataError(
                f"expected a catalog, a recording or what `bigwheel download` wrote at {root}, found no folder; "
                f"check the path, or make one with `bigwheel data import`"
            )
        self.root = root

    def series(self, symbols: Collection[str] = (), kinds: Collection[str] = ()) -> list[Series]:
        """All series, of these symbols (full names) and kinds where they are given, by symbol and kind.

        Raises:
            RecordingError: a file can't be read.
        """
        return [
            each
            for each in by_series(recorded(self.root))
            if (not symbols or each.symbol in symbols) and (not kinds or each.kind in kinds)
        ]

    def files(self, series: Series, start_ns: int = 0, end_ns: int = FOR_EVER_NS) -> list[Recorded]:
        """The files that may hold rows of ``[start_ns, end_ns)``, by the time they begin with; days before months.

        Raises:
            RecordingError: a file can't be read.
        """
        folder = symbol_folder(self.root, series.venue, series.native)
        found = [
            file
            for file in recorded(folder)
            if file.table == series.kind and file.partition.start_ns < end_ns and start_ns < file.partition.end_ns
        ]
        return sorted(found, key=_begin)

    def clusters(self, series: Series, start_ns: int = 0, end_ns: int = FOR_EVER_NS) -> list[list[Path]]:
        """The same files, clustered (see ``clustered``).

        Raises:
            RecordingError: a file can't be read.
        """
        return clustered(self.files(series, start_ns, end_ns))

    def portions(self, series: Series, start_ns: int = 0, end_ns: int = FOR_EVER_NS) -> Iterator[pa.Table]:
        """The rows of ``[start_ns, end_ns)`` in time order, each of them once, read as they are asked for.

        Raises:
            DataError, RecordingError: a file can't be read.
        """
        for rows in read(series, self.files(series, start_ns, end_ns)):
            first, last = np.searchsorted(rows["ts_ns"].to_numpy(), [start_ns, end_ns]).tolist()
            yield rows.slice(first, last - first)

    def table(self, series: Series, start_ns: int = 0, end_ns: int = FOR_EVER_NS) -> pa.Table:
        """All rows of ``[start_ns, end_ns)`` in memory, in time order, each of them once.

        Raises:
            DataError, RecordingError: a file can't be read.
        """
        found = list(self.portions(series, start_ns, end_ns))
        return pa.concat_tables(found).combine_chunks() if found else series.table.schema.empty_table()

    def dataset(self, kind: str, symbols: Collection[str] = ()) -> Any:
        """A ``pyarrow.dataset.Dataset`` of one kind with the columns ``venue`` and ``symbol``, for queries.

        Rows that lie in two files come twice, and in no order.

        Raises:
            RecordingError: a file can't be read.
        """
        import pyarrow.dataset as ds  # here: it takes pandas along, a third of a second that no command has to wait
        from pyarrow import fs

        file_format = ds.ParquetFileFormat()
        fragments = [
            file_format.make_fragment(
                str(file.path),
                filesystem=fs.LocalFileSystem(),
                partition_expression=(ds.field("venue") == file.partition.venue)
                & (ds.field("symbol") == file.partition.symbol),
            )
            for file in recorded(self.root)
            if file.table == kind and (not symbols or _series(file).symbol in symbols)
        ]
        schema = table_of(kind).schema
        for name in ("venue", "symbol"):
            schema = schema.append(pa.field(name, pa.string()))
        return ds.FileSystemDataset(fragments, schema, file_format, fs.LocalFileSystem())

    def holding(self, series: Series) -> Holding:
        """What the files' footers say of a series.

        Raises:
            DataError, RecordingError: a file can't be read.
        """
        rows = size = 0
        times: list[int] = []
        files = self.files(series)
        for file in files:
            try:
                metadata, size = pq.read_metadata(file.path), size + file.path.stat().st_size
                times += _edges(metadata)
            except (OSError, ValueError, pa.ArrowException) as error:
                raise _unreadable(series, error) from error
            rows += metadata.num_rows
        return Holding(series, rows, min(times, default=0), max(times, default=0), len(files), size)


def clustered(files: Iterable[Recorded]) -> list[list[Path]]:
    """The files of one series, those together that may overlap in time; none of a cluster is earlier than one before.

    Within a cluster days come before months, and those before years: what was imported revises what was recorded.
    """
    groups: list[list[Recorded]] = []
    reached_ns = 0
    for file in sorted(files, key=_begin):
        if groups and file.partition.start_ns < reached_ns:
            groups[-1].append(file)
        else:
            groups.append([file])
        reached_ns = max(reached_ns, file.partition.end_ns)
    return [[file.path for file in sorted(group, key=_fineness)] for group in groups]


def read(series: Series, files: Iterable[Recorded]) -> Iterator[pa.Table]:
    """The rows of a series' files in time order, each of them once, read as they are asked for.

    Raises:
        DataError: a file can't be read, or is out of order.
    """
    return (pa.Table.from_batches([batch]) for batch in batches(series, clustered(files), _PORTION_ROWS))


def batches(series: Series, clusters: Iterable[Sequence[Path]], most: int) -> Iterator[pa.RecordBatch]:
    """The same as record batches of at most ``most`` rows. A file is open while it is read.

    Raises:
        DataError: a file can't be read, or is out of order.
    """
    reached_ns = 0
    try:
        for paths in clusters:
            for batch in _single(series, paths[0], most) if _clean(series, paths) else _merged(series, paths, most):
                reached_ns = _in_order(series, batch.column("ts_ns").to_numpy(), reached_ns)
                yield batch
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise _unreadable(series, error) from error


def _unreadable(series: Series, error: Exception) -> DataError:
    return DataError(f"expected files of {series} that can be read, found: {error}; mend or move away the file")


def _clean(series: Series, paths: Sequence[Path]) -> bool:
    """Whether it is one file without a row that is there twice: all but the recorder's own, as they were written."""
    part = part_of(paths[0])
    recorder_wrote_it = part is not None and part.epoch != EPOCH and not part.merger
    return len(paths) == 1 and not (recorder_wrote_it and series.table.identity)


def _single(series: Series, path: Path, most: int) -> Iterator[pa.RecordBatch]:
    names = series.table.schema.names
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(most, columns=names, use_threads=False):
            yield batch.select(names).replace_schema_metadata()


def _merged(series: Series, paths: Sequence[Path], most: int) -> Iterator[pa.RecordBatch]:
    for rows in merged(paths, series.table):
        yield from rows.to_batches(most)


def _in_order(series: Series, at: npt.NDArray[np.int64], reached_ns: int) -> int:
    """See that times do not go back behind ``reached_ns`` or each other; returns the last of them.

    Raises:
        DataError: they do.
    """
    if not len(at):
        return reached_ns
    if at[0] < reached_ns or np.any(at[1:] < at[:-1]):
        raise DataError(
            f"expected rows of {series} in time order, found an earlier one after {reached_ns or int(at[0])}; another "
            f"program wrote them: import them into a new catalog with --policy repair"
        )
    return int(at[-1])


def by_series(files: Iterable[Recorded]) -> dict[Series, list[Recorded]]:
    """The files of each series of market data, by symbol and kind."""
    found: dict[Series, list[Recorded]] = {}
    for file in files:
        if is_market(file.table):
            found.setdefault(_series(file), []).append(file)
    return dict(sorted(found.items()))


def _series(file: Recorded) -> Series:
    return Series(f"{file.partition.venue}:{file.partition.symbol}", file.table)


def _begin(file: Recorded) -> tuple[int, int]:
    return file.partition.start_ns, file.partition.end_ns


def _fineness(file: Recorded) -> int:
    return -len(file.partition.period)


def _edges(metadata: Any) -> Iterable[int]:
    """The earliest and latest times of each row group."""
    column = metadata.schema.names.index("ts_ns")
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(column).statistics
        if statistics is not None and statistics.has_min_max:
            yield from (int(statistics.min), int(statistics.max))
