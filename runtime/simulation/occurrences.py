"""Every fault of a run by name, so that a run can be given some of them alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

KINDS: dict[str, str] = {
    "before_commit": "a host dies just before a commit of the journal",
    "after_commit": "a host dies just after a commit of the journal",
    "before_ack": "a host dies before it acknowledges what arrived",
    "after_ack": "a host dies just after it acknowledged what arrived",
    "before_send": "a host dies before a send",
    "after_send": "a host dies just after a send",
    "crash": "a host dies at no point in particular",
    "zombie": "a host is cut off, gets a successor when its lease has run out, and comes back",
    "supervisor": "a supervisor is down for a while: nobody notices what dies under it or keeps its snapshots",
    "skew": "the clock of an incarnation is off",
    "snapshot_lost": "a snapshot never reaches the store",
    "snapshot_corrupt": "a snapshot is stored by half",
    "lost": "a chunk on a connection, or a call, never arrives",
    "unanswered": "a call is carried out, its answer is lost",
    "doubled": "a chunk or a call arrives twice",
    "swapped": "a chunk is overtaken by the next one",
    "broken": "a connection is cut, and what is on its way is lost",
    "partition": "nothing passes between two hosts for a while",
}
"""The faults of the kernel. What stands outside the hosts, such as a venue, has kinds of its own."""


class Occurrences:
    """Counts what goes wrong, kind by kind and place by place, and decides whether it does.

    The n-th fault of a kind at a place is named ``kind place n``, such as ``lost bus>risk 3``. One that is
    held back counts all the same. What follows may differ without it, so the names of later ones may come to
    mean other moments; the same seed, names and code are the same run.

    Args:
        only: Names of those that may happen; ``kind place`` or ``kind`` alone stand for all of them. Any may
            when it is ``None``.
    """

    def __init__(self, only: Collection[str] | None = None) -> None:
        self._only = None if only is None else frozenset(only)
        self._drawn: Counter[str] = Counter()
        self.happened: list[str] = []

    def strike(self, kind: str, place: str) -> bool:
        """Whether the fault that was drawn happens."""
        key = f"{kind} {place}"
        self._drawn[key] += 1
        name = f"{key} {self._drawn[key]}"
        if self._only is not None and self._only.isdisjoint((name, key, kind)):
            return False
        self.happened.append(name)
        return True

    def counts(self) -> dict[str, int]:
        """How often each kind of fault has happened."""
        return dict(Counter(kind_of(name) for name in self.happened))


def place_of(name: str) -> str:
    """Kind and place of the fault of that name."""
    return name.rpartition(" ")[0]


def kind_of(name: str) -> str:
    """The kind of the fault of that name."""
    return name.partition(" ")[0]
