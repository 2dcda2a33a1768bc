"""One WebSocket connection, read frame by frame."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from exchanges.streams import StreamError
from exchanges.tasks import end

_BURST = 64
"""Frames read in one turn of the event loop."""

_FAREWELL = aiohttp.ClientWSTimeout(ws_close=1.0)
"""How long the venue may take to answer our closing."""


class Line:
    """Reads a socket until it ends; while ``flow`` is unset nothing is read, and TCP holds the venue back.

    Args:
        url: Where to connect.
        flow: Set while frames are wanted.
        take: Gets each frame and when it came, in ns since the epoch.
        ended: Told once why the connection is over.
    """

    def __init__(
        self,
        url: str,
        flow: asyncio.Event,
        take: Callable[[str | bytes, int], None],
        ended: Callable[[str], None],
    ) -> None:
        self.url = url
        self.bytes = 0
        self.over = ""
        self._flow = flow
        self._take = take
        self._ended = ended
        self._heard_s = time.monotonic()
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None

    async def open(self, timeout_s: float, headers: Mapping[str, str] | None = None) -> None:
        """Connect and begin to read.

        Raises:
            StreamError: there is no connection within ``timeout_s``.
        """
        self._http = aiohttp.ClientSession()
        try:
            async with asyncio.timeout(timeout_s):
                self._socket = await self._http.ws_connect(self.url, headers=headers, timeout=_FAREWELL, max_msg_size=0)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise StreamError(f"no connection to {self.url}: {type(error).__name__} {error}".rstrip()) from error
        self._heard_s = time.monotonic()
        self._reader = asyncio.get_running_loop().create_task(self._read(self._socket), name=f"read {self.url}")

    async def send(self, frame: str | bytes, timeout_s: float) -> None:
        """Send one frame.

        Raises:
            StreamError: the connection is over.
        """
        socket = self._socket
        if socket is None or socket.closed:
            raise StreamError(f"disconnected: {self.over or 'closed'}")
        try:
            async with asyncio.timeout(timeout_s):
                await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise StreamError(f"disconnected while sending: {type(error).__name__} {error}".rstrip()) from error

    @property
    def idle_s(self) -> float:
        """Seconds since the last frame; 0 while we are the ones who don't read."""
        return time.monotonic() - self._heard_s if self._flow.is_set() else 0.0

    async def close(self) -> None:
        """Stop reading and let go of the socket."""
        if self._reader is not None:
            await end([self._reader])
        if self._socket is not None:
            await self._socket.close()
        if self._http is not None:
            await self._http.close()

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            reason = await self._frames(socket)
        except Exception as error:
            # Whatever it is, this connection can't be trusted any more; the keeper makes another.
            reason = f"{type(error).__name__}: {error}"
        self.over = reason
        self._ended(reason)

    async def _frames(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        number = 0
        while True:
            message: Any = await socket.receive()
            self._heard_s = time.monotonic()
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                told = socket.exception() or message.extra or ""
                return f"closed by the venue: code {socket.close_code} {told}".rstrip()
            self.bytes += len(message.data)
            recv_ns = time.time_ns()
            if not self._flow.is_set():
                await self._flow.wait()
                self._heard_s = time.monotonic()
            self._take(message.data, recv_ns)
            number += 1
            if number % _BURST == 0:
                await asyncio.sleep(0)
