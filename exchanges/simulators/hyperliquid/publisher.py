"""What is pushed: trades and quotes as they change, books and contexts at their pace, and the account's changes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from exchanges.matching.record import Changes, Execution, Funding, OrderRecord
from exchanges.simulators.base.client import Client
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.base.publisher import Notice, Publisher
from exchanges.simulators.base.streams import Streams
from exchanges.simulators.candles import Candle, Candles
from exchanges.simulators.feeds.row import Row
from exchanges.simulators.hyperliquid import info, wire
from exchanges.simulators.hyperliquid.streams import (
    BBO,
    BOOK,
    CANDLE,
    CONTEXT,
    FILLS,
    FUNDINGS,
    ORDERS,
    TRADES,
    topic_of,
)
from exchanges.simulators.hyperliquid.venue import HyperliquidVenue
from exchanges.simulators.hyperliquid.wire import Json

BOOK_SECONDS = 0.5


class HyperliquidPublisher(Publisher):
    """Market data by coin, and orders, fills and fundings by account."""

    status_fields: ClassVar[tuple[str, ...]] = ("status",)

    def __init__(self, venue: HyperliquidVenue, streams: Streams) -> None:
        super().__init__(venue, streams)
        self._hyperliquid = venue
        self._told: dict[str, Any] = {}
        """By topic, what was last sent of what is sent on a change alone."""
        self._books_s: dict[str, float] = {}
        self._candles: dict[str, Candles] = {}

    async def tell_trades(self, market: SymbolMarket, rows: Sequence[Row], *, wait: bool) -> None:
        topic = topic_of(TRADES, market.key)
        if self.streams.subscribers(topic):
            await self._send(topic, TRADES, [wire.trade(market, row) for row in rows], wait=wait)
        for topic, candles in self._candles.items():
            if topic.split(":")[1] == market.key:
                await self._count(topic, market, candles, rows, wait=wait)

    async def _send(self, topic: str, channel: str, data: Any, *, wait: bool) -> None:
        clients, message = self.streams.subscribers(topic), {"channel": channel, "data": data}
        if wait:
            await self.streams.put(clients, topic, message)
        else:
            self.streams.offer(clients, topic, message)

    async def _count(
        self, topic: str, market: SymbolMarket, candles: Candles, rows: Sequence[Row], *, wait: bool
    ) -> None:
        for ts_ns, _, price, size, _, _ in rows:
            ended = candles.add(ts_ns // 1_000_000, price, size)
            if ended is not None:
                await self._send(topic, CANDLE, self._candle(topic, market, ended), wait=wait)

    def _candle(self, topic: str, market: SymbolMarket, candle: Candle) -> Json:
        interval = topic.rpartition(":")[2]
        return wire.candle(candle, market.key, interval, info.LENGTHS_MS[interval])

    def first(self, client: Client, topic: str) -> None:
        """Books, quotes, contexts and candles begin with what they are now."""
        channel, _, rest = topic.partition(":")
        market = self.venue.markets.get(rest.partition(":")[0])
        if market is None:
            return
        if channel == CANDLE and topic not in self._candles:
            self._candles[topic] = self._started(market, info.LENGTHS_MS[topic.rpartition(":")[2]])
        data = self._now(channel, topic, market)
        if data is not None:
            self.streams.answer(client, {"channel": channel, "data": data})

    @staticmethod
    def _started(market: SymbolMarket, interval_ms: int) -> Candles:
        candles = Candles(interval_ms, keep=1)
        groups = market.minutes.grouped(interval_ms)
        candles.current = groups[-1] if groups else None
        return candles

    def _now(self, channel: str, topic: str, market: SymbolMarket) -> Any:
        """What a topic would say now; ``None`` for nothing."""
        venue = self._hyperliquid
        if channel == BOOK:
            return info.snapshot(venue, market)
        if channel == BBO:
            sides = venue.engine.markets[market.instrument.symbol].depth(1)
            best = [wire.level(*side[0]) if side else None for side in sides]
            return {"coin": market.key, "time": info.moment(venue, market), "bbo": best} if any(best) else None
        if channel == CONTEXT and venue.mark(market.instrument.symbol):
            return {"coin": market.key, "ctx": info.context(venue, market)}
        if channel == CANDLE:
            current = self._candles[topic].current
            return self._candle(topic, market, current) if current is not None else None
        return None

    def refresh(self) -> None:
        """Quotes, contexts and candles that have changed, and books twice a second."""
        now = time.monotonic()
        for topic in self.streams.topics():
            channel, _, rest = topic.partition(":")
            market = self.venue.markets.get(rest.partition(":")[0])
            if market is None or channel == TRADES:
                continue
            if channel == BOOK and now - self._books_s.get(topic, 0.0) < BOOK_SECONDS:
                continue
            self._books_s[topic] = now
            data = self._now(channel, topic, market)
            told = {name: value for name, value in data.items() if name != "time"} if data is not None else None
            if data is None or (channel != BOOK and told == self._told.get(topic)):
                continue
            self._told[topic] = told
            self.streams.offer(self.streams.subscribers(topic), topic, {"channel": channel, "data": data})

    # -- the account -----------------------------------------------------------------------

    def orders(self, account: str, records: Sequence[OrderRecord], changes: Changes) -> Iterator[Notice]:
        if records:
            rows = [wire.report(record, full=False) for record in records]
            yield Notice(ORDERS, {"channel": ORDERS, "data": rows})

    def execution(self, done: Execution) -> Iterator[Notice]:
        user = self._hyperliquid.wallets.address(done.account)
        yield Notice(FILLS, {"channel": FILLS, "data": {"user": user, "fills": [wire.fill(done)]}})

    def funding(self, paid: Funding) -> Iterator[Notice]:
        user = self._hyperliquid.wallets.address(paid.account)
        yield Notice(FUNDINGS, {"channel": FUNDINGS, "data": {"user": user, "fundings": [wire.funding(paid)]}})

    def holdings(self, account: str, changes: Changes) -> Iterator[Notice]:
        """Positions and cash are not pushed: who wants them asks."""
        yield from ()
