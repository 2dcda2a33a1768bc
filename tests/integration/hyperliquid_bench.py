"""A running Hyperliquid simulator, the official SDK as anyone would make it, and our adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

from eth_account import Account
from hyperliquid.exchange import Exchange

from exchanges.hyperliquid import HyperliquidExchange, HyperliquidSettings
from exchanges.model.market import Quote
from exchanges.model.order import OrderType, Side, TimeInForce
from exchanges.model.venue import PlaceOrder, StreamStatus
from exchanges.modes import Mode
from exchanges.simulators.hyperliquid import HyperliquidSimulator, SimulatorSettings
from strategies.signal import client_order_id
from tests.trading_desk import TradingDesk

BTC = "hyperliquid:BTC"
D = Decimal


def sdk(simulator: HyperliquidSimulator, private_key: str = "") -> Exchange:
    """The SDK unchanged; it asks for its tables as it is made, so not to be called on the simulator's loop."""
    wallet = Account.from_key(private_key or simulator.private_key)
    return Exchange(wallet, simulator.url, account_address=simulator.account, timeout=10)


@asynccontextmanager
async def running(*, funding_s: float = 3_600.0, **changes: Any) -> AsyncIterator[HyperliquidSimulator]:
    """A simulator that trades at 30 trades a second and has a price."""
    told: dict[str, Any] = {"symbols": ("BTC", "ETH"), "rate": 30.0, "query_limit": 0}
    simulator = HyperliquidSimulator(SimulatorSettings(**{**told, **changes}), funding_s=funding_s)
    await simulator.start()
    try:
        if simulator.settings.feed == "generator":
            while not all(market.last for market in simulator.venue.markets.values()):
                await asyncio.sleep(0.01)
        yield simulator
    finally:
        await simulator.stop()


def run(work: Callable[[], Awaitable[None]]) -> None:
    """One test's coroutine, with an end."""

    async def bounded() -> None:
        await asyncio.wait_for(work(), 90)

    asyncio.run(bounded())


class Desk(TradingDesk):
    """The adapter at a simulator, with what came out of it."""

    def __init__(self, simulator: HyperliquidSimulator, **changes: Any) -> None:
        told: dict[str, Any] = {
            "mode": Mode.SIM,
            "account": simulator.account,
            "private_key": simulator.private_key,
            "rest_url": simulator.url,
            "socket_url": simulator.ws_url,
            "stale_after_s": 5.0,
            "backoff_base_s": 0.05,
            "backoff_cap_s": 0.2,
            "weight_per_minute": 60_000.0,
        }
        self.adapter = HyperliquidExchange(HyperliquidSettings(**{**told, **changes}))
        super().__init__(self.adapter)
        self.simulator = simulator
        self._numbers = 0

    async def up(self, *symbols: str) -> None:
        await self.adapter.connect(symbols or [BTC], self.got.append)
        await self.until(lambda: {s.stream for s in self.of(StreamStatus) if s.up} == {"public", "private"}, "streams")
        await self.until(lambda: self.of(Quote), "a price")

    def order(self, quantity: str = "0.01", **changes: Any) -> PlaceOrder:
        """A market order; with a ``price`` a limit order."""
        self._numbers += 1
        told: dict[str, Any] = {
            "client_id": client_order_id("HYPERLIQUIDTEST" + "ABCDEFGH"[self._numbers] + "AAAA"),
            "symbol": BTC,
            "side": Side.BUY,
            "type": OrderType.LIMIT if "price" in changes else OrderType.MARKET,
            "quantity": D(quantity),
            "time_in_force": TimeInForce.GTC if "price" in changes else TimeInForce.IOC,
        }
        return PlaceOrder(**{**told, **changes})

    def books(self) -> dict[str, Any]:
        found: dict[str, Any] = self.simulator.control.books("main")
        return found


@asynccontextmanager
async def desk(simulator: HyperliquidSimulator, **changes: Any) -> AsyncIterator[Desk]:
    """An adapter that is not connected yet, closed at the end."""
    made = Desk(simulator, **changes)
    try:
        yield made
    finally:
        await made.adapter.close()
