"""A policy's way: reckoned in shadow, tried on a share of the signals, then in force for all.

Each question is answered from the fold of the journal alone, so a successor comes to the same step.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from actors.learner.policies import proposal
from actors.learner.reckoning import advantage, comparable
from actors.learner.settings import LearnerSettings
from actors.learner.state import Difference, Evaluation, Followed, LearnerState, Step, Version
from actors.learner.statistics import Moments
from actors.messages.learning import Lesson, Policy, PolicyIssued, Stage

_ORDER = (Stage.SHADOW, Stage.TRIAL, Stage.FULL)


def evaluate(state: LearnerState, settings: LearnerSettings, lesson: Lesson, followed: Followed) -> None:
    """Count a lesson for or against the candidate, if it could have decided the signal otherwise.

    What an earlier trial decided by another policy than the two that are compared is left out.
    """
    candidate = state.versions.get(state.candidate)
    if candidate is None or not comparable(lesson):
        return
    if candidate.stage is Stage.SHADOW:
        base = state.policy(candidate.base)
        gain = advantage(candidate.policy, base, lesson, followed, followed.since_ns, settings)
        state.evaluation.shadow.add(gain)
    elif lesson.arm and lesson.policy in (state.candidate, candidate.base):
        profit = 0.0 if lesson.counterfactual else lesson.value * lesson.stake
        ours = lesson.policy == state.candidate
        (state.evaluation.trial if ours else state.evaluation.control).add(profit)
        _look(state.evaluation, settings)


def _look(evaluation: Evaluation, settings: LearnerSettings) -> None:
    """Take the figures whenever ``trial_samples`` more signals are in on the smaller side."""
    count = min(evaluation.trial.count, evaluation.control.count)
    if count > evaluation.looked and count % max(settings.trial_samples, 2) == 0:
        evaluation.looked = count
        evaluation.seen = difference(evaluation.trial, evaluation.control, settings)


def following(state: LearnerState, settings: LearnerSettings) -> PolicyIssued | None:
    """The next stage of the candidate, or the next candidate; ``None`` while there is nothing to decide."""
    candidate = state.versions.get(state.candidate)
    if candidate is None:
        return _new(state, settings)
    if not _allowed(candidate.stage, settings):
        return _end(state, settings, candidate, f"STAGE_LIMIT: limit={settings.stage.value}", {})
    if candidate.stage is Stage.SHADOW:
        return _after_shadow(state, settings, candidate)
    return _after_trial(state, settings, candidate)


def _new(state: LearnerState, settings: LearnerSettings) -> PolicyIssued | None:
    if settings.stage not in _ORDER or state.taught < state.settled + settings.policy_every:
        return None
    policy = proposal(state, settings, state.policy(state.full), state.latest + 1)
    if policy is None:
        return None
    first = next(stage for stage in _ORDER if _samples(stage, settings))
    if not _allowed(first, settings):
        return None
    return _step(state, settings, policy, state.full, first, f"LEARNED: lessons={state.taught}", {})


def _samples(stage: Stage, settings: LearnerSettings) -> int:
    """How many signals a stage takes; one that takes none is skipped."""
    return {Stage.SHADOW: settings.shadow_samples, Stage.TRIAL: settings.trial_samples}.get(stage, 1)


def _after_shadow(state: LearnerState, settings: LearnerSettings, candidate: Version) -> PolicyIssued | None:
    shadow = state.evaluation.shadow
    if shadow.count < settings.shadow_samples:
        return None
    found = mean_of(shadow, settings)
    evidence = {"signals": float(shadow.count), **_evidence(found)}
    if found.high < 0:
        return _end(state, settings, candidate, f"WORSE_IN_SHADOW: {_text(found)}", evidence)
    following_ = Stage.TRIAL if settings.trial_samples else Stage.FULL
    return _onward(state, settings, candidate, following_, f"NOT_WORSE_IN_SHADOW: {_text(found)}", evidence)


def _after_trial(state: LearnerState, settings: LearnerSettings, candidate: Version) -> PolicyIssued | None:
    """Decide at the looks and between them never, so that the number of chances to be wrong is known.

    Better or equal: in force. Surely worse, or still worse at the last look: withdrawn. The
    interval is widened for the number of looks (Bonferroni).
    """
    evaluation = state.evaluation
    found, trial, control = evaluation.seen, evaluation.trial, evaluation.control
    if found is None:
        return None
    evidence = {
        "trial": float(trial.count),
        "trial_mean": trial.mean,
        "control": float(control.count),
        "control_mean": control.mean,
        **_evidence(found),
    }
    if found.value >= 0:
        return _onward(state, settings, candidate, Stage.FULL, f"NOT_WORSE_ON_TRIAL: {_text(found)}", evidence)
    if found.high < 0 or evaluation.looked >= max(settings.trial_samples, 2) * settings.trial_looks:
        return _end(state, settings, candidate, f"WORSE_ON_TRIAL: {_text(found)}", evidence)
    return None


def _onward(
    state: LearnerState,
    settings: LearnerSettings,
    candidate: Version,
    stage: Stage,
    reason: str,
    evidence: dict[str, float],
) -> PolicyIssued:
    if not _allowed(stage, settings):
        return _end(state, settings, candidate, f"STAGE_LIMIT: limit={settings.stage.value}; {reason}", evidence)
    return _step(state, settings, candidate.policy, candidate.base, stage, reason, evidence)


def _allowed(stage: Stage, settings: LearnerSettings) -> bool:
    """Whether the configuration lets a policy go so far by itself."""
    return settings.stage in _ORDER and _ORDER.index(stage) <= _ORDER.index(settings.stage)


def _end(
    state: LearnerState, settings: LearnerSettings, candidate: Version, reason: str, evidence: dict[str, float]
) -> PolicyIssued:
    return _step(state, settings, candidate.policy, candidate.base, Stage.WITHDRAWN, reason, evidence)


def _step(
    state: LearnerState,
    settings: LearnerSettings,
    policy: Policy,
    base: int,
    stage: Stage,
    reason: str,
    evidence: dict[str, float],
) -> PolicyIssued:
    share = settings.trial_share if stage is Stage.TRIAL else 0.0
    return PolicyIssued(policy, stage, share, base, reason, evidence)


def take(state: LearnerState, settings: LearnerSettings, issued: PolicyIssued, ts: int) -> None:
    """Fold a journaled stage of a policy."""
    version = issued.policy.version
    state.announced = [each for each in state.announced if named(each) != named(issued)]
    known = state.versions.get(version) or Version(issued.policy, issued.base)
    known.steps.append(Step(issued.stage, ts, issued.reason, issued.evidence))
    state.latest = max(state.latest, version)
    if issued.stage is Stage.FULL:
        state.full, state.candidate, state.settled = version, 0, state.taught
    elif issued.stage is Stage.WITHDRAWN:
        state.settled = state.taught if version == state.candidate else state.settled
        state.candidate = 0 if version == state.candidate else state.candidate
    else:
        state.candidate = version
    state.evaluation = Evaluation()
    _remember(state, settings, version, known)


def _remember(state: LearnerState, settings: LearnerSettings, version: int, known: Version) -> None:
    """Keep the latest versions, and always the ones that decide."""
    state.versions.setdefault(version, known)
    spare = [old for old in sorted(state.versions) if old not in (state.full, state.candidate)]
    for old in spare[: max(len(state.versions) - settings.remembered_policies, 0)]:
        del state.versions[old]


def named(issued: PolicyIssued) -> tuple[int, Stage]:
    """What is the same for each telling of one step."""
    return issued.policy.version, issued.stage


def mean_of(moments: Moments, settings: LearnerSettings) -> Difference:
    """A mean with its interval."""
    half = settings.confidence * moments.deviation / math.sqrt(moments.count) if moments.count else math.inf
    return Difference(moments.mean, moments.mean - half, moments.mean + half)


def difference(trial: Moments, control: Moments, settings: LearnerSettings) -> Difference:
    """The trial's mean less the control's, with Welch's standard error and an interval for all looks together."""
    value = trial.mean - control.mean
    if not (trial.count and control.count):
        return Difference(value, -math.inf, math.inf)
    error = math.sqrt(trial.deviation**2 / trial.count + control.deviation**2 / control.count)
    half = _widened(settings) * error
    return Difference(value, value - half, value + half)


def _widened(settings: LearnerSettings) -> float:
    """The normal quantile that keeps the confidence over ``trial_looks`` looks."""
    normal = NormalDist()
    tail = (1 - normal.cdf(settings.confidence)) / max(settings.trial_looks, 1)
    return normal.inv_cdf(1 - tail)


def _evidence(found: Difference) -> dict[str, float]:
    return {"difference": found.value, "low": found.low, "high": found.high}


def _text(found: Difference) -> str:
    return f"difference={found.value:.6g} low={found.low:.6g} high={found.high:.6g}"
