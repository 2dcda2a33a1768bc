"""How a bar is walked through the engine."""

from __future__ import annotations

from decimal import Decimal as D

from exchanges.matching.bars import path
from exchanges.model.market import Bar
from exchanges.model.order import OrderStatus, Side
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
