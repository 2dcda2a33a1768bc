"""Bands around an average."""

from __future__ import annotations

from strategies.errors import StrategyError
from strategies.indicators.rolling import RollingStats


class Bollinger:
    """Bollinger bands: the mean of the last ``period`` values, and ``width`` deviations to either side.

    The deviation is the population's, as John Bollinger defines it (Bollinger on Bollinger Bands,
    2001). ``value`` is the middle; ``position`` is 0 at the lower band, 1 at the upper, 0.5 where
    nothing moved. Ready after ``period`` values.
    """

    def __init__(self, period: int = 20, width: float = 2.0) -> None:
        if not width > 0:
            raise StrategyError(f"expected a width above 0 deviations, found {width!r}; correct it")
        self.stats = RollingStats(period)
        self.width = width
        self.upper = 0.0
        self.lower = 0.0
        self.value = 0.0
        self.position = 0.5
        self.ready = False

    def update(self, value: float) -> float:
        """Take in the next value; returns the middle."""
        self.value = middle = self.stats.update(value)
        half = self.width * self.stats.std
        self.upper, self.lower = middle + half, middle - half
        self.position = (value - self.lower) / (2 * half) if half > 1e-12 * abs(middle) else 0.5
        self.ready = self.stats.ready
        return middle
