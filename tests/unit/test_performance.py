"""A strategy's performance: against empyrical, and where the right answer is known."""

from __future__ import annotations

import random
from decimal import Decimal

import empyrical
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.model.order import Fill, Liquidity, Side
from exchanges.model.position import Position
from strategies.performance import KEPT, YEAR_NS, Performance, PerformanceState, Ratios, combined

SECOND = 1_000_000_000
GRID = 60 * SECOND
SYMBOL = "bybit:BTCUSDT"
A_YEAR = YEAR_NS / GRID

returns = st.lists(st.integers(-50, 50).map(lambda n: n / 1000), min_size=3, max_size=60)


class Book:
    """One strategy's positions and their performance."""

    def __init__(self, capital: float = 1_000.0) -> None:
        self.positions: dict[str, Position] = {SYMBOL: Position(SYMBOL)}
        self.prices: dict[str, float] = {}
        self.performance = Performance(capital, GRID)
        self.fills = 0

    def trade(self, side: Side, quantity: str, price: str, *, fee: str = "0", symbol: str = SYMBOL) -> None:
        self.fills += 1
        fill = Fill(
            f"e{self.fills}", "c", "v", symbol, side, Decimal(price), Decimal(quantity), Decimal(fee), "USDT",
            Liquidity.TAKER, self.fills,
        )  # fmt: skip
        before = self.positions.get(symbol, Position(symbol))
        self.positions[symbol] = before.apply(fill)
        self.performance.fill(before, self.positions[symbol], fill)

    def mark(self, number: int, price: float, symbol: str = SYMBOL) -> None:
        """The price at a moment of the grid."""
        self.prices[symbol] = price
        self.performance.sample(number * GRID, self.positions, self.prices)

    def report(self) -> dict[str, object]:
        return self.performance.report(self.positions, self.prices)


@settings(max_examples=150, deadline=None)
@given(returns)
def test_the_ratios_are_those_of_empyrical(changes: list[float]) -> None:
    ratios = Ratios()
    for change in changes:
        ratios.add(change)
    series = np.array(changes)
    sharpe, sortino = ratios.sharpe(A_YEAR), ratios.sortino(A_YEAR)
    if sharpe is not None and np.std(series) > 1e-9:
        assert sharpe == pytest.approx(empyrical.sharpe_ratio(series, annualization=A_YEAR), rel=1e-6)
    if sortino is not None:
        assert sortino == pytest.approx(empyrical.sortino_ratio(series, annualization=A_YEAR), rel=1e-6)
    assert (sortino is None) == (min(changes) >= 0)
    assert ratios.drawdown == pytest.approx(empyrical.max_drawdown(series), abs=1e-12)


@settings(max_examples=80, deadline=None)
@given(returns, st.integers(1, 30), returns)
def test_idle_time_at_once_is_the_same_as_one_by_one(before: list[float], idle: int, after: list[float]) -> None:
    one, many = Ratios(), Ratios()
    for change in before:
        one.add(change)
        many.add(change)
    one.idle(idle)
    for _ in range(idle):
        many.add(0.0)
    for change in after:
        one.add(change)
        many.add(change)
    assert (one.count, one.level, one.drawdown) == (many.count, many.level, many.drawdown)
    assert one.mean == pytest.approx(many.mean, abs=1e-12)
    assert one.squares == pytest.approx(many.squares, rel=1e-9, abs=1e-12)


def test_a_session_is_measured_as_empyrical_measures_its_equity() -> None:
    source, book = random.Random(5), Book()
    price, equity = 100.0, []
    for number in range(1, 400):
        price = max(price + source.gauss(0, 0.5), 50.0)
        book.mark(number, price)
        profit, _ = book.performance.standing(book.positions, book.prices)
        equity.append(1_000.0 + profit)
        if source.random() < 0.2:
            side = source.choice((Side.BUY, Side.SELL))
            book.trade(side, str(source.randint(1, 3)), f"{price:.2f}", fee="0.01")
    series = np.diff(equity) / np.array(equity[:-1])
    said = book.report()
    assert said["sharpe"] == pytest.approx(empyrical.sharpe_ratio(series, annualization=A_YEAR), rel=1e-3)
    assert said["sortino"] == pytest.approx(empyrical.sortino_ratio(series, annualization=A_YEAR), rel=1e-3)
    assert said["drawdown"] == pytest.approx(empyrical.max_drawdown(series), rel=1e-3)
    assert said["moments"] == len(series)


def test_profit_is_realised_and_unrealised_less_fees() -> None:
    book = Book()
    book.mark(1, 100.0)
    book.trade(Side.BUY, "2", "100", fee="1")
    book.mark(2, 110.0)
    assert (book.report()["profit"], book.report()["notional"]) == (19.0, 220.0)
    book.trade(Side.SELL, "1", "110", fee="1")
    book.mark(3, 105.0)
    assert book.report()["profit"] == pytest.approx(10 + 5 - 2)


def test_trades_lie_between_flat_and_flat_and_count_their_fees() -> None:
    book = Book()
    book.trade(Side.BUY, "1", "100", fee="0.5")
    book.trade(Side.BUY, "1", "102", fee="0.5")
    book.trade(Side.SELL, "1", "103", fee="0.5")
    assert (book.report()["wins"], book.report()["losses"]) == (0, 0)
    book.trade(Side.SELL, "1", "103", fee="0.5")
    assert (book.report()["wins"], book.report()["won"]) == (1, pytest.approx(2.0))
    book.trade(Side.SELL, "1", "100", fee="0.5")
    book.trade(Side.BUY, "3", "101", fee="0.5")
    assert (book.report()["losses"], book.report()["lost"]) == (1, pytest.approx(2.0))
    book.trade(Side.SELL, "2", "101")
    assert (book.report()["wins"], book.report()["losses"]) == (1, 2)
    assert book.report()["turnover"] == pytest.approx(100 + 102 + 103 + 103 + 100 + 303 + 202)
    assert book.report()["fills"] == 7


def test_exposure_is_the_share_of_moments_at_which_something_was_held() -> None:
    book = Book()
    for number in range(1, 5):
        book.mark(number, 100.0)
    book.trade(Side.BUY, "2", "100")
    for number in range(5, 8):
        book.mark(number, 100.0)
    book.trade(Side.SELL, "2", "100")
    book.mark(8, 100.0)
    said = book.report()
    assert (said["moments"], said["moments_held"], said["notional_sum"]) == (7, 3, 600.0)


def test_moments_without_data_count_and_the_grid_is_that_of_the_epoch() -> None:
    book = Book()
    book.performance.sample(10 * GRID + 7 * SECOND, book.positions, {})
    assert book.performance.due_ns == 11 * GRID
    book.trade(Side.BUY, "1", "100")
    book.mark(15, 110.0)
    said = book.report()
    assert (said["moments"], said["moments_held"]) == (5, 5)
    book.performance.sample(15 * GRID + 1, book.positions, book.prices)
    assert book.report()["moments"] == 5


def test_without_a_variation_or_a_loss_there_is_no_ratio() -> None:
    book = Book()
    for number in range(1, 9):
        book.mark(number, 100.0)
    said = book.report()
    assert (said["sharpe"], said["sortino"], said["drawdown"]) == (None, None, 0.0)


def test_a_restored_performance_goes_on_as_if_nothing_had_happened() -> None:
    source = random.Random(7)
    one, two = Book(), Book()
    for number in range(1, 300):
        price = 100 + source.gauss(0, 2)
        side = source.choice((Side.BUY, Side.SELL))
        for book in (one, two):
            book.mark(number, price)
            book.trade(side, "1", f"{price:.2f}", fee="0.02")
        if number % 40 == 0:
            raw = msgspec.msgpack.encode(two.performance.state)
            state = msgspec.msgpack.decode(raw, type=PerformanceState)
            two.performance = Performance(1_000.0, GRID, state)
    assert one.report() == two.report()
    assert len(one.performance.state.curve) == KEPT


def test_several_strategies_together_are_the_sum_of_their_curves() -> None:
    source = random.Random(9)
    first, second, both = Book(600.0), Book(400.0), Book(1_000.0)
    for number in range(1, 80):
        price, other = 100 + source.gauss(0, 2), 50 + source.gauss(0, 1)
        side = source.choice((Side.BUY, Side.SELL))
        for book in (first, both):
            book.mark(number, price)
        for book in (second, both):
            book.mark(number, other, "bybit:ETHUSDT")
        for book in (first, both):
            book.trade(side, "1", f"{price:.4f}")
        for book in (second, both):
            book.trade(side, "2", f"{other:.4f}", symbol="bybit:ETHUSDT")
    curves = [[(m.number, m.profit, m.notional) for m in book.performance.state.curve] for book in (first, second)]
    ratios = combined(curves, 1_000.0)
    assert ratios.count == 78
    assert ratios.level == pytest.approx(1 + (curves[0][-1][1] + curves[1][-1][1]) / 1_000, rel=1e-9)
    assert ratios.sharpe(A_YEAR) is not None


def test_curves_are_added_up_over_the_time_they_share() -> None:
    ratios = combined([[(1, 0.0, 0.0), (2, 10.0, 0.0), (4, 30.0, 0.0)], [(2, 5.0, 0.0), (3, 15.0, 0.0)]], 100.0)
    assert ratios.count == 1
    assert ratios.mean == pytest.approx((100 + 10 + 15) / (100 + 10 + 5) - 1)
    assert combined([], 100.0).count == 0
