"""Realised volatility."""

from __future__ import annotations

from math import log, sqrt

from strategies.errors import StrategyError
from strategies.indicators.average import SMA


class RealisedVolatility:
    """The root of the mean squared log return of the last ``period`` returns, times the root of ``factor``.

    ``factor`` is how many returns make the span it is given for: 1 for one return, 525,600 for a
    year of minutes. The mean return is not taken off: over short spans it is noise
    (Andersen and Bollerslev, 1998). Ready after ``period + 1`` prices, which must be above 0.
    """

    def __init__(self, period: int, factor: float = 1.0) -> None:
        if not factor > 0:
            raise StrategyError(f"expected a factor above 0 returns, found {factor!r}; correct it")
        self.squares = SMA(period)
        self.factor = factor
        self.previous = 0.0
        self.value = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in the next price; one that isn't above 0 is passed over."""
        if value <= 0.0:
            return self.value
        previous, self.previous = self.previous, value
        if previous:
            change = log(value / previous)
            self.value = sqrt(max(self.squares.update(change * change), 0.0) * self.factor)
            self.ready = self.squares.ready
        return self.value
