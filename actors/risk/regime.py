"""Which regime a symbol's market is in, from the prices the risk supervisor sees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from actors.risk.series import Series
from actors.risk.settings import RegimeSettings

UNKNOWN = ""
"""Before there is enough data."""

NAMES = ("quiet-ranging", "quiet-trending", "volatile-ranging", "volatile-trending")
"""Every label there is."""


class Regime(msgspec.Struct):
    """What the label of one symbol is reckoned from.

    ``long`` is the long average of squared returns of one step of the grid, ``count`` how many of
    them it has seen.
    """

    series: Series = msgspec.field(default_factory=Series)
    long: float = 0.0
    count: int = 0

    def take(self, at_ns: int, price: float, settings: RegimeSettings) -> None:
        """Take in a price."""
        self.extend((at_ns,), (price,), settings)

    def extend(self, times: Sequence[int], prices: Sequence[float], settings: RegimeSettings) -> None:
        """Take in prices of these times, in ns."""
        series, least, log = self.series, 2 / (settings.long + 1), math.log
        closes, count, long = series.closes, self.count, self.long
        for closed in series.extend(times, prices, settings.grid_ns, settings.window + 1):
            for before, after in pairwise(closes[-closed - 1 :]):
                count += 1
                weight = 1 / count
                long += (weight if weight > least else least) * (log(after / before) ** 2 - long)
        self.count, self.long = count, long

    def label(self, settings: RegimeSettings) -> str:
        """The label as of the last step of the grid that has ended; ``UNKNOWN`` without enough of them."""
        closes = self.series.closes
        ready = len(closes) == settings.window + 1 and self.count >= 2 * settings.window
        return _label(closes, self.long, settings) if ready else UNKNOWN


def _label(closes: list[float], long: float, settings: RegimeSettings) -> str:
    """Volatile: the window's mean squared return is above the long average of them, that is, so is its volatility.

    Trending: Kaufman's efficiency ratio (Trading Systems and Methods, "Kaufman's Adaptive Moving
    Average"), the net change over the sum of all changes in the window, reaches the bound.
    """
    squares = [math.log(after / before) ** 2 for before, after in pairwise(closes)]
    path = sum([abs(after - before) for before, after in pairwise(closes)])
    volatile = sum(squares) / len(squares) > long
    trending = path > 0 and abs(closes[-1] - closes[0]) / path >= settings.trending
    return f"{'volatile' if volatile else 'quiet'}-{'trending' if trending else 'ranging'}"
