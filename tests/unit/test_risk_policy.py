"""What was learned decides within the risk supervisor's own bounds, for the signals it is meant for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.messages.learning import Ban, FeedbackIssued, Policy, PolicyIssued, Stage
from actors.risk.policy import CONTROL, TRIAL, Policies, Terms
from actors.risk.settings import RiskSettings
from strategies.signal import signal_id
from tests.unit.brain_samples import BTC
from tests.unit.risk_desk import Desk, code

PAIR = f"trend|{BTC}"
IDS = [signal_id("trend", BTC, f"{BTC}@1.{n}", 0) for n in range(400)]
BOUNDS = RiskSettings(weight_max=3.0, threshold_min=0.05, threshold_max=0.8, multiplier_min=0.25, multiplier_max=2.0)


def terms(policy: Policy | None, regime: str = "", now: int = 0) -> Terms:
    return Terms(policy, "", regime, BOUNDS, now)


def issued(version: int, stage: Stage, share: float = 0.0, **changes: object) -> PolicyIssued:
    return PolicyIssued(Policy(version, **changes), stage, share)  # type: ignore[arg-type]


def test_without_a_policy_every_source_weighs_one_and_nothing_else_is_said() -> None:
    none = terms(None)
    assert (none.weight("a"), none.threshold(PAIR), none.size(PAIR), none.probability(PAIR, 0.5)) == (
        1,
        None,
        None,
        None,
    )
    assert none.version == 0


def test_a_weight_is_the_regimes_own_else_that_of_any_regime_else_one() -> None:
    policy = Policy(1, weights={"a|quiet-ranging": 0.5, "a|": 2.0})
    assert [terms(policy, regime).weight("a") for regime in ("quiet-ranging", "volatile-ranging", "")] == [
        0.5,
        2.0,
        2.0,
    ]
    assert terms(policy).weight("b") == 1.0


@pytest.mark.parametrize("value", [1e9, -1e9, math.nan, math.inf, -math.inf])
def test_no_policy_gets_past_the_bounds(value: float) -> None:
    said = terms(Policy(1, weights={"a|": value}, thresholds={PAIR: value}, sizes={PAIR: value}))
    assert 0.0 <= said.weight("a") <= 3.0
    assert 0.05 <= (said.threshold(PAIR) or 0.0) <= 0.8
    assert 0.25 <= (said.size(PAIR) or 0.0) <= 2.0
    if not math.isfinite(value):
        assert (said.weight("a"), said.threshold(PAIR), said.size(PAIR)) == (0.0, 0.8, 0.25)


def test_a_probability_is_linear_between_the_knots_and_constant_beyond_them() -> None:
    said = terms(Policy(1, calibration={PAIR: ((0.2, 0.4), (0.6, 0.5), (1.0, 0.7))}))
    found = [said.probability(PAIR, conviction) for conviction in (0.0, 0.2, 0.4, 0.8, 1.0)]
    assert found == [0.4, 0.4, pytest.approx(0.45), pytest.approx(0.6), 0.7]


@pytest.mark.parametrize(
    "knots", [((0.5, 0.5), (0.2, 0.6)), ((0.1, 1.2),), ((0.1, math.nan),), ((math.nan, 0.5),), ((0.1, 0.2), (0.1, 0.3))]
)
def test_a_calibration_that_is_none_is_not_used(knots: tuple[tuple[float, float], ...]) -> None:
    assert terms(Policy(1, calibration={PAIR: knots})).probability(PAIR, 0.3) is None


@given(st.dictionaries(st.floats(0, 1), st.floats(0, 1), min_size=1, max_size=8), st.floats(0, 1))
def test_a_probability_stays_between_the_least_and_the_greatest_knot(knots: dict[float, float], at: float) -> None:
    found = terms(Policy(1, calibration={PAIR: tuple(sorted(knots.items()))})).probability(PAIR, at)
    assert found is not None
    assert min(knots.values()) - 1e-9 <= found <= max(knots.values()) + 1e-9


def test_a_ban_ends_by_itself() -> None:
    policy = Policy(1, bans={"a": Ban(10, "lost")})
    assert (terms(policy, now=9).weight("a"), terms(policy, now=10).weight("a")) == (0.0, 1.0)


def test_a_trial_decides_about_its_share_and_a_signal_always_falls_on_the_same_side() -> None:
    policies = Policies()
    assert policies.arm(IDS[0]) == ""
    policies.take(issued(1, Stage.FULL))
    policies.take(issued(2, Stage.TRIAL, 0.25))
    arms = [policies.arm(one) for one in IDS]
    assert 60 <= arms.count(TRIAL) <= 140
    assert arms == [policies.arm(one) for one in IDS]
    held = {arm: policies.of(arm) for arm in (TRIAL, CONTROL)}
    assert {arm: policy.version for arm, policy in held.items() if policy} == {TRIAL: 2, CONTROL: 1}


@pytest.mark.parametrize(
    ("share", "arm"), [(1.0, TRIAL), (7.0, TRIAL), (0.0, CONTROL), (-1.0, CONTROL), (math.nan, CONTROL)]
)
def test_a_share_stays_between_nothing_and_all(share: float, arm: str) -> None:
    policies = Policies()
    policies.take(issued(2, Stage.TRIAL, share))
    assert {policies.arm(one) for one in IDS} == {arm}


def test_stages_follow_each_other_and_can_be_taken_back() -> None:
    policies = Policies()
    policies.take(issued(1, Stage.FULL))
    policies.take(issued(2, Stage.SHADOW))
    assert (policies.shadows, policies.arm(IDS[0])) == ([2], "")
    policies.take(issued(2, Stage.TRIAL, 0.5))
    assert policies.shadows == []
    policies.take(issued(2, Stage.WITHDRAWN))
    assert (policies.trial, policies.arm(IDS[0])) == (None, "")
    policies.take(issued(3, Stage.TRIAL, 0.5))
    policies.take(issued(3, Stage.FULL))
    assert (policies.trial, policies.full and policies.full.version) == (None, 3)
    policies.take(issued(1, Stage.FULL))
    assert policies.full is not None and policies.full.version == 1
    policies.take(issued(1, Stage.WITHDRAWN))
    assert policies.full is None


def test_a_verdict_says_by_which_policy_and_on_which_side_it_was_reached() -> None:
    desk = Desk(threshold_max=0.9)
    desk.entry(issued(1, Stage.FULL, thresholds={PAIR: 0.1}))
    desk.entry(issued(2, Stage.TRIAL, 0.5, thresholds={PAIR: 0.9}))
    verdicts = [desk.ask(desk.signal(n, conviction=0.5)) for n in range(20)]
    assert {(v.arm, v.policy, v.code == "CONVICTION_LOW") for v in verdicts} == {
        (TRIAL, 2, True),
        (CONTROL, 1, False),
    }


def test_where_the_policy_says_nothing_the_feedback_does() -> None:
    desk = Desk()
    desk.entry(FeedbackIssued("trend", BTC, 3, 0.5, 0.7, 1, 3, -0.01))
    desk.entry(issued(1, Stage.FULL, sizes={PAIR: 2.0}))
    assert code(desk.ask(desk.signal(0, conviction=0.6))) == "CONVICTION_LOW"
    order = desk.ask(desk.signal(1)).order
    assert order is not None and order.quantity == 2
    desk.entry(issued(2, Stage.FULL, thresholds={PAIR: 0.5}))
    verdict = desk.ask(desk.signal(2, conviction=0.6, strategy="trend"))
    assert next(step for step in verdict.steps if step.name == "conviction").inputs["by"] == "policy 2"


def test_policies_survive_a_restart_from_the_log_and_from_the_snapshot() -> None:
    desk = Desk()
    desk.entry(issued(1, Stage.FULL, weights={"a|": 0.3}))
    desk.entry(issued(2, Stage.TRIAL, 0.5))
    before = desk.brain.status()
    desk.restart(desk.brain.snapshot())
    after = desk.brain.status()
    named = ("policy", "trial", "trial_share", "shadows")
    assert [after[name] for name in named] == [before[name] for name in named] == [1, 2, 0.5, []]
