"""How a bar is walked through the engine."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.matching.bars import path
from exchanges.matching.synthetic import SyntheticDepth
from exchanges.model.market import Bar
from exchanges.model.order import OrderStatus, Side
from exchanges.model.venue import AmendOrder, CancelOrder
from tests.unit.matching_bench import SYMBOL, Bench


def bar(open_: float, high: float, low: float, close: float, volume: float = 40.0) -> Bar:
    return Bar(SYMBOL, 0, 0, 0, 0, open_, high, low, close, volume, 60_000_000_000)


def test_a_bar_whose_open_is_nearer_the_low_goes_to_the_low_first() -> None:
    assert [p for p, _, _ in path(bar(100, 110, 99, 105), 0.0, 0.001)] == [100, 99, 110, 105]
    assert [p for p, _, _ in path(bar(100, 101, 90, 95), 0.0, 0.001)] == [100, 101, 90, 95]


def test_a_falling_leg_is_sold_and_a_rising_leg_is_bought() -> None:
    sides = [side for _, _, side in path(bar(100, 110, 99, 105), 102.0, 0.001)]
    assert sides == [Side.SELL, Side.SELL, Side.BUY, Side.SELL]


def test_a_bar_through_a_resting_orders_price_fills_it_at_that_price() -> None:
    bench = Bench()
    order, _ = bench.place("a", Side.BUY, "1", "99.5")
    changes = bench.engine.on_bar(bar(100, 110, 99, 105), 60)
    assert [e.fill.price for e in changes.executions] == [D("99.5")]
    assert order.status is OrderStatus.FILLED


def test_a_bar_fills_no_more_than_the_volume_of_the_leg_that_reached_the_price() -> None:
    bench = Bench()
    order, _ = bench.place("a", Side.BUY, "100", "99.5")
    bench.engine.on_bar(bar(100, 110, 99, 105, volume=8.0), 60)
    assert order.filled == D(2)


def test_the_mark_after_a_bar_is_its_close() -> None:
    bench = Bench()
    bench.engine.on_bar(bar(100, 110, 99, 105.5), 60)
    assert bench.engine.mark(SYMBOL) == D("105.5")


# -- the open --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "limit", "opened"), [(Side.BUY, "99.5", 98.0), (Side.SELL, "101.5", 103.0)], ids=["down", "up"]
)
def test_a_bar_that_opens_beyond_an_order_fills_it_at_the_open(side: Side, limit: str, opened: float) -> None:
    bench = Bench()
    bench.engine.on_bar(bar(100, 100, 100, 100), 60)
    order, _ = bench.place("a", side, "1", limit)
    changes = bench.engine.on_bar(bar(opened, opened, opened, opened), 120)
    assert [done.fill.price for done in changes.executions] == [D(repr(opened))]
    assert order.status is OrderStatus.FILLED and changes.executions[0].is_maker


def test_an_order_that_a_bar_does_not_come_to_stays() -> None:
    bench = Bench()
    order, _ = bench.place("a", Side.BUY, "1", "98.9")
    assert not bench.engine.on_bar(bar(100, 110, 99, 105), 60).executions
    assert order.open == 1


def test_in_a_silent_market_orders_wait_for_the_next_open_in_their_turn() -> None:
    bench = Bench(depth=SyntheticDepth(1))
    bench.engine.on_bar(bar(100, 100, 100, 100), 60)
    bench.engine.silence(SYMBOL)
    first, changes = bench.place("a", Side.BUY, "1", None)
    assert not changes.executions and first.status is OrderStatus.OPEN
    gone, _ = bench.place("b", Side.BUY, "1", None)
    limited, _ = bench.place("c", Side.BUY, "1", "101")
    bench.engine.cancel("b", CancelOrder(gone.client_id, SYMBOL), 61)
    bench.engine.amend("c", AmendOrder(limited.client_id, SYMBOL, price=D("102")), 62)
    changes = bench.engine.on_open(SYMBOL, 104.0, 10.0, 120)
    assert {done.fill.client_id for done in changes.executions} == {first.client_id}
    assert min(done.fill.price for done in changes.executions) >= 104
    assert (gone.status, limited.status) == (OrderStatus.CANCELLED, OrderStatus.OPEN) and limited.resting


@settings(max_examples=80, deadline=None)
@given(
    prices=st.lists(st.integers(900, 1_100), min_size=4, max_size=4),
    limit=st.integers(900, 1_100),
    buys=st.booleans(),
    before=st.integers(900, 1_100),
)
def test_what_rests_is_filled_within_the_bar_and_never_worse_than_its_limit(
    prices: list[int], limit: int, buys: bool, before: int
) -> None:
    opened, high, low, close = (price / 10 for price in (prices[0], max(prices), min(prices), prices[3]))
    bench, side = Bench(), Side.BUY if buys else Side.SELL
    bench.engine.on_bar(bar(*(before / 10,) * 4), 60)
    bench.place("a", side, "1", str(D(limit) / 10))
    fills = [done.fill for done in bench.engine.on_bar(bar(opened, high, low, close), 120).executions]
    through = low < limit / 10 if buys else high > limit / 10
    assert bool(fills) or not through
    for fill in fills:
        assert D(repr(low)) <= fill.price <= D(repr(high))
        assert (D(limit) / 10 - fill.price) * side.sign >= 0
        assert fill.price == (D(repr(opened)) if (D(repr(opened)) - D(limit) / 10) * side.sign < 0 else D(limit) / 10)
