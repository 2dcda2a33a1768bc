"""The WebSocket: commands, subscriptions with their numbers, and how a message is addressed.

One connection carries everything, and every connection is signed. Messages of ``orderbook_delta`` and ``trade``
are numbered by subscription (``seq``), acknowledgements of a subscription's changes among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

import msgspec
from aiohttp import web

from exchanges.simulators.base.client import Client, Payload
from exchanges.simulators.base.streams import Streams
from exchanges.simulators.base.venue import Venue
from exchanges.simulators.kalshi import wire
from exchanges.simulators.kalshi.auth import Keys
from exchanges.simulators.kalshi.errors import ApiError
from exchanges.simulators.kalshi.form import Json
from exchanges.simulators.kalshi.listing import identity
from exchanges.simulators.kalshi.tally import ONE

PATH = "/trade-api/ws/v2"
BOOK, TRADE, TICKER = "orderbook_delta", "trade", "ticker"
FILL, ORDERS, POSITIONS, LIFECYCLE = "fill", "user_orders", "market_positions", "market_lifecycle_v2"
CHANNELS = (BOOK, TRADE, TICKER, FILL, ORDERS, POSITIONS, LIFECYCLE)
PUBLIC = (BOOK, TRADE, TICKER)
NUMBERED = (BOOK, TRADE)
ERRORS = {
    1: "Unable to process message",
    2: "Params required",
    3: "Channels required",
    4: "Subscription IDs required",
    5: "Unknown command",
    7: "Unknown subscription ID",
    8: "Unknown channel name",
    10: "Channel error",
    11: "Invalid parameter",
    12: "Exactly one subscription ID is required",
    13: "Unsupported action",
    14: "Market Ticker required",
    15: "Action required",
    16: "Market not found",
    25: "Subscription buffer overflow",
}
ACTIONS = ("add_markets", "delete_markets", "get_snapshot")


class CommandError(Exception):
    """A command that gets an error message with ``code``."""

    def __init__(self, code: int, ticker: str = "") -> None:
        super().__init__(f"{code}: {ERRORS[code]} {ticker}".strip())
        self.code = code
        self.ticker = ticker


class BookSnapshot(NamedTuple):
    """A whole book: levels of YES bids and of YES asks, best first."""

    ticker: str
    bids: wire.Levels
    asks: wire.Levels


class BookDelta(NamedTuple):
    """One level's change; ``price`` is of YES, whichever leg it is of."""

    ticker: str
    leg: str
    price: Decimal
    change: Decimal
    ts_ms: int


class Subscription:
    """One channel of one connection; ``skip`` numbers are still to be left out."""

    def __init__(self, sid: int, channel: str, params: Mapping[str, Any]) -> None:
        self.sid = sid
        self.channel = channel
        self.tickers: dict[str, None] = {}
        self.yes_scale = params.get("use_yes_price") is True
        self.initial = params.get("send_initial_snapshot") is True
        self.skip = 0
        self._seq = 0

    def number(self) -> int:
        self._seq += 1
        return self._seq


class KalshiClient(Client):
    """A peer with its subscriptions by channel."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, stream: str) -> None:
        super().__init__(request, socket, stream)
        self.subscriptions: dict[str, Subscription] = {}
        self._sids = 0

    def open(self, channel: str, params: Mapping[str, Any]) -> Subscription:
        """The subscription to ``channel``, new if there is none yet."""
        found = self.subscriptions.get(channel)
        if found is None:
            self._sids += 1
            found = self.subscriptions[channel] = Subscription(self._sids, channel, params)
        return found

    def of_sid(self, sid: object) -> Subscription:
        for subscription in self.subscriptions.values():
            if subscription.sid == sid:
                return subscription
        raise CommandError(7)


class KalshiStreams(Streams):
    """The one endpoint. A topic is a channel and a ticker: ``trade:KXHIGHNY-24AUG08-T85``."""

    endpoints: ClassVar[Mapping[str, str]] = {PATH: "all"}
    addressed: ClassVar[bool] = True
    heartbeat: ClassVar[tuple[float, bytes] | None] = (10.0, b"heartbeat")

    def __init__(self, venue: Venue, keys: Keys) -> None:
        super().__init__(venue)
        self._keys = keys

    def client(self, request: web.Request, socket: web.WebSocketResponse, stream: str) -> Client:
        return KalshiClient(request, socket, stream)

    def strange(self, client: Client) -> Payload:
        return self._text({"type": "novelty", "sid": 1, "msg": {"market_ticker": "", "ts_ms": self.venue.now_ms()}})

    async def admit(self, request: web.Request, stream: str) -> str:
        try:
            return self._keys.account(request.headers, "GET", PATH, self.venue.now_ms())
        except ApiError as error:
            body = msgspec.json.encode(error.body()).decode()
            raise web.HTTPUnauthorized(text=body, content_type="application/json") from error

    def encode(self, client: Client, topic: str, message: Any) -> Payload:
        """A message of a topic with the number of the client's subscription; answers as they are."""
        subscription = client.subscriptions.get(topic.partition(":")[0]) if isinstance(client, KalshiClient) else None
        if subscription is None:
            return self._text(message)
        while subscription.skip > 0:
            subscription.skip -= 1
            subscription.number()
        made: Json = _rendered(message, subscription) if isinstance(message, BookSnapshot | BookDelta) else message
        numbers: Json = {"sid": subscription.sid}
        if subscription.channel in NUMBERED:
            numbers["seq"] = subscription.number()
        return self._text({"type": made["type"], **numbers, "msg": made["msg"]})

    def _text(self, message: Any) -> str:
        return self._encoder.encode(message).decode()

    async def receive(self, client: Client, data: Payload) -> None:
        if not isinstance(client, KalshiClient):
            raise TypeError(f"expected a KalshiClient, found {type(client).__name__}")
        number: Any = None
        try:
            try:
                message = msgspec.json.decode(data, type=dict[str, Any])
            except msgspec.DecodeError as error:
                raise CommandError(1) from error
            number = message.get("id")
            self._obey(client, message, number)
        except CommandError as error:
            told = {"code": error.code, "msg": ERRORS[error.code]}
            told |= {"market_ticker": error.ticker} if error.ticker else {}
            self.answer(client, ({"id": number} if number is not None else {}) | {"type": "error", "msg": told})

    def _obey(self, client: KalshiClient, message: Mapping[str, Any], number: Any) -> None:
        command, params = message.get("cmd"), message.get("params")
        if command == "list_subscriptions":
            rows = [{"channel": s.channel, "sid": s.sid} for s in client.subscriptions.values()]
            self.answer(client, {"id": number, "type": "ok", "msg": rows})
            return
        if command not in ("subscribe", "unsubscribe", "update_subscription"):
            raise CommandError(5)
        if not isinstance(params, dict):
            raise CommandError(2)
        if command == "subscribe":
            self._subscribe(client, params, number)
        elif command == "unsubscribe":
            self._unsubscribe(client, params, number)
        else:
            self._update(client, params, number)

    def _subscribe(self, client: KalshiClient, params: Mapping[str, Any], number: Any) -> None:
        channels = params.get("channels")
        if not isinstance(channels, list) or not channels:
            raise CommandError(3)
        if not all(channel in CHANNELS for channel in channels):
            raise CommandError(8)
        tickers = self._tickers(params)
        if tickers is None and BOOK in channels:
            raise CommandError(14)
        for channel in dict.fromkeys(channels):
            subscription = client.open(channel, params)
            told = {"channel": channel, "sid": subscription.sid}
            self.answer(client, {"id": number, "type": "subscribed", "msg": told})
            self._add(client, subscription, list(self.venue.markets) if tickers is None else tickers)

    def _tickers(self, params: Mapping[str, Any]) -> list[str] | None:
        """The markets a command names, ``None`` if it names none."""
        one, several = params.get("market_ticker"), params.get("market_tickers")
        tickers = [one] if one is not None else several
        if tickers is None or tickers == []:
            return None
        if not isinstance(tickers, list) or not all(isinstance(ticker, str) for ticker in tickers):
            raise CommandError(11)
        for ticker in tickers:
            if ticker not in self.venue.markets:
                raise CommandError(16, ticker)
        return tickers

    def _add(self, client: KalshiClient, subscription: Subscription, tickers: Sequence[str]) -> None:
        for ticker in tickers:
            if ticker not in subscription.tickers:
                subscription.tickers[ticker] = None
                key = ticker if subscription.channel in PUBLIC else ""
                self.subscribe(client, f"{subscription.channel}:{ticker}", key)

    def _unsubscribe(self, client: KalshiClient, params: Mapping[str, Any], number: Any) -> None:
        sids = params.get("sids")
        if not isinstance(sids, list) or not sids:
            raise CommandError(4)
        for subscription in [client.of_sid(sid) for sid in sids]:
            self._end(client, subscription)
            done = {"sid": subscription.sid, "seq": subscription.number(), "type": "unsubscribed"}
            self.answer(client, {"id": number, **done})

    def _end(self, client: KalshiClient, subscription: Subscription) -> None:
        client.subscriptions.pop(subscription.channel, None)
        for ticker in subscription.tickers:
            self.unsubscribe(client, f"{subscription.channel}:{ticker}")

    def _update(self, client: KalshiClient, params: Mapping[str, Any], number: Any) -> None:
        sids = params.get("sids") if params.get("sid") is None else [params.get("sid")]
        if not isinstance(sids, list) or len(sids) != 1:
            raise CommandError(12)
        subscription, action = client.of_sid(sids[0]), params.get("action")
        if not action:
            raise CommandError(15)
        if action not in ACTIONS or (action == "get_snapshot" and subscription.channel != BOOK):
            raise CommandError(13)
        tickers = self._tickers(params)
        if tickers is None:
            raise CommandError(14)
        if action == "delete_markets":
            for ticker in tickers:
                subscription.tickers.pop(ticker, None)
                self.unsubscribe(client, f"{subscription.channel}:{ticker}")
        done = {"id": number, "sid": subscription.sid, "seq": subscription.number(), "type": "ok"}
        added = [] if action != "add_markets" else [t for t in tickers if t not in subscription.tickers]
        self.answer(client, done | {"msg": {"market_tickers": [*subscription.tickers, *added]}})
        self._add(client, subscription, added)
        if action == "get_snapshot":
            for ticker in tickers:
                if ticker in subscription.tickers:
                    self.on_subscribe(client, f"{BOOK}:{ticker}")

    def disturb(self, channel: str, code: int, skip: int) -> int:
        """End the subscriptions to ``channel`` with an error (10 or 25), or leave out their next ``skip`` numbers.

        Returns how many subscriptions there were.
        """
        hit = 0
        for client in list(self.clients):
            subscription = client.subscriptions.get(channel) if isinstance(client, KalshiClient) else None
            if subscription is None or not isinstance(client, KalshiClient):
                continue
            hit += 1
            subscription.skip += skip
            if code:
                self._end(client, subscription)
                told = {"code": code, "msg": ERRORS.get(code, ERRORS[10])}
                self.answer(client, {"sid": subscription.sid, "type": "error", "msg": told})
        return hit


def _rendered(message: BookSnapshot | BookDelta, subscription: Subscription) -> Json:
    """A book in the scale the subscriber asked for: levels of NO at prices of NO, or of YES."""
    market = {"market_ticker": message.ticker, "market_id": identity(message.ticker)}
    if isinstance(message, BookSnapshot):
        yes, no = wire.book(message.bids, message.asks)
        if subscription.yes_scale:
            no = [[wire.dollars(price), wire.count(size)] for price, size in reversed(message.asks)]
        return {"type": "orderbook_snapshot", "msg": market | {"yes_dollars_fp": yes, "no_dollars_fp": no}}
    price = message.price if message.leg == "yes" or subscription.yes_scale else ONE - message.price
    change = {
        "price_dollars": wire.dollars(price),
        "delta_fp": wire.count(message.change),
        "side": message.leg,
        "ts": wire.instant(message.ts_ms * wire.MS),
        "ts_ms": message.ts_ms,
    }
    return {"type": "orderbook_delta", "msg": market | change}
