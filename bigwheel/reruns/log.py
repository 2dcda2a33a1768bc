"""The journal of a re-run, and which of its records stands for which of the recorded ones."""

from __future__ import annotations

import msgspec

from runtime.host.cell import Record as Written
from runtime.journal.base import History
from runtime.journal.memory import MemoryJournal, Shelf
from runtime.journal.record import Record

_CHUNK = 1_000


class Log:
    """Numbers and keeps what the bus of this run records.

    ``following`` is the number of the recorded record that comes next. ``borrowed`` counts the records that were taken
    from the recording because the bus's tape does not hold the messages they came from.
    """

    def __init__(self, recorded: History) -> None:
        self.following = 1
        self.borrowed = 0
        self._recorded = recorded
        self._shelf = Shelf()
        self._journal = MemoryJournal(self._shelf)
        self._own: dict[int, int] = {}
        """By the number of a recorded record: the place of its counterpart here."""
        self._flushed = 0
        """How many records there are before the first that died with its bus."""
        self._page: list[Record] = []
        self._void: set[int] = set()

    @property
    def records(self) -> list[Record]:
        """All that was written, in its order."""
        return self._shelf.records

    @property
    def next_seq(self) -> int:
        return len(self._shelf.records) + 1

    def reach(self, base: int, *, restarted: bool, lost: bool) -> None:
        """Get to where the recorded bus was: ``base`` is the number its next record had.

        What a bus had not flushed when it died is gone. Where its tape lacks something (``lost``), the records up to
        there are taken from the recording; else they come from messages that there are not in this run.
        """
        if restarted:
            self.end()
            self.following = min(self.following, base)
        if base > self.following and lost:
            self._borrow(base)
        elif base > self.following:
            self._void.update(range(self.following, base))
            self.following = base

    def write(self, record: Written, now: int, source: str, epoch: int, number: int) -> Record:
        """Record an event as a host does; ``number`` is that of its recorded counterpart, 0 if it has none.

        Where the recording has another bus's record under that number, this one was never flushed: it is for the bus
        itself, which dies with it.
        """
        self._journal.append(
            record.event,
            ts=now,
            source=source,
            epoch=epoch,
            keys=record.keys,
            correlation=record.correlation,
            causation=record.causation,
        )
        (written,) = self._journal.commit()
        theirs = self._theirs(number) if number else None
        if number and (theirs is None or theirs.epoch != epoch):
            return written
        if self._flushed == written.seq - 1:
            self._flushed = written.seq
        if number:
            self._own[number] = written.seq
        return written

    def void(self, number: int) -> None:
        """The recording has this record, and this run did not make it."""
        self._void.add(number)

    def find(self, number: int) -> Record | None:
        """The counterpart of a recorded record, ``None`` where there is none (yet)."""
        place = self._own.get(number)
        return self._shelf.records[place - 1] if place else None

    def end(self) -> None:
        """The bus is gone, and with it what it had not flushed."""
        del self._shelf.records[self._flushed :]
        self._journal = MemoryJournal(self._shelf)

    def voided(self, number: int) -> bool:
        """Whether it is known that this run does not make it."""
        return number in self._void

    def _theirs(self, number: int) -> Record | None:
        """A recorded record."""
        page = self._page
        if not page or not page[0].seq <= number <= page[-1].seq:
            page = self._page = self._recorded.read(number - 1, _CHUNK)
        return page[number - page[0].seq] if page and page[0].seq <= number else None

    def _borrow(self, base: int) -> None:
        records = self._shelf.records
        while self.following < base:
            found = self._recorded.read(self.following - 1, min(_CHUNK, base - self.following))
            if not found:
                break
            for record in found:
                records.append(msgspec.structs.replace(record, seq=len(records) + 1))
                self._own[record.seq] = len(records)
            self.borrowed += len(found)
            self._flushed = len(records)
            self.following = found[-1].seq + 1
        self._journal = MemoryJournal(self._shelf)
        self.following = base
