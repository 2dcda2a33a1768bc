"""The WebSocket: one endpoint for everything, and subscriptions that nobody has to sign."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from exchanges.simulators.base.client import Client, Payload
from exchanges.simulators.base.streams import Streams
from exchanges.simulators.hyperliquid import info
from exchanges.simulators.hyperliquid.venue import HyperliquidVenue
from exchanges.simulators.hyperliquid.wire import Json

PATH = "/ws"
TRADES, BBO, BOOK, CANDLE, CONTEXT = "trades", "bbo", "l2Book", "candle", "activeAssetCtx"
ORDERS, FILLS, FUNDINGS = "orderUpdates", "userFills", "userFundings"
PUBLIC, PRIVATE = (TRADES, BBO, BOOK, CANDLE, CONTEXT), (ORDERS, FILLS, FUNDINGS)


def topic_of(channel: str, coin: str, interval: str = "") -> str:
    """A public topic: ``trades:BTC``, ``candle:BTC:1m``."""
    return ":".join(part for part in (channel, coin, interval) if part)


class HyperliquidStreams(Streams):
    """The one endpoint. A connection has the account of the address it last subscribed for."""

    endpoints: ClassVar[Mapping[str, str]] = {PATH: "all"}

    def __init__(self, venue: HyperliquidVenue) -> None:
        super().__init__(venue)
        self._hyperliquid = venue

    def strange(self, client: Client) -> Payload:
        return self.encode(client, "", {"channel": "novelty", "data": {}})

    async def receive(self, client: Client, data: Payload) -> None:
        try:
            message = msgspec.json.decode(data, type=dict[str, Any])
        except msgspec.DecodeError:
            self._refuse(client, "Error parsing JSON into valid websocket request")
            return
        method, wanted = message.get("method"), message.get("subscription")
        if method == "ping":
            self.answer(client, {"channel": "pong"})
        elif method in ("subscribe", "unsubscribe") and isinstance(wanted, dict):
            self._change(client, str(method), wanted)
        else:
            self._refuse(client, "Error parsing JSON into valid websocket request")

    def _change(self, client: Client, method: str, wanted: Json) -> None:
        topic, key = self._topic(wanted)
        if not topic:
            self._refuse(client, f"Invalid subscription {msgspec.json.encode(wanted).decode()}")
            return
        self.answer(client, {"channel": "subscriptionResponse", "data": {"method": method, "subscription": wanted}})
        if method == "unsubscribe":
            self.unsubscribe(client, topic)
            return
        if not key:
            client.account = self._hyperliquid.wallets.account(wanted.get("user"))
            self._picture(client, topic, str(wanted.get("user")))
        self.subscribe(client, topic, key)

    def _topic(self, wanted: Json) -> tuple[str, str]:
        """The topic of a subscription and its market's key, empty for a private one; no topic for an invalid one."""
        channel, coin = str(wanted.get("type")), str(wanted.get("coin"))
        if channel in PRIVATE and isinstance(wanted.get("user"), str):
            return channel, ""
        if channel not in PUBLIC or coin not in self.venue.markets:
            return "", ""
        interval = str(wanted.get("interval")) if channel == CANDLE else ""
        if channel == CANDLE and interval not in info.LENGTHS_MS:
            return "", ""
        return topic_of(channel, coin, interval), coin

    def _picture(self, client: Client, topic: str, user: str) -> None:
        """What the past looked like, as the venue begins these channels."""
        venue, account = self._hyperliquid, client.account
        if topic == FILLS:
            told: Json = {"fills": info.fills(venue, account, {})}
        elif topic == FUNDINGS:
            told = {
                "fundings": [{**row["delta"], "time": row["time"]} for row in info.user_funding(venue, account, {})]
            }
        else:
            return
        self.answer(client, {"channel": topic, "data": {"isSnapshot": True, "user": user, **told}})

    def _refuse(self, client: Client, text: str) -> None:
        self.answer(client, {"channel": "error", "data": text})
