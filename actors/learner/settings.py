"""How outcomes are measured, and how far they may move what comes next."""

from __future__ import annotations

import msgspec

_SECOND = 1_000_000_000


class LearnerSettings(msgspec.Struct, frozen=True):
    """Times in nanoseconds; returns and fees as fractions."""

    symbols: tuple[str, ...] = ()
    """What market data is asked for."""
    horizon_ns: int = 60 * _SECOND
    """From the entry to the price it is measured by, in the market data's own time."""
    silence_ns: int = 600 * _SECOND
    """A market without data for so long, by our clock, is measured by its last price."""
    max_pending: int = 5_000
    taker_fee: float = 0.001
    """Assumed where the instrument's own is not known yet."""
    minimum_outcomes: int = 5
    prior_wins: float = 5.0
    prior_losses: float = 5.0
    half_life: float = 50.0
    """Outcomes after which one counts half."""
    counterfactual_weight: float = 0.5
    """What the outcome of a signal that only its conviction stopped counts, against an executed one."""
    base_threshold: float = 0.1
    threshold_min: float = 0.05
    threshold_max: float = 0.8
    size_min: float = 0.25
    size_max: float = 2.0
    max_step: float = 0.1
    """The largest change of threshold or multiplier in one version."""
    min_step: float = 0.01
    """A smaller change of both is not issued."""
    tick_ns: int = _SECOND
