"""What is pushed: trades, quotes, bars and books on the data streams, order updates on the trading stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import ClassVar, NamedTuple

from exchanges.matching import record as reasons
from exchanges.matching.record import Changes, Execution, OrderRecord
from exchanges.model.instrument import Instrument
from exchanges.model.order import OrderStatus
from exchanges.simulators.alpaca import rows as shown
from exchanges.simulators.alpaca import wire
from exchanges.simulators.alpaca.bars import BarBook, frame
from exchanges.simulators.alpaca.desk import Desk
from exchanges.simulators.alpaca.instruments import is_crypto
from exchanges.simulators.alpaca.streams import UPDATES, AlpacaStreams
from exchanges.simulators.alpaca.tickets import Ticket
from exchanges.simulators.alpaca.wire import Json, Stamp
from exchanges.simulators.base.client import Client
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.base.publisher import Notice, Publisher
from exchanges.simulators.feeds.row import TS, Row

BOOK_LEVELS = 25
KEPT_QUOTES = 1_000
LATE_MS = 1_000
"""How long after its minute a bar waits for trades that are still under way."""

Levels = tuple[float, float, float, float]
"""Bid, its size, ask, its size."""


class Progress(NamedTuple):
    """An order and its account's position right after one of its fills."""

    filled: Decimal
    value: Decimal
    position: Decimal


class AlpacaPublisher(Publisher):
    """Renders the venue's messages. ``quotes`` are the last 1,000 of each symbol with their times."""

    status_fields: ClassVar[tuple[str, ...]] = ("status", "event")

    def __init__(self, desk: Desk, streams: AlpacaStreams) -> None:
        super().__init__(desk.venue, streams)
        self.desk = desk
        self.bars = BarBook()
        self.quotes: dict[str, deque[tuple[int, Levels]]] = {}
        self._books: dict[str, tuple[dict[float, float], dict[float, float]]] = {}
        self._progress: dict[str, Progress] = {}
        self._told: dict[str, str] = {}
        desk.on_replaced = self._replaced
        for account in self.venue.engine.accounts:
            for record in self.venue.engine.working(account):
                ticket = desk.tickets.current(record.id)
                if ticket is not None:
                    self._told[ticket.id] = "new" if ticket.routed else "accepted"

    # Private: what happened to orders.

    def changes(self, changes: Changes) -> None:
        self._progress = self._fills(changes)
        super().changes(changes)

    def _fills(self, changes: Changes) -> dict[str, Progress]:
        """Each fill's order and position right after it, reckoned backwards from what they are now."""
        orders = {record.id: (record.filled, record.value) for record in changes.touched()}
        held: dict[tuple[str, str], Decimal] = {}
        found: dict[str, Progress] = {}
        for done in reversed(changes.executions):
            fill, of = done.fill, (done.account, done.fill.symbol)
            position = held.get(of)
            if position is None:
                position = self.venue.engine.accounts[done.account].position(fill.symbol).quantity
            filled, value = orders[fill.venue_id]
            found[fill.execution_id] = Progress(filled, value, position)
            orders[fill.venue_id] = (filled - fill.quantity, value - fill.quantity * fill.price)
            held[of] = position - fill.quantity * fill.side.sign
        return found

    def orders(self, account: str, records: Sequence[OrderRecord], changes: Changes) -> Iterable[Notice]:
        for record in records:
            ticket = self.desk.tickets.current(record.id)
            before = self._told.get(ticket.id) if ticket is not None else "ended"
            if ticket is None or before == "ended":
                continue
            if before is None and not ticket.routed:
                yield self._update("accepted", ticket, record, "accepted")
            elif before is None:
                yield self._update("pending_new", ticket, record, "pending_new")
            if before != "new" and ticket.routed:
                yield self._update("new", ticket, record, "new")
            self._told[ticket.id] = "new" if ticket.routed else "accepted"

    def execution(self, done: Execution) -> Iterable[Notice]:
        ticket = self.desk.tickets.at(done.fill.venue_id, done.sequence)
        record = self.venue.engine.find(done.account, order_id=done.fill.venue_id)
        if ticket is None or record is None:
            return
        progress = self._progress[done.fill.execution_id]
        status, event = ("partially_filled", "partial_fill") if done.leaves else ("filled", "fill")
        filled = (progress.filled - ticket.base_filled, progress.value - ticket.base_value)
        order = shown.order(ticket, record, self._instrument(record), status, filled)
        yield Notice(UPDATES, shown.update(event, order, done.fill.ts_ns, done, progress.position))

    def holdings(self, account: str, changes: Changes) -> Iterable[Notice]:
        """The ends of orders: they come after the fills that went before them."""
        for record in changes.orders:
            ticket = self.desk.tickets.current(record.id)
            if record.account != account or ticket is None or not record.status.final:
                continue
            if self._told.get(ticket.id) == "ended":
                continue
            self._told[ticket.id] = "ended"
            if record.status is OrderStatus.FILLED:
                continue
            if record.reason in (reasons.BY_USER, reasons.BY_USER_ALL):
                yield self._update("pending_cancel", ticket, record, "pending_cancel")
            status = ticket.status(record)
            order = shown.order(ticket, record, self._instrument(record), status)
            yield Notice(UPDATES, shown.update(status, order, record.updated_ns))

    def _replaced(self, ticket: Ticket, record: OrderRecord) -> None:
        """Tell of an order that another has taken the place of."""
        self._told[ticket.id] = "ended"
        order = shown.order(ticket, record, self._instrument(record), "pending_replace")
        notices = [Notice(UPDATES, shown.update("pending_replace", order, ticket.replaced_ns))]
        order = shown.order(ticket, record, self._instrument(record))
        notices.append(Notice(UPDATES, shown.update("replaced", order, ticket.replaced_ns)))
        self._tell(ticket.account, notices, orders=True)

    def _update(self, event: str, ticket: Ticket, record: OrderRecord, status: str) -> Notice:
        done = (Decimal(0), Decimal(0)) if event in ("accepted", "pending_new", "new") else None
        order = shown.order(ticket, record, self._instrument(record), status, done)
        return Notice(UPDATES, shown.update(event, order, record.updated_ns))

    def _instrument(self, record: OrderRecord) -> Instrument:
        return self.venue.engine.markets[record.symbol].instrument

    # Public: what happened on the market.

    async def trades(self, key: str, rows: Sequence[Row], *, wait: bool) -> None:
        """The same as for any venue, except that nothing happens on a closed market that is live."""
        if wait or self.venue.settings.feed == "replay" or self.desk.is_open(self.venue.markets[key].instrument):
            await super().trades(key, rows, wait=wait)

    async def tell_trades(self, market: SymbolMarket, rows: Sequence[Row], *, wait: bool) -> None:
        key, crypto = market.key, is_crypto(market.instrument)
        self.bars.note(key, rows)
        if self.streams.subscribers(f"trades.{key}"):
            told = [{"T": "t", "S": key, **wire.trade(row, crypto=crypto)} for row in rows]
            await self._send(f"trades.{key}", told, wait=wait)
        quote = self._requote(market, rows[-1][TS])
        if quote is not None:
            await self._send(f"quotes.{key}", [quote], wait=wait)
        for topic, message in self._ended(market):
            await self._send(topic, [message], wait=wait)

    async def _send(self, topic: str, messages: list[Json], *, wait: bool) -> None:
        clients = self.streams.subscribers(topic)
        if wait:
            await self.streams.put(clients, topic, messages)
        else:
            self.streams.offer(clients, topic, messages)

    def levels(self, market: SymbolMarket) -> Levels | None:
        """The best prices of the moment, ``None`` where a side is empty."""
        bids, asks = self.venue.engine.markets[market.instrument.symbol].depth(1)
        if not bids or not asks:
            return None
        return float(bids[0][0]), float(bids[0][1]), float(asks[0][0]), float(asks[0][1])

    def _requote(self, market: SymbolMarket, ts_ns: int) -> Json | None:
        """A quote message if the best prices or their sizes have changed."""
        levels, kept = self.levels(market), self.quotes.setdefault(market.key, deque(maxlen=KEPT_QUOTES))
        if levels is None or (kept and kept[-1][1] == levels):
            return None
        kept.append((ts_ns, levels))
        return {"T": "q", "S": market.key, **wire.quote(levels, ts_ns, crypto=is_crypto(market.instrument))}

    def _ended(self, market: SymbolMarket) -> Iterable[tuple[str, Json]]:
        """Bar messages of the minutes that have ended, and of the day so far."""
        key = market.key
        for candle, count in self.bars.ended(market):
            yield f"bars.{key}", {"T": "b", "S": key, **wire.bar(candle, count)}
            if self.streams.subscribers(f"dailyBars.{key}"):
                days = self.bars.series(market, frame("1Day", crypto=is_crypto(market.instrument)))
                yield f"dailyBars.{key}", {"T": "d", "S": key, **wire.bar(*days[-1])}

    def end_candles(self, now_ms: int) -> None:
        for market in self.venue.markets.values():
            market.minutes.end_before(now_ms - LATE_MS)
            for topic, message in self._ended(market):
                self.streams.offer(self.streams.subscribers(topic), topic, [message])

    def refresh(self) -> None:
        """Quotes and books that orders have changed, and what the clock does to orders."""
        self.desk.turn()
        for topic in self.streams.topics():
            channel, _, key = topic.partition(".")
            market = self.venue.markets.get(key)
            if market is None or not market.last:
                continue
            message = self._book(market) if channel == "orderbooks" else None
            if channel == "quotes":
                message = self._requote(market, self._now(market))
            if message is not None:
                self.streams.offer(self.streams.subscribers(topic), topic, [message])

    def first(self, client: Client, topic: str) -> None:
        """A new subscriber of a book gets all of it."""
        channel, _, key = topic.partition(".")
        market = self.venue.markets.get(key)
        if channel != "orderbooks" or market is None:
            return
        bids, asks = self._books.setdefault(key, self._sides(market))
        self.streams.offer([client], topic, [self.book(market, bids, asks) | {"T": "o", "S": key, "r": True}])

    def _sides(self, market: SymbolMarket) -> tuple[dict[float, float], dict[float, float]]:
        bids, asks = self.venue.engine.markets[market.instrument.symbol].depth(BOOK_LEVELS)
        return {float(p): float(s) for p, s in bids}, {float(p): float(s) for p, s in asks}

    def book(
        self, market: SymbolMarket, bids: dict[float, float] | None = None, asks: dict[float, float] | None = None
    ) -> Json:
        """The order book, or the given levels of it."""
        if bids is None or asks is None:
            bids, asks = self._sides(market)
        return {
            "t": Stamp(self._now(market)),
            "b": [{"p": price, "s": size} for price, size in bids.items()],
            "a": [{"p": price, "s": size} for price, size in asks.items()],
        }

    def _book(self, market: SymbolMarket) -> Json | None:
        """What has changed in the book since it was last told; a level that is gone has size 0."""
        before, now = self._books.get(market.key, ({}, {})), self._sides(market)
        bids, asks = (_changed(old, new) for old, new in zip(before, now, strict=True))
        if not bids and not asks:
            return None
        self._books[market.key] = now
        return {"T": "o", "S": market.key, **self.book(market, bids, asks)}

    def _now(self, market: SymbolMarket) -> int:
        replayed = self.venue.settings.feed == "replay" and market.last_ms
        return market.last_ms * 1_000_000 if replayed else self.venue.now_ns()


def _changed(before: dict[float, float], now: dict[float, float]) -> dict[float, float]:
    gone = {price: 0.0 for price in before if price not in now}
    return gone | {price: size for price, size in now.items() if before.get(price) != size}
