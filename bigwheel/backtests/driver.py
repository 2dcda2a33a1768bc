"""Runs brains in one thread on virtual time: messages by direct calls, timers in a heap, records that nobody keeps."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Container, Mapping
from heapq import heappop, heappush, heapreplace
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

    __slots__ = ("behavior", "context", "kinds", "name", "peers", "receive", "symbol")

    def __init__(
        self, name: str, behavior: Behavior, kinds: tuple[str, ...], peers: tuple[str, ...], symbol: str = ""
    ) -> None:
        self.name, self.behavior, self.peers, self.symbol = name, behavior, peers, symbol
        self.kinds = frozenset(kinds)
        self.receive = behavior.receive
        self.context: DirectContext

    def watches(self, name: str) -> bool:
        """Whether it is told that ``name`` is there; ``strategy/*`` stands for many."""
        return any(peer == name or (peer.endswith("*") and name.startswith(peer[:-1])) for peer in self.peers)


def failure(seat: Seat, message: object, error: Exception) -> BacktestError:
    """What ends the run when a brain raises: a session sets the message aside, research is better told at once."""
    return BacktestError(f"{seat.name} failed on {type(message).__name__}: {error}")


class DirectContext:
    """See ``runtime.behavior.Context``. What a brain asks for happens at once, in the order it asks."""

    __slots__ = ("_driver", "epoch", "name", "now", "sender")

    def __init__(self, driver: Driver, name: str) -> None:
        self._driver, self.name, self.epoch = driver, name, EPOCH
        self.now, self.sender = 0, ""

    def send(self, to: str, message: Message, *, eager: bool = False, delivery: Delivery = Delivery.ALL) -> None:
        driver = self._driver
        seat = driver.seats.get(to)
        if seat is not None:
            driver.queue.append((seat, message, self.name))
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
        still: where it is not quiet, until when those timers find nothing to do all the same.
    """

    def __init__(
        self,
        quiet: Callable[[], bool],
        written: Callable[[Entry, Message], None],
        still: Callable[[], int] = lambda: 0,
    ) -> None:
        self.now = 0
        self.seats: dict[str, Seat] = {}
        self.ports: dict[str, Callable[[Message], None]] = {}
        self.queue: deque[tuple[Seat, Message, str]] = deque()
        self.head = 0
        """The number of the last record."""
        self.recorded: list[tuple[Entry, Message, Mapping[str, str]]] = []
        """What the message in hand has recorded so far."""
        self.timers: dict[tuple[str, str], int] = {}
        self.counts: Counter[str] = Counter()
        self.handled = 0
        self.quiet, self._written, self._still = quiet, written, still
        self.planned: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        """A heap of what happens and when, the periodic timers aside."""
        self._ticks: list[tuple[int, int, str, str, Message, int]] = []
        self._number = 0
        self._turns: dict[tuple[str, str], int] = {}
        """When the periodic timer in hand was due."""
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
        seats = self.seats.values()
        for seat in seats:
            self.queue.append((seat, Started(EPOCH, False), seat.name))
        self.drain()
        for seat in seats:
            for peer in self.seats:
                if seat.watches(peer):
                    self.queue.append((seat, PeerUp(peer, EPOCH), peer))
        for seat in seats:
            self.queue.append((seat, CaughtUp(0), BUS))
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
        # What lulls pass over makes a periodic timer late, not out of step.
        due = (self._turns.pop((name, key), now) if key in _PERIODIC else now) + max(delay_ns, 0)
        if key in _PERIODIC:
            heappush(self._ticks, (due, self._number, name, key, message, delay_ns))
        else:
            heappush(self.planned, (due, self._number, self._due, (self._number, name, key, message)))

    def _due(self, number: int, name: str, key: str, message: Message) -> None:
        if self.timers.get((name, key)) == number:
            del self.timers[name, key]
            self.queue.append((self.seats[name], message, name))

    def period(self, name: str) -> tuple[int, int]:
        """When the periodic timer of a brain is due next, and its period."""
        return next(((due, period) for due, _, owner, _, _, period in self._ticks if owner == name), (NEVER, 1))

    def advance(self, until: int, *, settled: bool = False) -> None:
        """Let all happen that is due before ``until``.

        Args:
            settled: stop when nothing is under way, and nothing is due any more but periodic timers.
        """
        heap, ticks = self.planned, self._ticks
        while True:
            if ticks and (not heap or ticks[0][:2] < heap[0][:2]):
                if ticks[0][0] >= until or (settled and not (heap and heap[0][0] < until) and self.quiet()):
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
        """Fire the next periodic timer, after putting those off to their last turn before ``before`` that can wait."""
        ticks = self._ticks
        due, number, name, key, message, period = ticks[0]
        if before - due > period > 0:
            end = before if self.quiet() else min(before, self._still())
            while end - due > period > 0:
                due += (end - 1 - due) // period * period
                heapreplace(ticks, (due, number, name, key, message, period))
                due, number, name, key, message, period = ticks[0]
            if due >= before:
                return
        heappop(ticks)
        self._turns[name, key] = due
        self.now = max(self.now, due)
        self._due(number, name, key, message)
        self.drain()

    # -- messages --------------------------------------------------------------------------

    def deliver(self, to: str, message: Message, sender: str) -> None:
        """Put a message into the queue."""
        self.queue.append((self.seats[to], message, sender))

    def drain(self, seats: Container[Seat] | None = None) -> None:
        """Handle what waits, and what that leads to at the same moment.

        Args:
            seats: up to the first message that is for another than these.

        Raises:
            BacktestError: a brain raised; for a strategy's own code the text says which hook.
        """
        queue, recorded, now = self.queue, self.recorded, self.now
        handled = 0
        while queue:
            if seats is not None and queue[0][0] not in seats:
                break
            seat, message, sender = queue.popleft()
            context = seat.context
            context.now, context.sender = now, sender
            try:
                seat.receive(message, context)
            except Exception as error:
                raise failure(seat, message, error) from error
            handled += 1
            if recorded:
                self._commit()
        self.handled += handled

    def hand(self, seat: Seat, message: Message, sender: str) -> None:
        """Have a brain handle a message now.

        Raises:
            BacktestError: see ``drain``.
        """
        context = seat.context
        context.now, context.sender = self.now, sender
        try:
            seat.receive(message, context)
        except Exception as error:
            raise failure(seat, message, error) from error
        self.handled += 1

    def _commit(self) -> None:
        """Pass what was recorded on to whoever subscribed."""
        recorded, queue = self.recorded, self.queue
        for entry, event, keys in recorded:
            self._written(entry, event)
            for seat in self._listeners.get(type(event).__name__, ()):
                if not seat.symbol or keys.get("symbol") == seat.symbol:
                    queue.append((seat, entry, BUS))
        recorded.clear()
