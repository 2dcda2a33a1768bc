"""The same data and rules by ``bigwheel.backtest`` and by nautilus_trader: the same round trips, money to the cent."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.agreement import ours
from tests.agreement.outcome import assert_same
from tests.agreement.rules import RULES
from tests.agreement.series import made_up
from tests.unit.backtest_files import MS, START, quotes, trades

pytest.importorskip(
    "nautilus_trader", reason="no nautilus_trader here; scripts/agreement installs it beside and runs these tests"
)
from tests.agreement import by_nautilus

FEE = 0.0006
SOL = "bybit:SOLUSDT"


@pytest.mark.parametrize("rule", RULES)
def test_made_up_bars_whose_openings_are_told_as_trades(tmp_path: Path, rule: str) -> None:
    series, terms = made_up(600, 1), {"size": 100, "cash": 1_000_000, "fee": FEE}
    found = ours.outcome(ours.run(series, rule, tmp_path, **terms))
    assert_same(found, by_nautilus.on_bars(series, rule, **terms))
    assert len(found.trips) > 10


@pytest.mark.parametrize("rule", RULES)
def test_trades(tmp_path: Path, rule: str) -> None:
    prices = [candle.close for candle in made_up(500, 5).candles]
    path = trades(tmp_path / "SOLUSDT.parquet", [(1_000 * n, price, 9.0, "buy") for n, price in enumerate(prices)])
    params, terms = {"rule": rule, "count": len(prices), "size": 100, "flat": True}, {"cash": 1_000_000, "fee": FEE}
    found = ours.outcome(ours.run_on(ours.OnTrades, path, SOL, params, **terms))
    rows = [(START + 1_000 * MS * n, price) for n, price in enumerate(prices)]
    assert_same(found, by_nautilus.on_trades(rows, rule, size=100, **terms))
    assert len(found.trips) > 10


@pytest.mark.parametrize("rule", RULES)
def test_quotes_with_less_at_the_best_price_than_an_order_needs(tmp_path: Path, rule: str) -> None:
    draw, rows = random.Random(6), []
    for number, candle in enumerate(made_up(500, 6).candles):
        ask = round(candle.close + draw.randint(1, 3) / 100, 2)
        rows.append((1_000 * number, candle.close, draw.randint(20, 150), ask, draw.randint(20, 150)))
    path = quotes(tmp_path / "SOLUSDT.parquet", [(ms, bid, float(b), ask, float(a)) for ms, bid, b, ask, a in rows])
    params, terms = {"rule": rule, "count": len(rows), "size": 100, "flat": True}, {"cash": 1_000_000, "fee": FEE}
    result = ours.run_on(ours.OnQuotes, path, SOL, params, **terms)
    found = ours.outcome(result)
    told = [(START + ms * MS, bid, float(b), ask, float(a)) for ms, bid, b, ask, a in rows]
    assert_same(found, by_nautilus.on_quotes(told, rule, size=100, **terms))
    assert len(found.trips) > 10 and result.fills.num_rows > 1.2 * result.orders.num_rows
