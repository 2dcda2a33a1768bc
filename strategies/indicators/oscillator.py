"""Oscillators: where the price stands within what it has lately done."""

from __future__ import annotations

from strategies.indicators.average import SMA
from strategies.indicators.range import RollingMax, RollingMin
from strategies.indicators.rolling import MeanDeviation

_LAMBERT = 0.015


class Stochastic:
    """The slow stochastic oscillator (George Lane), 0 to 100.

    ``fast`` is the close within the range of the last ``period`` bars, ``value`` (%K) its mean over
    ``smooth`` bars, ``signal`` (%D) the mean of that over ``signal`` bars. 50 where nothing moved.
    The averages begin with the first full range; ready after ``period + smooth + signal - 2`` bars.
    """

    def __init__(self, period: int = 14, smooth: int = 3, signal: int = 3) -> None:
        self.highs = RollingMax(period)
        self.lows = RollingMin(period)
        self.slow = SMA(smooth)
        self.smooth = SMA(signal)
        self.fast = 50.0
        self.value = 50.0
        self.signal = 50.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in one price, as a bar that did not move within."""
        return self.update_bar(value, value, value)

    def update_bar(self, high: float, low: float, close: float) -> float:
        """Take in one closed bar; returns %K."""
        top, bottom = self.highs.update(high), self.lows.update(low)
        self.fast = 100.0 * (close - bottom) / (top - bottom) if top > bottom else 50.0
        if self.highs.ready:
            self.value = self.slow.update(self.fast)
            if self.slow.ready:
                self.signal = self.smooth.update(self.value)
                self.ready = self.smooth.ready
        return self.value


class CCI:
    """Commodity channel index (Donald Lambert, Commodities, October 1980).

    The typical price ``(high + low + close) / 3`` less its mean over ``period`` bars, over 0.015
    mean absolute deviations; 0 where nothing moved. Ready after ``period`` bars.
    """

    def __init__(self, period: int = 20) -> None:
        self.deviation = MeanDeviation(period)
        self.value = 0.0
        self.ready = False

    def update(self, value: float) -> float:
        """Take in one price, as a bar that did not move within."""
        return self.update_bar(value, value, value)

    def update_bar(self, high: float, low: float, close: float) -> float:
        """Take in one closed bar."""
        typical = (high + low + close) / 3
        spread, mean = self.deviation.update(typical), self.deviation.average.value
        self.value = (typical - mean) / (_LAMBERT * spread) if spread > 1e-12 * abs(mean) else 0.0
        self.ready = self.deviation.ready
        return self.value
