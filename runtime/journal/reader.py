"""Reads a journal's LMDB store."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from heapq import merge
from typing import Any, TypeVar
from zlib import crc32

import lmdb
import msgspec

from runtime.errors import BigwheelError, JournalCorruptError, JournalError
from runtime.journal import environment
from runtime.journal.batch import KIND
from runtime.journal.environment import DamagedError, token
from runtime.journal.record import Brief, Record, current_version, unpack, unpack_brief

T = TypeVar("T")

RECORDS = b"records"
POSTINGS = b"postings"
OFFSETS = b"offsets"
META = b"meta"

NUMBER = struct.Struct(">Q")
LAYOUT = 2
"""The form of the tables, raised whenever an older program could no longer read them. In form 1 the rows of the
input offsets had no CRC; they are read as they are, and get one when they are written again."""

SEGMENT = 1 << 13
"""How many records share one stretch of the postings. A commit then touches the newest stretch alone,
however long the journal is, and a query looks into one stretch after the other."""

_SEGMENT_KEY = struct.Struct(">I")
_LAST = b"\xff" * 8


class Writership(msgspec.Struct, frozen=True):
    """Who may write: the writer's epoch, and how often the journal was opened for writing.

    ``layout`` is the form of the tables the journal was made with.
    """

    epoch: int = 0
    opening: int = 0
    layout: int = 0


class Tables:
    """The four tables of an open environment.

    ``records`` maps a number to its record. ``postings`` has one row for each commit and key,
    ``segment index NUL value NUL first-number`` to the packed numbers. ``offsets`` maps an input
    to ``(name, epoch, seq, CRC)``, ``meta`` holds the ``Writership`` and the versions of ``schemas``.
    """

    def __init__(self, env: Any, *, create: bool) -> None:
        self.records = env.open_db(RECORDS, create=create)
        self.postings = env.open_db(POSTINGS, create=create)
        self.offsets = env.open_db(OFFSETS, create=create)
        self.meta = env.open_db(META, create=create)


def open_handle(path: str | os.PathLike[str], *, write: bool, map_size: int) -> environment.Handle:
    """``environment.acquire`` with a journal's own error."""
    try:
        return environment.acquire(path, write=write, map_size=map_size)
    except DamagedError as error:
        raise JournalCorruptError(f"{error}; run verify on it, and restore from a backup") from error


def segment_key(seq: int) -> bytes:
    """What the keys of all posting rows of the segment of record ``seq`` begin with."""
    return _SEGMENT_KEY.pack(seq // SEGMENT)


@lru_cache(maxsize=1 << 10)
def index_prefix(index: str) -> bytes:
    """What follows the segment in the keys of all posting rows of one index."""
    return token(index) + b"\0"


@lru_cache(maxsize=1 << 16)
def posting_prefix(index: str, value: str) -> bytes:
    """What follows the segment in the keys of all posting rows of one index key."""
    return index_prefix(index) + token(value) + b"\0"


def numbers_of(row: bytes) -> tuple[int, ...]:
    """The record numbers packed in a posting row."""
    return struct.unpack(f">{len(row) // 8}Q", row)


class _Offset(msgspec.Struct, frozen=True, array_like=True):
    name: str
    epoch: int
    seq: int
    crc: int | None = None


def pack_offset(name: str, epoch: int, seq: int) -> bytes:
    """The stored form of an input offset."""
    return msgspec.msgpack.encode((name, epoch, seq, crc32(msgspec.msgpack.encode((name, epoch, seq)))))


def unpack_offset(row: bytes) -> tuple[str, int, int]:
    """Name, epoch and number of an input offset.

    Raises:
        JournalCorruptError: it does not match its checksum, or is no offset at all.
    """
    try:
        found = msgspec.msgpack.decode(row, type=_Offset)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JournalCorruptError(f"expected an input offset as (name, epoch, number, CRC), found {error}") from error
    offset = found.name, found.epoch, found.seq
    if found.crc is not None and found.crc != crc32(msgspec.msgpack.encode(offset)):
        raise JournalCorruptError(f"expected the input offset {found.name!r} with a right CRC, found other bytes")
    return offset


class JournalReader:
    """Committed records of the journal in the folder ``path``, written by this process or another.

    Every call is a short read transaction of its own, so a slow consumer never makes the file grow.
    """

    def __init__(self, path: str | os.PathLike[str], *, map_size: int = environment.MAP_SIZE) -> None:
        self._handle = open_handle(path, write=False, map_size=map_size)
        try:
            self._tables = Tables(self._handle.env, create=False)
            self._closed = False
            with self._transaction() as txn:
                writership(txn, self._tables)
                schemas(txn, self._tables)
        except lmdb.Error as error:
            environment.release(self._handle)
            raise JournalCorruptError(
                f"expected a journal in {path}, found an LMDB store without its tables ({error}): check the path"
            ) from error
        except JournalError:
            environment.release(self._handle)
            raise

    @property
    def path(self) -> str:
        """The folder the journal lies in."""
        return str(self._handle.path)

    @property
    def epoch(self) -> int:
        """The epoch of the last writer that opened the journal; 0 if there was none."""
        with self._transaction() as txn:
            return writership(txn, self._tables).epoch

    @property
    def head(self) -> int:
        with self._transaction() as txn:
            return last_number(txn, self._tables)

    def offsets(self) -> dict[str, tuple[int, int]]:
        with self._transaction() as txn:
            rows = [unpack_offset(row) for _, row in txn.cursor(self._tables.offsets)]
        return {key: (epoch, seq) for key, epoch, seq in rows}

    def read(
        self, after: int, limit: int, *, kinds: Sequence[str] = (), index: str = "", value: str = ""
    ) -> list[Record]:
        if limit <= 0:
            return []
        after = max(after, 0)
        with self._transaction() as txn:
            if index:
                return self._fitting(txn, self._numbers(txn, index, value, after), limit, kinds, index, value)
            if kinds:
                numbers = merge(*(self._numbers(txn, KIND, kind, after) for kind in sorted(set(kinds))))
                return self._fitting(txn, numbers, limit, kinds)
            return self._run(txn, after + 1, limit, unpack)

    def brief(self, after: int, limit: int) -> list[Brief]:
        """Up to ``limit`` records with a higher number than ``after``, ascending, for whoever folds all of them."""
        with self._transaction() as txn:
            return self._run(txn, max(after, 0) + 1, limit, unpack_brief)

    def latest(self, index: str, value: str, limit: int) -> list[Record]:
        if limit <= 0:
            return []
        with self._transaction() as txn:
            return self._fitting(txn, self._backwards(txn, index, value), limit, (), index, value)

    def between(self, start_ns: int, end_ns: int, limit: int) -> list[Record]:
        if limit <= 0 or end_ns <= start_ns:
            return []
        with self._transaction() as txn:
            first = self._first_at(txn, start_ns)
            stop = self._first_at(txn, end_ns)
            return self._run(txn, first, min(limit, stop - first), unpack)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            environment.release(self._handle)

    def backup_to(self, target: str | os.PathLike[str]) -> None:
        """Write a compact copy of the store, as it is now, into the empty folder ``target``."""
        self._check()
        try:
            self._handle.env.copy(os.fspath(target), compact=True)
        except lmdb.Error as error:
            raise JournalError(f"expected to copy the journal to {target}, found {error}: is the disk full?") from error

    def _check(self) -> None:
        if self._closed:
            raise JournalError(f"expected an open journal, found that {self.path} was closed")

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        self._check()
        try:
            with self._handle.env.begin() as txn:
                yield txn
        except BigwheelError:
            raise
        except (lmdb.Error, msgspec.DecodeError) as error:
            raise JournalCorruptError(
                f"expected to read the journal in {self.path}, found {error}: run verify on it"
            ) from error

    def _record(self, txn: Any, seq: int) -> Record:
        row = txn.get(NUMBER.pack(seq), db=self._tables.records)
        if row is None:
            raise JournalCorruptError(f"expected record {seq} in {self.path}, found none: run verify on it")
        try:
            return unpack(row)
        except JournalCorruptError as error:
            raise JournalCorruptError(f"record {seq} in {self.path}: {error}") from error

    def _run(self, txn: Any, first: int, limit: int, opener: Callable[[bytes], T]) -> list[T]:
        found: list[T] = []
        if limit <= 0:
            return found
        cursor = txn.cursor(self._tables.records)
        if cursor.set_range(NUMBER.pack(first)):
            for key, row in cursor:
                try:
                    found.append(opener(row))
                except JournalCorruptError as error:
                    seq = NUMBER.unpack(key)[0]
                    raise JournalCorruptError(f"record {seq} in {self.path}: {error}") from error
                if len(found) == limit:
                    break
        return found

    def _fitting(
        self, txn: Any, numbers: Iterator[int], limit: int, kinds: Sequence[str], index: str = "", value: str = ""
    ) -> list[Record]:
        wanted = frozenset(kinds)
        found: list[Record] = []
        for seq in numbers:
            record = self._record(txn, seq)
            # Two texts could share a hash: the record itself has the last word.
            if (not wanted or record.kind in wanted) and (not index or (index, value) in record.keys):
                found.append(record)
                if len(found) == limit:
                    break
        return found

    def _numbers(self, txn: Any, index: str, value: str, after: int) -> Iterator[int]:
        """The numbers above ``after`` in the posting rows of a key, ascending."""
        prefix = posting_prefix(index, value)
        cursor = txn.cursor(self._tables.postings)
        head = last_number(txn, self._tables)
        first = after + 1
        row = segment_key(first) + prefix
        # The row before may begin at or below ``after`` and end above it.
        found = cursor.set_range(row + NUMBER.pack(first))
        if (cursor.prev() if found else cursor.last()) and _within(cursor.key(), row):
            yield from (seq for seq in numbers_of(cursor.value()) if seq > after)
        while first <= head:
            row = segment_key(first) + prefix
            if cursor.set_range(row + NUMBER.pack(first)):
                for key, numbers in cursor:
                    if not _within(key, row):
                        break
                    yield from numbers_of(numbers)
            first = (first // SEGMENT + 1) * SEGMENT

    def _backwards(self, txn: Any, index: str, value: str) -> Iterator[int]:
        prefix = posting_prefix(index, value)
        cursor = txn.cursor(self._tables.postings)
        for segment in range(last_number(txn, self._tables) // SEGMENT, -1, -1):
            row = segment_key(segment * SEGMENT) + prefix
            found = cursor.set_range(row + _LAST)
            if not (cursor.prev() if found else cursor.last()):
                return
            for key, numbers in cursor.iterprev():
                if not _within(key, row):
                    break
                yield from reversed(numbers_of(numbers))

    def _first_at(self, txn: Any, ts: int) -> int:
        """Number of the first record at or after ``ts``, by bisection: times never fall."""
        cursor = txn.cursor(self._tables.records)
        if not cursor.first():
            return 1
        low = NUMBER.unpack(cursor.key())[0]
        high = last_number(txn, self._tables) + 1
        while low < high:
            middle = (low + high) // 2
            if self._record(txn, middle).ts < ts:
                low = middle + 1
            else:
                high = middle
        return int(low)


def last_number(txn: Any, tables: Tables) -> int:
    """Number of the last stored record; 0 if there is none."""
    cursor = txn.cursor(tables.records)
    return int(NUMBER.unpack(cursor.key())[0]) if cursor.last() else 0


def writership(txn: Any, tables: Tables) -> Writership:
    """The stored ``Writership``.

    Raises:
        JournalError: the tables have another form than this program reads.
    """
    row = txn.get(b"writer", db=tables.meta)
    if row is None:
        return Writership(layout=LAYOUT)
    found = msgspec.msgpack.decode(row, type=Writership)
    if not 1 <= found.layout <= LAYOUT:
        raise JournalError(
            f"expected a journal of layout 1 to {LAYOUT}, found layout {found.layout}: export it with the program that "
            "wrote it, or begin a new one"
        )
    return found


def schemas(txn: Any, tables: Tables) -> dict[str, int]:
    """The schema version of each event class that is above 1, as the journal's newest writer knew them.

    Raises:
        JournalError: one of them is newer than this program's: it would not understand what it reads.
    """
    row = txn.get(b"schemas", db=tables.meta)
    found = msgspec.msgpack.decode(row, type=dict[str, int]) if row is not None else {}
    newer = {kind: version for kind, version in found.items() if version > current_version(kind)}
    if newer:
        kind, version = min(newer.items())
        raise JournalError(
            f"expected {kind} in schema version {current_version(kind)} or older, found version {version}: a newer "
            "program has written to this journal; use that one, or restore a backup from before"
        )
    return found


def _within(key: bytes, prefix: bytes) -> bool:
    return len(key) == len(prefix) + 8 and key.startswith(prefix)
