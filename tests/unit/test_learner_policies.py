"""The way of a policy: bounded steps, shadow, trial, full, and back."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.learner import stages
from actors.learner.brain import LearnerBrain
from actors.learner.experts import Expert
from actors.learner.policies import proposal
from actors.learner.probability import Bins
from actors.learner.reckoning import POLICY_GATES, decide
from actors.learner.settings import LearnerSettings
from actors.learner.state import Followed, LearnerState, Step, Version
from actors.learner.statistics import Record
from actors.messages.control import Control, ControlTaken
from actors.messages.learning import Ban, Condition, FeedbackIssued, Lesson, Pattern, Policy, PolicyIssued, Stage
from actors.messages.signals import Approved
from actors.messages.signals import Step as Gate
from exchanges.model.order import Side
from runtime.lifecycle import CaughtUp, PeerUp, Started
from runtime.message import Message
from tests.unit.brain_context import SECOND, START_NS, entry_of
from tests.unit.brain_samples import BTC, make_approved
from tests.unit.learner_school import SETTINGS, School, at, executed, teach
from tests.unit.risk_desk import Desk

PAIR = f"trend|{BTC}"
STAGED = msgspec.structs.replace(SETTINGS, shadow_samples=3, trial_samples=3, trial_looks=2)


def issued(school: School) -> list[tuple[int, Stage]]:
    return [stages.named(each) for each in school.ctx.sent(PolicyIssued)]


def judged(number: int, arm: str, policy: int) -> tuple[Message, ...]:
    """A signal that risk judged on one side of a trial."""
    signal = at(number * 100, number)
    made, *rest = executed(signal)
    steps = (Gate("conviction", True, "", {"conviction": "0.7"}),)
    order = make_approved(signal)
    return made, Approved(signal.id, "trend", BTC, order, steps, "calm", policy, arm), *rest


def trade(school: School, number: int, value: float, arm: str = "", policy: int = 0) -> None:
    school.entry(*judged(number, arm, policy))
    school.price(100.0 * (1 + value), number * 100 + 60)
    school.journal_what_was_sent()


# -- the way -----------------------------------------------------------------------------------


def test_a_policy_is_reckoned_in_shadow_then_tried_then_in_force() -> None:
    school = School(STAGED)
    teach(school, [0.01, 0.02, 0.01])
    assert issued(school) == [(1, Stage.SHADOW)]
    assert not school.ctx.sent(FeedbackIssued)
    for number in range(3, 6):
        trade(school, number, 0.01)
    assert issued(school)[1:] == [(1, Stage.TRIAL)]
    trial = school.ctx.sent(PolicyIssued)[1]
    assert (trial.share, trial.base) == (STAGED.trial_share, 0)
    assert trial.evidence["signals"] == 3 and trial.evidence["difference"] > 0
    for number in range(6, 12):
        ours = number % 2 == 0
        trade(school, number, 0.02 if ours else 0.01, "trial" if ours else "control", 1 if ours else 0)
    assert issued(school)[2] == (1, Stage.FULL)
    full = school.ctx.sent(PolicyIssued)[2]
    assert (full.evidence["trial"], full.evidence["control"]) == (3, 3)
    assert full.evidence["difference"] == pytest.approx(1.0)
    assert [each.size_multiplier for each in school.ctx.sent(FeedbackIssued)] == [full.policy.sizes[PAIR]]


def test_what_is_on_trial_and_worse_at_every_look_is_withdrawn_and_strategies_hear_nothing() -> None:
    school = School(STAGED)
    teach(school, [0.01, 0.02, 0.01])
    for number in range(3, 6):
        trade(school, number, 0.01)
    for number in range(6, 18):
        ours = number % 2 == 0
        trade(school, number, 0.01 if ours else 0.02, "trial" if ours else "control", 1 if ours else 0)
    assert (1, Stage.WITHDRAWN) in issued(school)
    withdrawn = next(each for each in school.ctx.sent(PolicyIssued) if each.stage is Stage.WITHDRAWN)
    assert withdrawn.reason.startswith("WORSE_ON_TRIAL: difference=-")
    assert not school.ctx.sent(FeedbackIssued)


def candidate(stage: Stage, **changes: Any) -> LearnerState:
    """A state with a candidate that doubles the size of one strategy's orders."""
    policy = Policy(1, sizes={PAIR: 2.0})
    version = Version(policy, 0, [Step(stage, 0)])
    return LearnerState(versions={1: version}, candidate=1, latest=1, **changes)


def lesson(value: float, arm: str = "", policy: int = 0, **changes: Any) -> Lesson:
    told: dict[str, Any] = {"stake": 100.0, "arm": arm, "policy": policy, **changes}
    return Lesson("s", "trend", BTC, "EXECUTED", 100.0, 101.0, value, SECOND, told.pop("counterfactual", False), **told)


FOLLOWED = Followed("trend", BTC, Side.BUY, START_NS, 100.0, "EXECUTED", conviction=0.8, sources={"trend": 0.8})


def see(state: LearnerState, told: LearnerSettings, *lessons: Lesson) -> PolicyIssued | None:
    for each in lessons:
        stages.evaluate(state, told, each, FOLLOWED)
    return stages.following(state, told)


def test_a_candidate_that_is_surely_worse_in_shadow_is_withdrawn() -> None:
    step = see(candidate(Stage.SHADOW), STAGED, *(lesson(-0.01 - 0.001 * n) for n in range(3)))
    assert step is not None and step.stage is Stage.WITHDRAWN
    assert step.reason.startswith("WORSE_IN_SHADOW: difference=-1.1")


def test_shadow_counts_what_the_candidate_would_have_made_more() -> None:
    state = candidate(Stage.SHADOW)
    see(state, STAGED, lesson(0.01), lesson(-0.02))
    assert state.evaluation.shadow.count == 2
    assert state.evaluation.shadow.mean == pytest.approx((1.0 - 2.0) / 2)


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"gate": "conviction", "counterfactual": True}, 1),
        ({"gate": "sizing", "code": "NO_EDGE", "counterfactual": True}, 1),
        ({"gate": "symbol_notional", "counterfactual": True}, 0),
        ({"reduces": True}, 0),
    ],
)
def test_only_signals_the_policy_could_decide_count(changes: dict[str, Any], counts: int) -> None:
    state = candidate(Stage.SHADOW)
    see(state, STAGED, lesson(0.01, **changes))
    assert state.evaluation.shadow.count == counts


def on_trial(state: LearnerState, told: LearnerSettings, ours: list[float], theirs: list[float]) -> PolicyIssued | None:
    step = None
    for mine, other in zip(ours, theirs, strict=True):
        step = see(state, told, lesson(mine, "trial", 1), lesson(other, "control", 0))
        if step is not None:
            break
    return step


def test_a_trial_is_not_decided_between_its_looks() -> None:
    state = candidate(Stage.TRIAL)
    assert on_trial(state, STAGED, [0.01, 0.02], [-0.01, -0.02]) is None
    assert state.evaluation.looked == 0


def test_a_trial_that_is_a_little_worse_goes_on_to_the_last_look() -> None:
    state = candidate(Stage.TRIAL)
    ours, theirs = [0.01, -0.02, 0.005, 0.01, -0.02, 0.005], [0.01, -0.015, 0.005, 0.01, -0.015, 0.005]
    assert on_trial(state, STAGED, ours[:3], theirs[:3]) is None
    step = on_trial(state, STAGED, ours[3:], theirs[3:])
    assert step is not None and step.stage is Stage.WITHDRAWN
    assert state.evaluation.looked == 6


def test_a_signal_stopped_on_trial_counts_as_nothing_made_and_one_of_another_trial_not_at_all() -> None:
    state = candidate(Stage.TRIAL)
    blocked = lesson(-0.05, "trial", 1, counterfactual=True, gate="bans")
    see(state, STAGED, blocked, lesson(0.01), lesson(0.01, "trial", 7))
    assert (state.evaluation.trial.count, state.evaluation.trial.mean) == (1, 0.0)
    assert state.evaluation.control.count == 0


def test_more_looks_need_a_larger_difference() -> None:
    state = candidate(Stage.TRIAL)
    see(state, STAGED, *(lesson(0.01 * n, "trial", 1) for n in range(9)), *(lesson(0.02 * n, "c") for n in range(9)))
    evaluation = state.evaluation
    widths = [
        stages.difference(evaluation.trial, evaluation.control, msgspec.structs.replace(STAGED, trial_looks=looks))
        for looks in (1, 4)
    ]
    assert widths[1].low < widths[0].low < widths[0].high < widths[1].high


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (Stage.WITHDRAWN, []),
        (Stage.SHADOW, [Stage.SHADOW, Stage.WITHDRAWN]),
        (Stage.TRIAL, [Stage.SHADOW, Stage.TRIAL, Stage.WITHDRAWN]),
    ],
)
def test_a_policy_goes_no_further_than_it_may(limit: Stage, expected: list[Stage]) -> None:
    school = School(STAGED, stage=limit)
    teach(school, [0.01, 0.02, 0.01])
    for number in range(3, 6):
        trade(school, number, 0.01)
    for number in range(6, 12):
        ours = number % 2 == 0
        trade(school, number, 0.02, "trial" if ours else "control", 1 if ours else 0)
    assert [stage for version, stage in issued(school) if version == 1] == expected
    assert not school.ctx.sent(FeedbackIssued)


def test_a_candidate_beyond_a_limit_that_was_lowered_ends() -> None:
    step = stages.following(candidate(Stage.TRIAL), msgspec.structs.replace(STAGED, stage=Stage.SHADOW))
    assert step is not None and (step.stage, step.reason) == (Stage.WITHDRAWN, "STAGE_LIMIT: limit=shadow")


def test_one_step_is_on_its_way_at_a_time_and_is_told_again_to_a_new_bus() -> None:
    school = School(STAGED)
    for number in range(8):
        school.entry(*executed(at(number * 100, number)))
        school.price(101.0, number * 100 + 60)
        school.entry(school.lessons()[-1])
    assert issued(school) == [(1, Stage.SHADOW)]
    school.ctx.deliver(school.brain, PeerUp("bus", 2), "bus")
    assert issued(school) == [(1, Stage.SHADOW)] * 2


# -- bounds ------------------------------------------------------------------------------------


moves = st.lists(st.tuples(st.sampled_from("ab"), st.floats(-0.2, 0.2), st.floats(0, 1)), min_size=1, max_size=120)


@settings(max_examples=40, deadline=None)
@given(moves)
def test_no_version_is_further_from_the_last_than_a_step(moved: list[tuple[str, float, float]]) -> None:
    told = msgspec.structs.replace(SETTINGS, minimum_outcomes=1)
    state, base = LearnerState(), Policy(0)
    for number, (source, value, conviction) in enumerate(moved):
        state.now_ns = number
        state.experts.setdefault(f"{source}|", Expert()).take(value, told, number)
        state.records.setdefault(PAIR, Record()).faded.add(value, told.half_life)
        state.records[PAIR].lessons += 1
        state.bins.setdefault(PAIR, Bins()).take(conviction, value > 0, told.calibration_half_life)
        made = proposal(state, told, base, number + 1)
        if made is None:
            continue
        for key, weight in made.weights.items():
            factor = weight / base.weights.get(key, 1.0)
            assert 1 / told.weight_step <= factor * 1.00001 and factor <= told.weight_step * 1.00001
            assert told.weight_min <= weight * 1.00001 and weight <= told.weight_max * 1.00001
        assert abs(made.sizes.get(PAIR, 1.0) - base.sizes.get(PAIR, 1.0)) <= told.max_step + 1e-6
        chances = [p for _, p in made.calibration.get(PAIR, ())]
        assert chances == sorted(chances) and all(0 < p < 1 for p in chances)
        base = made


def test_what_has_surely_lost_is_banned_for_a_time_and_what_is_over_is_gone() -> None:
    state = LearnerState(now_ns=1_000)
    record = state.records.setdefault(PAIR, Record())
    for number in range(SETTINGS.ban_minimum):
        record.faded.add(-0.01 - 0.001 * (number % 2), SETTINGS.half_life)
        record.lessons += 1
    made = proposal(state, SETTINGS, Policy(0), 1)
    assert made is not None
    assert made.bans[PAIR].until_ns == 1_000 + SETTINGS.ban_ns
    assert made.bans[PAIR].reason.startswith("LOSING: mean=-0.0105")
    state.records = {}
    state.now_ns = made.bans[PAIR].until_ns
    after = proposal(state, SETTINGS, msgspec.structs.replace(made, bans={"x": Ban(state.now_ns + 1, "")}), 2)
    assert after is None


def test_a_bad_pattern_is_banned_and_a_good_one_is_not() -> None:
    bad = Pattern("trend", (Condition("hour", 1.0, 2.0),), 50, -0.01, 0.01, -0.02)
    good = Pattern("trend", (Condition("hour", 3.0, 4.0),), 50, 0.01, 0.01, 0.02)
    made = proposal(LearnerState(patterns={"trend": (bad, good)}), SETTINGS, Policy(0), 1)
    assert made is not None
    assert set(made.bans) == {bad.scope}
    assert made.patterns == (bad, good)


# -- what a policy would do is what risk does ----------------------------------------------------


policies = st.builds(
    Policy,
    version=st.just(3),
    weights=st.dictionaries(st.sampled_from(["a|", "b|", "trend|"]), st.floats(0.1, 4.0), max_size=3),
    thresholds=st.dictionaries(st.just(PAIR), st.floats(0.05, 0.8), max_size=1),
    sizes=st.dictionaries(st.just(PAIR), st.floats(0.25, 2.0), max_size=1),
    bans=st.dictionaries(
        st.sampled_from(["trend", PAIR, "a", "b", "trend[0.5<=x<inf]"]),
        st.builds(Ban, st.sampled_from([0, START_NS * 2]), st.just("")),
        max_size=2,
    ),
    patterns=st.sampled_from([(), (Pattern("trend", (Condition("x", 0.5, math.inf),), 50, -0.01, 0.01, -0.01),)]),
)
opinions = st.dictionaries(st.sampled_from(["a", "b"]), st.floats(-1, 1).map(lambda x: round(x, 3)), max_size=2)


@settings(max_examples=80, deadline=None)
@given(policies, opinions, st.floats(0, 1), st.sampled_from([Side.BUY, Side.SELL]))
def test_what_is_reckoned_in_shadow_is_what_risk_would_decide(
    policy: Policy, sources: dict[str, float], x: float, side: Side
) -> None:
    desk = Desk(base_threshold=0.1, threshold_min=0.05, threshold_max=0.8)
    desk.entry(PolicyIssued(policy, Stage.FULL))
    signal = desk.signal(side=side, sources=sources, features={"x": x}, conviction=0.5)
    verdict = desk.ask(signal)
    school = School(base_threshold=0.1)
    made, *_ = executed(signal)
    school.entry(made)
    followed = school.brain.known.opened[signal.id]
    strength = next((s.inputs["conviction"] for s in verdict.steps if s.name == "conviction"), "")
    if strength:
        followed.conviction = float(strength)
    choice = decide(policy, followed, desk.ctx.now, school.settings)
    assert choice.gate == (verdict.gate if verdict.gate in POLICY_GATES else "")
    for step in verdict.steps:
        if step.name == "sizing":
            assert float(step.inputs["multiplier"]) == pytest.approx(choice.size, rel=1e-4)


# -- back --------------------------------------------------------------------------------------


def learned_twice() -> School:
    school = School()
    teach(school, [0.01, 0.02, 0.01, 0.02, 0.03])
    assert school.brain.known.full >= 2
    return school


def ask(school: School, version: str, control: str = "r1") -> ControlTaken:
    school.ctx.deliver(school.brain, Control(control, "rollback", "api", "it looks wrong", version), "gateway")
    school.journal_what_was_sent()
    return school.ctx.sent(ControlTaken)[-1]


def test_going_back_is_a_new_version_equal_to_the_old_one_with_who_asked() -> None:
    school = learned_twice()
    before, old = school.brain.known.full, school.brain.known.policy(1)
    taken = ask(school, "1")
    state = school.brain.known
    assert state.full == before + 1
    assert msgspec.structs.replace(state.policy(state.full), version=1) == old
    assert (taken.by, taken.action, taken.actor) == ("api", "rollback", "learner")
    told = [each for each in school.journal if isinstance(each, PolicyIssued)][-1]
    assert told.reason == "ROLLBACK: to=1 by=api reason=it looks wrong"
    assert told.base == before
    assert school.ctx.sent(FeedbackIssued)[-1].size_multiplier == old.sizes[PAIR]


def test_going_back_to_nothing_takes_back_all_that_was_learned() -> None:
    school = learned_twice()
    ask(school, "0")
    assert school.brain.known.policy(school.brain.known.full).sizes == {}
    last = school.ctx.sent(FeedbackIssued)[-1]
    assert (last.size_multiplier, last.conviction_threshold) == (1.0, SETTINGS.base_threshold)


def test_a_candidate_ends_when_somebody_goes_back() -> None:
    school = School(STAGED)
    teach(school, [0.01, 0.02, 0.01])
    ask(school, "0")
    assert issued(school) == [(1, Stage.SHADOW), (1, Stage.WITHDRAWN), (2, Stage.FULL)]


@pytest.mark.parametrize("version", ["99", "-1", "two", ""])
def test_a_version_nobody_remembers_is_refused_with_those_that_are(version: str) -> None:
    school = learned_twice()
    before = school.brain.known.full
    taken = ask(school, version)
    assert taken.detail.startswith("REFUSED: expected a version that is remembered (0, 1, 2")
    assert school.brain.known.full == before


def test_the_same_order_twice_goes_back_once() -> None:
    school = learned_twice()
    ask(school, "1")
    full = school.brain.known.full
    ask(school, "1")
    assert school.brain.known.full == full
    assert school.ctx.counters["learner.controls_repeated"] == 1


def test_going_back_is_told_again_to_a_new_bus_until_it_is_journaled() -> None:
    school = learned_twice()
    school.ctx.deliver(school.brain, Control("r1", "rollback", "api", "", "1"), "gateway")
    count = len(issued(school))
    school.ctx.deliver(school.brain, PeerUp("bus", 2), "bus")
    assert issued(school)[count:] == issued(school)[count - 1 : count]
    assert len(school.ctx.sent(ControlTaken)) == 2


def test_an_order_that_comes_before_the_journal_is_known_waits_until_it_is() -> None:
    school = learned_twice()
    full = school.brain.known.full
    school.ctx.deliver(school.brain, Started(2, True))
    school.ctx.deliver(school.brain, Control("r9", "rollback", "api", "", "1"), "gateway")
    assert not school.ctx.sent(ControlTaken)
    school.ctx.deliver(school.brain, CaughtUp(len(school.journal)))
    school.journal_what_was_sent()
    assert school.brain.known.full == full + 1
    assert school.ctx.sent(ControlTaken)[-1].control_id == "r9"


def test_what_is_meant_for_others_is_not_for_the_learner() -> None:
    school = School()
    school.ctx.deliver(school.brain, Control("h1", "halt", "api"), "gateway")
    assert not school.ctx.sent(ControlTaken)


def test_old_versions_are_forgotten_but_never_the_ones_that_decide() -> None:
    state = LearnerState()
    told = msgspec.structs.replace(SETTINGS, remembered_policies=3)
    stages.take(state, told, PolicyIssued(Policy(1), Stage.FULL), 0)
    for version in range(2, 9):
        stages.take(state, told, PolicyIssued(Policy(version), Stage.SHADOW), version)
        stages.take(state, told, PolicyIssued(Policy(version), Stage.WITHDRAWN), version)
    assert sorted(state.versions) == [1, 7, 8]
    assert state.full == 1


# -- restarts ----------------------------------------------------------------------------------


def test_a_learner_without_a_snapshot_comes_to_the_same_policies_from_the_journal() -> None:
    school = School(STAGED)
    teach(school, [0.01, 0.02, 0.01], quantity=Decimal(1))
    for number in range(3, 30):
        ours = number % 2 == 0
        version = school.brain.known.candidate
        trade(school, number, 0.02 if ours else 0.01, "trial" if ours else "control", version if ours else 0)
    again = School(STAGED)
    again.brain = LearnerBrain(school.settings)
    for seq, event in enumerate(school.journal, start=1):
        again.ctx.deliver(again.brain, entry_of(event, seq, ts=school.ctx.now), "bus")
    again.ctx.deliver(again.brain, CaughtUp(len(school.journal)))
    theirs, ours_ = again.brain.known, school.brain.known
    for name in ("versions", "full", "candidate", "evaluation", "experts", "bins", "samples", "patterns", "tables"):
        assert getattr(theirs, name) == getattr(ours_, name), name
    assert ours_.full > 0
