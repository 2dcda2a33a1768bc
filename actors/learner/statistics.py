"""Counts and moments of outcomes, updated one by one."""

from __future__ import annotations

import math

import msgspec


class Moments(msgspec.Struct):
    """Mean and variance of all outcomes, each counting the same.

    Welford's update (B. P. Welford, Technometrics 4, 1962): exact in one pass, and it does not
    cancel where the mean is large against the spread.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self.squares += delta * (value - self.mean)

    @property
    def deviation(self) -> float:
        """The sample's standard deviation, 0 below two outcomes."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else 0.0


class Faded(msgspec.Struct):
    """Outcomes that count less the older they are: by half after ``half_life`` further ones.

    ``wins`` and ``losses`` are sums of weights, ``mean`` and ``variance`` weighted (D. H. D. West,
    Communications of the ACM 22, 1979, for the weighted form of Welford's update).
    """

    wins: float = 0.0
    losses: float = 0.0
    mean: float = 0.0
    squares: float = 0.0

    @property
    def weight(self) -> float:
        return self.wins + self.losses

    @property
    def variance(self) -> float:
        return self.squares / self.weight if self.weight else 0.0

    def add(self, value: float, half_life: float, weight: float = 1.0) -> None:
        """Add one outcome of ``weight``; what was before fades by one step of that weight."""
        fade = 0.5 ** (weight / half_life)
        self.wins *= fade
        self.losses *= fade
        self.squares *= fade
        if value > 0:
            self.wins += weight
        else:
            self.losses += weight
        delta = value - self.mean
        self.mean += delta * weight / self.weight
        self.squares += weight * delta * (value - self.mean)


class Record(msgspec.Struct):
    """What is known of one strategy on one symbol.

    ``wins``, ``losses`` and ``returns`` are of executed signals, ``faded`` also has those that only
    their conviction stopped. ``lessons`` counts what moved it, ``issued`` where that was when the
    last feedback was journaled.
    """

    wins: int = 0
    losses: int = 0
    returns: Moments = msgspec.field(default_factory=Moments)
    faded: Faded = msgspec.field(default_factory=Faded)
    lessons: int = 0
    issued: int = 0
