"""A journal in memory, for the seeded simulation and for tests."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from heapq import merge

from runtime.errors import FencedError, JournalError
from runtime.journal.appender import Appender
from runtime.journal.batch import KIND, Batch
from runtime.journal.record import Record


class Shelf:
    """What survives a crash of the process: the simulated disk of one journal."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.postings: dict[tuple[str, str], list[int]] = {}
        self.offsets: dict[str, tuple[int, int]] = {}
        self.opened = 0


class MemoryJournal(Appender):
    """The journal without a disk. ``crash`` forgets what was not committed.

    Hand the object itself to the next incarnation after ``crash``; or, where the old one may
    still be alive, hand over ``reopen()``, which fences the old one off.
    """

    def __init__(self, shelf: Shelf | None = None) -> None:
        self._shelf = shelf if shelf is not None else Shelf()
        self._shelf.opened += 1
        self._opening = self._shelf.opened
        self._fault = ""
        records = self._shelf.records
        super().__init__(len(records), records[-1].ts if records else 0)

    def crash(self) -> None:
        """Lose everything since the last commit, and any failure; what was committed stays."""
        records = self._shelf.records
        self._fault = ""
        super().__init__(len(records), records[-1].ts if records else 0)

    def reopen(self) -> MemoryJournal:
        """A successor over the same records; this one can't commit any more."""
        return MemoryJournal(self._shelf)

    def fail_next(self, reason: str) -> None:
        """Let the next commit fail, as a full or broken disk would."""
        self._fault = reason

    def offsets(self) -> dict[str, tuple[int, int]]:
        self._check()
        return dict(self._shelf.offsets)

    def read(
        self, after: int, limit: int, *, kinds: Sequence[str] = (), index: str = "", value: str = ""
    ) -> list[Record]:
        self._check()
        if limit <= 0:
            return []
        records = self._shelf.records
        if index:
            wanted = frozenset(kinds)
            found: list[Record] = []
            for seq in self._after((index, value), after):
                if not wanted or records[seq - 1].kind in wanted:
                    found.append(records[seq - 1])
                    if len(found) == limit:
                        break
            return found
        if kinds:
            numbers = merge(*(self._after((KIND, kind), after) for kind in sorted(set(kinds))))
            return [records[seq - 1] for seq, _ in zip(numbers, range(limit), strict=False)]
        start = max(after, 0)
        return records[start : start + limit]

    def latest(self, index: str, value: str, limit: int) -> list[Record]:
        self._check()
        numbers = self._shelf.postings.get((index, value), [])
        return [self._shelf.records[seq - 1] for seq in reversed(numbers[-limit:])] if limit > 0 else []

    def between(self, start_ns: int, end_ns: int, limit: int) -> list[Record]:
        self._check()
        records = self._shelf.records
        key: Callable[[Record], int] = _time
        first = bisect_left(records, start_ns, key=key)
        return records[first : min(bisect_left(records, end_ns, key=key), first + max(limit, 0))]

    def close(self) -> None:
        self._failure = JournalError("it was closed")

    def _after(self, pair: tuple[str, str], after: int) -> Iterator[int]:
        numbers = self._shelf.postings.get(pair, [])
        return (numbers[at] for at in range(bisect_right(numbers, after), len(numbers)))

    def _store(self, batch: Batch) -> None:
        shelf = self._shelf
        if shelf.opened != self._opening:
            raise FencedError("expected to be the journal's only writer, found a newer one: stop this incarnation")
        if self._fault:
            raise JournalError(f"the journal could not be written: {self._fault}")
        shelf.records.extend(batch.records)
        for pair, numbers in batch.rows():
            shelf.postings.setdefault(pair, []).extend(numbers)
        shelf.offsets.update(batch.offsets)


def _time(record: Record) -> int:
    return record.ts
