"""What was learned, JSON-ready: for status, and for ``bigwheel learning show``."""

from __future__ import annotations

import math
from typing import Any

from actors.learner import experts
from actors.learner.settings import LearnerSettings
from actors.learner.stages import difference, mean_of
from actors.learner.state import Difference, LearnerState, Version
from actors.messages.learning import Condition, Pattern, Policy


def learned(state: LearnerState, settings: LearnerSettings) -> dict[str, Any]:
    """Versions with their stages, sources, patterns, attribution and gates."""
    return {
        "stage_limit": settings.stage.value,
        "policy": state.full,
        "candidate": state.candidate,
        "versions": [_version(state.versions[number]) for number in sorted(state.versions)],
        "evaluation": _evaluation(state, settings),
        "sources": _sources(state, settings),
        "patterns": [_pattern(each) for key in sorted(state.patterns) for each in state.patterns[key]],
        "tables": {
            dimension: {key: tally.as_json() for key, tally in sorted(table.items())}
            for dimension, table in sorted(state.tables.items())
        },
        "gates": {gate: tally.as_json() for gate, tally in sorted(state.gates.items())},
    }


def policy(found: Policy, now: int) -> dict[str, Any]:
    """All of a policy; ``active`` says of a ban whether it is in force at ``now`` (ns)."""
    return {
        "version": found.version,
        "weights": dict(found.weights),
        "calibration": {key: [list(knot) for knot in curve] for key, curve in found.calibration.items()},
        "thresholds": dict(found.thresholds),
        "sizes": dict(found.sizes),
        "bans": {
            scope: {"until_ns": ban.until_ns, "reason": ban.reason, "active": now < ban.until_ns}
            for scope, ban in found.bans.items()
        },
        "patterns": [_pattern(each) for each in found.patterns],
    }


def _version(known: Version) -> dict[str, Any]:
    return {
        "version": known.policy.version,
        "base": known.base,
        "stage": known.stage.value,
        "steps": [
            {"stage": step.stage.value, "ns": step.ns, "reason": step.reason, "evidence": _finite(step.evidence)}
            for step in known.steps
        ],
    }


def _evaluation(state: LearnerState, settings: LearnerSettings) -> dict[str, Any]:
    """How the candidate does by now, in shadow and on trial."""
    seen = state.evaluation
    return {
        "shadow": {"signals": seen.shadow.count, **_interval(mean_of(seen.shadow, settings))},
        "trial": {
            "signals": seen.trial.count,
            "mean": seen.trial.mean,
            "control_signals": seen.control.count,
            "control_mean": seen.control.mean,
            **_interval(difference(seen.trial, seen.control, settings)),
        },
    }


def _sources(state: LearnerState, settings: LearnerSettings) -> dict[str, dict[str, float]]:
    """By source and regime: the weight its record asks for, what that rests on, and how often it decayed."""
    return {
        key: {
            "weight": experts.weight(expert, settings),
            "outcomes": expert.count,
            "score": expert.score,
            "scale": expert.scale,
            "decays": expert.cuts,
            "decayed_ns": expert.cut_ns,
        }
        for key, expert in sorted(state.experts.items())
    }


def _pattern(found: Pattern) -> dict[str, Any]:
    return {
        "strategy": found.strategy,
        "conditions": [_condition(each) for each in found.conditions],
        "scope": found.scope,
        "signals": found.count,
        "effect": found.effect,
        "mean_return": found.mean,
        "p_value": found.p_value,
    }


def _condition(found: Condition) -> dict[str, Any]:
    return {"feature": found.feature, **_finite({"low": found.low, "high": found.high})}


def _interval(found: Difference) -> dict[str, float | None]:
    return _finite({"difference": found.value, "low": found.low, "high": found.high})


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    """JSON has no infinity: an open end is null."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
