"""Backtests on trades, quotes and books: every fill, fee and balance here was reckoned by hand."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import bigwheel
from bigwheel.backtests.result import BacktestResult
from exchanges.model.flow import Rest
from strategies.strategy import Strategy
from tests.unit.backtest_files import MS, SECOND, START, books, quotes, scripted, told, trades

SOL = "bybit:SOLUSDT"
"""A tick of 0.01, a lot of 0.1."""
LATENCY = 5
"""Milliseconds, one way."""
MAKER, TAKER = Decimal("0.0002"), Decimal("0.00055")


def run(strategy: type[Strategy], data: Path, **more: Any) -> BacktestResult:
    return bigwheel.backtest(strategy, data=data, symbols=SOL, latency_ms=LATENCY, cash=10_000, **more)


def fills(result: BacktestResult) -> list[tuple[Any, ...]]:
    """Side, quantity, price, liquidity, and milliseconds since the start."""
    rows = told(result.fills, "side", "quantity", "price", "liquidity", "ts_ns")
    return [(*row[:-1], (row[-1] - START) / MS) for row in rows]


def resting(side: str, price: str, quantity: str, seconds: int = 60) -> Any:
    flow = Rest(lifetime_ns=seconds * SECOND, post_only=True)
    return lambda own: own.signal(side, 1.0, quantity=quantity, limit_price=price, flow=flow)


# -- trades ----------------------------------------------------------------------------------


def test_on_trades_an_order_meets_the_price_of_when_it_arrives(tmp_path: Path) -> None:
    data = trades(
        tmp_path / "SOLUSDT.parquet",
        [(0, 100.0, 1, "buy"), (2, 100.5, 1, "buy"), (6, 103.0, 1, "buy"), (1_000, 101.0, 1, "sell")],
    )
    strategy = scripted("on_trade", {1: lambda own: own.buy(quantity=3), 4: lambda own: own.exit()})
    result = run(strategy, data, depth="exact")
    assert fills(result) == [("buy", 3.0, 100.5, "taker", 5.0), ("sell", 3.0, 101.0, "taker", 1_005.0)]
    fees = TAKER * 3 * (Decimal("100.5") + 101)
    assert result.summary["final_equity"] == pytest.approx(float(10_000 + Decimal("1.5") - fees), abs=1e-9)


def test_on_trades_the_taker_side_says_where_the_touch_is(tmp_path: Path) -> None:
    # A buyer took at 100: that is the ask, and the bid a tick below. A seller took at 101: that is the bid.
    data = trades(tmp_path / "SOLUSDT.parquet", [(0, 100.0, 1, "buy"), (1_000, 101.0, 1, "sell")])
    strategy = scripted("on_trade", {1: lambda own: own.buy(quantity=1), 2: lambda own: own.exit()})
    assert fills(run(strategy, data)) == [("buy", 1.0, 100.0, "taker", 5.0), ("sell", 1.0, 101.0, "taker", 1_005.0)]


# -- quotes ----------------------------------------------------------------------------------

QUOTES = [
    (0, 99.98, 4.0, 100.02, 2.0),
    (1_000, 100.08, 1.0, 100.12, 5.0),
    (2_000, 101.00, 9.0, 101.04, 9.0),
]


def test_on_quotes_what_is_beyond_the_best_size_fills_a_tick_worse(tmp_path: Path) -> None:
    data = quotes(tmp_path / "SOLUSDT.parquet", QUOTES)
    strategy = scripted("on_quote", {1: lambda own: own.buy(quantity=3), 2: lambda own: own.exit()})
    result = run(strategy, data)
    assert fills(result) == [
        ("buy", 2.0, 100.02, "taker", 5.0),
        ("buy", 1.0, 100.03, "taker", 5.0),
        ("sell", 1.0, 100.08, "taker", 1_005.0),
        ("sell", 2.0, 100.07, "taker", 1_005.0),
    ]
    paid, got = Decimal("300.07"), Decimal("300.22")
    (trip,) = result.trades.to_pylist()
    assert trip["fees"] == pytest.approx(float(TAKER * (paid + got)), abs=1e-12)
    assert trip["entry_price"] == pytest.approx(float(paid / 3), abs=1e-12)
    assert result.summary["final_equity"] == pytest.approx(float(10_000 + got - paid - TAKER * (paid + got)), abs=1e-9)


def test_on_quotes_what_is_held_is_valued_in_the_middle_of_the_last_one(tmp_path: Path) -> None:
    data = quotes(tmp_path / "SOLUSDT.parquet", QUOTES)
    result = run(scripted("on_quote", {1: lambda own: own.buy(quantity=1)}), data)
    held = Decimal("101.02") - Decimal("100.02") - TAKER * Decimal("100.02")
    assert result.summary["final_equity"] == pytest.approx(float(10_000 + held), abs=1e-9)


def test_on_quotes_a_resting_order_is_filled_by_a_quote_through_it_at_its_own_price(tmp_path: Path) -> None:
    rows = [(0, 99.98, 4.0, 100.02, 2.0), (1_000, 99.90, 4.0, 99.95, 1.5), (2_000, 99.80, 1.0, 99.85, 7.0)]
    data = quotes(tmp_path / "SOLUSDT.parquet", rows)
    result = run(scripted("on_quote", {1: resting("buy", "99.95", "2")}), data)
    # A quote at the price is no trade through it; the next is, and its size is enough.
    assert fills(result) == [("buy", 2.0, 99.95, "maker", 2_000.0)]
    held = 2 * (Decimal("99.825") - Decimal("99.95")) - MAKER * 2 * Decimal("99.95")
    assert result.summary["final_equity"] == pytest.approx(float(10_000 + held), abs=1e-9)


# -- books -----------------------------------------------------------------------------------

BIDS = [(99.99, 3.0), (99.98, 5.0)]
ASKS = [(100.01, 2.0), (100.02, 2.0), (100.04, 5.0)]


def test_on_books_an_order_walks_the_levels_and_what_it_took_stays_taken(tmp_path: Path) -> None:
    data = books(tmp_path / "SOLUSDT.parquet", [(0, BIDS, ASKS), (500, BIDS, [(100.01, 9.0), (100.05, 1.0)])])
    calls = {1: lambda own: own.buy(quantity=5), 2: lambda own: own.buy(quantity=2)}

    class Twice(Strategy):
        """Buys with each book, and again as soon as the first order is filled."""

        def __init__(self) -> None:
            self.count = self.fills = 0

        def on_book(self, book: object) -> None:
            self.count += 1
            calls[self.count](self)

        def on_fill(self, fill: object, position: object) -> None:
            self.fills += 1
            if self.fills == 3:
                self.buy(quantity=1)

    result = run(Twice, data, config={"risk": {"cooldown_s": 0}})
    assert fills(result) == [
        ("buy", 2.0, 100.01, "taker", 5.0),
        ("buy", 2.0, 100.02, "taker", 5.0),
        ("buy", 1.0, 100.04, "taker", 5.0),
        ("buy", 1.0, 100.04, "taker", 15.0),
        ("buy", 2.0, 100.01, "taker", 505.0),
    ]


def test_on_books_alone_a_resting_order_is_filled_by_a_book_through_it(tmp_path: Path) -> None:
    rows = [(0, BIDS, ASKS), (1_000, [(99.93, 2.0)], [(99.95, 0.5), (99.97, 4.0)])]
    result = run(scripted("on_book", {1: resting("buy", "99.99", "1")}), books(tmp_path / "SOLUSDT.parquet", rows))
    assert fills(result) == [("buy", 0.5, 99.99, "maker", 1_000.0)]


def test_on_books_what_is_held_is_valued_in_the_middle_of_the_last_one(tmp_path: Path) -> None:
    data = books(tmp_path / "SOLUSDT.parquet", [(0, BIDS, ASKS), (1_000, [(102.0, 1.0)], [(102.05, 1.0)])])
    result = run(scripted("on_book", {1: lambda own: own.sell(quantity=2)}), data)
    held = 2 * (Decimal("99.99") - Decimal("102.025")) - TAKER * 2 * Decimal("99.99")
    assert result.summary["final_equity"] == pytest.approx(float(10_000 + held), abs=1e-9)


# -- the queue -------------------------------------------------------------------------------


def queue(tmp_path: Path, rows: list[tuple[int, float, float, str]]) -> Path:
    books(tmp_path / "SOLUSDT_books.parquet", [(0, BIDS, ASKS)])
    trades(tmp_path / "SOLUSDT_trades.parquet", rows)
    return tmp_path


def test_what_stood_at_the_price_before_us_is_filled_before_us(tmp_path: Path) -> None:
    # 3 stand at 99.99 before our 2. Sellers bring 2, then 1.5 (1 for the others, 0.5 for us), then 4.
    rows = [(100, 99.99, 2.0, "sell"), (200, 99.99, 1.5, "sell"), (300, 99.99, 4.0, "sell")]
    result = run(scripted("on_book", {1: resting("buy", "99.99", "2")}), queue(tmp_path, rows))
    assert fills(result) == [("buy", 0.5, 99.99, "maker", 200.0), ("buy", 1.5, 99.99, "maker", 300.0)]
    assert result.summary["fees"] == pytest.approx(float(MAKER * 2 * Decimal("99.99")), abs=1e-12)
    assert told(result.orders, "status", "filled") == [("filled", 2.0)]


def test_a_trade_through_the_price_fills_whoever_was_before_us(tmp_path: Path) -> None:
    rows = [(100, 99.98, 0.7, "sell"), (200, 99.99, 9.0, "buy")]
    result = run(scripted("on_book", {1: resting("buy", "99.99", "2")}), queue(tmp_path, rows))
    assert fills(result) == [("buy", 0.7, 99.99, "maker", 100.0)]


def test_a_trade_before_the_order_has_arrived_does_not_fill_it(tmp_path: Path) -> None:
    rows = [(LATENCY - 1, 99.90, 50.0, "sell"), (1_000, 100.0, 1.0, "buy")]
    result = run(scripted("on_book", {1: resting("buy", "99.99", "2", seconds=1)}), queue(tmp_path, rows))
    assert fills(result) == []


def test_a_post_only_order_that_would_take_is_cancelled(tmp_path: Path) -> None:
    rows = [(1_000, 100.01, 9.0, "buy")]
    result = run(scripted("on_book", {1: resting("buy", "100.01", "2")}), queue(tmp_path, rows))
    assert fills(result) == []
    assert told(result.orders, "status", "filled") == [("cancelled", 0.0)]
    assert result.summary["final_equity"] == 10_000
