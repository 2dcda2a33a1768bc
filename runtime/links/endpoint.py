"""A host's end of all its links."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable, Mapping

from runtime.errors import LinkError
from runtime.lanes import Delivery, Lane
from runtime.links import unix
from runtime.links.directory import Directory
from runtime.links.egress import Egress
from runtime.links.frames import Item
from runtime.links.ingress import Connection, Ingress
from runtime.links.receiver import Receiver
from runtime.links.window import Cursors, Limits

_DRAIN_STEP_S = 0.005


class Endpoint:
    """Sends to logical names and receives for this host's; owned by a host, on its loop.

    Every method must be called on the loop ``start`` ran on. What is sent within one
    iteration of the loop shares frames.

    Args:
        host: The host's name.
        epoch: Its incarnation.
        cells: The logical names it holds.
        receiver: The host.
        directory: See ``open_directory``.
        cursors: What earlier incarnations are known to have handled, from a durable journal.
        limits: How much each lane of a link holds; see ``LIMITS``.
        undeliverable_s: How long items wait for a peer without a connection.
        sweep_s: How often links look whether their peer has been replaced.
        keepalive_s: How often a link by calls asks whether its peer is still there.
    """

    def __init__(
        self,
        host: str,
        epoch: int,
        cells: Iterable[str],
        receiver: Receiver,
        directory: Directory,
        cursors: Cursors | None = None,
        *,
        limits: Mapping[Lane, Limits] | None = None,
        undeliverable_s: float = 30.0,
        sweep_s: float = 1.0,
        keepalive_s: float = 1.0,
    ) -> None:
        self.host = host
        self.epoch = epoch
        self._cells = tuple(dict.fromkeys(cells))
        self._directory = directory
        self._sweep_s = min(sweep_s, undeliverable_s / 4)
        told = (limits, undeliverable_s, self._arm, keepalive_s)
        self._egress = Egress(self._identity, directory, receiver, *told)
        self._ingress = Ingress(self._identity, receiver, cursors, self._arm, self._egress.noticed)
        self._server: asyncio.AbstractServer | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._armed = False
        self._closed = False

    async def start(self) -> None:
        """Listen, and be found.

        Raises:
            FencedError: a later incarnation of this host is already published.
            LinkError: the socket can't be bound, or this epoch is in use.
        """
        self._loop = asyncio.get_running_loop()
        path = self._directory.listen_path(self.host, self.epoch)
        if path is not None:
            try:
                self._server = await unix.listen(path, lambda: Connection(self._ingress))
            except OSError as error:
                raise LinkError(
                    f"expected to listen at {path} as host {self.host!r} epoch {self.epoch}, found: {error}; "
                    "check that the run folder exists and may be written"
                ) from error
        try:
            self._directory.publish(self.host, self.epoch, self._cells)
        except BaseException:
            self._stop_listening()
            if path is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            raise
        self._sweeper = self._loop.call_later(self._sweep_s, self._sweep)

    def host_cell(self, cell: str) -> None:
        """Also receive for ``cell`` from now on."""
        if cell not in self._cells:
            self._cells = (*self._cells, cell)
            self._directory.publish(self.host, self.epoch, (cell,))

    def send(
        self,
        to: str,
        sender: str,
        body: bytes,
        lane: Lane,
        key: str = "",
        delivery: Delivery = Delivery.ALL,
    ) -> bool:
        """Send ``body`` from the cell ``sender`` to the logical name ``to``.

        ``key`` and ``delivery`` count on the ``DATA`` lane alone.

        Returns:
            ``False`` while the link is congested. The item is on its way all the same, but
            the host must send no more until ``Receiver.drained``.

        Raises:
            LinkError: the endpoint is closed, or was never started.
        """
        if self._loop is None or self._closed:
            raise LinkError(f"expected a started endpoint, found that of host {self.host!r} stopped; start it first")
        return self._egress.send(to, Item(to, sender, body, key, delivery), lane)

    def connect(self, cell: str) -> None:
        """Open the link to ``cell`` now; ``Receiver.peer_up`` tells when it stands."""
        self._egress.connect(cell)

    def handled(self, host: str, lane: Lane, seq: int, epoch: int | None = None) -> None:
        """The item that ``arrived`` with these values needs not be delivered again.

        Pass the ``epoch`` it arrived with: without it, acknowledgements after a restart of
        the sender may be late. See ``ReceiveWindow.handled``.
        """
        self._ingress.handled(host, lane, seq, epoch)

    def flush(self) -> None:
        """Send what waits now, instead of at the end of this iteration of the loop."""
        self._armed = False
        self._egress.flush()
        self._ingress.flush()

    def deliver(self, frame: bytes) -> bytes:
        """Ingress of the Ray link: takes one call's frames, answers with the frames to return."""
        if self._closed:
            raise LinkError(f"expected a running endpoint, found that of host {self.host!r} closed; look it up again")
        return self._ingress.deliver(frame)

    async def close(self, drain_s: float = 0.0) -> None:
        """Stop: send what waits for up to ``drain_s`` seconds, then hang up and be found no more.

        What is still unacknowledged then becomes dead letters.
        """
        if self._loop is None or self._closed:
            return
        deadline = self._loop.time() + drain_s
        self.flush()
        while self._egress.pending and self._loop.time() < deadline:
            await asyncio.sleep(_DRAIN_STEP_S)
        self.flush()
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._directory.retract(self.host, self.epoch, self._cells)
        self._stop_listening()
        self._egress.close()
        self._ingress.close()
        await asyncio.sleep(0)

    @property
    def congested(self) -> bool:
        """Whether the host must hold back until ``Receiver.drained``."""
        return self._egress.congested

    @property
    def fenced_by(self) -> int:
        """The later epoch of this host's successor, once a peer has refused us for it; else 0."""
        return self._egress.around.fenced_by

    def stats(self) -> dict[str, object]:
        """Counters since the start, and the state of each link."""
        links = self._egress.links()
        return {
            **self._egress.counters,
            **{f"links_{name}": count for name, count in self._egress.around.counters.items()},
            **self._ingress.counters,
            "duplicates": self._ingress.duplicates,
            "in_hand": self._ingress.in_hand,
            "pending": self._egress.pending,
            "fenced_by": self.fenced_by,
            "links": links,
        }

    def _identity(self) -> tuple[str, int, tuple[str, ...]]:
        return self.host, self.epoch, self._cells

    def _arm(self) -> None:
        if not self._armed and self._loop is not None:
            self._armed = True
            self._loop.call_soon(self.flush)

    def _sweep(self) -> None:
        if self._loop is not None and not self._closed:
            self._sweeper = self._loop.call_later(self._sweep_s, self._sweep)
            self._egress.sweep()

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
