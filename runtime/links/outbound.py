"""One link from this host to another: find it, greet it, feed it, and begin again when it breaks."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from runtime.errors import LinkError
from runtime.lanes import Lane
from runtime.links import ray, unix
from runtime.links.directory import Address, Directory, same_host
from runtime.links.frames import Ack, Frame, Hello, Origin, Refused, Welcome, encode
from runtime.links.receiver import Receiver
from runtime.links.window import Limits, SendWindow
from runtime.links.wire import Wire

log = logging.getLogger(__name__)

_RETRY_FIRST_S = 0.005
_RETRY_LONGEST_S = 0.2


@dataclass
class Surroundings:
    """What all links of one host share.

    Attributes:
        find: Where a link's peer is now; also notices cells that have moved elsewhere.
        relieved: Called when a link may have stopped being congested.
        failed: Called when an attempt to connect has failed.
        keepalive_s: How often a link by calls asks whether its peer is still there.
    """

    identity: Callable[[], tuple[str, int, tuple[str, ...]]]
    directory: Directory
    receiver: Receiver
    limits: Mapping[Lane, Limits] | None
    find: Callable[[Outbound], Address | None]
    relieved: Callable[[Outbound], None]
    failed: Callable[[Outbound], None]
    keepalive_s: float = 1.0
    counters: dict[str, int] = field(default_factory=lambda: {"connected": 0, "broken": 0, "refused": 0})
    fenced_by: int = 0


class Outbound:
    """The sending side towards one host; ``host`` is as in its address, empty until it is known.

    The window lives as long as this object, whatever becomes of the connections.
    """

    def __init__(self, around: Surroundings, host: str) -> None:
        self._around = around
        self._loop = asyncio.get_running_loop()
        self.host = host
        self.cells: dict[str, None] = {}
        self.window = SendWindow(around.limits)
        self.address: Address | None = None
        self.wire: Wire | None = None
        self.up = False
        self.closed = False
        self.peer_cells: tuple[str, ...] = ()
        self.down_since: float | None = self._loop.time()
        self._attempt = 0
        # Seeded, so that a simulated run can be repeated; different on every host all the same.
        self._jitter = random.Random(repr((around.identity()[:2], host)))
        self._retry: asyncio.TimerHandle | None = None
        self._dial: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Look the peer up and connect to it, or try again later."""
        if self.closed or self.wire is not None:
            return
        self._cancel()
        self.address = self._around.find(self)
        self.window.lossy = self.address is None
        if self.address is None:
            self._again()
        elif self.address.kind == "unix":
            self._dial = self._loop.create_task(self._connect(self.address))
        else:
            host, epoch, _ = self._around.identity()
            call, origin = ray.actor_call(self.address.target), Origin(host, epoch)
            self.opened(ray.RayWire(call, self, origin, keepalive_s=self._around.keepalive_s))

    def reopen(self) -> None:
        """Leave the present connection, if any, and connect again at once."""
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.close()
        self._down()
        self._attempt = 0
        self.open()

    def close(self) -> None:
        """Connect no more; what has been written still leaves."""
        self.closed = True
        self._cancel()
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.close(flush=True)
        self.up = False

    def pump(self) -> None:
        """Send what waits, as far as wire and window have room."""
        wire = self.wire
        if not self.up or wire is None:
            return
        while (room := wire.room()) > 0:
            frames = []
            while room > 0 and (batch := self.window.next_batch(room)) is not None:
                data = encode(batch)
                room -= len(data)
                frames.append(data)
            if not frames:
                break
            wire.write(frames[0] if len(frames) == 1 else b"".join(frames))
        self._around.relieved(self)

    def opened(self, wire: Wire) -> None:
        """Greet the peer; nothing else is sent before its Welcome."""
        if self.closed or self.wire is not None:
            wire.close()
            return
        host, epoch, cells = self._around.identity()
        self.wire = wire
        wire.write(encode(Hello(host, epoch, cells, bases=self.window.bases())))

    def received(self, wire: Wire, frame: Frame) -> None:
        """Acknowledgements, after a Welcome."""
        if wire is not self.wire:
            return
        if type(frame) is Ack:
            self.window.acknowledged(frame.lane, frame.seq)
            self.pump()
        elif type(frame) is Welcome:
            self._welcomed(frame)
        elif type(frame) is Refused:
            self._around.counters["refused"] += 1
            if frame.epoch > self._around.identity()[1]:
                self._around.fenced_by = max(self._around.fenced_by, frame.epoch)
            raise LinkError(f"expected a Welcome, found a refusal: {frame.reason}")
        else:
            raise LinkError(f"expected a Welcome or an Ack from a receiver, found {type(frame).__name__}")

    def writable(self, wire: Wire) -> None:
        """Go on feeding the wire."""
        if wire is self.wire:
            self.pump()

    def lost(self, wire: Wire, error: Exception | None) -> None:
        """The connection is gone; what it carried unacknowledged goes out again on the next."""
        if wire is self.wire:
            log.info("link from %s to %s broke: %s", self._around.identity()[0], self.host, error or "closed by it")
            self.wire = None
            self._down()
            self._again()

    @property
    def expecting(self) -> bool:
        """Whether something sent has not been acknowledged."""
        return self.window.unacked > 0

    async def _connect(self, address: Address) -> None:
        try:
            await unix.connect(address.target, self)
        except OSError as error:
            if isinstance(error, ConnectionRefusedError):
                self._around.directory.refused(address)
            self._again()

    def _welcomed(self, welcome: Welcome) -> None:
        if not same_host(self.host, welcome.host):
            raise LinkError(f"expected to reach host {self.host}, found {welcome.host!r}; look it up again")
        if self.up:
            return
        self.window.reconnected(welcome.epoch, welcome.cursors)
        self.up = True
        self.down_since = None
        self._attempt = 0
        self.peer_cells = tuple(dict.fromkeys((*welcome.cells, *self.cells)))
        self._around.counters["connected"] += 1
        self._around.receiver.peer_up(self.peer_cells, welcome.epoch)
        self.pump()

    def _down(self) -> None:
        if self.up:
            self.up = False
            self.down_since = self._loop.time()
            self._around.counters["broken"] += 1
            self._around.receiver.peer_down(self.peer_cells)

    def _again(self) -> None:
        if self.closed:
            return
        # Only here: what was sent since the last attempt has a whole attempt to itself.
        self._around.failed(self)
        delay = min(_RETRY_LONGEST_S, _RETRY_FIRST_S * 2.0 ** min(self._attempt, 10))
        self._attempt += 1
        self._retry = self._loop.call_later(delay * self._jitter.uniform(0.75, 1.25), self.open)

    def _cancel(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None
