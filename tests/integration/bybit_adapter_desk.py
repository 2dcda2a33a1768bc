"""A Bybit adapter at a running simulator, with what came out of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from exchanges.bybit import BybitExchange, BybitMode, BybitSettings
from exchanges.model.order import OrderType, Side, TimeInForce
from exchanges.model.venue import Command, CommandResult, FetchState, PlaceOrder, StreamStatus, VenueState
from exchanges.simulators.bybit import BybitSimulator, SimulatorSettings
from exchanges.simulators.faults import FaultOrder, RequestFault, RequestRule
from runtime.message import Message

BTC = "bybit:BTCUSDT"
D = Decimal
M = TypeVar("M", bound=Message)


class Desk:
    """An adapter at a simulator, with what came out of it."""

    def __init__(self, simulator: BybitSimulator, **changes: Any) -> None:
        self.simulator = simulator
        settings = BybitSettings(
            mode=BybitMode.SIM,
            key="simulator-key",
            secret="simulator-secret",
            rest_url=simulator.url,
            public_url=simulator.ws_url,
            private_url=simulator.ws_url,
            request_timeout_s=0.5,
            stale_after_s=5.0,
            backoff_base_s=0.05,
            backoff_cap_s=0.2,
            retry_base_s=0.05,
        )
        self.exchange = BybitExchange(msgspec.structs.replace(settings, **changes))
        self.got: list[Message] = []

    def of(self, kind: type[M]) -> list[M]:
        return [message for message in self.got if isinstance(message, kind)]

    async def until(self, fits: Callable[[], object], what: str, seconds: float = 60.0) -> None:
        for _ in range(int(seconds / 0.01)):
            if fits():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"waited {seconds} s for {what}; the last messages were {self.got[-5:]}")

    async def up(self, *symbols: str) -> None:
        await self.exchange.connect(symbols or [BTC], self.got.append)
        await self.until(lambda: {s.stream for s in self.of(StreamStatus) if s.up} == {"public", "private"}, "streams")

    async def ask(self, command: Command) -> CommandResult:
        before = len(self.of(CommandResult))
        self.exchange.submit(command)
        await self.until(lambda: len(self.of(CommandResult)) > before, f"the result of {command}")
        return self.of(CommandResult)[-1]

    async def state(self, since_ns: int = 0) -> VenueState:
        before = len(self.of(VenueState))
        self.exchange.submit(FetchState(since_ns))
        await self.until(lambda: len(self.of(VenueState)) > before, "the venue's state")
        return self.of(VenueState)[-1]

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
