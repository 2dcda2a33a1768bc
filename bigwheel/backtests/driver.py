"""Runs brains in one thread on virtual time: messages by direct calls, timers in a heap, records that nobody keeps."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from typing import Any

from actors.names import BUS
from bigwheel.backtests.errors import BacktestError
from runtime.behavior import Behavior
from runtime.codec import encode
from runtime.lanes import Delivery
from runtime.lifecycle import CaughtUp, Entry, PeerUp, Started
from runtime.message import Message

EPOCH = 1
NEVER = 1 << 62
_PERIODIC = ("tick", "sweep")
"""The keys of the timers by which brains look around at fixed distances."""


class Seat:
    """One brain and what it has subscribed to: kinds of records, of one symbol or (empty) of all."""

    __slots__ = ("behavior", "context", "kinds", "name", "peers", "symbol")

    def __init__(
        self, name: str, behavior: Behavior, kinds: tuple[str, ...], peers: tuple[str, ...], symbol: str = ""
    ) -> None:
        self.name, self.behavior, self.peers, self.symbol = name, behavior, peers, symbol
        self.kinds = frozenset(kinds)
        self.context: DirectContext

    def watches(self, name: str) -> bool:
        """Whether it is told that ``name`` is there; ``strategy/*`` stands for many."""
        return any(peer == name or (peer.endswith("*") and name.startswith(peer[:-1])) for peer in self.peers)


class DirectContext:
    """See ``runtime.behavior.Context``. What a brain asks for happens at once, in the order it asks."""

    __slots__ = ("_driver", "epoch", "name", "now", "sender")

    def __init__(self, driver: Driver, name: str) -> None:
        self._driver, self.name, self.epoch = driver, name, EPOCH
        self.now, self.sender = 0, ""

    def send(self, to: str, message: Message, *, eager: bool = False, delivery: Delivery = Delivery.ALL) -> None:
        driver = self._driver
        if to in driver.seats:
            driver.queue.append((to, message, self.name))
        elif to.startswith("@"):
            driver.ports[self.name](message)
        else:
            driver.counts["unreachable"] += 1

    def record(
        self,
        event: Message,
        *,
        keys: Mapping[str, str],
        correlation: str = "",
        causation: int = 0,
        urgent: bool = True,
    ) -> int:
        driver = self._driver
        driver.head += 1
        head = (driver.head, self.now, self.sender or self.name, EPOCH, correlation, causation)
        driver.recorded.append((Entry(*head, encode(event)), event, keys))
        return driver.head

    def timer(self, key: str, delay_ns: int, message: Message) -> None:
        self._driver.arm(self.name, key, self.now, delay_ns, message)

    def cancel(self, key: str) -> None:
        self._driver.timers.pop((self.name, key), None)

    def count(self, name: str, amount: int = 1) -> None:
        self._driver.counts[name] += amount

    def observe(self, name: str, nanoseconds: int) -> None:
        """Durations mean nothing on virtual time."""


class Driver:
    """The clock, the queue and the timers.

    ``now`` moves when the data's time or a timer's comes, and never back. Of two things due at one moment the data
    comes first, then timers in the order they were armed.

    Args:
        quiet: whether nothing is under way anywhere. Timers in ``_PERIODIC`` that would fire again and again then fire
            once, at the last time before something else happens that they would have fired at anyway.
        written: gets each record when it is committed, with its event. Nobody keeps it.
    """

    def __init__(self, quiet: Callable[[], bool], written: Callable[[Entry, Message], None]) -> None:
        self.now = 0
        self.seats: dict[str, Seat] = {}
        self.ports: dict[str, Callable[[Message], None]] = {}
        self.queue: deque[tuple[str, Message, str]] = deque()
        self.head = 0
        """The number of the last record."""
        self.recorded: list[tuple[Entry, Message, Mapping[str, str]]] = []
        """What the message in hand has recorded so far."""
        self.timers: dict[tuple[str, str], int] = {}
        self.counts: Counter[str] = Counter()
        self.handled = 0
        self.quiet, self._written = quiet, written
        self.planned: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        """A heap of what happens and when, the periodic timers aside."""
        self._ticks: list[tuple[int, int, str, str, Message, int]] = []
        self._number = 0
        self._listeners: dict[str, list[Seat]] = {}

    # -- assembly --------------------------------------------------------------------------

    def seat(self, seat: Seat) -> None:
        """Add a brain."""
        seat.context = DirectContext(self, seat.name)
        self.seats[seat.name] = seat
        for kind in seat.kinds:
            self._listeners.setdefault(kind, []).append(seat)

    def start(self, now: int) -> None:
        """Start every brain: an empty past, everyone there."""
        self.now = now
        for name in self.seats:
            self.queue.append((name, Started(EPOCH, False), name))
        self.drain()
        for name, seat in self.seats.items():
            for peer in self.seats:
                if seat.watches(peer):
                    self.queue.append((name, PeerUp(peer, EPOCH), peer))
        for name in self.seats:
            self.queue.append((name, CaughtUp(0), BUS))
        self.drain()

    # -- time ------------------------------------------------------------------------------

    def after(self, delay_ns: int, call: Callable[..., None], *arguments: Any) -> None:
        """Call back after ``delay_ns``."""
        self._number += 1
        heappush(self.planned, (self.now + delay_ns, self._number, call, arguments))

    def arm(self, name: str, key: str, now: int, delay_ns: int, message: Message) -> None:
        """Set the timer ``key`` of a brain; the one before it is void."""
        self._number += 1
        self.timers[name, key] = self._number
        due = now + max(delay_ns, 0)
        if key in _PERIODIC:
            heappush(self._ticks, (due, self._number, name, key, message, delay_ns))
        else:
            heappush(self.planned, (due, self._number, self._due, (self._number, name, key, message)))

    def _due(self, number: int, name: str, key: str, message: Message) -> None:
        if self.timers.get((name, key)) == number:
            del self.timers[name, key]
            self.queue.append((name, message, name))

    def period(self, name: str) -> tuple[int, int]:
        """When the periodic timer of a brain is due next, and its period."""
        return next(((due, period) for due, _, owner, _, _, period in self._ticks if owner == name), (NEVER, 1))

    def advance(self, until: int) -> None:
        """Let all happen that is due before ``until``."""
        heap, ticks = self.planned, self._ticks
        while True:
            if ticks and (not heap or ticks[0][:2] < heap[0][:2]):
                if ticks[0][0] >= until:
                    break
                self._tick(min(until, heap[0][0]) if heap else until)
            elif heap and heap[0][0] < until:
                due, _, call, arguments = heappop(heap)
                self.now = max(self.now, due)
                call(*arguments)
                self.drain()
            else:
                break

    def _tick(self, before: int) -> None:
        """Fire the next periodic timer, or put it off to its last turn before ``before`` if nothing needs it."""
        due, number, name, key, message, period = heappop(self._ticks)
        turns = (before - 1 - due) // period if period > 0 else 0
        if turns > 0 and self.quiet():
            heappush(self._ticks, (due + turns * period, number, name, key, message, period))
            return
        self.now = max(self.now, due)
        self._due(number, name, key, message)
        self.drain()

    # -- messages --------------------------------------------------------------------------

    def deliver(self, to: str, message: Message, sender: str) -> None:
        """Put a message into the queue."""
        self.queue.append((to, message, sender))

    def drain(self) -> None:
        """Handle what waits, and what that leads to at the same moment.

        Raises:
            BacktestError: a brain raised; for a strategy's own code the text says which hook.
        """
        queue, seats, recorded = self.queue, self.seats, self.recorded
        while queue:
            to, message, sender = queue.popleft()
            self.hand(seats[to], message, sender)
            if recorded:
                self._commit()

    def hand(self, seat: Seat, message: Message, sender: str) -> None:
        """Have a brain handle a message now.

        Raises:
            BacktestError: see ``drain``.
        """
        context = seat.context
        context.now, context.sender = self.now, sender
        try:
            seat.behavior.receive(message, context)
        except Exception as error:
            # A session sets such a message aside and goes on; research is better told at once.
            raise BacktestError(f"{seat.name} failed on {type(message).__name__}: {error}") from error
        self.handled += 1

    def _commit(self) -> None:
        """Pass what was recorded on to whoever subscribed."""
        recorded, queue = self.recorded, self.queue
        for entry, event, keys in recorded:
            self._written(entry, event)
            for seat in self._listeners.get(type(event).__name__, ()):
                if not seat.symbol or keys.get("symbol") == seat.symbol:
                    queue.append((seat.name, entry, BUS))
        recorded.clear()
