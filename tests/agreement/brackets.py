"""Exits at a stop and at a target, by both engines."""

from __future__ import annotations

import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import backtesting
import pandas as pd

from bigwheel.backtests.result import BacktestResult
from exchanges.model.flow import Bracket
from exchanges.model.market import Bar
from tests.agreement import ours
from tests.agreement.by_backtesting import trips
from tests.agreement.outcome import CENT, Trip
from tests.agreement.series import MINUTE, Series

EVERY = 15
"""Bars between two entries."""
AWAY = 0.001
"""Fraction of the price from the entry's bar to stop and target."""
SIZE = 10


def exits(price: float) -> tuple[float, float]:
    """Target and stop, on the ticks of both symbols."""
    return round(price * (1 + AWAY), 1), round(price * (1 - AWAY), 1)


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


class Found(NamedTuple):
    """How many brackets ended at their stop and at their target, and in a bar that held both; the last equity."""

    stops: int
    targets: int
    both: int
    equity: float


def same(series: Series, folder: Path, cash: int = 1_000_000) -> Found:
    """That both engines end the same brackets in the same bars at the same prices, and with the same money.

    Raises:
        AssertionError: they don't.
    """
    result, (theirs, equity) = run_ours(series, folder, cash), run_theirs(series, cash)
    rows = result.trades.to_pylist()
    mine = [(row["entry_ns"], row["exit_ns"] // MINUTE * MINUTE, row["entry_price"], row["exit_price"]) for row in rows]
    assert mine == [(trip.entry_ns, trip.exit_ns, trip.entry_price, trip.exit_price) for trip in theirs]
    assert abs(result.summary["final_equity"] - equity) < CENT
    places = {at: place for place, at in enumerate(series.times)}
    stops = targets = both = 0
    for entry_ns, exit_ns, _, price in mine:
        target, stop = exits(series.candles[places[entry_ns] - 1].close)
        last = series.candles[places[exit_ns]]
        stops, targets = stops + (price <= stop), targets + (price >= target)
        both += last.low <= stop and last.high >= target
    return Found(stops, targets, both, equity)
