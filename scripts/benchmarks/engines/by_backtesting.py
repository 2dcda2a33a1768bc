"""The crossover by backtesting.py: averages by pandas, orders at the market, which meet the next bar's open."""

from __future__ import annotations

from typing import Any

import backtesting
import pandas as pd

from scripts.benchmarks.engines.task import Outcome, Task


class Crossover(backtesting.Strategy):  # type: ignore[misc]
    """Long while the fast average is above the slow one, else flat."""

    fast, slow, wait = 10, 30, 0

    def init(self) -> None:
        self.quick = self.I(average, self.data.Close, self.fast)
        self.late = self.I(average, self.data.Close, self.slow)

    def next(self) -> None:
        wanted = self.quick[-1] > self.late[-1]
        if len(self.data) >= self.wait and wanted != bool(self.position):
            (self.buy if wanted else self.sell)(size=1)


def average(closes: Any, period: int) -> Any:
    """An exponential average that begins with the first close."""
    return pd.Series(closes).ewm(span=period, adjust=False).mean()


def version() -> str:
    return str(backtesting.__version__)


def read(task: Task, path: str) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    frame.index = pd.to_datetime(frame.pop("ts_ns"))
    return frame.rename(columns=str.capitalize)


def run(task: Task, data: pd.DataFrame) -> Outcome:
    test = backtesting.Backtest(data, Crossover, cash=task.cash, commission=task.fee, finalize_trades=False)
    stats = test.run(fast=task.fast, slow=task.slow, wait=task.wait)
    return Outcome(len(data), int(stats["# Trades"]), float(stats["Equity Final [$]"]))
