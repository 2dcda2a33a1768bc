"""Sessions whose books are more than orders and fills: fees taken from the coin bought, and funding."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from exchanges.model.order import Side
from exchanges.simulators.bybit import BybitSimulator
from tests.conformance.desk import Stand, desk
from tests.conformance.floor import Floor
from tests.conformance.matrix import Fault, put_through
from tests.conformance.stands import ALPACA_PAIR, BYBIT, STANDS, simulator_settings

pytestmark = pytest.mark.timeout(180)

NOTHING = Fault("nothing", lambda desk: None)
FUNDED = BYBIT._replace(
    simulator=lambda **changes: BybitSimulator(simulator_settings("BTCUSDT", **changes), funding_s=0.5)
)
COINS = [stand.coin for stand in STANDS if stand.coin is not None]


@pytest.mark.parametrize("stand", COINS, ids=lambda stand: stand.symbol)
def test_buying_and_selling_a_coin_reconciles_although_the_fee_is_off_the_coins(stand: Stand, tmp_path: Path) -> None:
    cell = asyncio.run(put_through(stand, NOTHING, tmp_path))
    assert cell.good, cell.differences
    assert cell.text.startswith("4 executed"), cell.text


def test_funding_is_journaled_once_and_the_cash_is_what_the_books_make_of_the_deposit(tmp_path: Path) -> None:
    async def run() -> None:
        async with desk(FUNDED, {}, {}) as made:
            floor = Floor(made, tmp_path, made.simulator.currency)
            try:
                await floor.open()
                floor.want(Side.BUY)
                await floor.until(lambda: len(floor.books().payments) >= 3, "three payments")
                floor.want(Side.SELL)
                found = await floor.quiet()
                assert found.reconciled, found.differences
                paid, books = floor.books().payments.values(), made.books()
                ours = sorted((event.payment_id, event.amount) for event in paid)
                assert ours == sorted((one["execution_id"], -Decimal(one["amount"])) for one in books["fundings"])
                assert floor.books().realized == Decimal(books["cash"]) - Decimal(books["deposited"])
            finally:
                await made.exchange.close()
                floor.close()
                await asyncio.sleep(0)

    asyncio.run(run())


def test_a_fee_the_venue_does_not_tell_is_corrected_by_what_it_says_is_held(tmp_path: Path) -> None:
    async def run() -> None:
        async with desk(ALPACA_PAIR, {"taker_fee": Decimal("0.0015")}, {"crypto_taker_fee": Decimal("0.0025")}) as made:
            floor = Floor(made, tmp_path, made.simulator.currency)
            try:
                await floor.open()
                floor.want(Side.BUY)
                found = await floor.quiet()
                assert found.reconciled, found.differences
                symbol, quantity = floor.symbol, made.stand.quantity
                assert floor.books().positions[symbol].quantity == quantity * (1 - Decimal("0.0015"))
                assert floor.books().repairs[-1].what == "fee reckoned"
            finally:
                await made.exchange.close()
                floor.close()
                await asyncio.sleep(0)

    asyncio.run(run())
