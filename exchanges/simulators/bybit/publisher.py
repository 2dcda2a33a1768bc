"""What is pushed: trades as they are, books, tickers and candles at their pace, private changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from exchanges.matching.record import Changes
from exchanges.simulators.bybit import public, wire
from exchanges.simulators.bybit.client import Client
from exchanges.simulators.bybit.streams import Streams
from exchanges.simulators.bybit.venue import SymbolMarket, Venue
from exchanges.simulators.bybit.wire import SIDES, Json
from exchanges.simulators.candles import Candle, Candles
from exchanges.simulators.feeds.row import Row

MOST_TRADES = 500
"""Trades in one message."""
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


class Publisher:
    """Renders messages and hands them to the subscribers' queues."""

    def __init__(self, venue: Venue, streams: Streams) -> None:
        self._venue = venue
        self._streams = streams
        self._encoder = msgspec.json.Encoder()
        self._books: dict[str, Json] = {}
        self._level_one: dict[str, float] = {}
        self._tickers: dict[str, dict[str, Any]] = {}
        self._candles: dict[str, Candles] = {}
        self._late: set[asyncio.TimerHandle] = set()
        self._message = 0
        self.sent: dict[str, int] = {}
        venue.listeners.append(self.changes)
        streams.on_subscribe = self.first

    def _text(self, message: object) -> str:
        return self._encoder.encode(message).decode()

    def trade_message(self, market: SymbolMarket, rows: Sequence[Row]) -> str:
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
        message = {"topic": f"publicTrade.{native}", "type": "snapshot", "ts": items[-1].T, "data": items}
        return self._text(message)

    async def trades(self, native: str, rows: Sequence[Row], *, wait: bool) -> None:
        """Send the trades of one symbol, in messages of at most 500, to all its subscribers.

        With ``wait`` this returns when the peers' sockets have taken them all, so that a slow
        subscriber slows the feed down; without it, such a peer is cut off in the end.
        """
        market, topic = self._venue.markets[native], f"publicTrade.{native}"
        self.sent[native] = self.sent.get(native, 0) + len(rows)
        for start in range(0, len(rows), MOST_TRADES):
            part = rows[start : start + MOST_TRADES]
            for row in part:
                market.note(row)
            # Seeded from what was noted: who subscribes from here on must not count this part again.
            candle_topics = [t for t in self._candles if t.endswith("." + native)]
            clients = self._streams.subscribers(topic)
            if clients:
                await _send(clients, self.trade_message(market, part), wait=wait)
            for candle_topic in candle_topics:
                await self._count(candle_topic, market, part, wait=wait)
            if wait:
                await asyncio.gather(*(client.flushed() for client in self._streams.watchers(native)))

    async def _count(self, topic: str, market: SymbolMarket, rows: Sequence[Row], *, wait: bool) -> None:
        candles = self._candles[topic]
        for ts_ns, _, price, size, _, _ in rows:
            ended = candles.add(ts_ns // 1_000_000, price, size)
            if ended is not None:
                text = self._candle_message(topic, market, ended, confirm=True)
                await _send(self._streams.subscribers(topic), text, wait=wait)

    def _candle_message(self, topic: str, market: SymbolMarket, candle: Candle, *, confirm: bool) -> str:
        interval, places = topic.split(".")[1], market.places
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
        return self._text({"topic": topic, "type": "snapshot", "ts": market.last_ms, "data": [item]})

    def end_candles(self, now_ms: int) -> None:
        """Close the candles whose time is over though no trade has come since."""
        for topic, candles in self._candles.items():
            ended = candles.end_before(now_ms)
            if ended is not None:
                market = self._venue.markets[topic.rpartition(".")[2]]
                _offer(self._streams.subscribers(topic), self._candle_message(topic, market, ended, confirm=True))

    def refresh(self) -> None:
        """What is sent at its own pace: books, tickers, candles under way."""
        for topic in self._streams.topics():
            name, _, rest = topic.partition(".")
            if name == "orderbook":
                self._book(topic, rest.partition(".")[0])
            elif name == "tickers":
                self._ticker(topic)
            elif name == "kline" and topic in self._candles:
                candle = self._candles[topic].current
                market = self._venue.markets[topic.rpartition(".")[2]]
                if candle is not None:
                    text = self._candle_message(topic, market, candle, confirm=False)
                    _offer(self._streams.subscribers(topic), text)

    def first(self, client: Client, topic: str) -> None:
        """What a new subscriber gets at once: the state that the next delta starts from."""
        name, _, rest = topic.partition(".")
        market = self._venue.markets.get(rest.rpartition(".")[2])
        if market is None:
            return
        if name == "orderbook":
            if topic not in self._books:
                self._books[topic] = public.book(self._venue, market, int(rest.partition(".")[0]))
            client.offer(self._book_message(topic, market, "snapshot", self._books[topic]))
        elif name == "tickers":
            ticker = self._tickers.setdefault(topic, public.ticker(self._venue, market))
            client.offer(self._text({"topic": topic, "type": "snapshot", "data": ticker, "cs": 0, "ts": _now(market)}))
        elif name == "kline" and topic not in self._candles:
            self._candles[topic] = self._started(market, public.INTERVALS_MS[rest.partition(".")[0]])

    @staticmethod
    def _started(market: SymbolMarket, interval_ms: int) -> Candles:
        candles = Candles(interval_ms, keep=1)
        groups = market.minutes.grouped(interval_ms)
        candles.current = groups[-1] if groups else None
        return candles

    def _book_message(self, topic: str, market: SymbolMarket, kind: str, book: Json) -> str:
        now = _now(market)
        return self._text({"topic": topic, "type": kind, "ts": now, "data": book, "cts": now})

    def _book(self, topic: str, depth: str) -> None:
        """A delta of what has changed; at depth 1 a snapshot, again every three seconds."""
        market, before = self._venue.markets[topic.rpartition(".")[2]], self._books[topic]
        book = public.book(self._venue, market, int(depth))
        delta = {**book, "b": _difference(before["b"], book["b"]), "a": _difference(before["a"], book["a"])}
        changed = bool(delta["b"] or delta["a"])
        if not changed and (depth != "1" or time.monotonic() - self._level_one.get(topic, 0.0) < LEVEL_ONE_SECONDS):
            return
        book["u"] = delta["u"] = max(before["u"] + changed, book["u"])
        self._books[topic] = book
        self._level_one[topic] = time.monotonic()
        kind, data = ("snapshot", book) if depth == "1" else ("delta", delta)
        _offer(self._streams.subscribers(topic), self._book_message(topic, market, kind, data))

    def _ticker(self, topic: str) -> None:
        market = self._venue.markets[topic.rpartition(".")[2]]
        ticker, before = public.ticker(self._venue, market), self._tickers.get(topic, {})
        changed = {name: value for name, value in ticker.items() if before.get(name) != value}
        if changed:
            self._tickers[topic] = ticker
            data = {"symbol": market.instrument.native, **changed}
            text = self._text({"topic": topic, "type": "delta", "data": data, "cs": 0, "ts": _now(market)})
            _offer(self._streams.subscribers(topic), text)

    def changes(self, changes: Changes) -> None:
        """Tell the accounts what has changed for them."""
        by_account: dict[str, list[dict[str, Any]]] = {}
        for record in changes.orders:
            by_account.setdefault(record.account, []).append(wire.order(record))
        for account, rows in by_account.items():
            self._private(account, "order", rows)
        for done in changes.executions:
            row = wire.execution(done, self._venue.mark(done.fill.symbol))
            copies, seconds = self._venue.faults.execution()
            for _ in range(copies):
                self._later(seconds, done.account, row)
        for account in by_account:
            self._positions(account, changes)

    def _positions(self, account: str, changes: Changes) -> None:
        holder, now = self._venue.engine.accounts[account], self._venue.now_ms()
        symbols = dict.fromkeys(d.fill.symbol for d in changes.executions if d.account == account)
        if symbols and self._streams.of_account(account, "position"):
            sequence, mark = len(self._venue.executions), self._venue.mark
            rows = [wire.position(holder, s, mark(s), now, sequence, stream=True) for s in symbols]
            self._private(account, "position", rows)
        if self._streams.of_account(account, "wallet"):
            self._private(account, "wallet", [wire.wallet(holder, self._venue.mark)])

    def _later(self, seconds: float, account: str, row: dict[str, Any]) -> None:
        if seconds <= 0:
            self._execution(account, row)
            return
        handle = asyncio.get_running_loop().call_later(seconds, lambda: self._execution(account, row))
        self._late = {h for h in self._late if not h.cancelled() and h.when() > asyncio.get_running_loop().time()}
        self._late.add(handle)

    def _execution(self, account: str, row: dict[str, Any]) -> None:
        self._private(account, "execution", [row])
        names = ("category", "symbol", "execId", "execPrice", "execQty", "orderId", "isMaker")
        fast = {name: row[name] for name in (*names, "orderLinkId", "side", "execTime", "seq")}
        self._private(account, "execution.fast", [fast])

    def _private(self, account: str, topic: str, rows: list[dict[str, Any]]) -> None:
        clients = self._streams.of_account(account, topic)
        if not clients:
            return
        self._message += 1
        now = self._venue.now_ms()
        message = {"topic": topic, "id": f"{now}-{self._message}", "creationTime": now, "data": rows}
        _offer(clients, self._text(message))

    def close(self) -> None:
        for handle in self._late:
            handle.cancel()


async def _send(clients: Iterable[Client], text: str, *, wait: bool) -> None:
    for client in clients:
        if wait:
            await client.put(text)
        else:
            client.offer(text)


def _offer(clients: Iterable[Client], text: str) -> None:
    for client in clients:
        client.offer(text)


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
