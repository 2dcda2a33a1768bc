"""What a journal can do, whoever keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from runtime.journal.batch import Batch
from runtime.journal.record import Record
from runtime.message import Message


class History(Protocol):
    """The reading half: committed records alone, always."""

    @property
    def head(self) -> int:
        """Sequence number of the last committed record; 0 in an empty journal."""

    def offsets(self) -> dict[str, tuple[int, int]]:
        """The committed input offsets, ``{key: (epoch, seq)}``."""

    def read(
        self, after: int, limit: int, *, kinds: Sequence[str] = (), index: str = "", value: str = ""
    ) -> list[Record]:
        """Up to ``limit`` records with a higher number than ``after``, ascending.

        ``kinds`` are event class names (empty: all); a non-empty ``index`` narrows it to the
        records that carry the key ``(index, value)``.
        """

    def latest(self, index: str, value: str, limit: int) -> list[Record]:
        """Up to ``limit`` records that carry the key, newest first."""

    def between(self, start_ns: int, end_ns: int, limit: int) -> list[Record]:
        """Up to ``limit`` records with ``start_ns <= ts < end_ns``, ascending."""

    def close(self) -> None:
        """Give everything back. What was not committed is gone."""


class Journal(History, Protocol):
    """The whole of it. After a failed commit every further call raises: start again from disk.

    ``commit`` is ``write(seal())``. A host that goes on working while the disk does calls
    ``seal`` between two turns of its behaviors, and ``write`` on its one writer thread.
    """

    @property
    def pending(self) -> int:
        """How many records wait for the next commit."""

    @property
    def dirty(self) -> bool:
        """Whether records or offsets wait for the next commit."""

    def append(
        self,
        event: Message,
        *,
        ts: int,
        source: str,
        epoch: int,
        keys: Mapping[str, str],
        correlation: str = "",
        causation: int = 0,
    ) -> int:
        """Buffer one record and return its sequence number (the first one is 1).

        ``ts`` (ns) is raised to that of the record before it where the clock went back.
        """

    def set_offset(self, key: str, epoch: int, seq: int) -> None:
        """Note how far the input ``key`` is handled; written with the records of the same commit."""

    def seal(self) -> Batch:
        """Take what waits out of the buffer, to be written as one transaction."""

    def write(self, batch: Batch) -> list[Record]:
        """Make a sealed batch durable, in the order of sealing; returns its records."""

    def commit(self) -> list[Record]:
        """One flushed transaction with everything since the last one; returns its records.

        Raises:
            JournalError: it could not be made durable. Fatal: nothing works after it.
            FencedError: a newer writer has opened the journal. Just as fatal.
        """
