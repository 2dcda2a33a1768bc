"""Follows a trend: two exponential averages, and how far apart they are for so volatile a price."""

from __future__ import annotations

from math import sqrt
from typing import Literal, Self

from pydantic import Field, model_validator

from exchanges.model.market import Bar, Trade
from strategies.indicators import EMA
from strategies.strategy import Feedback, Strategy, StrategyParams


class Trend(Strategy):
    """Buys when the fast average is well above the slow one, sells when well below, leaves when they cross.

    The spread of the averages is divided by the standard deviation it would have if prices were
    a random walk of the volatility seen lately, so that ``score`` reads like a normal variable
    and conviction (``|score| / full``, at most 1) means the same in every symbol.
    """

    class Params(StrategyParams):
        fast: int = Field(default=20, ge=2, description="period of the fast average, in prices")
        slow: int = Field(default=60, ge=3, description="period of the slow average, in prices")
        source: Literal["trades", "bars"] = Field(default="trades", description="which prices: trades or closed bars")
        enter: float = Field(default=1.0, gt=0, description="score at which it enters")
        leave: float = Field(default=0.0, description="score, in the position's direction, at which it leaves")
        full: float = Field(default=3.0, gt=0, description="score of conviction 1")
        patience: int = Field(default=20, ge=1, description="prices to wait after a signal for its fill")
        short: bool = Field(default=True, description="whether it may sell what it does not have")

        @model_validator(mode="after")
        def _ordered(self) -> Self:
            if self.fast >= self.slow:
                raise ValueError(f"expected fast < slow, found {self.fast} and {self.slow}")
            if self.leave >= self.enter:
                raise ValueError(f"expected leave < enter, found {self.leave} and {self.enter}")
            return self

    def __init__(self) -> None:
        params = self.params
        self.fast = EMA(params.fast)
        self.slow = EMA(params.slow)
        self.squared = EMA(params.slow)
        self.scale = spread_deviation(self.fast.alpha, self.slow.alpha)
        self.previous = 0.0
        self.waiting = 0
        self.bar = params.enter

    def watches(self) -> tuple[str, ...]:
        return ("Trade",) if self.params.source == "trades" else ("Bar",)

    def on_trade(self, trade: Trade) -> None:
        if self.params.source == "trades":
            self.price(trade.price)

    def on_bar(self, bar: Bar) -> None:
        if self.params.source == "bars" and bar.closed:
            self.price(bar.close)

    def on_feedback(self, feedback: Feedback) -> None:
        """Ask more of an entry when convictions this low have lost, and say so in the features."""
        self.bar = max(self.params.enter, feedback.conviction_threshold * self.params.full)

    def price(self, price: float) -> None:
        """Take in one price and act on it."""
        previous, self.previous = self.previous, price
        spread = self.fast.update(price) - self.slow.update(price)
        if previous <= 0.0:
            return
        change = price - previous
        variance = self.squared.update(change * change)
        if self.waiting > 0:
            self.waiting -= 1
        elif variance > 0.0 and self.squared.ready:
            self.decide(spread / (sqrt(variance) * self.scale))

    def decide(self, score: float) -> None:
        """Enter, leave or do nothing, at this ``score``."""
        held = self.position.quantity
        if held:
            along = score if held > 0 else -score
            if along <= self.params.leave:
                self.act(self.exit("the averages crossed back", score=score))
        elif abs(score) >= self.bar and (score > 0 or self.params.short):
            conviction = min(abs(score) / self.params.full, 1.0)
            side, word = ("buy", "above") if score > 0 else ("sell", "below")
            reason = f"fast average {word} slow"
            self.act(self.signal(side, conviction, reason, score=score, fast=self.fast.value, slow=self.slow.value))

    def act(self, signal: str) -> None:
        """Wait for the fill of a signal that went out."""
        if signal:
            self.waiting = self.params.patience


def spread_deviation(fast: float, slow: float) -> float:
    """Standard deviation of EMA(fast) - EMA(slow) of a random walk whose steps have deviation 1.

    After a step of 1, k prices ago, the averages differ by ``(1-slow)**(k+1) - (1-fast)**(k+1)``;
    this is the root of the sum of their squares over all k, three geometric series.

    Args:
        fast: smoothing factor alpha of the fast average, between 0 and 1.
        slow: smoothing factor alpha of the slow average, between 0 and ``fast``.
    """
    a, b = 1 - fast, 1 - slow
    return sqrt(a * a / (1 - a * a) + b * b / (1 - b * b) - 2 * a * b / (1 - a * b))
