"""The WebSocket endpoints and who is subscribed to what."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, ClassVar

import msgspec
from aiohttp import WSMsgType, web

from exchanges.simulators.base.client import Client, Payload
from exchanges.simulators.base.venue import Venue
from exchanges.simulators.faults import EVERY_STREAM, StreamFault, StreamRule

SETTLE_SECONDS = 0.25
"""Clients subscribe topic by topic: a recording gives them this long after the last one."""


class Streams(ABC):
    """The open sockets. ``subscribers(topic)`` are in the order they came.

    A topic is any string the venue's package likes, so long as two symbols never share one.
    """

    endpoints: ClassVar[Mapping[str, str]]
    """Path to stream: ``public``, ``private``, ``trade``, or ``all`` for one that carries everything."""
    addressed: ClassVar[bool] = False
    """Whether a message differs from client to client (numbered for each): then it is encoded for each."""
    heartbeat: ClassVar[tuple[float, bytes] | None] = None
    """Seconds between the server's pings and what they say."""
    garbage: ClassVar[Payload] = "<<this is not JSON>>"

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self._topics: dict[str, dict[Client, None]] = {}
        self._of_symbol: dict[str, dict[str, None]] = {}
        self._joined: dict[str, float] = {}
        self.clients: dict[Client, None] = {}
        self.changed = asyncio.Event()
        self.on_subscribe: Callable[[Client, str], None] = lambda client, topic: None
        self._encoder = msgspec.json.Encoder()

    @abstractmethod
    async def receive(self, client: Client, data: Payload) -> None:
        """A frame of a peer: authentication, subscriptions, orders."""

    @abstractmethod
    def strange(self, client: Client) -> Payload:
        """A well-formed message of a type that nobody knows."""

    async def admit(self, request: web.Request, stream: str) -> str:
        """The account a handshake opens, empty where authentication comes later.

        Raises:
            web.HTTPException: the venue refuses the handshake.
        """
        return ""

    async def greet(self, client: Client) -> None:
        """What a new connection is told first; nothing unless a venue does."""
        return

    def left(self, client: Client) -> None:
        """A peer has gone; for what the venue's package keeps about it."""
        return

    def encode(self, client: Client, topic: str, message: Any) -> Payload:
        """The frame of a message; JSON text unless a venue differs."""
        return self._encoder.encode(message).decode()

    def answer(self, client: Client, message: Any) -> None:
        """Queue an answer to one peer."""
        client.offer(self.encode(client, "", message))

    def routes(self) -> list[web.RouteDef]:
        return [web.get(path, self._handler(stream)) for path, stream in self.endpoints.items()]

    def _handler(self, stream: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, stream)

        return serve

    async def _serve(self, request: web.Request, stream: str) -> web.WebSocketResponse:
        account = await self.admit(request, stream)
        socket = web.WebSocketResponse(compress=False, autoping=False)
        await socket.prepare(request)
        client = self.client(request, socket, stream)
        client.account = account
        self.clients[client] = None
        try:
            if self.heartbeat is not None:
                client.beat(*self.heartbeat)
            await self.greet(client)
            async for message in socket:
                if message.type is WSMsgType.PING:
                    await client.pong(message.data)
                elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    if self.venue.settings.latency_ms:
                        await asyncio.sleep(self.venue.settings.latency_ms / 1_000)
                    await self.receive(client, message.data)
        finally:
            self._forget(client)
            await client.finish()
        return socket

    def client(self, request: web.Request, socket: web.WebSocketResponse, stream: str) -> Client:
        """The peer's object, for a venue that keeps more about it."""
        return Client(request, socket, stream)

    def subscribe(self, client: Client, topic: str, key: str = "") -> None:
        """Note a subscription; ``key`` is the symbol of a public one (see `Catalogue`)."""
        client.topics[topic] = None
        self._topics.setdefault(topic, {})[client] = None
        if key:
            self._of_symbol.setdefault(key, {})[topic] = None
            self._joined[key] = time.monotonic()
        self.on_subscribe(client, topic)
        self.changed.set()

    def unsubscribe(self, client: Client, topic: str) -> None:
        client.topics.pop(topic, None)
        self._topics.get(topic, {}).pop(client, None)
        self.changed.set()

    def _forget(self, client: Client) -> None:
        self.clients.pop(client, None)
        for topic in client.topics:
            self._topics.get(topic, {}).pop(client, None)
        client.gone()
        self.left(client)
        self.changed.set()

    def subscribers(self, topic: str) -> list[Client]:
        return list(self._topics.get(topic, ()))

    def of_account(self, account: str, topic: str) -> list[Client]:
        return [client for client in self._topics.get(topic, ()) if client.account == account]

    def topics(self) -> list[str]:
        """The topics that somebody is subscribed to."""
        return [topic for topic, clients in self._topics.items() if clients]

    def watchers(self, key: str) -> list[Client]:
        """Everyone subscribed to anything public of a symbol."""
        found: dict[Client, None] = {}
        for topic in self._of_symbol.get(key, ()):
            found.update(self._topics.get(topic, {}))
        return list(found)

    def settled(self, key: str) -> float:
        """Seconds until the symbol's watchers have long enough been the same (0: they have)."""
        return max(0.0, self._joined.get(key, 0.0) + SETTLE_SECONDS - time.monotonic())

    def offer(self, clients: Iterable[Client], topic: str, message: Any) -> None:
        """Queue a live message for each of ``clients``."""
        payload: Payload | None = None
        for client in clients:
            if payload is None or self.addressed:
                payload = self.encode(client, topic, message)
            client.offer(payload)

    async def put(self, clients: Iterable[Client], topic: str, message: Any) -> None:
        """Queue a recorded message for each of ``clients``, as they have room."""
        payload: Payload | None = None
        for client in clients:
            if payload is None or self.addressed:
                payload = self.encode(client, topic, message)
            await client.put(payload)

    def misbehave(self, rule: StreamRule) -> int:
        """Carry out a stream fault on the sockets it is meant for; returns how many there were."""
        hit = [c for c in self.clients if EVERY_STREAM in (rule.stream, c.stream) or c.stream == rule.stream]
        for client in hit:
            if rule.kind is StreamFault.MUTE:
                client.mute(rule.seconds)
            elif rule.kind is StreamFault.GARBAGE:
                client.offer(self.garbage)
            elif rule.kind is StreamFault.UNKNOWN_TYPE:
                client.offer(self.strange(client))
            elif rule.kind is StreamFault.CLOSE:
                client.close()
            else:
                client.cut()
        return len(hit)
