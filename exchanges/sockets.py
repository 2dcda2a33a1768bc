"""A WebSocket under supervision, for venues whose package has none that can be trusted: aiohttp's.

Market data and the account have a connection each, so that holding back the one does not hold back the other.
"""

from __future__ import annotations

import abc
import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

import aiohttp
import msgspec

from exchanges.fields import WireError
from exchanges.interface import Sink
from exchanges.streams import AccessError, StreamError, StreamKeeper, StreamPace
from exchanges.tasks import end

A = TypeVar("A")
"""What an answer to one of our requests is read as."""

_BATCH = 256
"""Frames read in one turn of the event loop."""

_LARGEST_FRAME = 32 * 1024 * 1024


class SocketStream(StreamKeeper, Generic[A]):
    """One connection's life: open, subscribe, read, notice silence.

    A venue says where (``address``), subscribes (``subscribe``), reads a frame (``take``, which hands
    answers to requests to ``answer_came``) and asks for signs of life (``probe``).

    Args:
        ready: What ``prepare`` awaits: instruments, a check of the key.
    """

    def __init__(
        self,
        venue: str,
        name: str,
        pace: StreamPace,
        sink: Sink,
        counters: Counter[str],
        ready: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(venue, name, pace, sink, counters)
        self._ready = ready
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._going = asyncio.Event()
        self._going.set()
        self._answers: asyncio.Queue[A] = asyncio.Queue()
        self._asking = False
        """Whether somebody waits for answers to requests."""
        self._heard_s = self._probed_s = time.monotonic()

    # -- what a venue implements -----------------------------------------------------------

    @abc.abstractmethod
    def address(self) -> tuple[str, Mapping[str, str]]:
        """The URL and the headers of a handshake, made for this moment."""

    @abc.abstractmethod
    async def subscribe(self) -> None:
        """Subscribe to everything and wait for the venue's consent.

        Raises:
            StreamError: it refused, or did not answer in time.
        """

    @abc.abstractmethod
    def take(self, text: str, recv_ns: int) -> None:
        """Take a text frame; raises ``WireError`` if it can't be read."""

    @abc.abstractmethod
    async def probe(self) -> None:
        """Ask for a sign of life; any answer will do."""

    async def caught_up(self) -> None:
        """Called once everything is subscribed to: make good what was missed, before ``missed_by``."""
        return

    def missed_by(self) -> float:
        """Until when (the loop's time) what was missed may be asked for: a REST call must not hold the stream."""
        return asyncio.get_running_loop().time() + self.pace.connect_timeout_s

    # -- one connection --------------------------------------------------------------------

    @property
    def idle_s(self) -> float:
        return 0.0 if self.paused else time.monotonic() - self._heard_s

    def on_pause(self) -> None:
        if self.paused:
            self._going.clear()
        else:
            self._heard_s = time.monotonic()
            self._going.set()

    async def prepare(self) -> None:
        await self._ready()

    async def open(self) -> None:
        """Shake hands, subscribe, and wait for the venue's consent to everything."""
        self._answers = asyncio.Queue()
        self._http = aiohttp.ClientSession()
        url, headers = self.address()
        try:
            async with asyncio.timeout(self.pace.connect_timeout_s):
                # Control frames come to us: the venue's heartbeat must be answered, but is no sign that data flows.
                self._socket = await self._http.ws_connect(
                    url, headers=headers, autoping=False, max_msg_size=_LARGEST_FRAME
                )
        except aiohttp.WSServerHandshakeError as error:
            raise refused(error.status, error.message) from error
        except TimeoutError as error:
            raise StreamError(f"no handshake within {self.pace.connect_timeout_s:g} s") from error
        self._heard_s = self._probed_s = time.monotonic()
        self._reader = asyncio.get_running_loop().create_task(
            self._read(self._socket), name=f"{self.venue} {self.name} reader"
        )
        self._asking = True
        try:
            await self.subscribe()
        finally:
            self._asking = False
        await self.caught_up()

    async def close(self) -> None:
        reader, self._reader = self._reader, None
        socket, self._socket = self._socket, None
        http, self._http = self._http, None
        if reader is not None:
            await end([reader])
        if http is not None:
            self.leave(_goodbye(socket, http), "goodbye")

    async def look(self) -> None:
        """Ask for a sign of life after a while without."""
        now, every = time.monotonic(), self.pace.stale_after_s / 3
        if self.idle_s > every and now - self._probed_s > every:
            self._probed_s = now
            await self.probe()

    async def send(self, body: object, what: str) -> None:
        """Send ``body`` as JSON; ``what`` names it in an error.

        Raises:
            StreamError: the connection is gone.
        """
        socket = self._socket
        if socket is None or socket.closed:
            raise StreamError("disconnected: closed by the venue")
        try:
            async with asyncio.timeout(self.pace.connect_timeout_s):
                await socket.send_str(msgspec.json.encode(body).decode())
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            raise StreamError(f"disconnected: {type(error).__name__} while sending {what}") from error

    # -- answers ---------------------------------------------------------------------------

    def answer_came(self, answer: A) -> None:
        """Hand an answer to who waits for one; nobody may."""
        if self._asking:
            self._answers.put_nowait(answer)

    async def answer(self, what: str) -> A:
        """The next answer to a request; the time we don't read is not counted.

        Raises:
            StreamError: none came in time, or the connection ended.
        """
        deadline = time.monotonic() + self.pace.connect_timeout_s
        while True:
            try:
                return await asyncio.wait_for(self._answers.get(), self.pace.look_s)
            except TimeoutError:
                reader = self._reader
                if reader is None or reader.done():
                    raise StreamError(f"the socket died before the answer to {what}") from None
                if self.paused:
                    deadline = time.monotonic() + self.pace.connect_timeout_s
                elif time.monotonic() > deadline:
                    raise StreamError(f"no answer to {what} within {self.pace.connect_timeout_s:g} s") from None

    # -- what comes in ---------------------------------------------------------------------

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Take every frame until the connection ends; then end the session."""
        taken = 0
        while True:
            message, recv_ns = await socket.receive(), time.time_ns()
            if not self._going.is_set():
                await self._going.wait()
            if message.type is aiohttp.WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                self._text(message.data, recv_ns)
            elif message.type is aiohttp.WSMsgType.BINARY:
                self.malformed(repr(message.data[:200]), "expected text, found a binary frame")
            elif message.type is not aiohttp.WSMsgType.PONG:
                self.end(f"disconnected: {_ending(message, socket)}")
                return
            taken += 1
            if taken % _BATCH == 0:
                await asyncio.sleep(0)

    def _text(self, text: str, recv_ns: int) -> None:
        """One text frame."""
        self._heard_s = time.monotonic()
        self.counters[f"messages_{self.name}"] += 1
        self.counters[f"bytes_{self.name}"] += len(text)
        try:
            self.take(text, recv_ns)
        except WireError as error:
            self.malformed(text, f"{type(error).__name__}: {error}")


def refused(status: int, message: str) -> StreamError:
    """What a handshake that was answered with an HTTP status comes to."""
    if status in (401, 403):
        return AccessError(
            f"the venue refuses the key (HTTP {status} {message}); check key, mode and this machine's clock"
        )
    return StreamError(f"handshake refused: HTTP {status} {message}")


def _ending(message: aiohttp.WSMessage, socket: aiohttp.ClientWebSocketResponse) -> str:
    if message.type is aiohttp.WSMsgType.ERROR:
        return f"{type(socket.exception()).__name__}: {socket.exception()}"
    return f"closed by the venue with code {socket.close_code}"


async def _goodbye(socket: aiohttp.ClientWebSocketResponse | None, http: aiohttp.ClientSession) -> None:
    try:
        if socket is not None:
            async with asyncio.timeout(1.0):
                await socket.close()
    finally:
        await http.close()
