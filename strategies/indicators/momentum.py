"""Momentum: RSI and MACD."""

from __future__ import annotations

from strategies.errors import StrategyError
from strategies.indicators.average import EMA, Wilder
from strategies.indicators.period import checked


class RSI:
    """Relative strength index, 0 to 100: ``100 - 100 / (1 + gains / losses)``, Wilder-smoothed.

    50 where nothing moved. Ready after ``period`` changes, that is ``period + 1`` values.
    J. Welles Wilder, New Concepts in Technical Trading Systems (1978).
    """

    def __init__(self, period: int = 14) -> None:
        self.gains = Wilder(period)
        self.losses = Wilder(period)
        self.previous: float | None = None
        self.value = 50.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in the next value."""
        previous, self.previous = self.previous, value
        if previous is None:
            return self.value
        change = value - previous
        gain = self.gains.update(change if change > 0 else 0.0)
        loss = self.losses.update(-change if change < 0 else 0.0)
        moved = gain + loss
        self.value = 100.0 * gain / moved if moved > 0 else 50.0
        self.ready = self.gains.ready
        return self.value


class MACD:
    """Moving average convergence and divergence (Gerald Appel): ``EMA(fast) - EMA(slow)``.

    ``signal`` is the EMA of that, ``histogram`` the difference of the two.
    """

    def __init__(self, fast: int = 12, slow: int = 26, signal: int = 9) -> None:
        if checked(fast, name="fast") >= checked(slow, name="slow"):
            raise StrategyError(f"expected fast < slow, found {fast} and {slow}; exchange or change them")
        self.fast = EMA(fast)
        self.slow = EMA(slow)
        self.smooth = EMA(signal)
        self.value = 0.0
        self.signal = 0.0
        self.histogram = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in the next value; returns fast less slow."""
        self.value = self.fast.update(value) - self.slow.update(value)
        if self.slow.ready:
            self.signal = self.smooth.update(self.value)
            self.histogram = self.value - self.signal
            self.ready = self.smooth.ready
        return self.value
