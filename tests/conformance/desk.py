"""One adapter at its simulator, with what came out of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from exchanges.interface import Exchange
from exchanges.model.market import Quote, Trade
from exchanges.model.order import Fill, Order, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.venue import (
    FillReport,
    OrderReport,
    PlaceOrder,
    StreamStatus,
)
from exchanges.simulators.base.simulator import Simulator
from exchanges.simulators.faults import (
    ExecutionRule,
    FaultOrder,
    KeyState,
    RequestFault,
    RequestRule,
    StreamFault,
    StreamRule,
)
from runtime import codec
from runtime.message import Message
from strategies.signal import client_order_id
from tests.trading_desk import TradingDesk


class Stand(NamedTuple):
    """One venue under test. ``low`` is a price far below the market, ``amended`` another one.

    ``coin`` is the same venue with a pair of coins instead, where it has such.

    ``simulator`` takes changes of the simulator's settings, ``exchange`` the simulator and changes of
    the adapter's.
    """

    venue: str
    symbol: str
    quantity: Decimal
    low: Decimal
    amended: Decimal
    odd_quantity: Decimal
    simulator: Callable[..., Simulator]
    exchange: Callable[..., Exchange]
    wrong_key: dict[str, Any]
    coin: Stand | None = None


class Desk(TradingDesk):
    """What a case works with."""

    def __init__(self, stand: Stand, simulator: Simulator, exchange: Exchange) -> None:
        super().__init__(exchange)
        self.stand, self.simulator = stand, simulator
        self._numbers = 0

    # -- what came -------------------------------------------------------------------------

    def sink(self, message: Message) -> None:
        """Keep what the adapter reports, as it would look after a journey."""
        self.got.append(codec.decode(codec.encode(message)))

    def fills(self, client_id: str) -> list[Fill]:
        return [report.fill for report in self.of(FillReport) if report.fill.client_id == client_id]

    def statuses(self, client_id: str) -> list[OrderStatus]:
        return [report.order.status for report in self.of(OrderReport) if report.order.client_id == client_id]

    def streams(self, name: str) -> list[bool]:
        return [status.up for status in self.of(StreamStatus) if status.stream == name]

    # -- what is done ----------------------------------------------------------------------

    async def up(self, symbols: Sequence[str] = (), *, priced: bool = True) -> None:
        await self.exchange.connect(list(symbols or (self.stand.symbol,)), self.sink)
        await self.until(
            lambda: all(self.streams(name)[-1:] == [True] for name in ("public", "private")), "both streams"
        )
        # Before the first price a simulated market has nothing to sell.
        if priced:
            await self.until(lambda: self.of(Trade) and self.of(Quote), "the first prices")

    def client_id(self) -> str:
        """A new one of the form that signals' orders have."""
        self._numbers += 1
        return client_order_id(f"CONFORMANCE{chr(64 + self._numbers)}AAAAAAAA")

    def market(self, side: Side = Side.BUY, quantity: Decimal | None = None, **more: Any) -> PlaceOrder:
        size = self.stand.quantity if quantity is None else quantity
        return PlaceOrder(
            self.client_id(), self.stand.symbol, side, OrderType.MARKET, size, time_in_force=TimeInForce.IOC, **more
        )

    def resting(self) -> PlaceOrder:
        stand = self.stand
        return PlaceOrder(
            self.client_id(), stand.symbol, Side.BUY, OrderType.LIMIT, stand.quantity, stand.low, TimeInForce.GTC
        )

    async def bought(self) -> PlaceOrder:
        """A market order that has been filled and reported as such."""
        order = self.market()
        await self.ask(order)
        await self.until(lambda: self.filled(order.client_id) == order.quantity, "the fills")
        return order

    def filled(self, client_id: str) -> Decimal:
        """The quantity of the different executions reported for an order."""
        known = {fill.execution_id: fill.quantity for fill in self.fills(client_id)}
        return sum(known.values(), Decimal(0))

    # -- the venue's side ------------------------------------------------------------------

    def fault(self, kind: RequestFault, calls: Sequence[str] = ("place",), **more: Any) -> None:
        more.setdefault("seconds", 3.0)
        self.simulator.inject(FaultOrder(requests=[RequestRule("", kind, calls, **more)]))

    def key_fault(self, state: KeyState) -> None:
        """From now on the key of the adapter is ``state`` to the venue."""
        key = getattr(self.simulator, "key_id", "simulator-key")
        self.simulator.inject(FaultOrder(keys={key: state}))

    def stream_fault(self, stream: str, kind: StreamFault, seconds: float = 5.0) -> None:
        self.simulator.inject(FaultOrder(streams=[StreamRule(stream, kind, seconds)]))

    def execution_fault(self, **counts: Any) -> None:
        self.simulator.inject(FaultOrder(executions=ExecutionRule(**counts)))

    def books(self) -> dict[str, Any]:
        """The venue's own books of our account."""
        found: dict[str, Any] = self.simulator.control.books("main")
        return found

    def orders(self, client_id: str) -> list[Order]:
        """The venue's own records of a client order id."""
        return [o for o in map(_order, self.books()["orders"]) if o.client_id == client_id]


def _order(row: dict[str, Any]) -> Order:
    return msgspec.convert(row, Order)


@asynccontextmanager
async def desk(
    stand: Stand, simulator: dict[str, Any] | None = None, adapter: dict[str, Any] | None = None
) -> AsyncIterator[Desk]:
    """A running simulator and an adapter that is not connected yet; both ended at the end."""
    venue = stand.simulator(**(simulator or {}))
    await venue.start()
    exchange = stand.exchange(venue, **(adapter or {}))
    try:
        yield Desk(stand, venue, exchange)
    finally:
        await exchange.close()
        await venue.stop()
