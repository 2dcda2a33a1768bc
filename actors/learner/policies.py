"""The next policy: from the one in force towards what is known by now, a bounded step."""

from __future__ import annotations

import math
from collections.abc import Mapping

from actors.learner import experts, probability
from actors.learner.calibration import Terms, start, step, target
from actors.learner.probability import Knots
from actors.learner.reckoning import banned
from actors.learner.settings import LearnerSettings
from actors.learner.state import LearnerState
from actors.learner.statistics import Record
from actors.messages.learning import Ban, Pattern, Policy

_PLACES = 6
_WEIGHT_CHANGE = 0.05
"""A smaller change of a weight, as a part of it, is no reason for a new version."""
_PROBABILITY_CHANGE = 0.02


def proposal(state: LearnerState, settings: LearnerSettings, base: Policy, version: int) -> Policy | None:
    """The policy to try next; ``None`` if it would hardly differ from ``base``.

    Everything moves one bounded step at most: weights by a factor, thresholds, multipliers and
    calibrated probabilities by ``max_step``. What is not known any more stays as it is.
    """
    thresholds, sizes = _terms(state, settings, base)
    patterns = tuple(each for strategy in sorted(state.patterns) for each in state.patterns[strategy])
    made = Policy(
        version=version,
        weights=_weights(state, settings, base),
        calibration=_calibration(state, settings, base),
        thresholds=thresholds,
        sizes=sizes,
        bans=_bans(state, settings, base, patterns),
        patterns=patterns,
    )
    return made if _differs(made, base, state.now_ns, settings) else None


def _weights(state: LearnerState, settings: LearnerSettings, base: Policy) -> dict[str, float]:
    most = math.log(settings.weight_step)
    found = dict(base.weights)
    for key in sorted(state.experts):
        expert = state.experts[key]
        if expert.count >= settings.minimum_outcomes:
            before = math.log(_former(base.weights, key))
            goal = math.log(experts.weight(expert, settings))
            found[key] = round(math.exp(_towards(before, goal, most)), _PLACES)
    return found


def _former(weights: Mapping[str, float], key: str) -> float:
    """The weight that applies before a regime has one of its own is the one for any regime."""
    source, _, _ = key.rpartition("|")
    return weights.get(key, weights.get(experts.key(source, ""), 1.0))


def _terms(state: LearnerState, settings: LearnerSettings, base: Policy) -> tuple[dict[str, float], dict[str, float]]:
    thresholds, sizes = dict(base.thresholds), dict(base.sizes)
    for key in sorted(state.records):
        record, plain = state.records[key], start(settings)
        now = Terms(base.sizes.get(key, plain.size_multiplier), base.thresholds.get(key, plain.conviction_threshold))
        terms = step(now, target(record.faded, record.lessons, settings), settings)
        if terms is not None:
            thresholds[key], sizes[key] = terms.conviction_threshold, terms.size_multiplier
    return thresholds, sizes


def _calibration(state: LearnerState, settings: LearnerSettings, base: Policy) -> dict[str, Knots]:
    found = dict(base.calibration)
    for key in sorted(state.bins):
        bins = state.bins[key]
        if bins.count >= settings.minimum_outcomes:
            curve = probability.knots(bins, settings.prior_wins, settings.prior_losses)
            found[key] = _bounded(curve, base.calibration.get(key, ()), settings)
    return found


def _bounded(curve: Knots, before: Knots, settings: LearnerSettings) -> Knots:
    """The curve, no further from the one before than a step; the prior's rate is before the first.

    Both are monotone, so what lies between them is.
    """
    prior = settings.prior_wins / (settings.prior_wins + settings.prior_losses)
    moved = []
    for conviction, rate in curve:
        known = probability.probability(before, conviction)
        reached = _towards(prior if known is None else known, rate, settings.max_step)
        moved.append((round(conviction, _PLACES), round(reached, _PLACES)))
    return tuple(moved)


def _bans(
    state: LearnerState, settings: LearnerSettings, base: Policy, patterns: tuple[Pattern, ...]
) -> dict[str, Ban]:
    """Bans still in force, and new ones on what has surely lost; each ends by itself."""
    found = {scope: ban for scope, ban in base.bans.items() if banned(base, scope, state.now_ns)}
    until = state.now_ns + settings.ban_ns
    for key in sorted(state.records):
        record = state.records[key]
        surely = _standard_errors(record, settings)
        if key not in found and surely <= -settings.ban_strength:
            found[key] = Ban(until, f"LOSING: mean={record.faded.mean:.6g} standard_errors={surely:.2f}")
    for pattern in patterns:
        if pattern.scope not in found and pattern.effect < 0 and pattern.mean < 0:
            reason = f"PATTERN: mean={pattern.mean:.6g} effect={pattern.effect:.6g} p={pattern.p_value:.3g}"
            found[pattern.scope] = Ban(until, reason)
    return found


def _standard_errors(record: Record, settings: LearnerSettings) -> float:
    """The faded mean return in units of its standard error; 0 without enough outcomes."""
    faded = record.faded
    if record.lessons < settings.ban_minimum or faded.variance <= 0:
        return 0.0
    return faded.mean / math.sqrt(faded.variance / faded.weight)


def _differs(made: Policy, base: Policy, now: int, settings: LearnerSettings) -> bool:
    weights = any(
        abs(math.log(made.weights[key] / _former(base.weights, key))) >= _WEIGHT_CHANGE for key in made.weights
    )
    curves = any(
        abs(rate - (probability.probability(base.calibration.get(key, ()), conviction) or 0.0)) >= _PROBABILITY_CHANGE
        for key, curve in made.calibration.items()
        for conviction, rate in curve
    )
    in_force = {scope for scope in base.bans if banned(base, scope, now)}
    return (
        weights
        or curves
        or (made.thresholds, made.sizes) != (base.thresholds, base.sizes)
        or set(made.bans) != in_force
    )


def _towards(now: float, goal: float, most: float) -> float:
    return now + max(-most, min(most, goal - now))
