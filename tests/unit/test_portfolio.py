"""Strategies side by side, and all of them together, in status and on the screen."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from actors.gateway.overview import overview
from actors.gateway.portfolio import figures, portfolio, strategies
from bigwheel.screen import render, terminal
from conf import Settings
from exchanges.model.order import Side
from tests.unit import gateway_tree
from tests.unit.gateway_tree import BTC, ETH
from tests.unit.test_performance import Book


def cell(book: Book, label: str = "trend", symbol: str = BTC, **changes: Any) -> dict[str, Any]:
    said = gateway_tree.strategy(label, symbol)
    return {
        **said, "symbols": [symbol], "dry_run": False, "signals": 3, "performance": book.report(), **changes
    }  # fmt: skip


def traded(prices: list[float], capital: float = 500.0) -> Book:
    """Buys one at the first price, and sells it at the last but one."""
    book = Book(capital)
    for number, price in enumerate(prices, 1):
        book.mark(number, price)
        if number == 1:
            book.trade(Side.BUY, "1", str(price))
        elif number == len(prices) - 1:
            book.trade(Side.SELL, "1", str(price))
    return book


def test_a_strategy_on_several_symbols_is_the_sum_of_them() -> None:
    won, lost = traded([100.0, 104.0, 106.0, 106.0]), traded([50.0, 49.0, 48.0, 48.0])
    found = strategies([cell(won), cell(lost, symbol=ETH)])["trend"]
    assert (found["symbols"], found["share"], found["signals"]) == ([BTC, ETH], 1.0, 6)
    assert (found["capital"], found["profit"], found["return"]) == (1_000.0, 4.0, 0.004)
    assert (found["trades"], found["hit_rate"], found["profit_factor"]) == (2, 0.5, 3.0)
    assert found["moments"] == 3
    assert found["in_market"] == pytest.approx(2 / 3)
    assert found["mean_notional"] == pytest.approx((104 + 106 + 49 + 48) / 3)
    assert found["turnover"] == pytest.approx((100 + 106 + 50 + 48) / 1_000)
    assert found["sharpe"] is not None
    assert found["a_year"] == 365 * 24 * 60


def test_one_that_trades_a_single_symbol_has_the_figures_of_its_whole_life() -> None:
    book = traded([100.0, 90.0, 95.0, 95.0])
    said = book.report()
    found = strategies([cell(book)])["trend"]
    assert [found[name] for name in ("sharpe", "sortino", "drawdown")] == [
        said[name] for name in ("sharpe", "sortino", "drawdown")
    ]


def test_shares_are_those_of_the_capital_and_the_portfolio_is_all_of_it() -> None:
    cells = [cell(traded([100.0, 101.0, 102.0], 750.0)), cell(traded([100.0, 99.0, 98.0], 250.0), label="flow")]
    found = strategies(cells)
    assert {name: row["share"] for name, row in found.items()} == {"trend": 0.75, "flow": 0.25}
    both = portfolio(cells)
    assert (both["capital"], both["profit"], both["fills"]) == (1_000.0, 0.0, 4)
    assert both["drawdown"] == 0.0


def test_what_is_not_known_yet_is_none_and_not_a_number() -> None:
    found = figures([])
    assert {found[name] for name in ("return", "sharpe", "sortino", "hit_rate", "profit_factor", "in_market")} == {None}
    fresh = figures([Book().report()])
    assert (fresh["return"], fresh["hit_rate"], fresh["sharpe"], fresh["in_market"]) == (0.0, None, None, None)


def test_strategies_on_grids_of_their_own_are_not_added_up_moment_by_moment() -> None:
    one, other = traded([100.0, 101.0, 103.0]).report(), traded([100.0, 101.0, 103.0]).report()
    found = figures([one, {**other, "grid_ns": 1}])
    assert (found["sharpe"], found["profit"]) == (None, 2.0)


def test_status_holds_them_and_the_screen_shows_them() -> None:
    tree = gateway_tree.tree()
    cells = [cell(traded([100.0, 104.0, 106.0, 106.0])), cell(traded([50.0, 49.0, 48.0, 48.0]), "flow", ETH)]
    tree["children"] = [
        gateway_tree.child(f"strategy/{each['label']}", "strategy", detail=gateway_tree.host("x", each))
        for each in cells
    ]
    for child in tree["children"]:
        child["detail"]["cells"][0]["name"] = child["name"]
    found = json.loads(json.dumps(overview(tree, Settings())))
    assert set(found["strategies"]) == {"trend", "flow"}
    assert found["portfolio"]["profit"] == 4.0
    out = io.StringIO()
    terminal(file=out, width=220, no_color=True).print(render(found))
    shown = out.getvalue()
    assert "+6.00" in shown and "-2.00" in shown and "together" in shown
    assert "100%" in shown
