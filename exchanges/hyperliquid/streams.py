"""Hyperliquid's WebSocket: subscriptions, and what was missed between two connections.

The SDK's own ends silently with its connection, so it is not used. Anyone may subscribe to any account's orders and
fills by its address (documented): that our key may trade for it is checked before. The venue closes a connection it
has sent nothing on for a minute; a ping gets a pong (documented). One address has 1000 subscriptions on 100
connections, and 30 new connections a minute (documented).
"""

from __future__ import annotations

import abc
import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from exchanges.hyperliquid.names import VENUE, native
from exchanges.hyperliquid.parser import Frame, PrivateParser, PublicParser, decode
from exchanges.hyperliquid.settings import INTERVALS, SOCKET_PATH, HyperliquidSettings
from exchanges.interface import Sink
from exchanges.model.market import Bar
from exchanges.sockets import SocketStream
from exchanges.streams import StreamError, StreamPace

ACCOUNT_CHANNELS = ("orderUpdates", "userFills", "userFundings")
_CHANNELS = {"trade": "trades", "quote": "bbo", "book": "l2Book", "bar": "candle", "ticker": "activeAssetCtx"}

Subscription = dict[str, str]


class HyperliquidStream(SocketStream[Frame]):
    """One connection and what it is subscribed to."""

    def __init__(
        self,
        name: str,
        settings: HyperliquidSettings,
        subscriptions: Sequence[Subscription],
        sink: Sink,
        counters: Counter[str],
        ready: Callable[[], Awaitable[None]],
    ) -> None:
        pace = StreamPace(
            stale_after_s=settings.stale_after_s,
            connect_timeout_s=settings.connect_timeout_s,
            backoff_base_s=settings.backoff_base_s,
            backoff_cap_s=settings.backoff_cap_s,
        )
        super().__init__(VENUE, name, pace, sink, counters, ready)
        self.settings = settings
        self._subscriptions = tuple(subscriptions)

    def address(self) -> tuple[str, Mapping[str, str]]:
        return f"{self.settings.endpoints.socket}{SOCKET_PATH}", {}

    async def probe(self) -> None:
        await self.send({"method": "ping"}, "a ping")

    async def subscribe(self) -> None:
        for wanted in self._subscriptions:
            await self.send({"method": "subscribe", "subscription": wanted}, "a subscription")
            while True:
                frame = await self.answer(f"the subscription of {wanted['type']}")
                if frame.channel == "error":
                    raise StreamError(f"subscription of {wanted['type']} refused: {str(frame.data)[:200]}")
                if _consents(frame.data, wanted):
                    break

    def take(self, text: str, recv_ns: int) -> None:
        frame = decode(text)
        if frame.channel == "pong":
            return
        if frame.channel in ("subscriptionResponse", "error"):
            if frame.channel == "error":
                self.counters["errors_told"] += 1
            self.answer_came(frame)
            return
        self.handle(frame, recv_ns)

    @abc.abstractmethod
    def handle(self, frame: Frame, recv_ns: int) -> None:
        """Take a data frame; raises ``WireError`` if it can't be read."""


class PublicStream(HyperliquidStream):
    """Market data of the subscribed perpetuals.

    ``missed`` gives the candles of a symbol that have ended since a time.
    """

    def __init__(
        self,
        coins: Sequence[str],
        parser: PublicParser,
        missed: Callable[[str, int], Awaitable[list[Bar]]],
        settings: HyperliquidSettings,
        *common: Any,
    ) -> None:
        super().__init__("public", settings, public_subscriptions(settings, coins), *common)
        self._parser = parser
        self._missed = missed

    async def open(self) -> None:
        self._parser.reset()
        await super().open()

    async def caught_up(self) -> None:
        """Fetch the candles that ended in the time without a connection."""
        unfinished, limit = dict(self._parser.unfinished), self.missed_by()
        self._parser.unfinished.clear()
        for symbol, since_ns in unfinished.items():
            try:
                async with asyncio.timeout_at(limit):
                    missed = await self._missed(symbol, since_ns)
                for bar in missed:
                    for told in self._parser.closed(bar):
                        self.sink(told)
            except Exception as error:
                # Data alone is lost: the candles are not given, and that is counted.
                self.counters["backfills_failed"] += 1
                self.malformed(native(symbol), f"candles missed since {since_ns} could not be had: {error}")

    def handle(self, frame: Frame, recv_ns: int) -> None:
        for message in self._parser.take(frame, recv_ns):
            self.sink(message)


class PrivateStream(HyperliquidStream):
    """Orders, fills and fundings of the account."""

    def __init__(self, parser: PrivateParser, settings: HyperliquidSettings, *common: Any) -> None:
        wanted = [{"type": channel, "user": settings.user} for channel in ACCOUNT_CHANNELS]
        super().__init__("private", settings, wanted, *common)
        self._parser = parser

    def handle(self, frame: Frame, recv_ns: int) -> None:
        for message in self._parser.take(frame, self.malformed):
            self.sink(message)


def public_subscriptions(settings: HyperliquidSettings, coins: Sequence[str]) -> list[Subscription]:
    """The channels of the wanted streams, for all perpetuals."""
    made: list[Subscription] = []
    for coin in coins:
        for stream in settings.streams:
            wanted = {"type": _CHANNELS[stream], "coin": coin}
            if stream == "bar":
                wanted["interval"] = INTERVALS[settings.bar_interval_s]
            made.append(wanted)
    return made


def _consents(data: object, wanted: Subscription) -> bool:
    """Whether an answer is to a subscription; the venue may add fields of its own to it."""
    told = data.get("subscription") if isinstance(data, dict) else None
    if not isinstance(told, dict):
        return False
    return all(str(told.get(name)).lower() == value.lower() for name, value in wanted.items())
