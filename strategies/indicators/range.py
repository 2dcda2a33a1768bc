"""Highs, lows and true ranges."""

from __future__ import annotations

from collections import deque

from strategies.indicators.average import Wilder
from strategies.indicators.period import checked


class RollingMax:
    """The largest of the last ``period`` values.

    A deque keeps only values that can still become the largest, falling from the left: each
    value enters and leaves once, which is constant time on average.
    """

    def __init__(self, period: int) -> None:
        self.period = checked(period)
        self.count = 0
        self.candidates: deque[tuple[int, float]] = deque()
        self.value = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in the next value."""
        candidates = self.candidates
        while candidates and candidates[-1][1] <= value:
            candidates.pop()
        candidates.append((self.count, value))
        if candidates[0][0] <= self.count - self.period:
            candidates.popleft()
        self.count += 1
        self.ready = self.count >= self.period
        self.value = candidates[0][1]
        return self.value


class RollingMin:
    """The smallest of the last ``period`` values: the largest of their negatives, negated."""

    def __init__(self, period: int) -> None:
        self.negated = RollingMax(period)
        self.value = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in the next value."""
        self.value = -self.negated.update(-value)
        self.ready = self.negated.ready
        return self.value


class Donchian:
    """Donchian channel: ``upper`` and ``lower`` are the extremes of the last ``period`` values.

    ``value`` is the middle, ``(upper + lower) / 2``. For a breakout compare a new price with
    the channel *before* it is taken in: afterwards it lies inside by construction.
    """

    def __init__(self, period: int) -> None:
        self.highs = RollingMax(period)
        self.lows = RollingMin(period)
        self.upper = 0.0
        self.lower = 0.0
        self.value = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in one price; returns the middle."""
        return self.update_bar(value, value)

    def update_bar(self, high: float, low: float) -> float:
        """Take in one bar; returns the middle."""
        self.upper = self.highs.update(high)
        self.lower = self.lows.update(low)
        self.ready = self.highs.ready
        self.value = (self.upper + self.lower) / 2
        return self.value


class ATR:
    """Average true range: Wilder's smoothing of the true range, in the unit of the prices.

    True range: the largest of ``high - low``, ``|high - previous close|`` and
    ``|low - previous close|``; of the first bar ``high - low``. J. Welles Wilder (1978).
    """

    def __init__(self, period: int = 14) -> None:
        self.smooth = Wilder(period)
        self.close: float | None = None
        self.value = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in one price, as a bar that did not move within."""
        return self.update_bar(value, value, value)

    def update_bar(self, high: float, low: float, close: float) -> float:
        """Take in one closed bar."""
        previous = self.close
        spread = high - low if previous is None else max(high, previous) - min(low, previous)
        self.close = close
        self.value = self.smooth.update(spread)
        self.ready = self.smooth.ready
        return self.value
