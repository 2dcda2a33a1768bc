"""Where our rules are not those of backtesting.py: each difference by itself, and what it comes to."""

from __future__ import annotations

from pathlib import Path

import backtesting
import pandas as pd
import pytest

import bigwheel
from exchanges.model.flow import Rest
from exchanges.model.market import Bar
from strategies.strategy import Strategy
from tests.agreement import ours
from tests.agreement.by_backtesting import trips
from tests.agreement.rules import Candle
from tests.agreement.series import MINUTE, START, Series, made_up

pytestmark = pytest.mark.filterwarnings("ignore:DatetimeIndex.dayofweek")
SOL = "bybit:SOLUSDT"


class Once(Strategy):
    """Buys one with the second bar."""

    def __init__(self) -> None:
        self.seen = 0

    def on_bar(self, bar: Bar) -> None:
        self.seen += 1
        if self.seen == 2:
            self.buy(quantity=1)


def bought(minutes: list[int], opens: list[float], folder: Path) -> tuple[float, int] | None:
    """Price and time (ns since the start) of its purchase, if any, on bars that close 0.5 above their open."""
    candles = [Candle(price, price + 0.5, price, price + 0.5) for price in opens]
    path = Series(SOL, [START + minute * MINUTE for minute in minutes], candles).write(folder)
    result = bigwheel.backtest(Once, data=path, symbols=SOL, depth="exact", latency_ms=0)
    return next(((fill["price"], fill["ts_ns"] - START) for fill in result.fills.to_pylist()), None)


class Resting(Strategy):
    """Rests a purchase of one at 100 from the second bar on."""

    def __init__(self) -> None:
        self.seen = 0

    def on_bar(self, bar: Bar) -> None:
        self.seen += 1
        if self.seen == 2:
            self.buy(quantity=1, limit_price=100, flow=Rest(lifetime_ns=10 * MINUTE, post_only=False))


class TheirResting(backtesting.Strategy):  # type: ignore[misc]
    """The same; sold again at the end, so that it is told."""

    def init(self) -> None:
        """Nothing to prepare."""

    def next(self) -> None:
        if len(self.data) == 2:
            self.buy(size=1, limit=100)
        elif len(self.data) == 5:
            self.position.close()


def test_what_the_made_up_spread_costs_is_the_whole_difference_without_exact_depth(tmp_path: Path) -> None:
    series = made_up(350, 4)
    exact, spread = (
        ours.run(series, "breakout", tmp_path, size=100, cash=1_000_000, fee=0.0, depth=depth)
        for depth in ("exact", "synthetic")
    )
    plain = {order["client_id"]: order for order in exact.orders.to_pylist()}
    worse = [
        (order["average_price"] - plain[order["client_id"]]["average_price"])
        * order["filled"]
        * (1 if order["side"] == "buy" else -1)
        for order in spread.orders.to_pylist()
    ]
    assert len(worse) == len(plain) > 20 and min(worse) >= 0
    lost = exact.summary["final_equity"] - spread.summary["final_equity"]
    assert lost == pytest.approx(sum(worse), abs=1e-6) and lost > 1


def test_where_the_next_bar_follows_an_order_meets_its_open(tmp_path: Path) -> None:
    assert bought([0, 1, 2, 3], [100.0, 101.0, 103.0, 104.0], tmp_path) == (103.0, 2 * MINUTE)


def test_before_a_gap_an_order_waits_for_the_next_open(tmp_path: Path) -> None:
    assert bought([0, 1, 7, 8], [100.0, 101.0, 103.0, 104.0], tmp_path) == (103.0, 7 * MINUTE)


def test_after_the_last_bar_an_order_stays_unfilled(tmp_path: Path) -> None:
    assert bought([0, 1], [100.0, 101.0], tmp_path) is None


@pytest.mark.parametrize(
    ("third", "price"),
    [
        (Candle(101.0, 101.5, 99.9, 100.5), 100.0),  # the path comes to the limit: the same
        (Candle(99.0, 101.0, 99.0, 100.5), 99.0),  # the first bar after the order opens better: it takes, the same
    ],
)
def test_a_limit_order_is_filled_alike_where_a_bars_path_comes_to_it(
    tmp_path: Path, third: Candle, price: float
) -> None:
    assert _limit(third, Candle(101.0, 101.0, 101.0, 101.0), tmp_path) == (price, price)


def test_a_resting_order_is_filled_at_the_open_where_a_bar_opens_beyond_it(tmp_path: Path) -> None:
    above, below = Candle(102.0, 103.0, 101.0, 102.0), Candle(99.0, 99.5, 98.0, 99.0)
    assert _limit(above, below, tmp_path) == (99.0, 99.0)


def _limit(third: Candle, fourth: Candle, folder: Path) -> tuple[float, float]:
    """What our order and theirs were filled at."""
    flat = Candle(102.0, 102.0, 102.0, 102.0)
    series = Series(SOL, [START + minute * MINUTE for minute in range(6)], [flat, flat, third, fourth, flat, flat])
    result = bigwheel.backtest(Resting, data=series.write(folder), symbols=SOL, depth="exact", latency_ms=0)
    (fill,) = result.fills.to_pylist()
    frame = pd.DataFrame(series.candles, columns=["Open", "High", "Low", "Close"], index=pd.to_datetime(series.times))
    (theirs,) = trips(backtesting.Backtest(frame, TheirResting).run(), series.times)
    return fill["price"], theirs.entry_price
