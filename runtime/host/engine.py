"""The live driver of a host's cells: mailbox pump, commits, timers, log subscriptions.

One engine lives on one event loop and is never entered from another thread. Order of
work in a turn: handle what waits, send what may go at once, flush the journal, then send
what had to wait for it and acknowledge what led to it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from runtime import codec
from runtime.errors import DecodeError, JournalError
from runtime.host.cell import Cell, Effect, Parcel, Record, Send, Timer
from runtime.host.offsets import offset_key
from runtime.journal.base import Journal
from runtime.journal.feed import Feed
from runtime.lanes import Delivery, Lane
from runtime.lifecycle import CaughtUp, DeadLetter, Entry, PeerDown, PeerUp, Serving, Subscribe
from runtime.links.endpoint import Endpoint
from runtime.links.frames import Item
from runtime.message import Message
from runtime.supervision.policy import Again, RestartPolicy
from runtime.telemetry.registry import Telemetry

log = logging.getLogger(__name__)

TURN = 2_048
"""Messages handled in one turn of the event loop, at most."""

SLICE = 64
"""Messages one cell may handle before the next one gets its turn."""

FEED_ROOM = 512
"""Log entries on their way to one subscriber, at most, before the next are read."""

_DELIVERIES = {int(delivery): delivery for delivery in Delivery}
_SUBSCRIPTION = frozenset({Subscribe, Serving, Entry, CaughtUp})
"""What the engine itself has to do with when it arrives."""

DATA_HIGH_WATER = 8_192
"""Waiting pieces of market data of a cell above which its port is asked to pause."""

Port = Callable[[Message], None]


class Seat(NamedTuple):
    """A cell's fixed place in its host. ``subscription`` is what it wants of the log, cursor aside."""

    cell: Cell
    subscription: Subscribe | None
    watched: frozenset[str]
    policy: RestartPolicy

    def watches(self, name: str) -> bool:
        """Whether the cell is told when ``name`` comes and goes; ``strategy/*`` stands for many."""
        return name in self.watched or any(w.endswith("*") and name.startswith(w[:-1]) for w in self.watched)


class Engine:
    """Drives the cells of one host; is their ``Driver`` and the endpoint's receiver."""

    def __init__(
        self,
        *,
        log: str,
        journal: Journal | None = None,
        linger_ns: int = 2_000_000,
        clock: Callable[[], int] = time.time_ns,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.log = log
        self.journal = journal
        self.feed = Feed(journal) if journal is not None else None
        self.telemetry = telemetry or Telemetry()
        self.endpoint: Endpoint | None = None
        self.seats: dict[str, Seat] = {}
        self.ports: dict[str, Port] = {}
        self.on_pressure: Callable[[bool], None] | None = None
        self.on_fatal: Callable[[Exception], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._clock, self._linger_ns = clock, linger_ns
        last = journal.read(journal.head - 1, 1) if journal is not None and journal.head else []
        self._latest = last[0].ts if last else 0
        self._ready: deque[Cell] = deque()
        self._scheduled = False
        self._congested = False
        self._pressed = False
        self._held: list[tuple[str, Send]] = []
        self._unacknowledged: list[tuple[str, int, Lane, int]] = []
        self._offsets: dict[tuple[str, int, Lane], int] = {}
        self._flush_at = 0
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._full: set[str] = set()
        self._subscribers: dict[str, int] = {}
        self._parted: set[str] = set()
        self._awaited: dict[str, int] = {}
        self._requests = 0
        self._encoded: Message | None = None
        self._body = b""
        self._fatal = False

    # -- assembly ------------------------------------------------------------------

    def seat(self, seat: Seat) -> None:
        """Add a cell; it starts with ``start``."""
        self.seats[seat.cell.name] = seat
        if seat.subscription is not None:
            # What comes before this incarnation's own request is served was meant for an earlier one.
            self._awaited[seat.cell.name] = 0

    def start(self) -> None:
        """Replay the own log where this host owns it, then start every cell and its links."""
        for seat in self.seats.values():
            seat.cell.begin()
            if seat.cell.journals:
                self._replay(seat.cell)
            self.wake(seat.cell)
        if self.endpoint is not None:
            peers = {peer for seat in self.seats.values() for peer in seat.watched}
            if self.journal is None and any(seat.subscription for seat in self.seats.values()):
                peers.add(self.log)
            for peer in sorted(peers - set(self.seats)):
                if not peer.endswith("*"):
                    self.endpoint.connect(peer)
        self._schedule()

    def _replay(self, cell: Cell) -> None:
        """Hand a journaling cell its own records since its snapshot."""
        journal = self.journal
        if journal is None:
            return
        while records := journal.read(cell.cursor, 1_000):
            for record in records:
                cell.offer(Parcel(record.entry(), self.log), Lane.ORDER)
            while cell.step():
                continue
        cell.offer(Parcel(CaughtUp(journal.head), self.log))

    # -- what the endpoint calls ---------------------------------------------------

    def arrived(self, host: str, epoch: int, lane: Lane, seq: int, item: Item) -> None:
        """A message of a peer: decode it and put it into its cell's mailbox."""
        token = (host, epoch, lane, seq)
        seat = self.seats.get(item.to)
        try:
            message = codec.decode(item.body)
        except DecodeError as error:
            self._letter(item.sender, item.to, "undecodable", str(error), item.body)
            self._acknowledge(token)
            return
        if seat is None:
            self._letter(item.sender, item.to, type(message).__name__, "no such cell on this host", item.body)
            self._acknowledge(token)
        elif type(message) in _SUBSCRIPTION and self._subscription(item, message, epoch):
            self._acknowledge(token)
        else:
            cell, delivery = seat.cell, _DELIVERIES[item.delivery]
            cell.mailbox.offer(lane, Parcel(message, item.sender, token), key=item.key, delivery=delivery, force=True)
            if not cell.scheduled:
                self.wake(cell)

    def _subscription(self, item: Item, message: Message, epoch: int) -> bool:
        """Deal with what is not for the cell: a request for the log, and answers to an earlier one."""
        if type(message) is Subscribe:
            if self.feed is None:
                return False
            self._serve_log(self.feed, item.sender, message, epoch)
            return True
        serving = type(message) is Serving
        if item.to in self._awaited:
            if serving and message.ticket == self._awaited[item.to]:  # type: ignore[attr-defined]
                del self._awaited[item.to]
            return True
        return serving

    def _serve_log(self, feed: Feed, subscriber: str, request: Subscribe, epoch: int) -> None:
        try:
            feed.subscribe(subscriber, request)
        except JournalError as error:
            # It knows more than the log: nothing it would be sent could be right.
            self.count("subscriptions_refused")
            self._letter(subscriber, self.log, "Subscribe", str(error), b"")
            log.error("the subscription of %s was refused: %s", subscriber, error)
            return
        self._subscribers[subscriber] = epoch
        self._schedule()

    def peer_up(self, cells: Sequence[str], epoch: int) -> None:
        """An outbound link stands: subscribe anew at the log, tell the cells that watch it."""
        for name in cells:
            self._parted.discard(name)
            if self.feed is not None and self._subscribers.get(name, epoch) < epoch:
                # Its successor asks for itself, from where its own snapshot left off.
                del self._subscribers[name]
                self.feed.unsubscribe(name)
            for seat in self.seats.values():
                if name == self.log and seat.subscription is not None:
                    self._subscribe(seat)
                if seat.watches(name):
                    self.deliver(seat.cell.name, PeerUp(name, epoch), name)
        self._schedule()

    def peer_down(self, cells: Sequence[str]) -> None:
        for name in cells:
            if name in self._subscribers:
                self._parted.add(name)
            for seat in self.seats.values():
                if seat.watches(name):
                    self.deliver(seat.cell.name, PeerDown(name), name)

    def drained(self) -> None:
        """No link is congested any more."""
        self._congested = False
        self._full.clear()
        self._schedule()
        for seat in self.seats.values():
            self.wake(seat.cell)

    def undeliverable(self, item: Item, reason: str) -> None:
        self._letter(item.sender, item.to, "undeliverable", reason, item.body)

    def _subscribe(self, seat: Seat) -> None:
        wanted = seat.subscription
        if wanted is not None:
            self._requests += 1
            ticket = self._awaited[seat.cell.name] = (seat.cell.epoch << 32) + self._requests
            request = msgspec.structs.replace(wanted, cursor=seat.cell.cursor, ticket=ticket)
            self._transmit(seat.cell.name, Send(self.log, request, False, Delivery.ALL))

    # -- what the cells call (Driver) ----------------------------------------------

    def now(self) -> int:
        """The clock, which here never goes back, not behind the journal's last record either."""
        self._latest = max(self._latest, self._clock())
        return self._latest

    def next_seq(self) -> int:
        journal = self.journal
        return journal.head + journal.pending + 1 if journal is not None else 0

    def count(self, name: str, amount: int = 1) -> None:
        self.telemetry.count(name, amount)

    def observe(self, name: str, nanoseconds: int) -> None:
        self.telemetry.observe(name, nanoseconds)

    def failed(self, cell: Cell, error: BaseException) -> bool:
        policy = self.seats[cell.name].policy
        return isinstance(policy.decide(self.now(), normal=False, reason=repr(error)), Again)

    def dead_letter(self, cell: Cell, parcel: Parcel, reason: str) -> None:
        message = parcel.message
        self._letter(parcel.sender, cell.name, type(message).__name__, reason, codec.encode(message))

    def apply(self, cell: Cell, effects: list[Effect]) -> None:
        """Carry out what a behavior asked for while it handled one message."""
        for effect in effects:
            if type(effect) is Send:
                if cell.journals and not effect.eager and self._pending():
                    self._held.append((cell.name, effect))
                else:
                    self._transmit(cell.name, effect)
            elif type(effect) is Record:
                self._record(cell, effect)
            elif type(effect) is Timer:
                self._timer(cell, effect)

    def handled(self, cell: Cell, parcel: Parcel) -> None:
        """A message is done: acknowledge it, after the flush if it led to records."""
        token = parcel.token
        if token is None:
            return
        if cell.journals and self._pending():
            host, epoch, lane, seq = token
            self._offsets[(host, epoch, lane)] = seq
            self._unacknowledged.append(token)
        else:
            self._acknowledge(token)

    # -- sending -------------------------------------------------------------------

    def deliver(self, to: str, message: Message, sender: str) -> None:
        """Put a message of this host (port, timer, kernel) into a cell's mailbox."""
        seat = self.seats.get(to)
        if seat is None:
            self._letter(sender, to, type(message).__name__, "no such cell on this host", b"")
            return
        seat.cell.offer(Parcel(message, sender))
        self.wake(seat.cell)

    def post(self, sender: str, to: str, message: Message) -> None:
        """Send on behalf of the host itself."""
        self._transmit(sender, Send(to, message, True, Delivery.ALL))

    def _transmit(self, sender: str, send: Send) -> bool:
        """``False`` when the link is congested; the message is on its way all the same."""
        to, message = send.to, send.message
        if to in self.seats:
            self.deliver(to, message, sender)
        elif to in self.ports:
            self.ports[to](message)
        elif self.endpoint is None or to.startswith("@"):
            self._letter(sender, to, type(message).__name__, "this host has no such port or link", b"")
        else:
            key = message.conflation_key if send.delivery else ""
            if message is not self._encoded:
                # One piece of market data goes to several subscribers: it is encoded once.
                self._encoded, self._body = message, codec.encode(message)
            if not self.endpoint.send(to, sender, self._body, message.lane, key, send.delivery):
                self._congested = True
                return False
        return True

    def _letter(self, sender: str, to: str, kind: str, reason: str, body: bytes) -> None:
        self.count("dead_letters")
        letter = DeadLetter(sender, to, kind, reason[:500], body[:4_096])
        if kind != "DeadLetter" and to != self.log:
            self._transmit(sender, Send(self.log, letter, True, Delivery.ALL))

    def _acknowledge(self, token: tuple[str, int, Lane, int]) -> None:
        if self.endpoint is not None:
            host, epoch, lane, seq = token
            self.endpoint.handled(host, lane, seq, epoch)

    # -- timers --------------------------------------------------------------------

    def _timer(self, cell: Cell, timer: Timer) -> None:
        key = (cell.name, timer.key)
        old = self._timers.pop(key, None)
        if old is not None:
            old.cancel()
        if timer.message is not None:
            delay = max(timer.due_ns - self.now(), 0) / 1e9
            self._timers[key] = self._loop.call_later(delay, self._due, key, timer.message)

    def _due(self, key: tuple[str, str], message: Message) -> None:
        self._timers.pop(key, None)
        self.deliver(key[0], message, key[0])

    # -- the journal ---------------------------------------------------------------

    def _pending(self) -> bool:
        return self.journal is not None and self.journal.pending > 0

    def _record(self, cell: Cell, record: Record) -> None:
        journal = self.journal
        if journal is None:
            return
        # The time its behavior saw: what folds the record must come to the same on a replay.
        now = cell.context.now
        journal.append(
            record.event,
            ts=now,
            source=cell.context.sender or cell.name,
            epoch=cell.epoch,
            keys=record.keys,
            correlation=record.correlation,
            causation=record.causation,
        )
        due = now if record.urgent else now + self._linger_ns
        self._flush_at = min(self._flush_at, due) if self._flush_at else due

    def flush(self) -> None:
        """Commit what was recorded, then release the sends and acknowledgements behind it."""
        journal, feed = self.journal, self.feed
        if journal is None or feed is None:
            return
        if self.endpoint is not None:
            self.endpoint.flush()
        if journal.pending:
            for (host, epoch, lane), seq in self._offsets.items():
                journal.set_offset(offset_key(host, lane), epoch, seq)
            self._offsets.clear()
            begun = time.perf_counter_ns()
            records = journal.commit()
            self.observe("journal_flush", time.perf_counter_ns() - begun)
            feed.committed(records)
        self._flush_at = 0
        held, self._held = self._held, []
        for sender, send in held:
            self._transmit(sender, send)
        done, self._unacknowledged = self._unacknowledged, []
        for token in done:
            self._acknowledge(token)

    def _feed(self) -> None:
        """Pass committed records on to whoever subscribed."""
        feed = self.feed
        if feed is None:
            return
        for name in self._hungry(feed):
            room = True
            for message in feed.take(name, FEED_ROOM):
                room = self._transmit(self.log, Send(name, message, True, Delivery.ALL))
            if not room:
                self._full.add(name)

    def _hungry(self, feed: Feed) -> list[str]:
        """The subscribers that can be reached, have room, and have something to come."""
        return [name for name in feed.ready() if name not in self._parted and name not in self._full]

    # -- the turn ------------------------------------------------------------------

    def wake(self, cell: Cell) -> None:
        """Make sure ``cell`` gets its turn."""
        if not cell.scheduled:
            cell.scheduled = True
            self._ready.append(cell)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and not self._fatal:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        try:
            self._serve()
            if self.journal is not None:
                self._settle()
        except Exception as error:
            self._fatal = True
            if self.on_fatal is None:
                raise
            self.on_fatal(error)
            return
        self._pressure()

    def _serve(self) -> None:
        """Give every cell that has mail a slice, up to the turn's budget."""
        budget, ready = TURN, self._ready
        for _ in range(len(ready)):
            if budget <= 0:
                break
            cell = ready.popleft()
            cell.scheduled = False
            lane = Lane.ORDER if self._congested else Lane.DATA
            done = 0
            while done < SLICE and cell.step(lane):
                done += 1
            budget -= done
            if done == SLICE:
                self.wake(cell)
        if ready:
            self._schedule()

    def _settle(self) -> None:
        if self._flush_at:
            if self.now() >= self._flush_at:
                self.flush()
            elif not self._scheduled:
                self._loop.call_later((self._flush_at - self.now()) / 1e9 + 1e-4, self._schedule)
        self._feed()
        if self.feed is not None and self._hungry(self.feed):
            self._schedule()

    def _pressure(self) -> None:
        """Ask the port to pause while its cell has more market data than it can handle."""
        if self.on_pressure is None:
            return
        waiting = max((seat.cell.mailbox.depths()[Lane.DATA] for seat in self.seats.values()), default=0)
        pressed = waiting > (DATA_HIGH_WATER // 4 if self._pressed else DATA_HIGH_WATER // 2)
        if pressed != self._pressed:
            self._pressed = pressed
            self.on_pressure(pressed)

    def close(self) -> None:
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()
        for seat in self.seats.values():
            seat.cell.close()
