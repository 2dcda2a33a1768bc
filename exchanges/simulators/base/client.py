"""One WebSocket connection: a bounded queue in front of the socket, and its misbehaviour."""

from __future__ import annotations

import asyncio
import itertools
import socket as sockets
import struct
import time

from aiohttp import WSCloseCode, web

QUEUE_MESSAGES = 256
LIVE_MESSAGES = 50_000
_numbers = itertools.count(1)

Payload = str | bytes
"""A text or a binary frame."""


class Client:
    """What one peer is subscribed to, and what is still to be sent to it.

    Recorded data waits for the peer (``put``). Live data doesn't (``offer``): a peer that
    falls too far behind is disconnected, as venues do.
    """

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, stream: str) -> None:
        self.id = f"sim-{next(_numbers):06d}"
        self.stream = stream
        self.account = ""
        self.topics: dict[str, None] = {}
        self.closed = asyncio.Event()
        self._writing = False
        self._request, self._socket = request, socket
        self._queue: asyncio.Queue[Payload] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()
        self._muted_until = 0.0
        self._tasks = [asyncio.create_task(self._write(), name=f"writer {self.id}")]

    @property
    def muted(self) -> bool:
        """Whether what is due to be sent is lost."""
        return time.monotonic() < self._muted_until

    def offer(self, payload: Payload) -> None:
        """Queue live data or an answer."""
        if self.closed.is_set():
            return
        if self._queue.qsize() >= LIVE_MESSAGES:
            self.cut()
            return
        self._queue.put_nowait(payload)

    async def put(self, payload: Payload) -> None:
        """Queue recorded data once there is room; returns at once when the peer has gone."""
        while self._queue.qsize() >= QUEUE_MESSAGES and not self.closed.is_set():
            self._room.clear()
            await self._room.wait()
        self.offer(payload)

    async def flushed(self) -> None:
        """Return when all that was queued has been handed to the system, or the peer has gone."""
        tries = 0
        while not self.closed.is_set() and not self._idle():
            tries += 1
            await asyncio.sleep(0 if tries < 4 else 0.001)

    def _idle(self) -> bool:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            return True
        return self._queue.empty() and not self._writing and transport.get_write_buffer_size() == 0

    async def _write(self) -> None:
        try:
            while True:
                payload = await self._queue.get()
                self._writing = True
                if self._queue.qsize() < QUEUE_MESSAGES:
                    self._room.set()
                if not self.muted:
                    await self._send(payload)
                self._writing = False
        except (ConnectionError, RuntimeError):
            self.gone()

    async def _send(self, payload: Payload) -> None:
        if isinstance(payload, str):
            await self._socket.send_str(payload)
        else:
            await self._socket.send_bytes(payload)

    async def pong(self, data: bytes) -> None:
        """Answer a ping of the peer, unless muted."""
        if not self.muted and not self.closed.is_set():
            await self._socket.pong(data)

    def beat(self, seconds: float, text: bytes) -> None:
        """Ping the peer with ``text`` every ``seconds`` from now on, unless muted."""
        self._tasks.append(asyncio.create_task(self._beat(seconds, text), name=f"heartbeat {self.id}"))

    async def _beat(self, seconds: float, text: bytes) -> None:
        try:
            while not self.closed.is_set():
                await asyncio.sleep(seconds)
                if not self.muted:
                    await self._socket.ping(text)
        except (ConnectionError, RuntimeError):
            self.gone()

    def mute(self, seconds: float) -> None:
        """Lose all that becomes due in the next ``seconds``."""
        self._muted_until = time.monotonic() + seconds

    def close(self, code: int = WSCloseCode.GOING_AWAY) -> None:
        """Begin a proper end of the connection."""
        self._tasks.append(asyncio.create_task(self._close(code), name=f"closing {self.id}"))

    async def _close(self, code: int) -> None:
        await self._socket.close(code=code)

    def cut(self) -> None:
        """End the connection without a closing handshake."""
        reset(self._request)
        self.gone()

    def gone(self) -> None:
        """The peer is not there any more: whoever waits for room goes on."""
        self.closed.set()
        self._room.set()

    async def finish(self) -> None:
        """Stop writing and close the socket."""
        self.gone()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not self._socket.closed:
            await self._socket.close()


def reset(request: web.BaseRequest) -> None:
    """Cut a connection with a TCP reset instead of a proper end."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
