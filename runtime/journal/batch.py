"""What waits for the next commit."""

from __future__ import annotations

from collections import defaultdict

from runtime.errors import JournalError
from runtime.journal.record import Record

KIND = "\x02kind"
"""The index every record is in by its event class name, whatever keys it has."""


class Postings(dict[tuple[str, str], list[int]]):
    """Each key ``(index, value)`` with the ascending numbers of the records that carry it.

    A key that is new gets an empty list; an odd one is refused with a ``JournalError``.
    """

    __slots__ = ()

    def __missing__(self, pair: tuple[str, str]) -> list[int]:
        index, value = pair
        if not isinstance(index, str) or not isinstance(value, str):
            raise JournalError(f"expected index keys of text, found {index!r}: {value!r}; write numbers as text")
        if not 0 < len(index) <= 64 or not index.isprintable():
            raise JournalError(f"expected an index name of 1 to 64 printable characters, found {index!r}")
        numbers = self[pair] = []
        return numbers

    def forget(self, seq: int) -> None:
        """Remove the newest record, ``seq``, from wherever it is."""
        for pair in [pair for pair, numbers in self.items() if not numbers or numbers[-1] == seq]:
            if len(self[pair]) > 1:
                self[pair].pop()
            else:
                del self[pair]


class Batch:
    """Records with their payloads, the index rows they make, and input offsets.

    ``kinds`` maps each event class name to the ascending numbers of its records.
    """

    __slots__ = ("kinds", "offsets", "payloads", "postings", "records")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.payloads: list[bytes] = []
        self.postings = Postings()
        self.kinds: defaultdict[str, list[int]] = defaultdict(list)
        self.offsets: dict[str, tuple[int, int]] = {}

    def rows(self) -> list[tuple[tuple[str, str], list[int]]]:
        """All index rows: those of the keys, and one for each kind."""
        return [*self.postings.items(), *(((KIND, kind), numbers) for kind, numbers in self.kinds.items())]

    def __bool__(self) -> bool:
        return bool(self.records or self.offsets)
