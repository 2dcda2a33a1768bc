"""Both ends of a link's reliability, without any input or output of their own.

The sender numbers the items of each lane as they leave and keeps them until they are
acknowledged; the receiver takes each number once, in order, and acknowledges what has been
handled. Connections may break and peers may restart in between.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import NamedTuple

from runtime.errors import FencedError, LinkError
from runtime.lanes import Delivery, Lane
from runtime.links.frames import BATCH_BYTES, Batch, Item, item_size
from runtime.mailbox import LaneQueue

Cursors = Mapping[str, tuple[int, Mapping[int, int]]]
"""By sending host: its epoch and the last sequence number handled in each lane."""


_ALL, _LATEST, _DATA = int(Delivery.ALL), int(Delivery.LATEST), int(Lane.DATA)


class Limits(NamedTuple):
    """How much of a lane a link holds: sent but unacknowledged, and waiting to be sent."""

    unacked: int
    waiting: int


LIMITS: dict[Lane, Limits] = {
    Lane.CONTROL: Limits(256, 1024),
    Lane.ORDER: Limits(1024, 8192),
    Lane.DATA: Limits(4096, 8192),
}


class _SendLane:
    """``head`` goes out before ``queue``: it holds what was sent on an earlier connection."""

    __slots__ = ("acked", "congested", "head", "limits", "queue", "sent", "unacked")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.queue: LaneQueue[Item] = LaneQueue(limits.waiting)
        self.head: deque[Item] = deque()
        self.unacked: deque[Item] = deque()
        self.acked = 0
        self.sent = 0
        self.congested = False

    def settle(self) -> None:
        """Above the mark the lane is congested, until half of it has drained."""
        waiting = self.queue.solid
        if waiting >= self.limits.waiting:
            self.congested = True
        elif self.congested and waiting * 2 <= self.limits.waiting:
            self.congested = False

    def fill(self, room: int) -> list[Item]:
        """Move what fits into ``room`` bytes and the window from waiting to unacknowledged."""
        free = self.limits.unacked - len(self.unacked)
        items: list[Item] = []
        head, take, size = self.head, self.queue.take, 0
        while len(items) < free:
            item = head.popleft() if head else take()
            if item is None:
                break
            size += item_size(item)
            if size > room and (items or room < BATCH_BYTES):
                head.appendleft(item)
                break
            items.append(item)
        self.unacked.extend(items)
        return items

    def settled(self, seq: int) -> None:
        """Forget all up to ``seq``, also what waits to be sent again."""
        for _ in range(seq - self.acked):
            (self.unacked or self.head).popleft()
        self.acked = max(self.acked, seq)


class SendWindow:
    """The sending end of one link, from this host's incarnation to one peer host.

    Args:
        limits: By lane; a lane not named keeps its default of ``LIMITS``.
    """

    def __init__(self, limits: Mapping[Lane, Limits] | None = None) -> None:
        sizes = {**LIMITS, **(limits or {})}
        self._lanes = tuple(_SendLane(sizes[lane]) for lane in Lane)
        self._lost = 0
        self.peer_epoch = 0
        self.lossy = False
        """While set, ``DATA`` above the mark is dropped and counted instead of piling up."""

    def push(self, lane: Lane, item: Item) -> bool:
        """Store ``item`` until it is acknowledged.

        Returns:
            ``False`` while the lane is congested: the item is stored, feed no more.
        """
        state = self._lanes[lane]
        if lane != _DATA:
            state.queue.put(item, force=True)
        elif self.lossy and item.delivery == _ALL and state.queue.solid >= state.limits.waiting:
            self._lost += 1
            return True
        else:
            key = (item.to, item.sender, item.key) if item.delivery == _LATEST else ""
            state.queue.put(item, key, item.delivery, force=True)
        if state.congested or state.queue.solid >= state.limits.waiting:
            state.settle()
        return not state.congested

    def next_batch(self, room: int = BATCH_BYTES) -> Batch | None:
        """The next items to send, control first; ``None`` when nothing may be sent now.

        An item larger than ``room`` bytes is sent alone, if ``room`` is a whole batch.
        """
        for lane, state in enumerate(self._lanes):
            if not state.head and not state.queue:
                continue
            first = state.acked + len(state.unacked) + 1
            items = state.fill(min(room, BATCH_BYTES))
            if items:
                state.sent = max(state.sent, first + len(items) - 1)
                if state.congested:
                    state.settle()
                return Batch(lane, first, items)
        return None

    def acknowledged(self, lane: int, seq: int) -> None:
        """The peer has handled ``lane`` up to ``seq``.

        Raises:
            LinkError: no such lane, or more than was ever sent.
        """
        if not 0 <= lane < len(self._lanes):
            raise LinkError(f"expected a lane from 0 to {len(self._lanes) - 1}, found {lane}; run the same release")
        state = self._lanes[lane]
        if seq > state.sent:
            raise LinkError(
                f"expected an acknowledgement of lane {lane} up to {state.sent}, found {seq}; "
                "is another process running under this host's name and epoch?"
            )
        state.settled(seq)

    def reconnected(self, epoch: int, cursors: Mapping[int, int]) -> None:
        """A connection to the peer's incarnation ``epoch`` stands; it has handled up to ``cursors``.

        Everything after the cursors will be sent again, with its old sequence numbers.

        Raises:
            FencedError: a newer incarnation of the peer is known.
            LinkError: a cursor lies beyond what was ever sent.
        """
        if epoch < self.peer_epoch:
            raise FencedError(
                f"expected the peer's epoch {self.peer_epoch} or later, found {epoch}: "
                "it has been replaced; look up its successor"
            )
        self.peer_epoch = epoch
        for lane, seq in cursors.items():
            self.acknowledged(lane, seq)
        for state in self._lanes:
            state.head.extendleft(reversed(state.unacked))
            state.unacked.clear()

    def drain(self) -> list[tuple[Lane, Item]]:
        """Give up: all items not acknowledged, in order, which this window then forgets."""
        items: list[tuple[Lane, Item]] = []
        for lane in Lane:
            state = self._lanes[lane]
            items += [(lane, item) for item in (*state.unacked, *state.head)]
            state.unacked.clear()
            state.head.clear()
            state.acked = state.sent
            while (item := state.queue.take()) is not None:
                items.append((lane, item))
            state.settle()
        return items

    def withdraw(self, to: str) -> list[tuple[Lane, Item]]:
        """Take back what waits for the logical name ``to`` and was never sent, in order."""
        items: list[tuple[Lane, Item]] = []
        for lane in Lane:
            state = self._lanes[lane]
            sent = state.sent - state.acked - len(state.unacked)
            mine: list[Item] = []
            others: list[Item] = []
            fresh = [state.head.pop() for _ in range(len(state.head) - sent)][::-1]
            while (item := state.queue.take()) is not None:
                fresh.append(item)
            for item in fresh:
                (mine if item.to == to else others).append(item)
            items += [(lane, item) for item in mine]
            for item in others:
                self.push(lane, item)
            state.settle()
        return items

    def bases(self) -> dict[int, int]:
        """By lane, the sequence number after which this window would send again."""
        return {lane: state.acked for lane, state in enumerate(self._lanes)}

    @property
    def congested(self) -> bool:
        """Whether a lane is above its mark and has not yet drained to half of it."""
        control, order, data = self._lanes
        return control.congested or order.congested or data.congested

    @property
    def waiting(self) -> int:
        """Items not sent on the present connection yet."""
        return sum(len(state.queue) + len(state.head) for state in self._lanes)

    @property
    def unacked(self) -> int:
        """Items sent on the present connection and not acknowledged."""
        return sum(len(state.unacked) for state in self._lanes)

    @property
    def dropped(self) -> int:
        """``DATA`` items dropped so far."""
        return self._lost + sum(state.queue.dropped for state in self._lanes)

    @property
    def conflated(self) -> int:
        """``DATA`` items replaced by a newer one before they were sent."""
        return sum(state.queue.conflated for state in self._lanes)


class _ReceiveLane:
    """``handled`` is contiguous; ``ahead`` are the numbers handled beyond a hole."""

    __slots__ = ("accepted", "acked", "ahead", "handled", "stale")

    def __init__(self) -> None:
        self.accepted = 0
        self.handled = 0
        self.acked = 0
        self.ahead: set[int] = set()
        self.stale: Counter[int] = Counter()

    def restart(self, seq: int) -> None:
        """A new incarnation of the sender counts from ``seq``; remember what is still in hand."""
        in_hand = range(self.handled + 1, self.accepted + 1)
        self.stale.update(number for number in in_hand if number not in self.ahead)
        self.ahead.clear()
        self.accepted = self.handled = self.acked = seq

    def skip(self, seq: int) -> None:
        """The sender keeps nothing up to ``seq`` any more."""
        self.accepted = max(self.accepted, seq)
        if seq > self.handled:
            self.handled = seq
            self.ahead = {number for number in self.ahead if number > seq}
            self._close()

    def mark(self, seq: int) -> None:
        if seq == self.handled + 1:
            self.handled = seq
            if self.ahead:
                self._close()
        elif self.handled < seq <= self.accepted:
            self.ahead.add(seq)

    def _close(self) -> None:
        while self.handled + 1 in self.ahead:
            self.handled += 1
            self.ahead.discard(self.handled)


class ReceiveWindow:
    """The receiving end of one link: what one sending host has sent to this one.

    Args:
        cursors: What an earlier incarnation of this host is known to have handled, by
            sending host; from a durable journal.
    """

    def __init__(self, cursors: Cursors | None = None) -> None:
        self._initial = cursors or {}
        self._lanes = tuple(_ReceiveLane() for _ in Lane)
        self.host = ""
        self.epoch = 0
        self.duplicates = 0

    def open(self, host: str, epoch: int, bases: Mapping[int, int] | None = None) -> dict[int, int]:
        """The sender's incarnation ``epoch`` connects; what of it has been handled, by lane.

        ``bases`` are the numbers the sender has settled: it sends none up to them.

        Raises:
            FencedError: a newer incarnation of the sender has been seen.
        """
        if not self.host:
            self.host = host
            self.epoch, seqs = self._initial.get(host, (0, {}))
            for lane, seq in seqs.items():
                self._lane(lane).restart(seq)
        if epoch < self.epoch:
            raise FencedError(
                f"expected epoch {self.epoch} or later from host {host!r}, found {epoch}: "
                "it has been replaced and must stop"
            )
        if epoch > self.epoch:
            self.epoch = epoch
            for state in self._lanes:
                state.restart(0)
        for lane, seq in (bases or {}).items():
            self._lane(lane).skip(seq)
        cursors = self.acks()
        for state in self._lanes:
            state.acked = state.handled
        return cursors

    def accept(self, batch: Batch) -> list[tuple[int, Item]]:
        """The items of ``batch`` not seen before, each with its sequence number.

        Data that may be conflated or dropped counts as handled here: a mailbox may make
        it disappear before anyone handles it.

        Raises:
            LinkError: no such lane, or numbers are missing before the batch; reconnect.
        """
        state = self._lane(batch.lane)
        expected, first = state.accepted + 1, batch.first_seq
        if first > expected:
            raise LinkError(
                f"expected number {expected} of lane {batch.lane} from host {self.host!r}, found {first}: "
                f"{first - expected} items are missing; reconnect to have them sent again"
            )
        items = batch.items
        if first < expected:
            self.duplicates += min(expected - first, len(items))
            items = items[expected - first :]
        fresh = list(enumerate(items, expected))
        state.accepted += len(fresh)
        if batch.lane == _DATA:
            for seq, item in fresh:
                if item.delivery != _ALL:
                    state.mark(seq)
        return fresh

    def handled(self, lane: int, seq: int, epoch: int | None = None) -> None:
        """The receiver is done with an item and must not get it again.

        Args:
            epoch: The incarnation that sent it. Without it, a number that is also in hand
                from an earlier incarnation is taken for that one's: an acknowledgement
                may then be late, but is never wrong.
        """
        state = self._lanes[lane]
        earlier = state.stale[seq] > 0 if epoch is None else epoch != self.epoch
        if not earlier:
            state.mark(seq)
        elif state.stale[seq] > 1:
            state.stale[seq] -= 1
        else:
            del state.stale[seq]

    def _lane(self, lane: int) -> _ReceiveLane:
        if not 0 <= lane < len(self._lanes):
            raise LinkError(f"expected a lane from 0 to {len(self._lanes) - 1}, found {lane}; run the same release")
        return self._lanes[lane]

    def acks(self) -> dict[int, int]:
        """By lane, the number up to which everything has been handled (lanes still at 0 left out)."""
        return {lane: state.handled for lane, state in enumerate(self._lanes) if state.handled}

    def fresh_acks(self) -> list[tuple[int, int]]:
        """The lanes and numbers of ``acks`` that moved since this was last asked."""
        moved = []
        for lane, state in enumerate(self._lanes):
            if state.handled > state.acked:
                state.acked = state.handled
                moved.append((lane, state.handled))
        return moved

    @property
    def in_hand(self) -> int:
        """Items accepted and not yet handled."""
        return sum(state.accepted - state.handled - len(state.ahead) for state in self._lanes)
