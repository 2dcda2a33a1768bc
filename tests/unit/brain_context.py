"""A driver in memory for the tests of brains: collects what a brain does, with a clock to set.

Use it as ``from tests.unit.brain_context import FakeContext``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from runtime import codec
from runtime.behavior import Behavior
from runtime.errors import JournalError
from runtime.lanes import Delivery
from runtime.lifecycle import CaughtUp, Entry, Started
from runtime.message import Message

M = TypeVar("M", bound=Message)
SECOND = 1_000_000_000
START_NS = 1_700_000_000 * SECOND


class Sent(NamedTuple):
    """One ``ctx.send``."""

    to: str
    message: Message
    eager: bool
    delivery: Delivery


class Recorded(NamedTuple):
    """One ``ctx.record``."""

    seq: int
    ts: int
    event: Message
    keys: dict[str, str]
    correlation: str
    causation: int
    urgent: bool


class FakeContext:
    """``runtime.behavior.Context`` in memory.

    ``sends``, ``records`` and ``timers`` hold what the brain did; every message passes through
    the codec, so that what can't be encoded fails here too. ``now`` is set or ``advance``d.
    """

    def __init__(
        self, name: str = "brain", *, epoch: int = 1, now: int = START_NS, journal: bool = True, first_seq: int = 1
    ) -> None:
        self.name = name
        self.epoch = epoch
        self.now = now
        self.sender = name
        self.journal = journal
        self.next_seq = first_seq
        self.sends: list[Sent] = []
        self.records: list[Recorded] = []
        self.timers: dict[str, tuple[int, Message]] = {}
        self.counters: Counter[str] = Counter()
        self.observed: dict[str, list[int]] = {}

    # -- what the brain calls -------------------------------------------------------------

    def send(self, to: str, message: Message, *, eager: bool = False, delivery: Delivery = Delivery.ALL) -> None:
        self.sends.append(Sent(to, codec.decode(codec.encode(message)), eager, delivery))

    def record(
        self,
        event: Message,
        *,
        keys: Mapping[str, str],
        correlation: str = "",
        causation: int = 0,
        urgent: bool = True,
    ) -> int:
        if not self.journal:
            raise JournalError(f"{self.name} has no journal: only the bus may record")
        seq, self.next_seq = self.next_seq, self.next_seq + 1
        copy = codec.decode(codec.encode(event))
        self.records.append(Recorded(seq, self.now, copy, dict(keys), correlation, causation, urgent))
        return seq

    def timer(self, key: str, delay_ns: int, message: Message) -> None:
        self.timers[key] = (self.now + delay_ns, message)

    def cancel(self, key: str) -> None:
        self.timers.pop(key, None)

    def count(self, name: str, amount: int = 1) -> None:
        self.counters[name] += amount

    def observe(self, name: str, nanoseconds: int) -> None:
        self.observed.setdefault(name, []).append(nanoseconds)

    # -- what the test calls --------------------------------------------------------------

    def start(self, brain: Behavior, *, restored: bool = False, caught_up: int | None = None) -> None:
        """Deliver ``Started`` and, with ``caught_up`` given, the ``CaughtUp`` of that sequence number."""
        self.deliver(brain, Started(self.epoch, restored))
        if caught_up is not None:
            self.deliver(brain, CaughtUp(caught_up))

    def deliver(self, brain: Behavior, message: Message, sender: str | None = None) -> None:
        """Hand ``message`` to the brain as if ``sender`` (the brain itself if omitted) had sent it."""
        self.sender = self.name if sender is None else sender
        brain.receive(message, self)
        self.sender = self.name

    def advance(self, brain: Behavior, nanoseconds: int) -> None:
        """Move the clock on, delivering every timer that falls due, in order, at its own time."""
        until = self.now + nanoseconds
        while True:
            due = sorted((at, key) for key, (at, _) in self.timers.items() if at <= until)
            if not due:
                break
            at, key = due[0]
            message = self.timers.pop(key)[1]
            self.now = max(self.now, at)
            self.deliver(brain, message)
        self.now = until

    def sent(self, kind: type[M], to: str | None = None) -> list[M]:
        """The messages of type ``kind`` sent so far (to ``to`` alone, if given)."""
        return [s.message for s in self.sends if isinstance(s.message, kind) and to in (None, s.to)]

    def events(self, kind: type[M]) -> list[M]:
        """The recorded events of type ``kind``."""
        return [r.event for r in self.records if isinstance(r.event, kind)]

    def entries(self, after: int = 0) -> list[Entry]:
        """The records after ``after`` as the kernel would deliver them to a subscriber."""
        return [
            entry_of(r.event, r.seq, ts=r.ts, source=self.name, correlation=r.correlation, causation=r.causation)
            for r in self.records
            if r.seq > after
        ]

    def clear(self) -> None:
        """Forget sends and records; timers, counters and the clock stay."""
        self.sends.clear()
        self.records.clear()


def entry_of(
    event: Message, seq: int, *, ts: int = START_NS, source: str = "bus", correlation: str = "", causation: int = 0
) -> Entry:
    """A journal record of ``event`` as a subscriber sees it."""
    return Entry(seq, ts, source, 1, correlation, causation, codec.encode(event))
