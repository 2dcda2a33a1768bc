"""What one lesson changes in what the learner knows."""

from __future__ import annotations

from actors.learner import experts, stages
from actors.learner.attribution import KEYS, GateTally, Tally, entry
from actors.learner.experts import Expert
from actors.learner.probability import Bins
from actors.learner.reckoning import ENSEMBLE, comparable
from actors.learner.samples import Samples
from actors.learner.settings import LearnerSettings
from actors.learner.state import Followed, LearnerState
from actors.learner.statistics import Record
from actors.messages.learning import Lesson
from actors.names import pair


def learn(state: LearnerState, settings: LearnerSettings, lesson: Lesson, followed: Followed | None) -> None:
    """Take in a journaled lesson whose price is one of the horizon.

    What could only close a position is put down to its strategy and symbol, and teaches nothing
    about entries. What another gate than a policy's stopped teaches what its sources are worth, and
    so does what they outvoted: a signal in the other direction says nothing of those that pass.
    """
    attribute(state, lesson, followed)
    if lesson.reduces:
        return
    importance = settings.counterfactual_weight if lesson.counterfactual else 1.0
    if followed is not None:
        stages.evaluate(state, settings, lesson, followed)
        believe(state, settings, lesson, followed, importance)
    if not comparable(lesson) or lesson.gate == ENSEMBLE:
        return
    _record(state, settings, lesson, importance)
    state.taught += 1
    bins = state.bins.setdefault(pair(lesson.strategy, lesson.symbol), Bins())
    bins.take(lesson.conviction, lesson.value > 0, settings.calibration_half_life, importance)
    if followed is not None:
        _sample(state, settings, lesson, followed)


def _record(state: LearnerState, settings: LearnerSettings, lesson: Lesson, importance: float) -> None:
    record = state.records.setdefault(pair(lesson.strategy, lesson.symbol), Record())
    if not lesson.counterfactual:
        record.returns.add(lesson.value)
        record.wins += lesson.value > 0
        record.losses += lesson.value <= 0
    record.faded.add(lesson.value, settings.half_life, importance)
    record.lessons += 1


def believe(
    state: LearnerState, settings: LearnerSettings, lesson: Lesson, followed: Followed, importance: float
) -> None:
    """Pay each source what its opinion was worth, in this regime and in any."""
    for source, value in payoffs(lesson, followed).items():
        payoff = abs(lesson.sources[source]) * value
        for key in dict.fromkeys((experts.key(source, lesson.regime), experts.key(source, ""))):
            if key in state.experts or len(state.experts) < KEYS:
                state.experts.setdefault(key, Expert()).take(payoff, settings, state.now_ns, importance)


def _sample(state: LearnerState, settings: LearnerSettings, lesson: Lesson, followed: Followed) -> None:
    """Keep the signal's traits, and look for patterns once there are enough new ones."""
    samples = state.samples.setdefault(lesson.strategy, Samples())
    samples.add(followed.traits, lesson.value, settings.pattern_samples)
    if samples.fresh < settings.pattern_every:
        return
    samples.fresh = 0
    from actors.learner.discovery import discover  # numpy and scipy: see there

    state.patterns[lesson.strategy] = discover(lesson.strategy, samples, settings)


def attribute(state: LearnerState, lesson: Lesson, followed: Followed | None) -> None:
    """Put the outcome down to what led to it; of what was not executed, to the gate that stopped it."""
    if lesson.counterfactual:
        if not lesson.reduces:
            gate = lesson.gate or lesson.state
            for key in (gate, f"{gate}:{lesson.code}") if lesson.code else (gate,):
                entry(state.gates, key, GateTally).take(lesson.value, lesson.stake)
    else:
        keys = {"strategy": lesson.strategy, "symbol": lesson.symbol, "regime": lesson.regime or "unknown"}
        for dimension, key in keys.items():
            entry(state.tables.setdefault(dimension, {}), key, Tally).take(lesson.value, lesson.stake)
    if followed is not None and not lesson.reduces:
        for source, value in payoffs(lesson, followed).items():
            stake = 0.0 if lesson.counterfactual else lesson.stake
            entry(state.tables.setdefault("source", {}), source, Tally).take(value, stake)


def payoffs(lesson: Lesson, followed: Followed) -> dict[str, float]:
    """By source, what its own opinion returned net of costs: one that was against the signal had the reverse."""
    found = {}
    for source, opinion in lesson.sources.items():
        if opinion:
            along = opinion * followed.side.sign > 0
            found[source] = lesson.value if along else -(lesson.value + lesson.fees) - lesson.fees
    return found
