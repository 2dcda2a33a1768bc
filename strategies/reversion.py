"""Bets on a return to the mean: sells what is unusually dear, buys what is unusually cheap."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from exchanges.model.market import Bar, Trade
from exchanges.model.order import Fill
from exchanges.model.position import Position
from strategies.indicators import ZScore
from strategies.strategy import Feedback, Strategy, StrategyParams


class Reversion(Strategy):
    """Enters against a z-score beyond ``enter``; leaves near the mean, at a stop, or when it takes too long.

    The z-score is of the newest price in the window of the last ``window`` prices. Conviction is
    ``|z| / full``, at most 1.
    """

    class Params(StrategyParams):
        window: int = Field(default=100, ge=5, description="prices the mean and the deviation are taken over")
        source: Literal["trades", "bars"] = Field(default="trades", description="which prices: trades or closed bars")
        enter: float = Field(default=2.0, gt=0, description="deviations from the mean at which it enters")
        leave: float = Field(default=0.5, ge=0, description="deviations from the mean at which it leaves")
        stop: float = Field(default=5.0, gt=0, description="deviations on the wrong side at which it gives up")
        full: float = Field(default=4.0, gt=0, description="deviations of conviction 1")
        hold: int = Field(default=500, ge=1, description="prices after which it leaves in any case")
        patience: int = Field(default=20, ge=1, description="prices to wait after a signal for its fill")
        short: bool = Field(default=True, description="whether it may sell what it does not have")

        @model_validator(mode="after")
        def _ordered(self) -> Self:
            if not self.leave < self.enter < self.stop:
                raise ValueError(f"expected leave < enter < stop, found {self.leave}, {self.enter} and {self.stop}")
            return self

    def __init__(self) -> None:
        self.score = ZScore(self.params.window)
        self.waiting = 0
        self.held = 0
        self.bar = self.params.enter

    def watches(self) -> tuple[str, ...]:
        return ("Trade",) if self.params.source == "trades" else ("Bar",)

    def on_trade(self, trade: Trade) -> None:
        if self.params.source == "trades":
            self.price(trade.price)

    def on_bar(self, bar: Bar) -> None:
        if self.params.source == "bars" and bar.closed:
            self.price(bar.close)

    def on_fill(self, fill: Fill, position: Position) -> None:
        if position.quantity == 0:
            self.held = 0

    def on_feedback(self, feedback: Feedback) -> None:
        """Ask more of an entry when convictions this low have lost."""
        self.bar = max(self.params.enter, feedback.conviction_threshold * self.params.full)

    def price(self, price: float) -> None:
        """Take in one price and act on it."""
        score = self.score.update(price)
        held = self.position.quantity
        if held:
            self.held += 1
        if self.waiting > 0:
            self.waiting -= 1
        elif not self.score.ready:
            return
        elif held:
            self.keep(score if held > 0 else -score)
        elif abs(score) >= self.bar and (score < 0 or self.params.short):
            self.enter(score)

    def enter(self, score: float) -> None:
        """Bet against the deviation."""
        conviction = min(abs(score) / self.params.full, 1.0)
        side, word = ("buy", "below") if score < 0 else ("sell", "above")
        stats = self.score.stats
        signal = self.signal(
            side, conviction, f"price far {word} its mean", score=score, mean=stats.mean, std=stats.std
        )
        self.waiting = self.params.patience if signal else 0

    def keep(self, along: float) -> None:
        """Leave where there is a reason to; ``along`` is the score in the position's direction."""
        reason = ""
        if along >= -self.params.leave:
            reason = "back at the mean"
        elif along <= -self.params.stop:
            reason = "stopped: further from the mean than it should go"
        elif self.held >= self.params.hold:
            reason = "held too long"
        if reason and self.exit(reason, score=along, held=float(self.held)):
            self.waiting = self.params.patience
