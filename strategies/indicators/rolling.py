"""Mean, spread, z-score and deviation over a window."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from math import fsum, sqrt

from strategies.indicators.average import SMA
from strategies.indicators.period import checked


class RollingStats:
    """Mean and population standard deviation of the last ``period`` values.

    Welford's update (B. P. Welford, 1962), extended to a window by taking the oldest value out
    as the newest comes in: unlike the mean of squares less the square of the mean it does not
    cancel when values are large and close together. Computed anew, exactly, once a period.
    """

    def __init__(self, period: int) -> None:
        self.period = checked(period, 2)
        self.window: deque[float] = deque(maxlen=period)
        self.since_exact = 0
        self.mean = 0.0
        self.squares = 0.0
        self.ready = False

    @property
    def variance(self) -> float:
        """The population variance: the squared distances from the mean, over their number."""
        return self.squares / len(self.window) if self.window else 0.0

    @property
    def std(self) -> float:
        """The population standard deviation, in the unit of the values."""
        return sqrt(self.variance)

    @property
    def value(self) -> float:
        """The mean."""
        return self.mean

    def update(self, value: float) -> float:
        """Take in the next value; returns the mean."""
        window, mean = self.window, self.mean
        if len(window) == self.period:
            oldest = window[0]
            self.mean = mean + (value - oldest) / self.period
            self.squares += (value - oldest) * (value - self.mean + oldest - mean)
            window.append(value)
        else:
            window.append(value)
            self.mean = mean + (value - mean) / len(window)
            self.squares += (value - mean) * (value - self.mean)
        self.since_exact += 1
        if self.since_exact >= self.period:
            self._exact()
        if self.squares < 0.0:
            self.squares = 0.0
        return self.mean

    def _exact(self) -> None:
        window = self.window
        self.mean = mean = fsum(window) / len(window)
        self.squares = fsum([(value - mean) ** 2 for value in window])
        self.since_exact = 0
        self.ready = True


class StandardDeviation:
    """The population standard deviation of the last ``period`` values, in their unit. Ready after as many."""

    def __init__(self, period: int) -> None:
        self.stats = RollingStats(period)
        self.value = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in the next value."""
        self.stats.update(value)
        self.value, self.ready = self.stats.std, self.stats.ready
        return self.value


class ZScore:
    """How many standard deviations the newest value lies from the mean of its window.

    ``(x - mean) / std`` over the last ``period`` values, ``x`` included; 0 where nothing moved.
    """

    def __init__(self, period: int) -> None:
        self.stats = RollingStats(period)
        self.value = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in the next value."""
        stats = self.stats
        mean = stats.update(value)
        std = stats.std
        self.value = (value - mean) / std if std > 1e-12 * abs(mean) else 0.0
        self.ready = stats.ready
        return self.value


class MeanDeviation:
    """The mean absolute distance of the last ``period`` values from their mean.

    Distances above and below the mean add up to the same, so it is twice the distances below,
    over the number of values. The window is kept in order (a search of log n comparisons and a shift of
    the list), and with it the sum of what lies below the mean. The mean moves by an n-th of what comes in
    less what goes out, so few values change sides. Summed anew, exactly, once a period. Ready after as many.
    """

    def __init__(self, period: int) -> None:
        self.average = SMA(period)
        self.ordered: list[float] = []
        self.below = 0
        self.below_total = 0.0
        self.value = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in the next value."""
        ordered, window = self.ordered, self.average.window
        if len(window) == self.average.period:
            place = bisect_left(ordered, window[0])
            if place < self.below:
                self.below -= 1
                self.below_total -= ordered[place]
            del ordered[place]
        place = bisect_right(ordered, value)
        ordered.insert(place, value)
        if place < self.below:
            self.below += 1
            self.below_total += value
        mean = self.average.update(value)
        self._divide(mean)
        self.value = max(2 * (mean * self.below - self.below_total) / len(ordered), 0.0)
        self.ready = self.average.ready
        return self.value

    def _divide(self, mean: float) -> None:
        """Have exactly the values less than ``mean`` counted as below it."""
        ordered = self.ordered
        while self.below < len(ordered) and ordered[self.below] < mean:
            self.below_total += ordered[self.below]
            self.below += 1
        while self.below and ordered[self.below - 1] >= mean:
            self.below -= 1
            self.below_total -= ordered[self.below]
        if not self.average.since_exact:
            self.below_total = fsum(ordered[: self.below])
