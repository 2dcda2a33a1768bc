"""The receiving side of a host: who has connected, what of theirs is new, what they are owed."""

from __future__ import annotations

import logging
from collections.abc import Callable

from runtime.errors import FencedError, LinkError
from runtime.lanes import Lane
from runtime.links.frames import VERSION, Ack, Batch, Frame, Hello, Origin, Refused, Welcome, decode, encode
from runtime.links.receiver import Receiver
from runtime.links.window import Cursors, ReceiveWindow
from runtime.links.wire import Wire

log = logging.getLogger(__name__)


class _Sender:
    """One sending host: its window outlives its connections."""

    __slots__ = ("window", "wire")

    def __init__(self, cursors: Cursors | None) -> None:
        self.window = ReceiveWindow(cursors)
        self.wire: Wire | None = None


class Ingress:
    """Everything that arrives at one host, over any number of connections.

    Args:
        identity: The host's name, epoch and cells at this moment.
        owing: Called when acknowledgements wait to be flushed.
        noticed: Called with each Hello accepted.
    """

    def __init__(
        self,
        identity: Callable[[], tuple[str, int, tuple[str, ...]]],
        receiver: Receiver,
        cursors: Cursors | None,
        owing: Callable[[], None],
        noticed: Callable[[Hello], None],
    ) -> None:
        self._identity = identity
        self._receiver = receiver
        self._cursors = cursors
        self._owing = owing
        self._noticed = noticed
        self._senders: dict[str, _Sender] = {}
        self._dirty: dict[_Sender, None] = {}
        self._answers: dict[str, _AnswerWire] = {}
        self.connections: dict[Wire, None] = {}
        self.counters = {"received": 0, "garbage": 0, "refused": 0, "failed": 0}

    def hello(self, connection: Connection, wire: Wire, hello: Hello) -> None:
        """Accept or refuse an incarnation of a sending host."""
        if hello.version != VERSION:
            self.counters["refused"] += 1
            self.refuse(
                wire,
                f"expected link version {VERSION}, found {hello.version} from host {hello.host!r}; "
                "run the same release on both sides",
            )
            return
        sender = self._senders.get(hello.host)
        if sender is None:
            sender = self._senders[hello.host] = _Sender(self._cursors)
        try:
            cursors = sender.window.open(hello.host, hello.epoch, hello.bases)
        except FencedError as error:
            self.counters["refused"] += 1
            self.refuse(wire, str(error), sender.window.epoch)
            return
        if sender.wire is not None and sender.wire is not wire:
            sender.wire.close(flush=True)
            self.connections.pop(sender.wire, None)
        sender.wire = connection.wire = wire
        connection.sender = sender
        host, epoch, cells = self._identity()
        wire.write(encode(Welcome(host, epoch, cells, cursors)))
        self._noticed(hello)

    def batch(self, connection: Connection, batch: Batch) -> None:
        """Hand on what is new in ``batch``."""
        sender = connection.sender
        if sender is None or sender.wire is not connection.wire:
            raise LinkError("expected a Hello before the first batch, found a batch; open the link again")
        window = sender.window
        fresh = window.accept(batch)
        host, epoch, lane, arrived = window.host, window.epoch, Lane(batch.lane), self._receiver.arrived
        self.counters["received"] += len(fresh)
        for seq, item in fresh:
            try:
                arrived(host, epoch, lane, seq, item)
            except Exception as error:
                # One item the host chokes on must not take those behind it along.
                log.exception("host failed on an item for %s from %s", item.to, item.sender)
                self.counters["failed"] += 1
                window.handled(lane, seq, epoch)
                self._receiver.dead_letter(item, f"the receiving host failed on it: {error!r}")
        if sender not in self._dirty:
            self._dirty[sender] = None
            self._owing()

    def refuse(self, wire: Wire, reason: str, epoch: int = 0) -> None:
        """Say why, then hang up."""
        wire.write(encode(Refused(reason, epoch)))
        wire.close(flush=True)
        self.connections.pop(wire, None)

    def lost(self, wire: Wire, error: Exception | None) -> None:
        """A connection ended; what it carried stays valid."""
        self.connections.pop(wire, None)
        if isinstance(error, LinkError):
            self.counters["garbage"] += 1
            log.warning("closed a connection: %s", error)

    def handled(self, host: str, lane: int, seq: int, epoch: int | None) -> None:
        """The receiver is done with an item of ``host``."""
        sender = self._senders[host]
        sender.window.handled(lane, seq, epoch)
        if sender not in self._dirty:
            self._dirty[sender] = None
            self._owing()

    def flush(self) -> None:
        """Send the acknowledgements that are due."""
        dirty, self._dirty = self._dirty, {}
        for sender in dirty:
            if sender.wire is None or isinstance(sender.wire, _AnswerWire):
                continue
            acks = sender.window.fresh_acks()
            if acks:
                sender.wire.write(b"".join(encode(Ack(lane, seq)) for lane, seq in acks))

    def deliver(self, data: bytes) -> bytes:
        """Ingress of the Ray link: one call's frames in, the answer's frames out."""
        try:
            origin, *frames = decode(data)
            if not isinstance(origin, Origin):
                raise LinkError(f"expected a call to begin with its Origin, found {type(origin).__name__}")
        except LinkError as error:
            self.counters["garbage"] += 1
            return encode(Refused(str(error), 0))
        wire = self._answers.get(origin.host)
        if wire is None or wire.epoch < origin.epoch:
            wire = self._answers[origin.host] = _AnswerWire(self, origin.epoch)
        elif wire.epoch > origin.epoch:
            self.counters["refused"] += 1
            return encode(Refused(f"expected epoch {wire.epoch}, found {origin.epoch}: replaced", wire.epoch))
        try:
            for frame in frames:
                wire.connection.received(wire, frame)
        except LinkError as error:
            self.counters["garbage"] += 1
            wire.write(encode(Refused(str(error), 0)))
        return wire.take()

    def close(self) -> None:
        """Hang up on everyone, after what has been written."""
        for wire in list(self.connections):
            wire.close(flush=True)
        self.connections.clear()

    @property
    def in_hand(self) -> int:
        """Items accepted and not yet handled."""
        return sum(sender.window.in_hand for sender in self._senders.values())

    @property
    def duplicates(self) -> int:
        """Items skipped because they had come before."""
        return sum(sender.window.duplicates for sender in self._senders.values())


class Connection:
    """The owner of one incoming wire."""

    __slots__ = ("_ingress", "sender", "wire")

    def __init__(self, ingress: Ingress) -> None:
        self._ingress = ingress
        self.sender: _Sender | None = None
        self.wire: Wire | None = None

    def opened(self, wire: Wire) -> None:
        """Someone connected, and has not said who."""
        self._ingress.connections[wire] = None

    def received(self, wire: Wire, frame: Frame) -> None:
        """A Hello first, then batches."""
        if type(frame) is Batch:
            self._ingress.batch(self, frame)
        elif type(frame) is Hello:
            self._ingress.hello(self, wire, frame)
        else:
            raise LinkError(f"expected a Hello or a Batch from a sender, found {type(frame).__name__}")

    def writable(self, wire: Wire) -> None:
        """Acknowledgements are small and cumulative: nothing waits for room."""

    def lost(self, wire: Wire, error: Exception | None) -> None:
        """The connection ended."""
        self._ingress.lost(wire, error)

    @property
    def expecting(self) -> bool:
        """A receiving end expects nothing."""
        return False


class _AnswerWire:
    """Collects what is to be said to one sending incarnation, for the answer of its next call."""

    def __init__(self, ingress: Ingress, epoch: int) -> None:
        self.epoch = epoch
        self.connection = Connection(ingress)
        self._frames: list[bytes] = []

    def room(self) -> int:
        """Always a little."""
        return 1

    def write(self, data: bytes) -> None:
        """Keep ``data`` for the answer."""
        self._frames.append(data)

    def close(self, *, flush: bool = False) -> None:
        """Nothing is held open between calls."""

    def take(self) -> bytes:
        """The answer to the call in hand."""
        sender = self.connection.sender
        if sender is not None and sender.wire is self:
            self._frames += [encode(Ack(lane, seq)) for lane, seq in sender.window.fresh_acks()]
        answer = b"".join(self._frames)
        self._frames.clear()
        return answer
