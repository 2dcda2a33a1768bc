"""Checks a journal record by record and row by row. Run it in a process that may die: see ``audit``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from runtime.errors import JournalCorruptError, JournalError
from runtime.journal import environment
from runtime.journal.batch import KIND
from runtime.journal.mark import marked
from runtime.journal.reader import (
    NUMBER,
    JournalReader,
    Tables,
    numbers_of,
    open_handle,
    posting_prefix,
    schemas,
    segment_key,
    unpack_offset,
    writership,
)
from runtime.journal.record import Record, schema_versions, unpack

_MOST = 100
_MASK = (1 << 64) - 1


class Report(msgspec.Struct):
    """What was found in a journal. ``bytes`` is the size of its file; ``first`` and ``last`` are
    record numbers, 0 in an empty one. ``problems`` has at most a hundred entries."""

    records: int = 0
    bytes: int = 0
    first: int = 0
    last: int = 0
    ok: bool = True
    problems: list[str] = []

    def add(self, problem: str) -> None:
        """Note a problem; after the hundredth they only count as one more."""
        self.ok = False
        if len(self.problems) < _MOST:
            self.problems.append(problem)


def prefixes(record: Record) -> list[bytes]:
    """The posting row prefixes that must lead to ``record``."""
    return [posting_prefix(*pair) for pair in (*record.keys, (KIND, record.kind))]


class Examination:
    """One pass over a store, in one read transaction: a state that really was."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.report = Report(bytes=(self.path / environment.FILE).stat().st_size)
        self._damaged: set[int] = set()
        self._sum = 0

    def run(self) -> Report:
        """Look at everything and say what was found."""
        # Before the records are looked at: a writer that goes on meanwhile moves the mark ahead of them.
        known = self._marked()
        handle = open_handle(self.path, write=False, map_size=environment.MAP_SIZE)
        try:
            tables = Tables(handle.env, create=False)
            with handle.env.begin() as txn:
                writership(txn, tables)
                schemas(txn, tables)
                self._records(txn, tables)
                records, self._sum = self._sum, 0
                self._postings(txn, tables)
                if self._sum != records:
                    self._differences(txn, tables)
                    if self.report.ok:
                        self.report.add("the index rows do not add up to the records' keys")
                self._rest(txn, tables)
        finally:
            environment.release(handle)
        if known > self.report.last:
            self.report.add(f"records {self.report.last + 1} to {known} were committed, and are gone")
        return self.report

    def _marked(self) -> int:
        try:
            return marked(self.path)
        except JournalCorruptError as error:
            self.report.add(str(error))
            return 0

    def _records(self, txn: Any, tables: Tables) -> None:
        report, previous, ts = self.report, 0, -(1 << 63)
        for key, row in txn.cursor(tables.records):
            if len(key) != 8:
                report.add(f"expected a record number of 8 bytes as key, found {key!r}")
                continue
            seq = NUMBER.unpack(key)[0]
            if previous and seq != previous + 1:
                report.add(
                    f"expected record {previous + 1} after record {previous}, found record {seq}: some are missing"
                )
            elif not previous:
                report.first = seq
                if seq != 1:
                    report.add(f"expected the journal to begin with record 1, found record {seq}")
            previous = report.last = seq
            report.records += 1
            record = self._unpack(seq, row)
            if record is not None:
                if record.ts < ts:
                    report.add(f"record {seq}: expected a time of {ts} or later, found {record.ts}")
                ts = record.ts
                for prefix in prefixes(record):
                    self._count(prefix, seq)

    def _unpack(self, seq: int, row: bytes) -> Record | None:
        try:
            record = unpack(row)
        except JournalCorruptError as error:
            self.report.add(f"record {seq}: {error}")
        else:
            if record.seq == seq:
                return record
            self.report.add(f"record {seq}: expected its own number in it, found {record.seq}")
        self._damaged.add(seq)
        return None

    def _count(self, prefix: bytes, seq: int) -> None:
        self._sum = (self._sum + hash((prefix, seq))) & _MASK

    def _rows(self, txn: Any, tables: Tables) -> Iterator[tuple[bytes, bytes, tuple[int, ...]]]:
        for key, row in txn.cursor(tables.postings):
            yield key, key[4:-8], numbers_of(row) if len(row) % 8 == 0 else ()

    def _postings(self, txn: Any, tables: Tables) -> None:
        for key, prefix, numbers in self._rows(txn, tables):
            if not numbers or key != segment_key(numbers[0]) + prefix + NUMBER.pack(numbers[0]):
                self.report.add(f"index row {_name(prefix)}: expected the numbers from its key on, found other bytes")
            elif segment_key(numbers[-1]) != key[:4]:
                self.report.add(
                    f"index row {_name(prefix)}: expected numbers of one segment, found up to {numbers[-1]}"
                )
            if any(a >= b for a, b in pairwise(numbers)):
                self.report.add(f"index row {_name(prefix)}: expected rising record numbers, found {numbers[:20]}")
            for seq in numbers:
                self._count(prefix, seq)

    def _differences(self, txn: Any, tables: Tables) -> None:
        """Name the rows and keys that do not fit; slow, but only for a journal known to be wrong."""
        for _, prefix, numbers in self._rows(txn, tables):
            for seq in numbers:
                row = txn.get(NUMBER.pack(seq), db=tables.records)
                if row is None:
                    self.report.add(f"index row {_name(prefix)} points to record {seq}, which does not exist")
                elif seq not in self._damaged and prefix not in prefixes(unpack(row)):
                    self.report.add(f"index row {_name(prefix)} points to record {seq}, which has no such key")
        cursor = txn.cursor(tables.postings)
        for key, row in txn.cursor(tables.records):
            seq = NUMBER.unpack(key)[0] if len(key) == 8 else 0
            if seq == 0 or seq in self._damaged:
                continue
            for prefix in prefixes(unpack(row)):
                row_key = segment_key(seq) + prefix
                found = cursor.set_range(row_key + NUMBER.pack(seq + 1))
                found = cursor.prev() if found else cursor.last()
                if not found or cursor.key()[:-8] != row_key or cursor.value().find(NUMBER.pack(seq)) % 8:
                    self.report.add(f"record {seq}: expected it under index row {_name(prefix)}, found it missing")

    def _rest(self, txn: Any, tables: Tables) -> None:
        for _, row in txn.cursor(tables.offsets):
            try:
                unpack_offset(row)
            except JournalCorruptError as error:
                self.report.add(str(error))


def examine(path: str | os.PathLike[str]) -> Report:
    """Check the journal in ``path`` in this process, which a damaged file may kill."""
    examination: Examination | None = None
    try:
        examination = Examination(path)
        return examination.run()
    except (OSError, lmdb.Error, JournalError) as error:
        report = examination.report if examination is not None else Report()
        report.add(f"expected a readable journal in {path}, found: {error}")
        return report


def copy(path: str, target: str) -> Report:
    """Write a compact copy of the journal in ``path`` into the empty folder ``target``."""
    report = Report()
    try:
        reader = JournalReader(path)
        try:
            reader.backup_to(target)
        finally:
            reader.close()
    except (OSError, JournalError) as error:
        report.add(str(error))
    return report


def main() -> None:
    """``SCHEMAS verify PATH`` or ``SCHEMAS copy PATH TARGET``; prints the report as JSON."""
    known, command, *paths = sys.argv[1:]
    schema_versions.update(msgspec.json.decode(known, type=dict[str, int]))
    report = examine(paths[0]) if command == "verify" else copy(paths[0], paths[1])
    sys.stdout.buffer.write(msgspec.json.encode(report))


def _name(prefix: bytes) -> str:
    index, _, value = prefix.rstrip(b"\0").partition(b"\0")
    return f"{index.decode(errors='replace').lstrip(chr(2))}={value.decode(errors='replace')}"


if __name__ == "__main__":
    main()
