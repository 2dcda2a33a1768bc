"""How directed a movement is: ADX, efficiency ratio, slope."""

from __future__ import annotations

from collections import deque
from math import fsum

from strategies.indicators.average import SMA, Wilder
from strategies.indicators.period import checked


class ADX:
    """Average directional index, 0 to 100: ``value``; ``plus`` and ``minus`` are the directional indicators.

    Directional movement and true range are Wilder-smoothed over ``period`` changes, and so is
    ``100 * |plus - minus| / (plus + minus)``. Ready after ``2 * period`` bars.
    J. Welles Wilder, New Concepts in Technical Trading Systems (1978).
    """

    def __init__(self, period: int = 14) -> None:
        self.ups = Wilder(period)
        self.downs = Wilder(period)
        self.ranges = Wilder(period)
        self.smooth = Wilder(period)
        self.last: tuple[float, float, float] | None = None
        self.plus = 0.0
        self.minus = 0.0
        self.value = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in one price, as a bar that did not move within."""
        return self.update_bar(value, value, value)

    def update_bar(self, high: float, low: float, close: float) -> float:
        """Take in one closed bar."""
        last, self.last = self.last, (high, low, close)
        if last is None:
            return self.value
        up, down = high - last[0], last[1] - low
        rise = self.ups.update(up if up > down and up > 0 else 0.0)
        fall = self.downs.update(down if down > up and down > 0 else 0.0)
        spread = self.ranges.update(max(high, last[2]) - min(low, last[2]))
        self.plus = 100.0 * rise / spread if spread > 0 else 0.0
        self.minus = 100.0 * fall / spread if spread > 0 else 0.0
        if self.ranges.ready:
            both = self.plus + self.minus
            self.value = self.smooth.update(100.0 * abs(self.plus - self.minus) / both if both > 0 else 0.0)
            self.ready = self.smooth.ready
        return self.value


class EfficiencyRatio:
    """How straight the way was: the distance made in ``period`` changes over the length of the path, 0 to 1.

    1 is a straight line, near 0 is noise; 0 where nothing moved. Ready after ``period + 1`` values.
    Perry J. Kaufman, Smarter Trading (1995).
    """

    def __init__(self, period: int = 10) -> None:
        self.window: deque[float] = deque(maxlen=checked(period) + 1)
        self.steps = SMA(period)
        self.value = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in the next value."""
        window = self.window
        if window:
            self.steps.update(abs(value - window[-1]))
        window.append(value)
        path = self.steps.value * (len(window) - 1)
        self.value = min(abs(value - window[0]) / path, 1.0) if path > 0 else 0.0
        self.ready = self.steps.ready
        return self.value


class Slope:
    """The slope of the least-squares line through the last ``period`` values, per value.

    ``sum((t - mean t) * x) / sum((t - mean t)**2)``, with t = 0, 1, 2 for the values in the order
    they came. A new value makes every older one a step older, which takes their plain sum from the
    weighted one. Both are sums of distances from a value of the window, so that large values close
    together don't cancel, and are summed anew, exactly, once a period. Ready after as many values.
    """

    def __init__(self, period: int = 14) -> None:
        self.period = checked(period, 2)
        self.window: deque[float] = deque(maxlen=period)
        self.anchor = 0.0
        self.total = 0.0
        self.weighted = 0.0
        self.since_exact = 0
        self.value = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in the next value; 0 before there are two."""
        window = self.window
        if not window:
            self.anchor = value
        distance = value - self.anchor
        if len(window) == self.period:
            oldest = window[0] - self.anchor
            self.weighted += (self.period - 1) * distance - (self.total - oldest)
            self.total += distance - oldest
        else:
            self.weighted += len(window) * distance
            self.total += distance
        window.append(value)
        self.since_exact += 1
        if self.since_exact >= self.period:
            self._exact()
        count = len(window)
        if count > 1:
            middle = (count - 1) / 2
            self.value = (self.weighted - middle * self.total) / (count * (count * count - 1) / 12)
        return self.value

    def _exact(self) -> None:
        self.anchor = self.window[-1]
        distances = [value - self.anchor for value in self.window]
        self.total = fsum(distances)
        self.weighted = fsum([step * distance for step, distance in enumerate(distances)])
        self.since_exact = 0
        self.ready = True
