"""The Kalshi adapter at a running simulator, and a desk that works with both.

Use it as ``play(scenario)``, where ``scenario`` takes a ``Floor``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from exchanges.kalshi import KalshiExchange, KalshiSettings
from exchanges.model.order import OrderType, Side, TimeInForce
from exchanges.model.venue import InstrumentsReport, Outcome, PlaceOrder
from exchanges.modes import Mode
from exchanges.simulators.kalshi import KalshiSimulator, SimulatorSettings
from exchanges.simulators.kalshi.lifecycle import Step
from exchanges.simulators.kalshi.listing import Result
from exchanges.simulators.kalshi.streams import KalshiStreams
from tests.conformance.desk import Desk, Stand

TICKER = "KXHIGHNY-24AUG08-T85"
SYMBOL = f"kalshi:{TICKER}"
D = Decimal


def exchange(simulator: Any, **changes: Any) -> KalshiExchange:
    told: dict[str, Any] = {
        "mode": Mode.SIM,
        "key_id": simulator.key_id,
        "private_key": simulator.private_key,
        "rest_url": simulator.url,
        "socket_url": simulator.ws_url,
        "streams": ("trade", "quote", "bar", "book", "ticker"),
        "market_poll_s": 0.2,
        "request_timeout_s": 5.0,
        "stale_after_s": 15.0,
        "backoff_base_s": 0.05,
        "backoff_cap_s": 0.2,
    }
    return KalshiExchange(KalshiSettings(**{**told, **changes}))


def made(**changes: Any) -> KalshiSimulator:
    told = {"symbols": (TICKER,), "feed": "none", "order_limit": 0, "query_limit": 0}
    return KalshiSimulator(SimulatorSettings(**{**told, **changes}))


STAND = Stand(
    venue="kalshi",
    symbol=SYMBOL,
    quantity=D(10),
    low=D("0.05"),
    amended=D("0.06"),
    odd_quantity=D("1.005"),
    simulator=made,
    exchange=exchange,
    wrong_key={"private_key": ""},
)


class Floor(Desk):
    """A desk at Kalshi's simulator."""

    simulator: KalshiSimulator
    exchange: KalshiExchange

    async def trade(self, price: float, size: float = 100.0, side: Side = Side.BUY) -> None:
        """A public trade, which the simulator's book then stands around."""
        row = (self.simulator.venue.now_ns(), TICKER, price, size, side, f"t{time.monotonic_ns()}")
        await self.simulator.deliver([row])

    async def step(self, step: Step, result: Result = Result.NONE) -> None:
        await self.simulator.step(TICKER, step, result)

    def disturb(self, channel: str, *, code: int = 0, skip: int = 0) -> int:
        """End the subscriptions to a channel, or leave out their next numbers; how many there were."""
        streams = self.simulator.streams
        assert isinstance(streams, KalshiStreams)
        return streams.disturb(channel, code, skip)

    def limit(self, side: Side, price: str, force: TimeInForce = TimeInForce.GTC, **more: Any) -> PlaceOrder:
        quantity = more.pop("quantity", D(10))
        return PlaceOrder(
            self.client_id(), SYMBOL, side, OrderType.LIMIT, quantity, D(price), time_in_force=force, **more
        )

    async def placed(self, order: PlaceOrder) -> PlaceOrder:
        answer = await self.ask(order)
        assert answer.outcome is Outcome.ACCEPTED, answer
        return order

    async def held(self) -> Decimal:
        state = await self.state()
        assert state.complete, state.reason
        return next((position.quantity for position in state.positions if position.symbol == SYMBOL), D(0))

    def stat(self, name: str) -> float:
        return self.exchange.stats().get(name, 0.0)

    def trading(self) -> bool:
        """Whether the market takes orders, as last reported."""
        return self.of(InstrumentsReport)[-1].instruments[0].trading


@asynccontextmanager
async def floor(venue: dict[str, Any] | None = None, **changes: Any) -> AsyncIterator[Floor]:
    simulator = made(**(venue or {}))
    await simulator.start()
    adapter = exchange(simulator, **changes)
    try:
        yield Floor(STAND, simulator, adapter)
    finally:
        await adapter.close()
        await simulator.stop()


def play(
    scenario: Callable[[Floor], Awaitable[None]],
    *,
    venue: dict[str, Any] | None = None,
    connected: bool = True,
    **changes: Any,
) -> None:
    """Run a scenario; the streams are up and the last trade was at 0.40, unless it connects by itself."""

    async def run() -> None:
        async with floor(venue, **changes) as f:
            if connected:
                await f.up(priced=False)
                await f.trade(0.40)
                await f.until(lambda: f.exchange.best(TICKER, Side.BUY), "a book")
            await scenario(f)

    asyncio.run(run())
