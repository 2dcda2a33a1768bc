"""The learner's terms from the configuration of a session."""

from __future__ import annotations

from actors.learner.settings import LearnerSettings
from actors.messages.learning import Stage
from conf import Settings

_STAGES = {"off": Stage.WITHDRAWN, "shadow": Stage.SHADOW, "trial": Stage.TRIAL, "full": Stage.FULL}


def terms(settings: Settings) -> LearnerSettings:
    """What the session's configuration means to the brain: durations in nanoseconds."""
    told, risk = settings.learner, settings.risk
    return LearnerSettings(
        symbols=settings.symbols,
        horizon_ns=_ns(told.horizon_s),
        taker_fee=float(settings.simulator.taker_fee),
        minimum_outcomes=told.minimum_outcomes,
        prior_wins=told.prior_wins,
        prior_losses=told.prior_losses,
        half_life=told.half_life,
        base_threshold=told.base_threshold,
        threshold_min=told.threshold_min,
        threshold_max=told.threshold_max,
        size_min=told.size_min,
        size_max=told.size_max,
        max_step=told.max_step,
        stage=_STAGES[told.stage],
        policy_every=told.policy_every,
        shadow_samples=told.shadow_samples,
        trial_samples=told.trial_samples,
        trial_looks=told.trial_looks,
        trial_share=told.trial_share,
        source_half_life=told.source_half_life,
        source_rate=told.source_rate,
        weight_min=told.weight_min,
        weight_max=min(told.weight_max, risk.weight_max),
        weight_step=told.weight_step,
        drift_tolerance=told.drift_tolerance,
        drift_threshold=told.drift_threshold,
        calibration_half_life=told.calibration_half_life,
        ban_ns=_ns(told.ban_s),
        ban_minimum=told.ban_minimum,
        ban_strength=told.ban_strength,
        pattern_samples=told.pattern_samples,
        pattern_every=told.pattern_every,
        pattern_minimum=told.pattern_minimum,
        pattern_rate=told.pattern_rate,
        stake_fraction=float(risk.equity_fraction),
        stake_limit=float(risk.order_notional),
    )


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
