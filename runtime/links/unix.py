"""The Unix-domain stream transport: between hosts of one node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from runtime.errors import FencedError, LinkError
from runtime.links.frames import FrameReader
from runtime.links.wire import WireOwner

_WRITE_HIGH = 256 * 1024
_BACKLOG = 1024


class UnixWire(asyncio.Protocol):
    """Either end of one Unix-domain connection."""

    def __init__(self, owner: WireOwner) -> None:
        self._owner = owner
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; let some batches queue before the window is asked to wait."""
        self._transport = cast(asyncio.Transport, transport)
        if self._closed:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH)
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        """Hand on each whole frame; on the first bad one, end this connection alone."""
        try:
            for frame in self._reader.feed(data):
                if self._closed:
                    return
                self._owner.received(self, frame)
        except (LinkError, FencedError) as error:
            self._lose(error)

    def pause_writing(self) -> None:
        """The peer reads more slowly than we write."""
        self._paused = True

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._paused = False
        self._owner.writable(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer closed, or the socket failed."""
        self._lose(exc)

    def room(self) -> int:
        """A buffer's worth, unless the peer is behind."""
        return 0 if self._paused or self._closed else _WRITE_HIGH

    def write(self, data: bytes) -> None:
        """Send now, or as soon as the socket takes it."""
        if self._transport is not None and not self._closed:
            self._transport.write(data)

    def close(self, *, flush: bool = False) -> None:
        """End the connection; without ``flush`` at once, even when the peer does not read."""
        self._closed = True
        if self._transport is not None:
            if flush:
                self._transport.close()
            else:
                self._transport.abort()

    def give_up(self) -> None:
        """Nobody waits for this connection any more; an owner that has it already loses it."""
        self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        if not self._closed:
            self.close()
            self._owner.lost(self, error)


async def connect(path: str, owner: WireOwner) -> UnixWire:
    """Connect to a host's socket.

    Raises:
        OSError: no one listens there.
    """
    wire = UnixWire(owner)
    try:
        await asyncio.get_running_loop().create_unix_connection(lambda: wire, path)
    except BaseException:
        # Cancelled between the connection and its report, uvloop closes it without a word to us.
        wire.give_up()
        raise
    return wire


async def listen(path: str, owner: Callable[[], WireOwner]) -> asyncio.AbstractServer:
    """Listen at ``path``; ``owner`` makes the owner of each connection.

    Raises:
        OSError: the path can't be bound.
    """
    loop = asyncio.get_running_loop()
    return await loop.create_unix_server(lambda: UnixWire(owner()), path, backlog=_BACKLOG)
