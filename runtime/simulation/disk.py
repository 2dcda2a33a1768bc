"""What survives the death of a simulated process: the journal's shelf and the snapshots."""

from __future__ import annotations

from typing import Protocol

from runtime.journal.batch import Batch
from runtime.journal.memory import MemoryJournal, Shelf
from runtime.simulation.faults import CrashPoint

KEPT = 2
"""Snapshots kept of each cell: the newest, and the one to fall back on."""


class Writer(Protocol):
    """The process that writes a journal."""

    def crash_point(self, point: CrashPoint) -> None:
        """May end the process here, by raising."""

    def stored(self, records: int) -> None:
        """The process waits for the disk; then the first ``records`` records are durable."""


class SimulatedJournal(MemoryJournal):
    """A journal whose process may die just before or just after a commit, and waits for each."""

    def __init__(self, shelf: Shelf, writer: Writer) -> None:
        self._writer = writer
        super().__init__(shelf)

    def _store(self, batch: Batch) -> None:
        self._writer.crash_point("before_commit")
        super()._store(batch)
        self._writer.stored(len(self._shelf.records))
        self._writer.crash_point("after_commit")


class SnapshotStore:
    """The snapshots of all cells, as a supervisor keeps them: newest first, fenced by epoch."""

    def __init__(self) -> None:
        self._stored: dict[str, list[tuple[int, bytes]]] = {}
        self.refused = 0

    def save(self, cell: str, epoch: int, data: bytes) -> None:
        """Keep ``data``, unless a later incarnation has saved before."""
        stored = self._stored.setdefault(cell, [])
        if stored and stored[0][0] > epoch:
            self.refused += 1
            return
        stored.insert(0, (epoch, data))
        del stored[KEPT:]

    def load(self, cell: str) -> tuple[bytes, ...]:
        """What is kept of ``cell``, newest first."""
        return tuple(data for _, data in self._stored.get(cell, []))
