"""An Alpaca adapter at its simulator, and orders in few words."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from exchanges.alpaca import AlpacaExchange
from exchanges.model.market import Quote
from exchanges.model.order import OrderType, Side
from exchanges.model.venue import (
    OrderReport,
    Outcome,
    PlaceOrder,
)
from exchanges.simulators.alpaca import AlpacaSimulator
from exchanges.simulators.base.simulator import Simulator
from exchanges.simulators.faults import FaultOrder
from exchanges.simulators.settings import SimulatorSettings
from tests.conformance.desk import Desk, Stand, desk
from tests.conformance.stands import alpaca_exchange

AAPL, BTC = "alpaca:AAPL", "alpaca:BTC/USD"
D = Decimal
NEW_YORK = ZoneInfo("America/New_York")
SECOND = 1_000_000_000
Scenario = Callable[[Desk], Awaitable[None]]


def simulator(hours: Literal["always", "nyse"] = "always", **changes: Any) -> Simulator:
    told: dict[str, Any] = {"symbols": ("AAPL", "BTC/USD"), "rate": 30.0, "order_limit": 0, "query_limit": 0}
    return AlpacaSimulator(SimulatorSettings(**{**told, **changes}), hours=hours)


def exchange(venue: Simulator, **changes: Any) -> AlpacaExchange:
    return alpaca_exchange(venue, **{"hours_refresh_s": 0.2, **changes})


STAND = Stand(
    "alpaca", AAPL, D("1.5"), D("100"), D("101"), D("0.0000000001"), simulator, exchange, {"secret": "another"}
)


def play(
    scenario: Scenario,
    venue: dict[str, Any] | None = None,
    adapter: dict[str, Any] | None = None,
    symbols: tuple[str, ...] = (AAPL, BTC),
    prices: bool = True,
) -> None:
    """Run a scenario on a connected desk; with ``prices`` only after every symbol has been quoted."""

    async def run() -> None:
        async with desk(STAND, venue, adapter) as made:
            await made.up(symbols)
            if prices:
                await made.until(lambda: {quote.symbol for quote in made.of(Quote)} >= set(symbols), "quotes")
            await scenario(made)

    asyncio.run(run())


def limit(client_id: str, quantity: str, price: str, side: Side = Side.BUY, symbol: str = AAPL) -> PlaceOrder:
    return PlaceOrder(client_id, symbol, side, OrderType.LIMIT, D(quantity), D(price))


def market(client_id: str, quantity: str, side: Side = Side.BUY, symbol: str = AAPL, **more: Any) -> PlaceOrder:
    return PlaceOrder(client_id, symbol, side, OrderType.MARKET, D(quantity), **more)


async def taken(d: Desk, order: PlaceOrder) -> None:
    """Place an order, and see it taken."""
    answer = await d.ask(order)
    assert (answer.outcome, bool(answer.venue_id)) == (Outcome.ACCEPTED, True), answer


async def held(d: Desk, quantity: str, symbol: str = AAPL) -> None:
    """Buy, and wait for the executions."""
    order = market(f"bw-held{quantity.replace('.', '_')}-0-0", quantity, symbol=symbol)
    await taken(d, order)
    await d.until(lambda: d.filled(order.client_id) == order.quantity, "the executions")


def last(d: Desk, client_id: str) -> Any:
    """The last view of an order that was reported."""
    return next((r.order for r in reversed(d.of(OrderReport)) if r.order.client_id == client_id), None)


def at(venue: Simulator, day: dt.datetime) -> None:
    """Set the venue's clock to a time in New York."""
    skew = day.replace(tzinfo=NEW_YORK).timestamp() - time.time()
    venue.inject(FaultOrder(clock_skew_ms=int(skew * 1000)))
