"""What outcomes are put down to: sources, strategies, symbols, regimes and gates."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeVar

from actors.learner.statistics import Moments

KEYS = 1_000
"""The most keys of one table; what comes after them is counted together."""

OTHER = "(other)"

T = TypeVar("T", bound="Tally")

_Z95 = 1.959963984540054


class Tally(Moments):
    """Outcomes of one key. ``profit`` is in the quote currency, the moments are of returns."""

    wins: int = 0
    profit: float = 0.0

    def take(self, value: float, stake: float) -> None:
        """Add a return on ``stake``; a return of 0 is no win."""
        self.add(value)
        self.wins += value > 0
        self.profit += value * stake

    def as_json(self) -> dict[str, float]:
        return {
            "count": self.count,
            "mean_return": self.mean,
            "deviation": self.deviation,
            "win_rate": self.wins / self.count if self.count else 0.0,
            "profit": self.profit,
        }


class GateTally(Tally):
    """What one gate stopped, measured on the market it missed. ``profit`` is what it would have made.

    A win that was stopped is a false positive: net of costs it would have earned.
    """

    def as_json(self) -> dict[str, float]:
        low, high = wilson(self.wins, self.count)
        return {
            "count": self.count,
            "mean_return": self.mean,
            "deviation": self.deviation,
            "mean_saving": -self.profit / self.count if self.count else 0.0,
            "saved": -self.profit,
            "false_positive_rate": self.wins / self.count if self.count else 0.0,
            "false_positive_low": low,
            "false_positive_high": high,
        }


class Interval(NamedTuple):
    low: float
    high: float


def wilson(wins: int, count: int, z: float = _Z95) -> Interval:
    """The score interval of a rate (E. B. Wilson, JASA 22, 1927); the whole range without outcomes.

    ``z`` is the normal quantile; the default is of 95%.
    """
    if count <= 0:
        return Interval(0.0, 1.0)
    rate, square = wins / count, z * z
    centre = (rate + square / (2 * count)) / (1 + square / count)
    half = z / (1 + square / count) * math.sqrt(rate * (1 - rate) / count + square / (4 * count * count))
    return Interval(max(centre - half, 0.0), min(centre + half, 1.0))


def entry(table: dict[str, T], key: str, kind: type[T]) -> T:
    """The tally of ``key``, made if there is room."""
    if key not in table and len(table) >= KEYS:
        key = OTHER
    return table.setdefault(key, kind())
