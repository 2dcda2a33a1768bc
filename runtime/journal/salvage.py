"""Copies what can be read of a damaged journal. Run it in a process that may die: see ``repair``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import lmdb
import msgspec

from runtime.errors import BigwheelError, JournalCorruptError, JournalError
from runtime.journal import environment
from runtime.journal.batch import Batch
from runtime.journal.reader import (
    NUMBER,
    JournalReader,
    Tables,
    last_number,
    open_handle,
    schemas,
    unpack_offset,
    writership,
)
from runtime.journal.record import Record, encode_fields, schema_versions, unpack
from runtime.journal.store import LmdbJournal

T = TypeVar("T")
CHUNK = 2_000
LEFT_OUT = "left-out.jsonl"


class Salvage(msgspec.Struct):
    """What became of a journal: records 1 to ``kept`` are copied, ``last`` was its end as far as it shows.

    ``reason`` says why the copy ends there, ``readable`` how many of those after it could be read
    and are in ``left-out.jsonl``; ``notes`` are other things that were lost.
    """

    kept: int = 0
    last: int = 0
    reason: str = ""
    readable: int = 0
    notes: list[str] = []


class _Source:
    """A damaged journal. A transaction that has met a bad page is of no more use, so the next begins another."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self.tables = Tables(env, create=False)
        self._txn = env.begin()

    def ask(self, what: Callable[[Any, Tables], T]) -> T:
        """What a look into the tables gives.

        Raises:
            JournalError: it can't be had.
        """
        try:
            return what(self._txn, self.tables)
        except (lmdb.Error, msgspec.DecodeError) as error:
            self._txn.abort()
            self._txn = self.env.begin()
            raise JournalCorruptError(str(error)) from error

    def record(self, seq: int) -> Record:
        """One record; raises ``JournalError`` where it can't be read."""
        row = self.ask(lambda txn, tables: txn.get(NUMBER.pack(seq), db=tables.records))
        if row is None:
            raise JournalCorruptError("it is missing")
        record = unpack(row)
        if record.seq != seq:
            raise JournalCorruptError(f"expected its own number in it, found {record.seq}")
        return record

    def close(self) -> None:
        self._txn.abort()


def salvage(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> Salvage:
    """Copy the records of ``source`` up to the first that can't be read into the new journal ``target``.

    Raises:
        JournalError: a newer program has written it.
    """
    found = Salvage()
    handle = open_handle(source, write=False, map_size=environment.MAP_SIZE)
    opened = _Source(handle.env)
    try:
        opened.ask(schemas)
        found.last = _end(opened, found)
        offsets = _offsets(opened, found)
        journal = LmdbJournal(target, epoch=_epoch(opened, found))
        try:
            _copy(opened, journal, found)
            if found.kept == found.last:
                for offset in offsets:
                    journal.set_offset(*offset)
                journal.commit()
            else:
                found.notes.append("the input offsets are forgotten, for they count what was lost as handled")
        finally:
            journal.close()
        found.readable = _leave_out(opened, found, Path(target).with_name(LEFT_OUT))
    finally:
        opened.close()
        environment.release(handle)
    return found


def _end(source: _Source, found: Salvage) -> int:
    try:
        return source.ask(last_number)
    except JournalError as error:
        found.reason = f"the end of the records: {error}"
        return 0


def _epoch(source: _Source, found: Salvage) -> int:
    """The next writer's epoch has to be above all before it."""
    try:
        return max(source.ask(writership).epoch, 1)
    except JournalCorruptError as error:
        found.notes.append(f"the writer's epoch could not be read ({error}), and is taken from the records")
        return max((record.epoch for record in _sound(source, 1, found.last)), default=0) + 1


def _offsets(source: _Source, found: Salvage) -> list[tuple[str, int, int]]:
    sound: list[tuple[str, int, int]] = []
    try:
        rows = source.ask(lambda txn, tables: [row for _, row in txn.cursor(tables.offsets)])
    except JournalError as error:
        found.notes.append(f"the input offsets could not be read: {error}")
        return sound
    for row in rows:
        try:
            sound.append(unpack_offset(row))
        except JournalCorruptError as error:
            found.notes.append(str(error))
    return sound


def _copy(source: _Source, journal: LmdbJournal, found: Salvage) -> None:
    batch = Batch()
    ts = -(1 << 63)
    for seq in range(1, found.last + 1):
        try:
            record = source.record(seq)
            if record.ts < ts:
                raise JournalCorruptError(f"expected a time of {ts} or later, found {record.ts}")
        except JournalError as error:
            found.reason = f"record {seq}: {error}"
            break
        ts = record.ts
        _add(batch, record)
        if len(batch.records) == CHUNK:
            found.kept = journal.write(batch)[-1].seq
            batch = Batch()
    if batch.records:
        found.kept = journal.write(batch)[-1].seq


def _add(batch: Batch, record: Record) -> None:
    batch.records.append(record)
    batch.payloads.append(encode_fields(record))
    batch.kinds[record.kind].append(record.seq)
    for pair in record.keys:
        batch.postings[pair].append(record.seq)


def _sound(source: _Source, first: int, last: int) -> Iterator[Record]:
    """The records from ``first`` on that can be read."""
    for seq in range(first, last + 1):
        try:
            yield source.record(seq)
        except JournalError:
            continue


def _leave_out(source: _Source, found: Salvage, file: Path) -> int:
    """Write the readable records after the first that is not to ``file``, for a person to look at."""
    count = 0
    if found.kept == found.last:
        return count
    with file.open("wb") as out:
        for record in _sound(source, found.kept + 1, found.last):
            row = {"seq": record.seq, "ts": record.ts, "kind": record.kind, "version": record.version}
            out.write(msgspec.json.encode({**row, "event": msgspec.msgpack.decode(record.body)}) + b"\n")
            count += 1
    return count


def kept(target: str | os.PathLike[str]) -> int:
    """How many records a copy has that was broken off."""
    reader = JournalReader(target)
    try:
        return reader.head
    finally:
        reader.close()


def main() -> None:
    """``SCHEMAS SOURCE TARGET``; prints what became of it as JSON."""
    known, source, target = sys.argv[1:]
    schema_versions.update(msgspec.json.decode(known, type=dict[str, int]))
    try:
        found = salvage(source, target)
    except (OSError, lmdb.Error, BigwheelError) as error:
        found = Salvage(reason=str(error))
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
