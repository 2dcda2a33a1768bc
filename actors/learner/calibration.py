"""From outcomes to a size multiplier and a conviction threshold."""

from __future__ import annotations

import math

import msgspec

from actors.learner.settings import LearnerSettings
from actors.learner.statistics import Faded


class Terms(msgspec.Struct, frozen=True):
    """What the next signals are measured by."""

    size_multiplier: float
    conviction_threshold: float


def score(outcomes: Faded, settings: LearnerSettings) -> float:
    """How good the outcomes are, from -1 (certain loss) over 0 (nothing known) to 1.

    The mean of two shrunken figures. The win rate ``p = (w + a) / (w + l + a + b)`` is the
    posterior mean of a binomial rate under a Beta(a, b) prior (Gelman et al., Bayesian Data
    Analysis, 3rd ed., section 2.4), as its distance from the prior mean ``a / (a + b)`` in parts
    of the way to 1 or 0. The mean return in units of its standard deviation is shrunken by
    ``n / (n + a + b)``, the same prior taken as that many outcomes of return 0 (ibid., 2.5), and
    clipped at 1.
    """
    prior = settings.prior_wins + settings.prior_losses
    expected = settings.prior_wins / prior
    rate = (outcomes.wins + settings.prior_wins) / (outcomes.weight + prior)
    edge = (rate - expected) / ((1 - expected) if rate >= expected else expected)
    shrunken = outcomes.mean * outcomes.weight / (outcomes.weight + prior)
    spread = math.sqrt(outcomes.variance + outcomes.mean**2)
    strength = shrunken / spread if spread > 0 else 0.0
    return max(-1.0, min(1.0, (edge + max(-1.0, min(1.0, strength))) / 2))


def target(outcomes: Faded, count: int, settings: LearnerSettings) -> Terms:
    """Where multiplier and threshold should be: each goes linearly from its base to its bound."""
    if count < settings.minimum_outcomes:
        return start(settings)
    value = score(outcomes, settings)
    base = settings.base_threshold
    if value >= 0:
        return Terms(1 + value * (settings.size_max - 1), base - value * (base - settings.threshold_min))
    return Terms(1 + value * (1 - settings.size_min), base - value * (settings.threshold_max - base))


def step(now: Terms, goal: Terms, settings: LearnerSettings) -> Terms | None:
    """The next version on the way to ``goal``, within bounds; ``None`` if it is as good as reached."""
    size = _towards(now.size_multiplier, goal.size_multiplier, settings.max_step)
    threshold = _towards(now.conviction_threshold, goal.conviction_threshold, settings.max_step)
    size = round(min(max(size, settings.size_min), settings.size_max), 6)
    threshold = round(min(max(threshold, settings.threshold_min), settings.threshold_max), 6)
    moved = max(abs(size - now.size_multiplier), abs(threshold - now.conviction_threshold))
    return Terms(size, threshold) if moved >= settings.min_step else None


def start(settings: LearnerSettings) -> Terms:
    """Before anything was learned."""
    return Terms(1.0, settings.base_threshold)


def _towards(now: float, goal: float, most: float) -> float:
    return now + max(-most, min(most, goal - now))
