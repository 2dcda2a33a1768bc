"""The crossover by vectorbt: whole columns at once, decisions of a bar traded at the next one's open; and its grid."""

from __future__ import annotations

import numpy as np
import pandas as pd
import vectorbt

from scripts.benchmarks.engines.task import Outcome, Task


def version() -> str:
    return str(vectorbt.__version__)


def read(task: Task, path: str) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    frame.index = pd.to_datetime(frame.pop("ts_ns"))
    return frame


def run(task: Task, data: pd.DataFrame) -> Outcome:
    """One pair of periods, or all of the grid's: a column for each, of which each average is made once."""
    pairs = task.pairs or ((task.fast, task.slow),)
    average = vectorbt.MA
    fast = average.run(data["close"], [fast for fast, _ in pairs], ewm=True, run_unique=True, hide_params=["window"])
    slow = average.run(data["close"], [slow for _, slow in pairs], ewm=True, run_unique=True, hide_params=["window"])
    above = fast.ma.to_numpy() > slow.ma.to_numpy()
    buy, sell = np.zeros_like(above), np.zeros_like(above)
    buy[task.wait :], sell[task.wait :] = above[task.wait - 1 : -1], ~above[task.wait - 1 : -1]
    held = vectorbt.Portfolio.from_signals(
        data["close"], buy, sell, price=data["open"], size=1.0, fees=task.fee, init_cash=task.cash, freq="1min"
    )
    trips, equity = held.trades.closed.count(), held.final_value()
    return Outcome(len(data) * len(pairs), int(np.sum(trips)), float(np.sum(equity)))
