"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exchanges.recording.layout import HIDDEN_SUFFIX

ROW_GROUP = 65_536
COMPRESSION = "zstd"


class Draft:
    """A Parquet file in the making: hidden until ``keep``, gone if the block ends without it.

    ``keep`` puts it in its place once its bytes are on the disk; a crash before that leaves a hidden file that
    ``sweep`` removes, and the place as it was.
    """

    def __init__(self, target: Path, schema: pa.Schema) -> None:
        self.target = target
        self.rows = 0
        self._hidden = target.with_name(f".{target.name}.{os.getpid()}{HIDDEN_SUFFIX}")
        self._file = self._hidden.open("wb")
        self._writer = pq.ParquetWriter(self._file, schema, compression=COMPRESSION)
        self._schema = schema
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0

    def add(self, table: pa.Table) -> None:
        """Append rows; small portions are gathered into row groups."""
        self.rows += table.num_rows
        self._waiting.append(table.cast(self._schema))
        self._waiting_rows += table.num_rows
        if self._waiting_rows >= ROW_GROUP:
            self._write()

    def _write(self) -> None:
        if self._waiting_rows:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=ROW_GROUP)
        self._waiting, self._waiting_rows = [], 0

    def keep(self) -> int:
        """Finish the file and put it in its place; returns its size in bytes."""
        self._write()
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        size = os.fstat(self._file.fileno()).st_size
        self._file.close()
        os.replace(self._hidden, self.target)
        sync(self.target.parent)
        return size

    def __enter__(self) -> Draft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.is_open = False  # else its finaliser would write a footer to a file that is closed
        self._file.close()
        self._hidden.unlink(missing_ok=True)


def write_synced(path: Path, text: str) -> None:
    """Write a text file, and have what is in it on the disk; its name may not be yet: see ``sync``."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Have the names in ``folder`` on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make ``folder`` and those above it, each of them on the disk when it returns."""
    missing = [folder, *folder.parents]
    missing = missing[: next(i for i, path in enumerate(missing) if path.is_dir())]
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(missing):
        sync(path.parent)


def probe(folder: Path) -> None:
    """Make ``folder``, and see that files can be written to it.

    Raises:
        OSError: they can't.
    """
    make_folder(folder)
    with tempfile.TemporaryFile(dir=folder):
        return


def sweep(folder: Path) -> int:
    """Remove the unfinished files in ``folder`` whose writers are gone; returns how many there were."""
    left = [path for path in folder.glob(f".*{HIDDEN_SUFFIX}") if not _another_writes(path)]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _another_writes(hidden: Path) -> bool:
    """Whether the process named in a hidden file's name is another one that lives."""
    pid = hidden.name.removesuffix(HIDDEN_SUFFIX).rpartition(".")[2]
    if not pid.isdigit() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def ordered(table: pa.Table) -> pa.Table:
    """``table`` by time; rows of the same time keep their order."""
    times = table["ts_ns"].combine_chunks()
    if len(times) < 2 or pc.all(pc.greater_equal(times[1:], times[:-1])).as_py():
        return table
    return table.take(pc.sort_indices(table, sort_keys=[("ts_ns", "ascending")]))
