"""Moving averages."""

from __future__ import annotations

from collections import deque
from math import fsum

from strategies.indicators.period import checked


class SMA:
    """Simple moving average: the mean of the last ``period`` values.

    A running sum collects rounding errors, so it is summed anew, exactly, once a period.
    """

    def __init__(self, period: int) -> None:
        self.period = checked(period)
        self.window: deque[float] = deque(maxlen=period)
        self.total = 0.0
        self.since_exact = 0
        self.value = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in the next value; the mean so far while there are fewer than ``period``."""
        window = self.window
        self.total += value - window[0] if len(window) == self.period else value
        window.append(value)
        self.since_exact += 1
        if self.since_exact >= self.period:
            self.total, self.since_exact = fsum(window), 0
            self.ready = True
        self.value = self.total / len(window)
        return self.value


class WMA:
    """Weighted moving average: the newest of ``period`` values weighs ``period``, the oldest 1.

    ``sum(w * x) / (n * (n + 1) / 2)``. When a value comes in, every older one loses one weight,
    which takes their plain sum from the weighted one; both are summed anew, exactly, once a period.
    While there are fewer than ``period`` values, it is the average of those there are. Ready after ``period``.
    """

    def __init__(self, period: int) -> None:
        self.period = checked(period)
        self.window: deque[float] = deque(maxlen=period)
        self.total = 0.0
        self.weighted = 0.0
        self.since_exact = 0
        self.value = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in the next value."""
        window = self.window
        if len(window) == self.period:
            self.weighted += self.period * value - self.total
            self.total += value - window[0]
        else:
            self.weighted += (len(window) + 1) * value
            self.total += value
        window.append(value)
        self.since_exact += 1
        if self.since_exact >= self.period:
            self.total, self.since_exact = fsum(window), 0
            self.weighted = fsum([weight * item for weight, item in enumerate(window, 1)])
            self.ready = True
        count = len(window)
        self.value = self.weighted / (count * (count + 1) / 2)
        return self.value


class EMA:
    """Exponential moving average, ``e += alpha * (x - e)`` with ``alpha = 2 / (period + 1)``.

    It starts at the first value (pandas' ``ewm(span=period, adjust=False)``) and is ready
    after ``period`` values.
    """

    def __init__(self, period: int) -> None:
        self.period = checked(period)
        self.alpha = 2.0 / (period + 1)
        self.count = 0
        self.value = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in the next value."""
        if self.ready:
            self.value += self.alpha * (value - self.value)
            return self.value
        self.value = value if self.count == 0 else self.value + self.alpha * (value - self.value)
        self.count += 1
        self.ready = self.count >= self.period
        return self.value


class Wilder:
    """Wilder's smoothing: the mean of the first ``period`` values, then ``(w * (n - 1) + x) / n``.

    J. Welles Wilder, New Concepts in Technical Trading Systems (1978).
    """

    def __init__(self, period: int) -> None:
        self.period = checked(period)
        self.count = 0
        self.value = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in the next value; the mean so far while there are fewer than ``period``."""
        if not self.ready:
            self.count += 1
            self.ready = self.count >= self.period
        self.value += (value - self.value) / self.count
        return self.value
