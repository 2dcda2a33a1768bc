"""What is pushed: trades as they are, books, tickers and candles at their pace, private changes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import msgspec

from exchanges.matching.record import Changes, Execution, Funding, OrderRecord
from exchanges.simulators.base.client import Client
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.base.publisher import Notice, Publisher
from exchanges.simulators.base.streams import Streams
from exchanges.simulators.bybit import public, wire
from exchanges.simulators.bybit.topics import SPOT, category_of, category_of_symbol, parsed, shown
from exchanges.simulators.bybit.venue import BybitVenue
from exchanges.simulators.bybit.wire import SIDES, Json
from exchanges.simulators.candles import Candle, Candles
from exchanges.simulators.feeds.row import Row

FAST_FIELDS = (
    "category",
    "symbol",
    "execId",
    "execPrice",
    "execQty",
    "orderId",
    "isMaker",
    "orderLinkId",
    "side",
    "execTime",
    "seq",
)
LEVEL_ONE_SECONDS = 3.0


class TradeItem(msgspec.Struct):
    """One trade in a ``publicTrade`` message; the names are the venue's."""

    T: int
    s: str
    S: str
    v: str
    p: str
    L: str
    i: str
    BT: bool = False


class BybitPublisher(Publisher):
    """The ``publicTrade``, ``orderbook``, ``tickers``, ``kline`` topics and the private ones."""

    status_fields: ClassVar[tuple[str, ...]] = ("orderStatus",)

    def __init__(self, venue: BybitVenue, streams: Streams) -> None:
        super().__init__(venue, streams)
        self._bybit = venue
        self._books: dict[str, Json] = {}
        self._level_one: dict[str, float] = {}
        self._tickers: dict[str, dict[str, Any]] = {}
        self._candles: dict[str, Candles] = {}
        self._message = 0

    def trade_message(self, market: SymbolMarket, rows: Sequence[Row]) -> Json:
        """One ``publicTrade`` message."""
        native, places, before = market.instrument.native, market.places, 0.0
        items: list[TradeItem] = []
        for ts_ns, _, price, size, side, trade_id in rows:
            direction = "MinusTick" if price < before else "PlusTick" if price > before else "ZeroPlusTick"
            item = TradeItem(
                ts_ns // 1_000_000, native, SIDES[side], _size(size), f"{price:.{places}f}", direction, trade_id
            )
            items.append(item)
            before = price
        return {"topic": f"publicTrade.{native}", "type": "snapshot", "ts": items[-1].T, "data": items}

    async def tell_trades(self, market: SymbolMarket, rows: Sequence[Row], *, wait: bool) -> None:
        # Seeded from what was noted: who subscribes from here on must not count these rows again.
        candle_topics = [t for t in self._candles if parsed(t).key == market.key]
        topic = f"publicTrade.{market.key}"
        clients = self.streams.subscribers(topic)
        if clients:
            await self._send(topic, self.trade_message(market, rows), wait=wait)
        for candle_topic in candle_topics:
            await self._count(candle_topic, market, rows, wait=wait)

    async def _send(self, topic: str, message: Json, *, wait: bool) -> None:
        clients = self.streams.subscribers(topic)
        if wait:
            await self.streams.put(clients, topic, message)
        else:
            self.streams.offer(clients, topic, message)

    def _offer(self, topic: str, message: Json) -> None:
        self.streams.offer(self.streams.subscribers(topic), topic, message)

    async def _count(self, topic: str, market: SymbolMarket, rows: Sequence[Row], *, wait: bool) -> None:
        candles = self._candles[topic]
        for ts_ns, _, price, size, _, _ in rows:
            ended = candles.add(ts_ns // 1_000_000, price, size)
            if ended is not None:
                await self._send(topic, self._candle_message(topic, market, ended, confirm=True), wait=wait)

    def _candle_message(self, topic: str, market: SymbolMarket, candle: Candle, *, confirm: bool) -> Json:
        interval, places = parsed(topic).detail, market.places
        item = {
            "start": candle.start,
            "end": candle.start + public.INTERVALS_MS[interval] - 1,
            "interval": interval,
            "open": f"{candle.open:.{places}f}",
            "close": f"{candle.close:.{places}f}",
            "high": f"{candle.high:.{places}f}",
            "low": f"{candle.low:.{places}f}",
            "volume": wire.amount(candle.volume),
            "turnover": wire.amount(candle.turnover),
            "confirm": confirm,
            "timestamp": market.last_ms,
        }
        return {"topic": shown(topic), "type": "snapshot", "ts": market.last_ms, "data": [item]}

    def end_candles(self, now_ms: int) -> None:
        """Close the candles whose time is over though no trade has come since."""
        for topic, candles in self._candles.items():
            ended = candles.end_before(now_ms)
            if ended is not None:
                market = self.venue.markets[parsed(topic).key]
                self._offer(topic, self._candle_message(topic, market, ended, confirm=True))

    def refresh(self) -> None:
        """What is sent at its own pace: books, tickers, candles under way."""
        for topic in self.streams.topics():
            channel = parsed(topic).channel
            if channel == "orderbook":
                self._book(topic, parsed(topic).detail)
            elif topic.startswith("tickers."):
                self._ticker(topic)
            elif channel == "kline" and topic in self._candles:
                candle = self._candles[topic].current
                market = self.venue.markets[parsed(topic).key]
                if candle is not None:
                    self._offer(topic, self._candle_message(topic, market, candle, confirm=False))

    def first(self, client: Client, topic: str) -> None:
        """What a new subscriber gets at once: the state that the next delta starts from."""
        found = parsed(topic)
        name, market = found.channel, self.venue.markets.get(found.key)
        if market is None:
            return
        if name == "orderbook":
            if topic not in self._books:
                self._books[topic] = public.book(self._bybit, market, int(found.detail))
            self.streams.answer(client, self._book_message(topic, market, "snapshot", self._books[topic]))
        elif name == "tickers":
            ticker = self._tickers.setdefault(topic, public.ticker(self._bybit, market))
            message = {"topic": shown(topic), "type": "snapshot", "data": ticker, "cs": 0, "ts": _now(market)}
            self.streams.answer(client, message)
        elif name == "kline" and topic not in self._candles:
            self._candles[topic] = self._started(market, public.INTERVALS_MS[found.detail])

    @staticmethod
    def _started(market: SymbolMarket, interval_ms: int) -> Candles:
        candles = Candles(interval_ms, keep=1)
        groups = market.minutes.grouped(interval_ms)
        candles.current = groups[-1] if groups else None
        return candles

    def _book_message(self, topic: str, market: SymbolMarket, kind: str, book: Json) -> Json:
        now = _now(market)
        return {"topic": shown(topic), "type": kind, "ts": now, "data": book, "cts": now}

    def _book(self, topic: str, depth: str) -> None:
        """A delta of what has changed; at depth 1 a snapshot, again every three seconds."""
        market, before = self.venue.markets[parsed(topic).key], self._books[topic]
        book = public.book(self._bybit, market, int(depth))
        delta = {**book, "b": _difference(before["b"], book["b"]), "a": _difference(before["a"], book["a"])}
        changed = bool(delta["b"] or delta["a"])
        if not changed and (depth != "1" or time.monotonic() - self._level_one.get(topic, 0.0) < LEVEL_ONE_SECONDS):
            return
        book["u"] = delta["u"] = max(before["u"] + changed, book["u"])
        self._books[topic] = book
        self._level_one[topic] = time.monotonic()
        kind, data = ("snapshot", book) if depth == "1" else ("delta", delta)
        self._offer(topic, self._book_message(topic, market, kind, data))

    def _ticker(self, topic: str) -> None:
        market = self.venue.markets[parsed(topic).key]
        ticker, before = public.ticker(self._bybit, market), self._tickers.get(topic, {})
        changed = {name: value for name, value in ticker.items() if before.get(name) != value}
        if changed:
            self._tickers[topic] = ticker
            spot = category_of(market.instrument) == SPOT  # spot tickers are whole each time
            data = ticker if spot else {"symbol": market.instrument.native, **changed}
            kind = "snapshot" if spot else "delta"
            self._offer(topic, {"topic": shown(topic), "type": kind, "data": data, "cs": 0, "ts": _now(market)})

    def orders(self, account: str, records: Sequence[OrderRecord], changes: Changes) -> Iterator[Notice]:
        if records:
            yield self._private("order", [wire.order(record) for record in records])

    def execution(self, done: Execution) -> Iterator[Notice]:
        row = wire.execution(done, self.venue.mark(done.fill.symbol))
        yield self._private("execution", [row])
        yield self._private("execution.fast", [{name: row[name] for name in FAST_FIELDS}])

    def funding(self, paid: Funding) -> Iterator[Notice]:
        yield self._private("execution", [wire.funding(paid)])

    def holdings(self, account: str, changes: Changes) -> Iterator[Notice]:
        holder, now = self.venue.engine.accounts[account], self.venue.now_ms()
        touched = dict.fromkeys(d.fill.symbol for d in changes.executions if d.account == account)
        symbols = [symbol for symbol in touched if category_of_symbol(symbol) != SPOT]
        if symbols:
            sequence, mark = len(self.venue.executions), self.venue.mark
            rows = [wire.position(holder, s, mark(s), now, sequence, stream=True) for s in symbols]
            yield self._private("position", rows)
        yield self._private("wallet", [wire.wallet(holder, self.venue.mark, self.venue.engine.working(account))])

    def _private(self, topic: str, rows: list[Json]) -> Notice:
        self._message += 1
        now = self.venue.now_ms()
        return Notice(topic, {"topic": topic, "id": f"{now}-{self._message}", "creationTime": now, "data": rows})


def _difference(before: list[list[str]], now: list[list[str]]) -> list[list[str]]:
    old, new = {level[0]: level[1] for level in before}, {level[0]: level[1] for level in now}
    gone = [[price, "0"] for price in old if price not in new]
    return gone + [[price, size] for price, size in new.items() if old.get(price) != size]


def _now(market: SymbolMarket) -> int:
    return market.last_ms or time.time_ns() // 1_000_000


def _size(size: float) -> str:
    text = repr(size)
    if "e" in text:
        return wire.amount(size)
    return text[:-2] if text.endswith(".0") else text
