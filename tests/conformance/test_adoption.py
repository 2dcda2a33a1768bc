"""An order that was placed elsewhere, at every venue: adopted, filled or cancelled as ours, and the books agree."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.messages.control import Control
from exchanges.model.order import OrderStatus, OrderType, Side
from exchanges.model.venue import AmendOrder, PlaceOrder
from runtime.lifecycle import Stopping
from tests.conformance.desk import Desk, Stand, desk
from tests.conformance.floor import Floor
from tests.conformance.stands import BYBIT, HYPERLIQUID, STANDS

pytestmark = pytest.mark.timeout(180)

HAND = "hand-1"
NAMED = tuple(stand for stand in STANDS if stand is not HYPERLIQUID)
"""Where a stranger's order has a client order id that can be read, and can be amended."""


class Hand(Floor):
    """A session on whose account somebody else places an order."""

    def __init__(self, made: Desk, folder: Path, name: str) -> None:
        super().__init__(made, folder, made.simulator.currency)
        self.name, self.made = name, made

    @property
    def state(self) -> Any:
        return self.brain(self.exchange_name).state  # type: ignore[attr-defined]

    async def adopted(self) -> str:
        """Place an order as a stranger, have it adopted, and say what it is tracked as."""
        stand = self.made.stand
        order = PlaceOrder(self.name, stand.symbol, Side.BUY, OrderType.LIMIT, stand.quantity, stand.low)
        self.made.exchange.submit(order)
        await self.until(lambda: self.state.foreign, "the foreign order")
        (venue_id,) = self.state.foreign
        self.engine.deliver(self.exchange_name, Control("c1", "adopt", "me", "", venue_id), "gateway")
        await self.until(lambda: self.books().orders, "its place in the journal")
        (client_id,) = self.books().orders
        assert client_id == (self.name or f"adopted-{venue_id}")
        return client_id

    async def end_of(self, client_id: str) -> OrderStatus:
        await self.until(lambda: self.books().orders[client_id].status.final, "the end of the order")
        return self.books().orders[client_id].status


def play(stand: Stand, folder: Path, name: str, scenario: Callable[[Hand], Awaitable[None]]) -> None:
    async def run() -> None:
        async with desk(stand, {}, {}) as made:
            hand = Hand(made, folder, name)
            try:
                await hand.open()
                await scenario(hand)
                found = await hand.quiet()
                assert found.reconciled, found.differences
            finally:
                await made.exchange.close()
                hand.close()
                await asyncio.sleep(0)

    asyncio.run(run())


@pytest.mark.parametrize("stand", NAMED, ids=lambda stand: stand.venue)
def test_an_adopted_order_fills_as_ours(stand: Stand, tmp_path: Path) -> None:
    async def scenario(hand: Hand) -> None:
        client_id = await hand.adopted()
        instrument = hand.state.instruments[stand.symbol]
        last = Decimal(str(hand.brain(hand.exchange_name).feed.last[stand.symbol]))  # type: ignore[attr-defined]
        through = min(last + max(last / 20, 5 * instrument.tick), last * 2)
        price = instrument.round_price(through, Side.BUY)
        hand.made.exchange.submit(AmendOrder(client_id, stand.symbol, price=price))
        assert await hand.end_of(client_id) is OrderStatus.FILLED
        assert hand.books().positions[stand.symbol].quantity == stand.quantity
        assert hand.books().fills >= 1
        assert [repair.what for repair in hand.books().repairs] == ["opening position"]

    play(stand, tmp_path, HAND, scenario)


@pytest.mark.parametrize(
    ("stand", "name"),
    [*((stand, HAND) for stand in NAMED), (BYBIT, ""), (HYPERLIQUID, "")],
    ids=[*(stand.venue for stand in NAMED), "bybit-unnamed", "hyperliquid-unnamed"],
)
def test_a_stop_cancels_an_adopted_order(stand: Stand, name: str, tmp_path: Path) -> None:
    async def scenario(hand: Hand) -> None:
        client_id = await hand.adopted()
        hand.engine.deliver(hand.exchange_name, Stopping("test"), "test")
        assert await hand.end_of(client_id) is OrderStatus.CANCELLED
        assert not [order for order in hand.venue().orders if not order.status.final]

    play(stand, tmp_path, name, scenario)
