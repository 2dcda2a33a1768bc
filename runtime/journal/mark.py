"""How far the journal goes, noted beside its store and not in it.

LMDB has no checksums on its pages: a header that changed can point to an older state that is sound in itself, and a
store can be put back to an older copy. Then the end of the journal is gone without a trace in it. The mark is
written after each commit and never flushed: after a power cut it may be behind, and it is never ahead.
"""

from __future__ import annotations

import logging
import os
import struct
from pathlib import Path
from zlib import crc32

from runtime.errors import JournalCorruptError, JournalError

FILE = "head"
_MARK = struct.Struct(">QI")
log = logging.getLogger(__name__)


class Mark:
    """The mark of the journal in the folder ``path``, held by its writer."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path) / FILE
        self._well = True
        try:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalError(
                f"expected to open {self._path}, found {error}: check the rights of the folder"
            ) from error

    def put(self, seq: int) -> None:
        """Records up to ``seq`` are committed. What can't be noted is told, and is no reason to stop."""
        number = seq.to_bytes(8, "big")
        try:
            os.pwrite(self._file, _MARK.pack(seq, crc32(number)), 0)
            self._well = True
        except OSError as error:
            if self._well:
                log.error("the mark %s stays behind the journal: %s", self._path, error)
            self._well = False

    def close(self) -> None:
        os.close(self._file)


def marked(path: str | os.PathLike[str]) -> int:
    """The number of the last record the journal in ``path`` is known to have had; 0 without a mark.

    Raises:
        JournalCorruptError: the mark is damaged.
    """
    file = Path(path) / FILE
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise JournalCorruptError(f"expected to read {file}, found {error}") from error
    if not data:
        return 0
    if len(data) != _MARK.size or crc32(data[:8]) != _MARK.unpack(data)[1]:
        raise JournalCorruptError(
            f"expected a mark of {_MARK.size} bytes with a right CRC in {file}, found {data[:16]!r}: run "
            "`bigwheel journal repair`"
        )
    return int(_MARK.unpack(data)[0])


def missing(path: str | os.PathLike[str], last: int) -> str:
    """What is gone of a journal that ends with the record ``last``; empty for nothing.

    Raises:
        JournalCorruptError: the mark is damaged.
    """
    known = marked(path)
    if known <= last:
        return ""
    return f"records {last + 1} to {known} were committed, and are gone"
