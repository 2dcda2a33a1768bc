"""One WebSocket connection: a bounded queue in front of the socket, and its misbehaviour."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web

from exchanges.simulators.bybit.rest import reset
from exchanges.simulators.faults import StreamFault, StreamRule

QUEUE_MESSAGES = 256
LIVE_MESSAGES = 50_000
_numbers = itertools.count(1)


class Client:
    """What one peer is subscribed to, and what is still to be sent to it.

    Recorded data waits for the peer (``put``). Live data doesn't (``offer``): a peer that
    falls too far behind is disconnected, as the venue does.
    """

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, stream: str) -> None:
        self.id = f"sim-{next(_numbers):06d}"
        self.stream = stream
        self.account = ""
        self.topics: dict[str, None] = {}
        self.closed = asyncio.Event()
        self._writing = False
        self._request_ids: dict[str, None] = {}
        self._request, self._socket = request, socket
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()
        self._muted_until = 0.0
        self._writer = asyncio.create_task(self._write(), name=f"writer {self.id}")

    def offer(self, text: str) -> None:
        """Queue live data or an answer."""
        if self.closed.is_set():
            return
        if self._queue.qsize() >= LIVE_MESSAGES:
            self.cut()
            return
        self._queue.put_nowait(text)

    async def put(self, text: str) -> None:
        """Queue recorded data once there is room; returns at once when the peer has gone."""
        while self._queue.qsize() >= QUEUE_MESSAGES and not self.closed.is_set():
            self._room.clear()
            await self._room.wait()
        self.offer(text)

    def fresh(self, request_id: str) -> bool:
        """Whether this connection sees ``request_id`` for the first time (the last 10,000 are known)."""
        if request_id in self._request_ids:
            return False
        if request_id:
            self._request_ids[request_id] = None
        if len(self._request_ids) > 10_000:
            del self._request_ids[next(iter(self._request_ids))]
        return True

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

    def answer(self, message: dict[str, Any]) -> None:
        self.offer(msgspec.json.encode(message).decode())

    async def _write(self) -> None:
        try:
            while True:
                text = await self._queue.get()
                self._writing = True
                if self._queue.qsize() < QUEUE_MESSAGES:
                    self._room.set()
                if time.monotonic() >= self._muted_until:
                    await self._socket.send_str(text)
                self._writing = False
        except (ConnectionError, RuntimeError):
            self.gone()

    def misbehave(self, rule: StreamRule) -> None:
        if rule.kind is StreamFault.MUTE:
            self._muted_until = time.monotonic() + rule.seconds
        elif rule.kind is StreamFault.GARBAGE:
            self.offer("<<this is not JSON>>")
        elif rule.kind is StreamFault.CLOSE:
            self._closing = asyncio.create_task(self._socket.close(code=WSCloseCode.GOING_AWAY))
        else:
            self.cut()

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
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)
        if not self._socket.closed:
            await self._socket.close()
