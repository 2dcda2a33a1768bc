"""Fault plans: what a file may say, how often what it says comes, and how the rules are used up."""

from __future__ import annotations

import itertools
import textwrap
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.simulators.base.disguise import UNKNOWN_VALUE, disguised
from exchanges.simulators.faults import Delivery, ExecutionRule, FaultOrder, FaultPlan, KeyState, RequestRule
from exchanges.simulators.mischief import Condition, ExecutionFault, RequestFault, StreamFault
from exchanges.simulators.rates import (
    ConditionRate,
    Dice,
    ExecutionRate,
    FaultPlanError,
    RatePlan,
    RequestRate,
    StreamRate,
    load,
    named,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def plan_file(folder: Path, text: str) -> Path:
    path = folder / "plan.yaml"
    path.write_text(textwrap.dedent(text))
    return path


class TestFiles:
    def test_the_standard_plan_has_every_kind_of_fault_but_the_venues_own_codes(self) -> None:
        plan = load(named("standard"))
        assert {rate.kind for rate in plan.requests} == set(RequestFault) - {RequestFault.RET_CODE}
        assert {rate.kind for rate in plan.executions} == set(ExecutionFault)
        assert {rate.kind for rate in plan.streams} == set(StreamFault)
        assert {rate.kind for rate in plan.conditions} == set(Condition)

    def test_the_standard_plan_brings_each_timed_fault_within_a_minute(self) -> None:
        plan = load(named("standard"))
        rates = [*plan.requests, *plan.executions, *plan.streams, *plan.conditions]
        assert max(rate.mean_s for rate in rates) <= 60

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (
                "requests: [{kind: rate_limitt, mean_s: 5}]",
                r"rate_limitt.*requests\[0\].*kinds of requests.*rate_limit,",
            ),
            ("streams: [{kind: explode, mean_s: 5}]", r"explode.*kinds of streams are drop, mute"),
            ("executions: [{kind: duplicate}]", r"either mean_s or probability above 0, found 0.0 and 0.0"),
            ("executions: [{kind: lose, probability: 2}]", r"expected a probability of 0 to 1"),
            ("streams: [{kind: drop, probability: 0.5}]", r"expected mean_s and no probability"),
            ("requests: [{kind: html, mean_s: 5, calls: [buy]}]", r"expected calls of place, amend.*found \['buy'\]"),
            ("conditions: [{kind: clock_skew, mean_s: 5}]", r"expected skew_ms other than 0"),
            ("conditions: [{kind: thin_liquidity, mean_s: 5}]", r"expected a share between 0 and 1"),
            ("request: []", r"unknown field `request`.*a plan has seed, requests"),
            ("- 1", r"Expected `object`, got `array`"),
            ("requests: [", r"expected YAML in .*plan.yaml"),
        ],
    )
    def test_what_is_wrong_with_a_plan_is_said(self, tmp_path: Path, text: str, said: str) -> None:
        with pytest.raises(FaultPlanError, match=said):
            load(plan_file(tmp_path, text))

    def test_a_plan_that_is_not_there_is_an_error_that_names_those_that_are(self, tmp_path: Path) -> None:
        with pytest.raises(FaultPlanError, match=r"expected one of standard or the path.*found 'stadnard'"):
            named("stadnard")
        with pytest.raises(FaultPlanError, match="check the path"):
            load(tmp_path / "none.yaml")
        assert named(str(tmp_path / "mine.yaml")) == tmp_path / "mine.yaml"


class TestDice:
    def test_a_timed_fault_comes_first_within_its_mean_and_then_once_a_mean(self) -> None:
        clock = Clock()
        dice = Dice(RatePlan(streams=[StreamRate(kind=StreamFault.DROP, mean_s=10.0)]), clock=clock)
        times = []
        for _ in range(10_000):
            clock.now += 0.1
            times += [clock.now] * len(dice.streams())
        assert times[0] <= 1_010.2
        assert all(4.9 <= later - earlier <= 15.1 for earlier, later in itertools.pairwise(times))
        assert 80 <= len(times) <= 120

    def test_a_fault_with_a_probability_comes_that_often(self) -> None:
        dice = Dice(RatePlan(executions=[ExecutionRate(kind=ExecutionFault.LOSE, probability=0.2)]))
        hits = sum(dice.execution(order=False) is not None for _ in range(5_000))
        assert 900 <= hits <= 1_100

    @given(st.integers(0, 1_000))
    def test_the_same_seed_and_venue_draw_the_same_and_another_venue_differently(self, seed: int) -> None:
        plan = RatePlan(seed=seed, requests=[RequestRate(kind=RequestFault.HTML, probability=0.5)])

        def draws(name: str) -> list[bool]:
            dice = Dice(plan, name)
            return [dice.request("/x", "place") is not None for _ in range(64)]

        assert draws("bybit") == draws("bybit")
        assert draws("bybit") != draws("kalshi")

    def test_a_fault_narrowed_to_calls_or_a_path_spares_the_others(self) -> None:
        rates = [
            RequestRate(kind=RequestFault.HTML, probability=1.0, calls=["place"]),
            RequestRate(kind=RequestFault.RESET_BEFORE, probability=1.0, path="/v5/market"),
        ]
        dice = Dice(RatePlan(requests=rates))
        found = [
            dice.request(path, call) for path, call in (("/a", "place"), ("/a", "query"), ("/v5/market/t", "market"))
        ]
        assert [rate.kind if rate else None for rate in found] == [RequestFault.HTML, None, RequestFault.RESET_BEFORE]

    def test_conditions_come_like_timed_faults(self) -> None:
        clock = Clock()
        rate = ConditionRate(kind=Condition.CLOCK_SKEW, mean_s=5.0, skew_ms=100)
        dice = Dice(RatePlan(conditions=[rate]), clock=clock)
        assert dice.conditions() == []
        clock.now += 5.1
        assert dice.conditions() == [rate]
        assert dice.conditions() == []


class TestRules:
    def test_a_rule_can_be_narrowed_to_kinds_of_calls(self) -> None:
        plan = FaultPlan()
        plan.apply(FaultOrder(requests=[RequestRule("", RequestFault.HTML, calls=["cancel"])]))
        assert plan.request("/any", "place") is None
        found = plan.request("/any", "cancel")
        assert found is not None
        assert plan.request("/any", "cancel") is None

    def test_execution_messages_are_held_doubled_lost_and_late_in_turn(self) -> None:
        plan = FaultPlan()
        plan.apply(FaultOrder(executions=ExecutionRule(reorder=1, lose=1, duplicate=1, delay=1, seconds=0.5)))
        assert [plan.execution() for _ in range(4)] == [
            Delivery(copies=0),
            Delivery(seconds=0.5, held=True),
            Delivery(copies=2, seconds=0.5),
            Delivery(),
        ]
        assert plan.fired == Counter(lose=1, reorder=1, duplicate=1, delay=1)

    def test_a_plan_given_later_counts_what_it_fires_and_clear_ends_it(self) -> None:
        plan = FaultPlan("bybit")
        always = RatePlan(
            requests=[RequestRate(kind=RequestFault.HTTP_STATUS, probability=1.0, status=502)],
            executions=[
                ExecutionRate(kind=ExecutionFault.DUPLICATE, probability=1.0),
                ExecutionRate(kind=ExecutionFault.UNKNOWN_STATUS, probability=1.0),
            ],
        )
        plan.apply(FaultOrder(plan=always))
        found = plan.request("/x", "place")
        assert found is not None
        assert (found.kind, found.status) == (RequestFault.HTTP_STATUS, 502)
        assert plan.execution() == Delivery(copies=2)
        assert plan.order() is True
        assert plan.fired == Counter(http_status=1, duplicate=1, unknown_status=1)
        plan.apply(FaultOrder(clear=True))
        assert plan.request("/x", "place") is None
        assert plan.execution() == Delivery()
        assert plan.order() is False

    def test_a_key_is_valid_until_a_fault_says_otherwise(self) -> None:
        plan = FaultPlan()
        assert plan.key("k") is KeyState.VALID
        plan.apply(FaultOrder(keys={"k": KeyState.REVOKED}))
        assert plan.key("k") is KeyState.REVOKED
        plan.apply(FaultOrder(clear=True))
        assert plan.key("k") is KeyState.VALID


def test_a_disguised_message_differs_in_its_statuses_alone() -> None:
    message = {"data": [{"status": "New", "qty": "1", "n": 1}, {"status": 7}], "status": "x", "list": ({"s": None},)}
    assert disguised(message, ("status",)) == {
        "data": [{"status": UNKNOWN_VALUE, "qty": "1", "n": 1}, {"status": 7}],
        "status": UNKNOWN_VALUE,
        "list": [{"s": None}],
    }
    assert message["status"] == "x"
