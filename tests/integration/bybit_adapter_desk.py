"""A Bybit adapter at a running simulator, with what came out of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from exchanges.bybit import BybitExchange
from exchanges.model.order import OrderType, Side, TimeInForce
from exchanges.model.venue import PlaceOrder, StreamStatus
from exchanges.simulators.bybit import BybitSimulator, SimulatorSettings
from exchanges.simulators.faults import FaultOrder, RequestFault, RequestRule
from tests.conformance.stands import bybit_exchange
from tests.trading_desk import TradingDesk

BTC = "bybit:BTCUSDT"
D = Decimal


class Desk(TradingDesk):
    """An adapter at a simulator, with what came out of it."""

    exchange: BybitExchange

    def __init__(self, simulator: BybitSimulator, **changes: Any) -> None:
        self.simulator = simulator
        patience = {"request_timeout_s": 0.5, "stale_after_s": 5.0, "retry_base_s": 0.05}
        super().__init__(bybit_exchange(simulator, **{**patience, **changes}))

    async def up(self, *symbols: str) -> None:
        await self.exchange.connect(symbols or [BTC], self.got.append)
        await self.until(lambda: {s.stream for s in self.of(StreamStatus) if s.up} == {"public", "private"}, "streams")

    def fault(self, path: str, kind: RequestFault, **more: Any) -> None:
        self.simulator.inject(FaultOrder(requests=[RequestRule(path, kind, **more)]))

    def orders(self, client_id: str) -> list[Any]:
        """The simulator's own records of a client order id."""
        account = self.simulator.control.state()["accounts"]["main"]
        return [order for order in account["orders"] if order["orderLinkId"] == client_id]


@asynccontextmanager
async def desk(symbols: tuple[str, ...] = (BTC,), funding_s: float = 28_800.0, **changes: Any) -> AsyncIterator[Desk]:
    natives = tuple(symbol.partition(":")[2] for symbol in symbols)
    told = SimulatorSettings(symbols=natives, rate=50.0, order_limit=0, query_limit=0)
    simulator = BybitSimulator(told, funding_s=funding_s)
    await simulator.start()
    made = Desk(simulator, **changes)
    try:
        yield made
    finally:
        await made.exchange.close()
        await simulator.stop()


def play(scenario: Callable[[Desk], Awaitable[None]], symbols: tuple[str, ...] = (BTC,), **changes: Any) -> None:
    async def run() -> None:
        async with desk(symbols, **changes) as made:
            await made.up(*symbols)
            await scenario(made)

    asyncio.run(run())


def market(client_id: str, side: Side = Side.BUY, quantity: str = "0.01") -> PlaceOrder:
    return PlaceOrder(client_id, BTC, side, OrderType.MARKET, D(quantity))


def resting(client_id: str, price: str = "30000") -> PlaceOrder:
    return PlaceOrder(client_id, BTC, Side.BUY, OrderType.LIMIT, D("0.01"), D(price), TimeInForce.POST_ONLY)
