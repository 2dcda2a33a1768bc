"""Recorded files merged in time order, without ever holding more of them than overlaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exchanges.recording.files import ordered
from exchanges.recording.schemas import Table

BATCH_ROWS = 16_384


class Source:
    """One file whose rows are in time order, opened when its first row is due."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._schema = path, schema
        self._file: Any = None
        self._batches: Iterator[Any] = iter(())
        self._held: list[pa.Table] = []
        metadata = pq.read_metadata(path)
        self.read = not metadata.num_rows
        """Whether all of it has been read."""
        self.reach_ns = first_ns(metadata)
        """No row that has not been read is earlier than this."""

    @property
    def ended(self) -> bool:
        """Whether all of it has been read and handed over."""
        return self.read and not self._held

    def more(self) -> None:
        """Read a further portion; the file is open from the first to the last."""
        if self._file is None:
            self._file = pq.ParquetFile(self._path)
            self._batches = self._file.iter_batches(batch_size=BATCH_ROWS)
        batch = next(self._batches, None)
        if batch is None:
            self.read = True
            self.close()
            return
        portion = pa.Table.from_batches([batch]).select(self._schema.names).cast(self._schema)
        self._held.append(portion)
        self.reach_ns = int(portion["ts_ns"][-1].as_py())

    def take(self, before_ns: int | None) -> list[pa.Table]:
        """Hand over what has been read of the time before ``before_ns`` (None: all of it)."""
        taken, self._held = self._held, []
        if before_ns is None or not taken:
            return taken
        held = pa.concat_tables(taken)
        count = int(pc.sum(pc.less(held["ts_ns"], before_ns)).as_py())
        if count < held.num_rows:
            self._held = [held.slice(count)]
        return [held.slice(0, count)] if count else []

    def close(self) -> None:
        """Close the file; what has been read of it remains."""
        if self._file is not None:
            self._file.close()
            self._file = None


def first_ns(metadata: Any) -> int:
    """The earliest time in a file, by its statistics; 0 if it has no rows.

    Raises:
        ValueError: it has rows but no statistics: another program wrote it.
    """
    if not metadata.num_rows:
        return 0
    column = metadata.schema.names.index("ts_ns")
    groups = [metadata.row_group(group).column(column).statistics for group in range(metadata.num_row_groups)]
    if not all(group is not None and group.has_min_max for group in groups):
        raise ValueError("expected statistics of ts_ns in the file, found none; it is not one of the recorder's")
    return min(int(group.min) for group in groups)


def merged(paths: Sequence[Path], table: Table) -> Iterator[pa.Table]:
    """The rows of ``paths`` in time order, each of them once (see ``distinct``), portion by portion.

    Rows of the same time come in the order of ``paths`` and always in one portion.
    """
    pending = [Source(path, table.schema) for path in paths]
    try:
        while pending := [source for source in pending if not source.ended]:
            ahead = [source for source in pending if not source.read]
            horizon = min((source.reach_ns for source in ahead), default=None)
            portions = [portion for source in pending for portion in source.take(horizon)]
            if portions:
                yield distinct(ordered(pa.concat_tables(portions)), table)
            for source in ahead:
                if source.reach_ns == horizon:
                    source.more()
    finally:
        for source in pending:
            source.close()


def distinct(rows: pa.Table, table: Table) -> pa.Table:
    """``rows`` with one of those that agree in the table's identity: the first, or the last where later ones revise."""
    if rows.num_rows < 2 or not table.identity:
        return rows
    keys = list(table.identity)
    numbered = rows.select(keys).append_column("row", pa.array(range(rows.num_rows), pa.int64()))
    kept: list[Any] = []
    if pa.types.is_string(rows.schema.field(keys[0]).type):
        unnamed = pc.equal(rows[keys[0]], "")
        kept = numbered.filter(unnamed)["row"].to_pylist()
        numbered = numbered.filter(pc.invert(unnamed))
    chosen = "max" if table.revised else "min"
    kept += numbered.group_by(keys).aggregate([("row", chosen)])[f"row_{chosen}"].to_pylist()
    return rows if len(kept) == rows.num_rows else rows.take(pa.array(sorted(kept), pa.int64()))
