"""Momentum: RSI, MACD, differences and rates of change."""

from __future__ import annotations

from collections import deque

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


class Momentum:
    """The newest value less the one ``period`` values before, in the unit of the values.

    Ready after ``period + 1`` values; 0 until then. ``rate`` is the rate of change, the same as a
    fraction of the older value (0.01 is one percent; 0 where the older value is 0).
    """

    def __init__(self, period: int) -> None:
        self.period = checked(period)
        self.window: deque[float] = deque(maxlen=period + 1)
        self.value = 0.0
        self.rate = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in the next value."""
        window = self.window
        window.append(value)
        if len(window) > self.period:
            oldest = window[0]
            self.value = value - oldest
            self.rate = self.value / oldest if oldest else 0.0
            self.ready = True
        return self.value


class ROC:
    """Rate of change: how far the value moved in ``period`` values, as a fraction of where it was.

    Ready after ``period + 1`` values; 0 until then.
    """

    def __init__(self, period: int) -> None:
        self.momentum = Momentum(period)
        self.value = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in the next value."""
        self.momentum.update(value)
        self.value, self.ready = self.momentum.rate, self.momentum.ready
        return self.value
