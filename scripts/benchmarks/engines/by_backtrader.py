"""The crossover by backtrader: its own averages, orders at the market, which meet the next bar's open."""

from __future__ import annotations

from typing import Any

import backtrader
import pandas as pd

from scripts.benchmarks.engines.task import Outcome, Task


class Crossover(backtrader.Strategy):  # type: ignore[misc]
    """Long while the fast average is above the slow one, else flat."""

    params = (("fast", 10), ("slow", 30), ("wait", 0))

    def __init__(self) -> None:
        self.fast = backtrader.indicators.EMA(self.data.close, period=self.p.fast)
        self.slow = backtrader.indicators.EMA(self.data.close, period=self.p.slow)
        self.trips = 0

    def next(self) -> None:
        wanted = self.fast[0] > self.slow[0]
        if len(self) >= self.p.wait and wanted != (self.position.size > 0):
            (self.buy if wanted else self.sell)(size=1)

    def notify_trade(self, trade: Any) -> None:
        self.trips += trade.isclosed


def version() -> str:
    return str(backtrader.__version__)


def read(task: Task, path: str) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    frame.index = pd.to_datetime(frame.pop("ts_ns"))
    return frame


def run(task: Task, data: pd.DataFrame) -> Outcome:
    cerebro = backtrader.Cerebro(stdstats=False)
    cerebro.broker.setcash(task.cash)
    cerebro.broker.setcommission(commission=task.fee)
    cerebro.adddata(backtrader.feeds.PandasData(dataname=data))
    cerebro.addstrategy(Crossover, fast=task.fast, slow=task.slow, wait=task.wait)
    strategy = cerebro.run()[0]
    return Outcome(len(data), strategy.trips, cerebro.broker.getvalue())
