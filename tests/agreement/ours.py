"""A rule by ``bigwheel.backtest``, with what a comparison has to take out of the way taken out of it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import bigwheel
from bigwheel.backtests.result import BacktestResult
from exchanges.model.market import Bar, Quote, Trade
from strategies.strategy import Strategy
from tests.agreement.outcome import Outcome, Trip
from tests.agreement.rules import Candle, Pilot, point
from tests.agreement.series import MINUTE, Series

FREE: dict[str, Any] = {
    "risk": {
        "order_notional": 1e12,
        "symbol_notional": 1e12,
        "total_notional": 1e12,
        "daily_budget": None,
        "daily_loss": 1e12,
        "max_drawdown": 1,
        "correlated_share": 1,
        "leverage": 100,
        "cash_reserve": 0,
        "max_slippage": 0.5,
        "cooldown_s": 0,
        "orders_per_minute": 1_000_000,
        "orders_per_second": 1_000_000,
    },
    "learner": {"stage": "off"},
}
"""Limits that nothing meets. Sizes are the rule's own, so nothing that was learned changes them."""


class Ruled(Strategy):
    """Trades what its rule says, at the market."""

    class Params(bigwheel.StrategyParams):
        rule: str
        count: int
        size: Decimal
        flat: bool = False

    def __init__(self) -> None:
        self.pilot = Pilot(self.params.rule, self.params.count, flat=self.params.flat)

    def decide(self, candle: Candle) -> None:
        size = self.params.size
        change = self.pilot.change(candle, int(self.position.quantity / size))
        if change:
            self.signal("buy" if change > 0 else "sell", 1.0, self.params.rule, quantity=abs(change) * size)


class OnBars(Ruled):
    def on_bar(self, bar: Bar) -> None:
        self.decide(Candle(bar.open, bar.high, bar.low, bar.close))


class OnTrades(Ruled):
    def on_trade(self, trade: Trade) -> None:
        self.decide(point(trade.price))


class OnQuotes(Ruled):
    def on_quote(self, quote: Quote) -> None:
        self.decide(point((quote.bid + quote.ask) / 2))


def run(series: Series, rule: str, folder: Path, *, size: int, cash: int, fee: float, **more: Any) -> BacktestResult:
    """On bars; ``more`` in place of exact depth and no latency."""
    params = {"rule": rule, "count": len(series.times), "size": size}
    return run_on(OnBars, series.write(folder), series.symbol, params, cash=cash, fee=fee, **more)


def run_on(
    strategy: type[Ruled], data: Path, symbol: str, params: dict[str, Any], *, cash: int, fee: float, **more: Any
) -> BacktestResult:
    """On any data; ``more`` likewise."""
    told: dict[str, Any] = {"depth": "exact", "latency_ms": 0, "config": FREE, **more}
    costs = {"maker": fee, "taker": fee}
    return bigwheel.backtest(strategy, data=data, symbols=symbol, params=params, cash=cash, costs=costs, **told)


def outcome(result: BacktestResult) -> Outcome:
    """In shared terms; equity is noted when a bar has closed, here by the time it began."""
    trips = [
        Trip(*(row[name] for name in ("side", "quantity", "entry_ns", "exit_ns", "entry_price", "exit_price", "pnl")))
        for row in result.trades.to_pylist()
    ]
    curve = {row["ts_ns"] - MINUTE: row["equity"] for row in result.equity.to_pylist()}
    return Outcome(trips, result.summary["final_equity"], curve)
