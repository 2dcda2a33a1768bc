"""Exits at a stop and at a target, by both engines. Their rules differ here; this is for measuring by how much."""

from __future__ import annotations

import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import backtesting
import pandas as pd

from bigwheel.backtests.result import BacktestResult
from exchanges.model.flow import Bracket
from exchanges.model.market import Bar
from tests.agreement import ours
from tests.agreement.by_backtesting import trips
from tests.agreement.outcome import Trip
from tests.agreement.series import Series

EVERY = 15
"""Bars between two entries."""
AWAY = 0.002
"""Fraction of the price from the entry's bar to stop and target."""
SIZE = 10


def exits(price: float) -> tuple[float, float]:
    """Target and stop."""
    return round(price * (1 + AWAY), 2), round(price * (1 - AWAY), 2)


class Ours(ours.Ruled):
    """Buys every so often, with a stop and a target."""

    def __init__(self) -> None:
        self.seen = 0

    def on_bar(self, bar: Bar) -> None:
        self.seen += 1
        if self.seen % EVERY == 0 and not self.position.quantity:
            target, stop = (Decimal(str(price)) for price in exits(bar.close))
            self.buy(1.0, quantity=SIZE, flow=Bracket(take_profit=target, stop_loss=stop))


class Theirs(backtesting.Strategy):  # type: ignore[misc]
    """The same."""

    def init(self) -> None:
        """Nothing to prepare."""

    def next(self) -> None:
        if len(self.data) % EVERY == 0 and not self.position:
            target, stop = exits(float(self.data.Close[-1]))
            self.buy(size=SIZE, tp=target, sl=stop)


def run_ours(series: Series, folder: Path, cash: int) -> BacktestResult:
    params = {"rule": "bracket", "count": len(series.times), "size": SIZE}
    return ours.run_on(Ours, series.write(folder), series.symbol, params, cash=cash, fee=0.0)


def run_theirs(series: Series, cash: int) -> tuple[list[Trip], float]:
    frame = pd.DataFrame(series.candles, columns=["Open", "High", "Low", "Close"], index=pd.to_datetime(series.times))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stats: Any = backtesting.Backtest(frame, Theirs, cash=cash).run()
    return trips(stats, series.times), float(stats["Equity Final [$]"])
