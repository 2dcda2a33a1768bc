"""What is pushed: trades as they are, book changes and tickers at their pace, private changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import ClassVar

from exchanges.matching.liquidity import Level
from exchanges.matching.record import ZERO, Changes, Execution, OrderRecord
from exchanges.simulators.base.client import Client
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.base.publisher import Notice, Publisher
from exchanges.simulators.feeds.row import Row
from exchanges.simulators.kalshi import wire
from exchanges.simulators.kalshi.floor import BOOK_LEVELS, Floor
from exchanges.simulators.kalshi.form import Json
from exchanges.simulators.kalshi.lifecycle import EVENTS, Step
from exchanges.simulators.kalshi.listing import SECOND, Listing, Result
from exchanges.simulators.kalshi.streams import (
    BOOK,
    FILL,
    LIFECYCLE,
    ORDERS,
    POSITIONS,
    TICKER,
    TRADE,
    BookDelta,
    BookSnapshot,
    KalshiClient,
    KalshiStreams,
)
from exchanges.simulators.keys import key_of

Book = tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]
"""Size by YES price, of bids and of asks, as the subscribers know it."""


class KalshiPublisher(Publisher):
    """Renders what the streams carry."""

    status_fields: ClassVar[tuple[str, ...]] = ("status",)

    def __init__(self, floor: Floor, streams: KalshiStreams) -> None:
        super().__init__(floor.venue, streams)
        self._floor = floor
        self._books: dict[str, Book] = {}
        self._tickers: dict[str, Json] = {}
        floor.lifecycle.watchers.append(self.stepped)

    async def tell_trades(self, market: SymbolMarket, rows: Sequence[Row], *, wait: bool) -> None:
        topic = f"{TRADE}:{market.key}"
        if not wait and not self._floor.lifecycle.trading(market.key):
            return
        for row in rows:
            self._floor.traded(market.key, row[3])
            message = {"type": "trade", "msg": wire.trade(row, stream=True)}
            if wait:
                await self.streams.put(self.streams.subscribers(topic), topic, message)
            else:
                self.streams.offer(self.streams.subscribers(topic), topic, message)

    def refresh(self) -> None:
        for topic in self.streams.topics():
            channel, _, ticker = topic.partition(":")
            if channel == BOOK:
                self._tell_book(topic, ticker)
            elif channel == TICKER:
                self._tell_ticker(topic, ticker)

    def _tell_book(self, topic: str, ticker: str) -> None:
        known, now = self._books.get(ticker, ({}, {})), self._visible(ticker)
        self._books[ticker] = now
        ts_ms = self.venue.now_ms()
        for leg, before, after in (("yes", known[0], now[0]), ("no", known[1], now[1])):
            # What leaves comes first, so that no subscriber sees a crossed book in between.
            for price in sorted(before.keys() | after.keys(), key=lambda price: price in after):
                change = after.get(price, ZERO) - before.get(price, ZERO)
                if change:
                    delta = BookDelta(ticker, leg, price, change, ts_ms)
                    self.streams.offer(self.streams.subscribers(topic), topic, delta)

    def _visible(self, ticker: str) -> Book:
        bids, asks = self._floor.depth(ticker, BOOK_LEVELS)
        return dict(bids), dict(asks)

    def _tell_ticker(self, topic: str, ticker: str) -> None:
        row = self._ticker(ticker)
        if row != self._tickers.get(ticker):
            self._tickers[ticker] = row
            self.streams.offer(self.streams.subscribers(topic), topic, self._stamped(row))

    def _ticker(self, ticker: str) -> Json:
        market, listing = self.venue.markets[ticker], self._floor.annex.listings[ticker]
        bids, asks = self._floor.depth(ticker, 1)
        (bid, bid_size), (ask, ask_size) = (side[0] if side else (ZERO, ZERO) for side in (bids, asks))
        volume = self._floor.volumes.get(ticker, 0.0)
        return {
            "market_ticker": ticker,
            "market_id": listing.id,
            "price_dollars": wire.dollars(Decimal(repr(market.last))),
            "yes_bid_dollars": wire.dollars(bid),
            "yes_ask_dollars": wire.dollars(ask if asks else market.instrument.contract_value),
            "yes_bid_size_fp": wire.count(bid_size),
            "yes_ask_size_fp": wire.count(ask_size),
            "volume_fp": f"{volume:.2f}",
            "open_interest_fp": wire.count(self._floor.interest(ticker)),
            "last_trade_size_fp": f"{market.recent[-1][3] if market.recent else 0.0:.2f}",
        }

    def _stamped(self, row: Json) -> Json:
        now_ns = self.venue.now_ns()
        times = {"ts": now_ns // SECOND, "ts_ms": now_ns // wire.MS, "time": wire.instant(now_ns)}
        return {"type": "ticker", "msg": row | times}

    def first(self, client: Client, topic: str) -> None:
        """A snapshot of the book as the other subscribers know it; a ticker if it was asked for."""
        channel, _, ticker = topic.partition(":")
        if channel == BOOK:
            if len(self.streams.subscribers(topic)) == 1 or ticker not in self._books:
                self._books[ticker] = self._visible(ticker)
            bids, asks = self._books[ticker]
            self.streams.offer([client], topic, BookSnapshot(ticker, _ladder(bids, -1), _ladder(asks, 1)))
        elif channel == TICKER and isinstance(client, KalshiClient) and client.subscriptions[TICKER].initial:
            self.streams.offer([client], topic, self._stamped(self._ticker(ticker)))

    def orders(self, account: str, records: Sequence[OrderRecord], changes: Changes) -> Iterable[Notice]:
        for record in records:
            row = self._floor.order_row(record)
            row["market_ticker"], row["ts_ms"] = row["ticker"], record.updated_ns // wire.MS
            yield Notice(f"{ORDERS}:{row['ticker']}", {"type": "user_order", "msg": row})

    def execution(self, done: Execution) -> Iterable[Notice]:
        if done.settlement:
            return
        held = self.venue.engine.accounts[done.account].position(done.fill.symbol).quantity
        message = {"type": "fill", "msg": wire.fill_message(done, held)}
        yield Notice(f"{FILL}:{key_of(done.fill.symbol)}", message)

    def holdings(self, account: str, changes: Changes) -> Iterable[Notice]:
        holder = self.venue.engine.accounts[account]
        for symbol in dict.fromkeys(done.fill.symbol for done in changes.executions if done.account == account):
            instrument = self.venue.engine.markets[symbol].instrument
            traded = self._floor.tallies.traded(account, symbol)
            row = wire.position_message(holder, holder.position(symbol), instrument, traded)
            yield Notice(f"{POSITIONS}:{instrument.native}", {"type": "market_position", "msg": row})

    def stepped(self, listing: Listing, step: Step) -> None:
        """Tell the subscribers of ``market_lifecycle_v2``. The form is unverified (documentation alone)."""
        topic = f"{LIFECYCLE}:{listing.ticker}"
        told: Json = {"market_ticker": listing.ticker, "event_type": EVENTS[step]}
        if step is Step.CLOSE:
            told["close_ts"] = listing.closes_ns // SECOND
        if step in (Step.DETERMINE, Step.AMEND, Step.SETTLE):
            told["result"] = listing.result.value
            told["settlement_value"] = wire.dollars(Decimal(int(listing.result is Result.YES)))
        if step is Step.DETERMINE:
            told["determination_ts"] = listing.updated_ns // SECOND
        if step is Step.SETTLE:
            told["settled_ts"] = listing.settled_ns // SECOND
        self.streams.offer(self.streams.subscribers(topic), topic, {"type": LIFECYCLE, "msg": told})


def _ladder(side: dict[Decimal, Decimal], direction: int) -> list[Level]:
    """A side's levels, best first: bids downwards (-1), asks upwards (1)."""
    return sorted(side.items(), reverse=direction < 0)
