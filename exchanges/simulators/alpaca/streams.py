"""The trading stream and the data streams: authentication, subscriptions, codecs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from aiohttp import web

from exchanges.simulators.alpaca import wire
from exchanges.simulators.alpaca.auth import Keys
from exchanges.simulators.alpaca.instruments import is_crypto
from exchanges.simulators.alpaca.wire import Json
from exchanges.simulators.base.client import Client, Payload
from exchanges.simulators.base.streams import Streams
from exchanges.simulators.base.venue import Venue

UPDATES = "trade_updates"
TRADING_PATH = "/stream"
CRYPTO_PATH = "/v1beta3/crypto/us"
CHANNELS = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "orderbooks", "statuses", "lulds")
EVERYTHING = "*"

BAD_SYNTAX = (400, "invalid syntax")
NOT_AUTHENTICATED = (401, "not authenticated")
AUTH_FAILED = (402, "auth failed")
ALREADY_AUTHENTICATED = (403, "already authenticated")
CONNECTION_LIMIT = (406, "connection limit exceeded")


class AlpacaClient(Client):
    """A peer; ``packed`` if it asked for MessagePack, ``names`` are the symbols it subscribed to by channel."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, stream: str) -> None:
        super().__init__(request, socket, stream)
        self.path = request.path
        self.packed = request.headers.get("Content-Type", "") == "application/msgpack"
        self.names: dict[str, dict[str, None]] = {}


class AlpacaStreams(Streams):
    """JSON in binary frames on the trading stream; MessagePack or JSON, as the peer asks, on the data streams."""

    endpoints: ClassVar[Mapping[str, str]] = {
        TRADING_PATH: "private",
        "/v2/iex": "public",
        "/v2/sip": "public",
        "/v2/delayed_sip": "public",
        CRYPTO_PATH: "public",
    }
    addressed: ClassVar[bool] = True
    garbage: ClassVar[Payload] = b"\xc1<<this is neither MessagePack nor JSON>>"

    def __init__(self, venue: Venue, keys: Keys) -> None:
        super().__init__(venue)
        self._keys = keys

    def client(self, request: web.Request, socket: web.WebSocketResponse, stream: str) -> Client:
        return AlpacaClient(request, socket, stream)

    def encode(self, client: Client, topic: str, message: Any) -> Payload:
        if client.stream == "private":
            return wire.as_json(message)
        if isinstance(client, AlpacaClient) and client.packed:
            return wire.as_msgpack(message)
        return wire.as_json(message).decode()

    def strange(self, client: Client) -> Payload:
        if client.stream == "private":
            return self.encode(client, "", {"stream": "novelty", "data": {"event": "something_new"}})
        return self.encode(client, "", [{"T": "novelty", "S": "AAPL", "value": 1}])

    async def greet(self, client: Client) -> None:
        if client.stream == "public":
            self.answer(client, [{"T": "success", "msg": "connected"}])

    async def receive(self, client: Client, data: Payload) -> None:
        message = _decoded(data)
        if client.stream == "private":
            self._trading(client, message)
        elif isinstance(client, AlpacaClient):
            self._data(client, message)

    # The trading stream.

    def _trading(self, client: Client, message: Json | None) -> None:
        action = message.get("action") if message is not None else None
        if message is None or action not in ("authenticate", "auth", "listen"):
            self.answer(client, {"action": "error", "data": {"error_message": "invalid message"}})
        elif action == "listen":
            self._listen(client, message)
        else:
            self._authenticate(client, message)

    def _authenticate(self, client: Client, message: Json) -> None:
        given = message.get("data")
        data = given if isinstance(given, dict) else {}
        key, secret = data.get("key_id") or message.get("key"), data.get("secret_key") or message.get("secret")
        client.account = self._keys.account(str(key), str(secret))
        status = "authorized" if client.account else "unauthorized"
        told = {"action": message["action"], "status": status}
        self.answer(client, {"stream": "authorization", "data": told})

    def _listen(self, client: Client, message: Json) -> None:
        if not client.account:
            told = {"action": "listen", "status": "unauthorized"}
            self.answer(client, {"stream": "authorization", "data": told})
            return
        data = message.get("data")
        wanted = data.get("streams", []) if isinstance(data, dict) else []
        listening = [name for name in (UPDATES,) if name in wanted]
        self.answer(client, {"stream": "listening", "data": {"streams": listening}})
        if listening:
            self.subscribe(client, UPDATES)
        else:
            self.unsubscribe(client, UPDATES)

    # The data streams.

    def _data(self, client: AlpacaClient, message: Json | None) -> None:
        action = message.get("action") if message is not None else None
        if message is None or action not in ("auth", "subscribe", "unsubscribe"):
            self._error(client, BAD_SYNTAX)
        elif action == "auth":
            self._open(client, message)
        elif not client.account:
            self._error(client, NOT_AUTHENTICATED)
        else:
            self._subscribe(client, message, wanted=action == "subscribe")

    def _error(self, client: Client, error: tuple[int, str]) -> None:
        code, text = error
        self.answer(client, [{"T": "error", "code": code, "msg": text}])

    def _open(self, client: AlpacaClient, message: Json) -> None:
        account = self._keys.account(str(message.get("key")), str(message.get("secret")))
        if client.account:
            self._error(client, ALREADY_AUTHENTICATED)
        elif not account:
            self._error(client, AUTH_FAILED)
        elif any(self._twin(client, other, account) for other in self.clients):
            self._error(client, CONNECTION_LIMIT)
            client.close()
        else:
            client.account = account
            self.answer(client, [{"T": "success", "msg": "authenticated"}])

    @staticmethod
    def _twin(client: AlpacaClient, other: Client, account: str) -> bool:
        """Whether ``other`` has the account's one connection to the same endpoint."""
        return isinstance(other, AlpacaClient) and other.path == client.path and other.account == account

    def _subscribe(self, client: AlpacaClient, message: Json, *, wanted: bool) -> None:
        crypto = client.path == CRYPTO_PATH
        for channel in CHANNELS:
            asked = message.get(channel) or ()
            names = client.names.setdefault(channel, {})
            for name in map(str, asked if isinstance(asked, list | tuple) else ()):
                if wanted:
                    names[name] = None
                else:
                    names.pop(name, None)
        told = {channel: list(client.names.get(channel, ())) for channel in CHANNELS}
        self.answer(client, [{"T": "subscription", **told}])
        self._align(client, self._keys_of(crypto))

    def _keys_of(self, crypto: bool) -> list[str]:
        markets = self.venue.markets.items()
        return [key for key, market in markets if is_crypto(market.instrument) is crypto]

    def _align(self, client: AlpacaClient, keys: list[str]) -> None:
        """Make the topics those that the peer's names stand for."""
        for channel, names in client.names.items():
            for key in keys:
                topic, wanted = f"{channel}.{key}", key in names or EVERYTHING in names
                if wanted and topic not in client.topics:
                    self.subscribe(client, topic, key)
                elif not wanted and topic in client.topics:
                    self.unsubscribe(client, topic)


def _decoded(data: Payload) -> Json | None:
    """A frame's message, ``None`` if it is neither JSON nor MessagePack or not an object."""
    packed = data.encode() if isinstance(data, str) else data
    for decode in (msgspec.json.decode, msgspec.msgpack.decode):
        try:
            found = decode(packed)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        return found if isinstance(found, dict) else None
    return None
