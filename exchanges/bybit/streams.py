"""Bybit's streams: the SDK's raw socket under supervision, its messages parsed on the loop."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec

from exchanges.bybit import wire
from exchanges.bybit.inlet import Inlet
from exchanges.bybit.parser import Parser
from exchanges.bybit.rawsocket import RawSocket, open_socket
from exchanges.bybit.settings import INTERVALS, BybitSettings
from exchanges.bybit.symbols import LINEAR, SPOT, VENUE
from exchanges.interface import Sink
from exchanges.streams import StreamError, StreamKeeper

PRIVATE = "private"
_LOOK_S = 0.1


async def _abandon(opening: asyncio.Future[RawSocket]) -> None:
    """Close a connection that was given up before it stood."""
    socket = await opening
    await asyncio.to_thread(socket.exit)


def public_topics(settings: BybitSettings, natives: list[str], category: str = LINEAR) -> list[str]:
    """The topics of the wanted streams for all symbols of a category."""
    names = {
        "trade": "publicTrade",
        "quote": "orderbook.1",
        "book": f"orderbook.{_depth(settings, category)}",
        "bar": f"kline.{INTERVALS.get(settings.bar_interval_s, '')}",
        "ticker": "tickers",
    }
    return [f"{names[stream]}.{native}" for native in natives for stream in settings.streams]


def _depth(settings: BybitSettings, category: str) -> int:
    """The depths above 200 are of perpetuals alone."""
    return min(settings.book_depth, 200) if category == SPOT else settings.book_depth


class Stream(StreamKeeper):
    """One of the venue's streams, on one of its channels: ``private``, or the category of a public one.

    ``prepare`` is what has to succeed once before a connection; ``skew_s`` tells how far the venue's clock is ahead.
    """

    def __init__(
        self,
        name: str,
        channel: str,
        settings: BybitSettings,
        topics: list[str],
        sink: Sink,
        counters: Counter[str],
        prepare: Callable[[], Awaitable[None]],
        skew_s: Callable[[], float],
    ) -> None:
        super().__init__(VENUE, name, settings.pace(_LOOK_S), sink, counters)
        self._private = channel == PRIVATE
        self._channel = channel
        self._skew_s = skew_s
        self._settings = settings
        self._topics = topics
        self._prepare = prepare
        self._parser = Parser(settings, counters, self.malformed, LINEAR if self._private else channel, self.end)
        self._inlet: Inlet | None = None
        self._socket: RawSocket | None = None
        self._answers: asyncio.Queue[wire.Envelope] = asyncio.Queue()
        self._next_ping_s = 0.0

    @property
    def bytes(self) -> int:
        """Characters received on the present connection."""
        return self._inlet.bytes if self._inlet is not None else 0

    @property
    def idle_s(self) -> float:
        return self._inlet.idle_s if self._inlet is not None else 0.0

    def on_pause(self) -> None:
        if self._inlet is not None:
            self._inlet.pause(self.paused)

    # -- one connection --------------------------------------------------------------------

    async def prepare(self) -> None:
        await self._prepare()

    async def open(self) -> None:
        """Connect, authenticate where needed, subscribe, and wait for the venue's consent."""
        settings = self._settings
        self._parser.reset()
        self._answers = asyncio.Queue()
        self._next_ping_s = 0.0
        inlet = self._inlet = Inlet(asyncio.get_running_loop(), self._take, settings.buffer_messages)
        inlet.pause(self.paused)
        base = settings.endpoints.private if self._private else settings.endpoints.public
        opening = asyncio.ensure_future(
            asyncio.to_thread(open_socket, self._channel, base, inlet.put, settings, self._skew_s())
        )
        try:
            socket = self._socket = await asyncio.shield(opening)
        except asyncio.CancelledError:
            self.leave(_abandon(opening))
            raise
        if self._private:
            await self._consent(socket, "auth")
        for _ in range(socket.subscribe_to(self._topics)):
            await self._consent(socket, "subscribe")

    async def close(self) -> None:
        inlet, self._inlet = self._inlet, None
        socket, self._socket = self._socket, None
        if inlet is not None:
            inlet.close()
            self.counters[f"bytes_{self.name}"] += inlet.bytes
            self.counters[f"blocked_{self.name}"] += inlet.waits
        if socket is not None:
            self.leave(asyncio.to_thread(socket.exit))

    async def look(self) -> None:
        """Notice a dead socket; keep a quiet one talking."""
        socket = self._socket
        if socket is None or not socket.alive:
            raise StreamError(f"disconnected: {(socket and socket.failure) or 'closed by the venue'}")
        if time.monotonic() >= self._next_ping_s:
            self._next_ping_s = time.monotonic() + self.pace.stale_after_s / 3
            await asyncio.wait_for(asyncio.to_thread(socket.ping), self.pace.connect_timeout_s)

    async def _consent(self, socket: RawSocket, op: str) -> None:
        deadline = time.monotonic() + self.pace.connect_timeout_s
        while time.monotonic() < deadline or self.paused:
            if not socket.alive:
                raise StreamError(f"the socket died before the answer to {op}: {socket.failure or 'closed'}")
            try:
                answer = await asyncio.wait_for(self._answers.get(), _LOOK_S)
            except TimeoutError:
                continue
            if answer.op != op:
                continue
            if answer.success is False:
                raise StreamError(f"{op} refused: {answer.ret_msg or 'no reason given'}")
            return
        raise StreamError(f"no answer to {op} within {self.pace.connect_timeout_s} s")

    # -- what comes in ---------------------------------------------------------------------

    def _take(self, text: str, recv_ns: int) -> None:
        """One raw message, on the loop."""
        self.counters[f"messages_{self.name}"] += 1
        if not text.startswith('{"topic"') and self._answer(text):
            return
        sink = self.sink
        for message in self._parser.parse(text, recv_ns):
            sink(message)

    def _answer(self, text: str) -> bool:
        """Whether ``text`` is an answer to a request; heartbeats are."""
        try:
            envelope = wire.decode_envelope(text)
        except msgspec.DecodeError:
            return False
        if envelope.topic or not envelope.op:
            return False
        if envelope.op in ("auth", "subscribe"):
            self._answers.put_nowait(envelope)
        return True
