"""Events and helpers for the journal's tests."""

from __future__ import annotations

from typing import Any

from runtime.journal.base import Journal
from runtime.message import Message


class JournalStep(Message):
    """A small event, shaped like a step of a signal."""

    signal: str
    amount: int = 0


class JournalNote(Message):
    """Another kind of event."""

    text: str = ""


def add(journal: Journal, event: Message | None = None, *, ts: int = 0, **keys: str) -> int:
    """Append ``event`` with defaults for everything else."""
    return journal.append(event or JournalStep("s"), ts=ts, source="bus", epoch=1, keys=keys)


def fill(journal: Journal, count: int, *, per_commit: int = 10, start: int = 0) -> None:
    """Commit ``count`` records over three symbols, seven signals and two kinds."""
    for number in range(start, start + count):
        event: Message = JournalStep(f"s{number % 7}", number) if number % 2 else JournalNote(f"n{number}")
        add(journal, event, ts=number * 10, symbol=f"sim:{'ABC'[number % 3]}", signal=f"s{number % 7}")
        if journal.pending == per_commit:
            journal.commit()
    journal.commit()


def seqs(records: list[Any]) -> list[int]:
    """The numbers of records or entries."""
    return [record.seq for record in records]
