"""How outcomes are measured, and how far they may move what comes next."""

from __future__ import annotations

import msgspec

from actors.messages.learning import Stage

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
    """What the outcome of a signal counts that only what was learned stopped, against an executed one."""
    base_threshold: float = 0.1
    threshold_min: float = 0.05
    threshold_max: float = 0.8
    size_min: float = 0.25
    size_max: float = 2.0
    max_step: float = 0.1
    """The largest change of threshold or multiplier in one version."""
    min_step: float = 0.01
    """A smaller change of both is not issued."""
    source_half_life: float = 100.0
    """Outcomes of a source after which one counts half."""
    source_rate: float = 0.05
    """How much one outcome of its usual size moves a source's weight, in parts of it."""
    weight_min: float = 0.1
    weight_max: float = 4.0
    weight_step: float = 2.0
    """The largest factor a weight changes by in one version."""
    drift_minimum: int = 30
    """Outcomes after an alarm, or at first, without which there is none."""
    drift_tolerance: float = 0.1
    drift_threshold: float = 25.0
    """See ``actors.learner.drift``; both in units of a source's usual outcome."""
    calibration_half_life: float = 200.0
    ban_ns: int = 3_600 * _SECOND
    ban_minimum: int = 30
    """Outcomes of a strategy and symbol, or of a pattern, without which it is not banned."""
    ban_strength: float = 3.0
    """A mean return so many standard errors below 0 bans."""
    pattern_samples: int = 400
    """The latest signals of each strategy that patterns are looked for in."""
    pattern_every: int = 50
    pattern_minimum: int = 30
    pattern_rate: float = 0.05
    """The share of false patterns among those found on the earlier half of the samples."""
    pattern_limit: int = 5
    stage: Stage = Stage.FULL
    """The furthest stage a policy may reach by itself; ``WITHDRAWN``: none is made."""
    policy_every: int = 10
    """Lessons between the end of one candidate and the next."""
    shadow_samples: int = 20
    """Signals reckoned beside before a trial; 0 skips the stage."""
    trial_samples: int = 30
    """Signals on each side of a trial before the first look at it; 0 skips the stage."""
    trial_looks: int = 4
    trial_share: float = 0.5
    confidence: float = 1.96
    """Standard errors that an interval extends to either side."""
    remembered_policies: int = 20
    remembered_controls: int = 1_000
    tick_ns: int = _SECOND
    stake_fraction: float = 0.01
    """What a signal that was stopped before it had a size would have staked, as a share of the venue's equity."""
    stake_limit: float = 2_000.0
    """And at most, in the quote currency."""
