"""An alpha engine: trend, momentum and mean reversion, each an opinion of its own, blended by regime."""

from __future__ import annotations

from math import sqrt
from typing import Literal, Self

from pydantic import Field, model_validator

from exchanges.model.market import Bar, Trade
from exchanges.model.order import Fill
from exchanges.model.position import Position
from strategies.indicators import EMA, EfficiencyRatio, Momentum, ZScore
from strategies.strategy import Feedback, Strategy, StrategyParams
from strategies.trend import spread_deviation


class Alpha(Strategy):
    """Enters where the blend of its opinions is strong; leaves when it turns, at a stop, or after a while.

    Each opinion is a score in standard deviations of a random walk, over ``full``, cut off at -1 and 1:
    ``trend`` the spread of two averages, ``momentum`` the change over ``momentum`` prices, ``reversion`` the
    distance from the mean, turned around. The efficiency ratio of the prices (0: noise, 1: a straight
    line) says how much the first two weigh against the third. Each is told with the signal as a
    source, so that what each is worth can be learned by itself.
    """

    class Params(StrategyParams):
        source: Literal["trades", "bars"] = Field(default="trades", description="which prices: trades or closed bars")
        fast: int = Field(default=12, ge=2, description="period of the fast average, in prices")
        slow: int = Field(default=36, ge=3, description="period of the slow average, in prices")
        momentum: int = Field(default=24, ge=1, description="prices the momentum is taken over")
        window: int = Field(default=60, ge=5, description="prices of the mean, of volatility and of the regime")
        full: float = Field(default=2.5, gt=0, description="deviations at which an opinion is 1")
        trend: float = Field(default=1.0, ge=0, description="weight of the trend's opinion")
        momentum_weight: float = Field(default=1.0, ge=0, description="weight of the momentum's opinion")
        reversion: float = Field(default=1.0, ge=0, description="weight of the reversion's opinion")
        enter: float = Field(default=0.5, gt=0, le=1, description="blend at which it enters; conviction is the blend")
        leave: float = Field(default=0.1, ge=0, le=1, description="blend against the position at which it leaves")
        stop: float = Field(default=4.0, gt=0, description="deviations over the window against it at which it gives up")
        hold: int = Field(default=600, ge=1, description="prices after which it leaves in any case")
        patience: int = Field(default=20, ge=1, description="prices to wait after a signal for its fill")
        short: bool = Field(default=True, description="whether it may sell what it does not have")

        @model_validator(mode="after")
        def _consistent(self) -> Self:
            if self.fast >= self.slow:
                raise ValueError(f"expected fast < slow, found {self.fast} and {self.slow}")
            if not self.trend + self.momentum_weight + self.reversion:
                raise ValueError("expected a weight above 0 for at least one opinion, found none")
            return self

    def __init__(self) -> None:
        params = self.params
        self.fast = EMA(params.fast)
        self.slow = EMA(params.slow)
        self.scale = spread_deviation(self.fast.alpha, self.slow.alpha)
        self.change = Momentum(params.momentum)
        self.score = ZScore(params.window)
        self.squared = EMA(params.window)
        self.straight = EfficiencyRatio(params.window)
        self.previous = 0.0
        self.waiting = 0
        self.held = 0
        self.limit = 0.0
        self.bar = params.enter

    def watches(self) -> tuple[str, ...]:
        return ("Trade",) if self.params.source == "trades" else ("Bar",)

    def on_trade(self, trade: Trade) -> None:
        if self.params.source == "trades":
            self.price(trade.price)

    def on_bar(self, bar: Bar) -> None:
        if self.params.source == "bars":
            self.price(bar.close)

    def on_fill(self, fill: Fill, position: Position) -> None:
        if not position.quantity:
            self.held = 0

    def on_feedback(self, feedback: Feedback) -> None:
        """Ask more of an entry when convictions this low have lost."""
        self.bar = max(self.params.enter, feedback.conviction_threshold)

    def price(self, price: float) -> None:
        """Take in one price and act on it."""
        previous, self.previous = self.previous, price
        spread = self.fast.update(price) - self.slow.update(price)
        change = self.change.update(price)
        score = self.score.update(price)
        straight = self.straight.update(price)
        if previous <= 0.0:
            return
        variance = self.squared.update((price - previous) ** 2)
        if self.position.quantity:
            self.held += 1
        if self.waiting > 0:
            self.waiting -= 1
        elif variance > 0.0 and self.score.ready and self.squared.ready and self.change.ready:
            deviation = sqrt(variance)
            opinions = {
                "trend": self.opinion(spread / (deviation * self.scale)),
                "momentum": self.opinion(change / (deviation * sqrt(self.params.momentum))),
                "reversion": self.opinion(-score),
            }
            self.decide(price, deviation, opinions, straight)

    def opinion(self, deviations: float) -> float:
        """A score as an opinion."""
        return max(-1.0, min(1.0, deviations / float(self.params.full)))

    def blend(self, opinions: dict[str, float], straight: float) -> float:
        """The opinions' weighted mean, -1 to 1; ``straight`` is the efficiency ratio."""
        params = self.params
        weights = {
            "trend": params.trend * straight,
            "momentum": params.momentum_weight * straight,
            "reversion": params.reversion * (1.0 - straight),
        }
        total: float = sum(weights.values())
        blended: float = sum(weights[name] * opinion for name, opinion in opinions.items())
        return blended / total if total else 0.0

    def decide(self, price: float, deviation: float, opinions: dict[str, float], straight: float) -> None:
        """Enter, leave or do nothing."""
        blend, held = self.blend(opinions, straight), self.position.quantity
        if held:
            self.keep(price, blend if held > 0 else -blend)
        elif abs(blend) >= self.bar and (blend > 0 or self.params.short):
            side = "buy" if blend > 0 else "sell"
            reason = "its opinions agree"
            # As volatile as it was before: the jump that should stop it must not widen its limit.
            self.limit = self.params.stop * deviation * sqrt(self.params.window)
            self.act(self.signal(side, abs(blend), reason, sources=opinions, blend=blend, straight=straight))

    def keep(self, price: float, along: float) -> None:
        """Leave where there is a reason to; ``along`` is the blend in the position's direction."""
        position, params = self.position, self.params
        gain = (price - float(position.average_price)) * (1 if position.quantity > 0 else -1)
        reason = ""
        if along <= -params.leave:
            reason = "its opinions have turned"
        elif self.limit and gain <= -self.limit:
            reason = "stopped: the price went too far against it"
        elif self.held >= params.hold:
            reason = "held too long"
        if reason:
            self.act(self.exit(reason, blend=along, gain=gain, limit=self.limit))

    def act(self, signal: str) -> None:
        """Wait for the fill of a signal that went out."""
        if signal:
            self.waiting = self.params.patience
