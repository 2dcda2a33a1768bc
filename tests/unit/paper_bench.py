"""A venue without a network for trading on paper: it says what a test wants it to say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal as D
from typing import Any

from exchanges.interface import Capabilities, Sink
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.market import Bar, Book, Quote, Trade
from exchanges.model.order import OrderType, Side, TimeInForce
from exchanges.model.venue import Command, InstrumentsReport, PlaceOrder, StreamStatus
from exchanges.paper import PaperExchange, PaperSettings
from tests.trading_desk import TradingDesk

BTC = "bybit:BTCUSDT"


def perpetual(symbol: str = BTC, **changes: Any) -> Instrument:
    values: dict[str, Any] = {
        "symbol": symbol,
        "venue": "bybit",
        "native": symbol.partition(":")[2],
        "kind": ContractKind.LINEAR_PERPETUAL,
        "base": "BTC",
        "quote": "USDT",
        "tick": D("0.1"),
        "lot": D("0.001"),
        "min_quantity": D("0.001"),
        "max_quantity": D(100),
        "min_notional": D(5),
        "maker_fee": D("0.0002"),
        "taker_fee": D("0.00055"),
    }
    return Instrument(**(values | changes))


def event(symbol: str = "kalshi:KXTEST-1", **changes: Any) -> Instrument:
    values = {"kind": ContractKind.BINARY_EVENT, "quote": "USD", "tick": D("0.01"), "lot": D(1), "min_quantity": D(1)}
    return perpetual(
        symbol, **(values | {"venue": "kalshi", "min_notional": D(0), "max_quantity": D(10_000)} | changes)
    )


def trade(price: float, size: float = 1.0, side: str = "sell", symbol: str = BTC) -> Trade:
    return Trade(symbol, 0, 0, 1, 1, price, size, side)


def quote(bid: float, ask: float, size: float = 5.0, symbol: str = BTC) -> Quote:
    return Quote(symbol, 0, 0, 1, 1, bid, size, ask, size)


def book(bids: Sequence[tuple[float, float]], asks: Sequence[tuple[float, float]], symbol: str = BTC) -> Book:
    return Book(symbol, 0, 0, 1, 1, tuple(bids), tuple(asks))


def bar(low: float, high: float, *, closed: bool = True) -> Bar:
    return Bar(BTC, 0, 0, 1, 1, high, high, low, low, 100.0, 60_000_000_000, closed)


def market(client_id: str, side: Side = Side.BUY, quantity: str = "0.1", symbol: str = BTC) -> PlaceOrder:
    return PlaceOrder(client_id, symbol, side, OrderType.MARKET, D(quantity))


def limit(client_id: str, price: str, side: Side = Side.BUY, quantity: str = "0.1", **more: Any) -> PlaceOrder:
    values = {"symbol": BTC, "time_in_force": TimeInForce.GTC} | more
    return PlaceOrder(client_id, values.pop("symbol"), side, OrderType.LIMIT, D(quantity), D(price), **values)


class Source:
    """Stands in for the venue's adapter. A private call to it fails the test."""

    venue = "bybit"
    capabilities = Capabilities(
        amend=True, cancel_all=True, post_only=True, reduce_only=True, fill_or_kill=True, short=True
    )

    def __init__(self, *instruments: Instrument) -> None:
        self.instruments = instruments or (perpetual(),)
        self.submitted: list[Command] = []
        self.paused: list[bool] = []
        self.closed = False
        self.say: Sink = lambda message: None

    async def check(self, symbols: Sequence[str]) -> None:
        """Nothing to mend."""

    async def connect(self, symbols: Sequence[str], sink: Sink) -> None:
        self.say = sink
        self.up()

    def up(self) -> None:
        self.say(InstrumentsReport(self.instruments))
        self.say(StreamStatus("public", True))

    def submit(self, command: Command) -> None:
        self.submitted.append(command)

    def pause(self, paused: bool) -> None:
        self.paused.append(paused)

    async def bars(self, symbol: str, interval_ns: int, start_ns: int, end_ns: int) -> list[Bar]:
        return [bar(1.0, 2.0)]

    async def trades(self, symbol: str, limit: int) -> list[Trade]:
        return [trade(1.0)]

    async def close(self) -> None:
        self.closed = True

    def stats(self) -> dict[str, float]:
        return {"messages_public": 3.0}


class Paper(TradingDesk):
    """Trading on paper around a source, and what came out of it."""

    exchange: PaperExchange

    def __init__(self, source: Any, **changes: Any) -> None:
        values: dict[str, Any] = {"balance": D(100_000), "latency_s": 0.0, "poll_s": 0.01}
        self.source = source
        super().__init__(PaperExchange(source, PaperSettings(**(values | changes))))


def play(scenario: Callable[[Paper], Awaitable[None]], source: Any = None, **changes: Any) -> Paper:
    """Run a scenario on paper; the source must never have been sent a command."""
    paper = Paper(source if source is not None else Source(), **changes)

    async def run() -> None:
        try:
            symbols = [instrument.symbol for instrument in paper.source.instruments]
            await paper.exchange.connect(symbols, paper.got.append)
            await scenario(paper)
        finally:
            await paper.exchange.close()

    asyncio.run(run())
    assert paper.source.submitted == []
    assert paper.source.closed
    return paper
