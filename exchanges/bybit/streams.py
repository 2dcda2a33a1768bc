"""Supervised streams: connect, authenticate, subscribe, watch, and begin again with backoff."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec

from exchanges.bybit import wire
from exchanges.bybit.inlet import Inlet
from exchanges.bybit.parser import Parser
from exchanges.bybit.rawsocket import RawSocket, open_socket
from exchanges.bybit.settings import INTERVALS, BybitSettings
from exchanges.interface import Sink
from exchanges.model.venue import VENUE_PORT, StreamStatus
from runtime.lifecycle import DeadLetter

logger = logging.getLogger(__name__)

_LOOK_S = 0.1
_KEPT = 2_000
"""Characters of a message that can't be read that are reported."""

_STEADY_S = 30.0
"""A connection that lasted this long starts the backoff anew."""


class StreamError(Exception):
    """Why a connection of a stream has ended."""


def public_topics(settings: BybitSettings, natives: list[str]) -> list[str]:
    """The topics of the wanted streams for all symbols."""
    names = {
        "trade": "publicTrade",
        "quote": "orderbook.1",
        "book": f"orderbook.{settings.book_depth}",
        "bar": f"kline.{INTERVALS.get(settings.bar_interval_s, '')}",
        "ticker": "tickers",
    }
    return [f"{names[stream]}.{native}" for native in natives for stream in settings.streams]


class Stream:
    """One stream for as long as the exchange connection lives; ``StreamStatus`` tells when it is up."""

    def __init__(
        self,
        name: str,
        settings: BybitSettings,
        topics: list[str],
        sink: Sink,
        counters: Counter[str],
        prepare: Callable[[], Awaitable[None]],
    ) -> None:
        self.name = name
        self.up = False
        self._settings = settings
        self._topics = topics
        self._sink = sink
        self._counters = counters
        self._prepare = prepare
        self._parser = Parser(settings, counters, self._malformed)
        self._inlet: Inlet | None = None
        self._paused = False
        self._answers: asyncio.Queue[wire.Envelope] = asyncio.Queue()
        self._leaving: set[asyncio.Task[None]] = set()
        self._told_s = 0.0

    async def run(self) -> None:
        """Keep the stream up until cancelled."""
        attempt = 0
        while True:
            began = time.monotonic()
            try:
                await self._session()
            except asyncio.CancelledError:
                self._status(False, "closed")
                raise
            except Exception as error:
                # Whatever ended it, the answer is the same: say so and connect again.
                reason = str(error) if isinstance(error, StreamError) else f"{type(error).__name__}: {error}"
                logger.warning("the %s stream of bybit ended: %s", self.name, reason)
                self._status(False, reason)
            self._counters[f"reconnects_{self.name}"] += 1
            attempt = 0 if time.monotonic() - began > _STEADY_S else attempt + 1
            wait = min(self._settings.backoff_cap_s, self._settings.backoff_base_s * 2 ** min(attempt - 1, 16))
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))

    def pause(self, paused: bool) -> None:
        """Stop or go on reading."""
        self._paused = paused
        if self._inlet is not None:
            self._inlet.pause(paused)

    @property
    def bytes(self) -> int:
        """Characters received on the present connection."""
        return self._inlet.bytes if self._inlet is not None else 0

    async def closed(self) -> None:
        """Wait for the sockets on their way out."""
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=4.0)

    # -- one connection --------------------------------------------------------------------

    async def _session(self) -> None:
        """One connection from its beginning to its end, which is always an exception."""
        await self._prepare()
        self._parser.reset()
        self._answers = asyncio.Queue()
        settings, loop = self._settings, asyncio.get_running_loop()
        inlet = self._inlet = Inlet(loop, self._take, settings.buffer_messages)
        inlet.pause(self._paused)
        channel = "private" if self.name == "private" else settings.category
        base = settings.endpoints.private if self.name == "private" else settings.endpoints.public
        socket: RawSocket | None = None
        try:
            socket = await asyncio.to_thread(open_socket, channel, base, inlet.put, settings)
            await self._greet(socket)
            self._status(True, "")
            await self._watch(socket, inlet)
        finally:
            inlet.close()
            self._counters[f"bytes_{self.name}"] += inlet.bytes
            self._counters[f"blocked_{self.name}"] += inlet.waits
            self._inlet = None
            if socket is not None:
                task = loop.create_task(asyncio.to_thread(socket.exit))
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)

    async def _greet(self, socket: RawSocket) -> None:
        """Authenticate where needed, subscribe, and wait for the venue's consent."""
        if self.name == "private":
            await self._consent(socket, "auth")
        for _ in range(socket.subscribe_to(self._topics)):
            await self._consent(socket, "subscribe")

    async def _consent(self, socket: RawSocket, op: str) -> None:
        deadline = time.monotonic() + self._settings.connect_timeout_s
        while time.monotonic() < deadline or self._paused:
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
        raise StreamError(f"no answer to {op} within {self._settings.connect_timeout_s} s")

    async def _watch(self, socket: RawSocket, inlet: Inlet) -> None:
        """Look after the socket until it dies or falls silent; heartbeats keep a quiet one talking."""
        stale, next_ping = self._settings.stale_after_s, time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_S)
            if not socket.alive:
                raise StreamError(f"disconnected: {socket.failure or 'closed by the venue'}")
            if inlet.idle_s > stale:
                raise StreamError(f"silent for {inlet.idle_s:.1f} s, expected a heartbeat every {stale / 3:.1f} s")
            if time.monotonic() >= next_ping:
                next_ping = time.monotonic() + stale / 3
                await asyncio.wait_for(asyncio.to_thread(socket.ping), self._settings.connect_timeout_s)

    # -- what comes in ---------------------------------------------------------------------

    def _take(self, text: str, recv_ns: int) -> None:
        """One raw message, on the loop."""
        self._counters[f"messages_{self.name}"] += 1
        if not text.startswith('{"topic"') and self._answer(text):
            return
        sink = self._sink
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

    def _malformed(self, text: str, problem: str) -> None:
        """Say what could not be read, once a second at most; all of it is counted."""
        now = time.monotonic()
        if now - self._told_s >= 1.0:
            self._told_s = now
            logger.warning("bybit's %s stream sent what can't be read (%s): %.200s", self.name, problem, text)
            reason = f"the {self.name} stream sent what can't be read: {problem}"
            self._sink(DeadLetter(VENUE_PORT, "", "malformed", reason, text[:_KEPT].encode()))

    def _status(self, up: bool, reason: str) -> None:
        self.up = up
        self._sink(StreamStatus(self.name, up, reason))
