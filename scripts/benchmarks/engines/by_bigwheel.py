"""The crossover by ``bigwheel.backtest``, and its grid by ``bigwheel.sweep``."""

from __future__ import annotations

import importlib.metadata
import os
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

import bigwheel
from exchanges.model.market import Bar, Quote, Trade
from scripts.benchmarks.engines.descent import started_s
from scripts.benchmarks.engines.task import Outcome, Task
from strategies.indicators import EMA
from strategies.strategy import Strategy, StrategyParams
from tests.agreement.ours import FREE

SYMBOL = "bybit:BTCUSDT"
WORKERS = 2


class Crossover(Strategy):
    """Long while the fast average is above the slow one, else flat."""

    class Params(StrategyParams):
        fast: int
        slow: int
        wait: int

    def __init__(self) -> None:
        self.fast, self.slow, self.seen = EMA(self.params.fast), EMA(self.params.slow), 0

    def price(self, price: float) -> None:
        wanted = self.fast.update(price) > self.slow.update(price)
        self.seen += 1
        if self.seen >= self.params.wait and wanted != (self.position.quantity > 0):
            self.signal("buy" if wanted else "sell", 1.0, "the averages crossed", quantity=Decimal(1))


class OnBars(Crossover):
    def on_bar(self, bar: Bar) -> None:
        self.price(bar.close)


class OnTrades(Crossover):
    def on_trade(self, trade: Trade) -> None:
        self.price(trade.price)


class OnQuotes(Crossover):
    def on_quote(self, quote: Quote) -> None:
        self.price((quote.bid + quote.ask) / 2)


STRATEGIES: dict[str, type[Crossover]] = {"bars": OnBars, "trades": OnTrades, "quotes": OnQuotes}


def version() -> str:
    return importlib.metadata.version("bigwheel")


def read(task: Task, path: str) -> str:
    """Nothing: it reads the file itself, while it runs."""
    return path


def run(task: Task, data: str) -> Outcome:
    """With risk, its limits out of reach, and without a learner, whose lessons the others do not have."""
    if task.kind == "grid":
        return _grid(task, data)
    strategy = STRATEGIES[task.kind]
    params = {"fast": task.fast, "slow": task.slow, "wait": task.wait}
    result = bigwheel.backtest(strategy, data=data, symbols=SYMBOL, params=params, **_terms(task))
    told = result.summary
    return Outcome(told[task.kind], told["round_trips"], told["final_equity"])


def _grid(task: Task, data: str) -> Outcome:
    """By two workers, whose processor time is read when a run has ended: after the last they are gone."""
    spent = [0.0]

    def look(_: object) -> None:
        spent.append(started_s(os.getpid()))

    with tempfile.TemporaryDirectory() as folder:
        table = bigwheel.sweep(
            OnBars,
            data=data,
            symbols=SYMBOL,
            out=Path(folder) / "sweep",
            params={"wait": task.wait},
            grid={"fast": sorted({fast for fast, _ in task.pairs}), "slow": sorted({slow for _, slow in task.pairs})},
            jobs=WORKERS,
            progress=look,
            **_terms(task),
        ).table
    events, trips, equity = (pc.sum(table[name]).as_py() for name in ("events", "trades", "final_equity"))
    return Outcome(events, trips, equity, max(spent))


def _terms(task: Task) -> dict[str, Any]:
    """Fees and risk alike; a sweep has no exact depth, so its fills have a made-up spread."""
    costs = {"maker": task.fee, "taker": task.fee}
    terms = {"cash": task.cash, "costs": costs, "latency_ms": 0.0, "config": FREE}
    return terms if task.kind == "grid" else {**terms, "depth": "exact"}
