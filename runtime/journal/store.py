"""The journal on disk: one LMDB store, one writer, every commit flushed."""

from __future__ import annotations

import fcntl
import os
import struct
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from runtime.errors import FencedError, JournalCorruptError, JournalError
from runtime.journal import environment
from runtime.journal.appender import Appender
from runtime.journal.batch import Batch
from runtime.journal.environment import token
from runtime.journal.mark import Mark, missing
from runtime.journal.reader import (
    LAYOUT,
    NUMBER,
    SEGMENT,
    JournalReader,
    Tables,
    Writership,
    index_prefix,
    last_number,
    open_handle,
    pack_offset,
    schemas,
    segment_key,
    writership,
)
from runtime.journal.record import Record, frames, schema_versions, unpack

WRITER_LOCK = "writer.lock"
"""Every writer holds a shared lock on this file, so that nobody replaces the store under it."""


class LmdbJournal(Appender):
    """The journal in the folder ``path``, opened for writing by the incarnation ``epoch``.

    Opening it fences off every earlier writer: its next commit fails. ``epoch`` 0 takes the
    next one. The same thread, or one thread at a time, calls ``write`` and ``commit``.

    Raises:
        FencedError: a writer with a higher epoch has opened it.
        JournalCorruptError: the file is damaged.
    """

    def __init__(self, path: str | os.PathLike[str], *, epoch: int = 0, map_size: int = environment.MAP_SIZE) -> None:
        self._handle = open_handle(path, write=True, map_size=map_size)
        try:
            self._lock = _share(Path(path) / WRITER_LOCK)
            try:
                self._open(epoch)
                self._reader = JournalReader(path, map_size=map_size)
                self._mark = Mark(path)
                self._mark.put(self._head)
            except BaseException:
                os.close(self._lock)
                raise
        except BaseException:
            environment.release(self._handle)
            raise
        self._closed = False

    @classmethod
    def reader(cls, path: str | os.PathLike[str]) -> JournalReader:
        """The journal for reading alone, also while another process writes it."""
        return JournalReader(path)

    @property
    def path(self) -> str:
        """The folder the journal lies in."""
        return str(self._handle.path)

    @property
    def epoch(self) -> int:
        """The epoch this writer opened the journal with."""
        return self._writer.epoch

    def offsets(self) -> dict[str, tuple[int, int]]:
        self._check()
        return self._reader.offsets()

    def read(
        self, after: int, limit: int, *, kinds: Sequence[str] = (), index: str = "", value: str = ""
    ) -> list[Record]:
        self._check()
        return self._reader.read(after, limit, kinds=kinds, index=index, value=value)

    def latest(self, index: str, value: str, limit: int) -> list[Record]:
        self._check()
        return self._reader.latest(index, value, limit)

    def between(self, start_ns: int, end_ns: int, limit: int) -> list[Record]:
        self._check()
        return self._reader.between(start_ns, end_ns, limit)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._failure = self._failure or JournalError("it was closed")
        self._reader.close()
        self._mark.close()
        environment.release(self._handle)
        os.close(self._lock)

    def _open(self, epoch: int) -> None:
        try:
            self._tables = Tables(self._handle.env, create=True)
            with self._handle.env.begin(write=True) as txn:
                last = writership(txn, self._tables)
                if 0 < epoch < last.epoch:
                    raise FencedError(
                        f"expected to open the journal in {self.path} with epoch {last.epoch} or higher, found "
                        f"{epoch}: a newer incarnation has opened it, stop this one"
                    )
                known = schemas(txn, self._tables)
                if known != known | schema_versions:
                    txn.put(b"schemas", msgspec.msgpack.encode(known | schema_versions), db=self._tables.meta)
                self._writer = Writership(epoch or last.epoch + 1, last.opening + 1, LAYOUT)
                txn.put(b"writer", msgspec.msgpack.encode(self._writer), db=self._tables.meta)
                head, ts = self._end(txn)
        except (lmdb.Error, msgspec.DecodeError) as error:
            raise JournalError(
                f"expected to open the journal in {self.path}, found {error}: run verify on it"
            ) from error
        Appender.__init__(self, head, ts)

    def _end(self, txn: Any) -> tuple[int, int]:
        head = last_number(txn, self._tables)
        gone = missing(self.path, head)
        if gone:
            raise JournalCorruptError(
                f"expected the whole journal in {self.path}, found that {gone}: put a backup in its place, or accept "
                "the loss with `bigwheel journal repair`"
            )
        if head == 0:
            return 0, 0
        try:
            return head, unpack(txn.get(NUMBER.pack(head), db=self._tables.records)).ts
        except JournalCorruptError as error:
            raise JournalCorruptError(f"the last record ({head}) in {self.path}: {error}") from error

    def _store(self, batch: Batch) -> None:
        tables = self._tables
        try:
            with self._handle.env.begin(write=True) as txn:
                found = writership(txn, tables)
                if found != self._writer:
                    raise FencedError(
                        f"expected to be the writer of {self.path} with epoch {self._writer.epoch}, found that epoch "
                        f"{found.epoch} has opened it since: nothing was written, stop this incarnation"
                    )
                self._put(txn, batch)
            if batch.records:
                self._mark.put(batch.records[-1].seq)
        except (lmdb.Error, msgspec.DecodeError, OSError) as error:
            raise JournalError(
                f"the journal in {self.path} could not be written: {error}. Free some disk space or repair the disk, "
                "then start again: what was committed before is safe"
            ) from error

    def _put(self, txn: Any, batch: Batch) -> None:
        tables = self._tables
        first = self._head + 1
        count = len(batch.payloads)
        number = NUMBER.pack
        if count:
            rows = zip(map(number, range(first, first + count)), frames(batch.payloads), strict=True)
            consumed, added = txn.cursor(tables.records).putmulti(rows, dupdata=False, overwrite=False, append=True)
            if added != count:
                raise JournalError(
                    f"expected to append records {first} to {first + count - 1} to {self.path}, found room for "
                    f"{added} of {consumed}: someone else has written to it"
                )
            postings = _posting_rows(batch, first, first + count - 1)
            postings.sort()
            txn.cursor(tables.postings).putmulti(postings, dupdata=False)
        for key, (epoch, seq) in batch.offsets.items():
            txn.put(environment.token(key), pack_offset(key, epoch, seq), db=tables.offsets)


def _posting_rows(batch: Batch, first: int, last: int) -> list[tuple[bytes, bytes]]:
    """The posting rows of records ``first`` to ``last``: one for each key and segment they lie in."""
    rows: list[tuple[bytes, bytes]] = []
    for start in range(first // SEGMENT * SEGMENT, last + 1, SEGMENT):
        stop = start + SEGMENT
        whole = start <= first and last < stop
        segment = segment_key(start)
        for (index, value), numbers in batch.rows():
            chosen = numbers if whole else numbers[bisect_left(numbers, start) : bisect_left(numbers, stop)]
            if chosen:
                row = _packer(len(chosen))(*chosen)
                rows.append((segment + index_prefix(index) + token(value) + b"\0" + row[:8], row))
    return rows


@lru_cache(maxsize=1 << 12)
def _packer(count: int) -> Callable[..., bytes]:
    return struct.Struct(f">{count}Q").pack


def _share(file: Path) -> int:
    try:
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise JournalError(f"expected to open {file}, found {error}: check the rights of the folder") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise JournalError(
            f"expected to write to {file.parent}, found that a restore is replacing it: wait until it is done"
        ) from error
    return lock
