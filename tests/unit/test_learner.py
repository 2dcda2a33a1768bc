"""The learner: outcomes by the market's own time, feedback within bounds, nothing forgotten."""

from __future__ import annotations

import statistics
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.learner.brain import KINDS, LearnerBrain
from actors.learner.calibration import Terms, score, start, step, target
from actors.learner.prices import moment
from actors.learner.statistics import Faded, Moments
from actors.messages.control import DeadLetter
from actors.messages.learning import FeedbackIssued, PolicyIssued
from actors.messages.orders import Watch
from actors.messages.signals import Expired
from exchanges.model.market import Bar
from exchanges.model.order import Side
from runtime import codec
from runtime.behavior import Behavior
from runtime.errors import SnapshotError
from runtime.lifecycle import CaughtUp, PeerUp
from tests.unit.brain_context import SECOND, START_NS, entry_of
from tests.unit.brain_samples import BTC, make_exchange_state
from tests.unit.learner_school import SETTINGS, School, at, blocked, executed, generated, teach


def test_the_learner_is_a_behavior_that_follows_what_it_folds() -> None:
    assert isinstance(LearnerBrain(), Behavior)
    assert {"Executed", "Blocked", "Expired", "Lesson", "FeedbackIssued"} <= set(KINDS)


def test_an_executed_signal_is_measured_from_its_fill_at_the_first_price_of_the_horizon() -> None:
    school = School()
    signal = at(0)
    school.entry(*executed(signal, "100"))
    for second, price in ((10, 90.0), (59, 95.0), (61, 102.0), (62, 110.0)):
        school.price(price, second)
    (lesson,) = school.lessons()
    assert (lesson.signal_id, lesson.strategy, lesson.symbol, lesson.state) == (signal.id, "trend", BTC, "EXECUTED")
    assert (lesson.entry_price, lesson.exit_price, lesson.horizon_ns) == (100.0, 102.0, 61 * SECOND)
    assert (lesson.value, lesson.counterfactual) == (pytest.approx(0.02), False)


def test_a_sale_earns_when_the_price_falls_and_fees_are_paid_both_ways() -> None:
    school = School()
    school.entry(make_exchange_state(), *executed(at(0, side=Side.SELL), "100", fee="0.055"))
    school.price(98.0, 60)
    assert school.lessons()[0].value == pytest.approx(0.02 - 2 * 0.00055)


@pytest.mark.parametrize("expired", [False, True])
def test_what_was_not_executed_is_followed_from_the_market_it_was_made_at(expired: bool) -> None:
    school = School()
    signal = at(5, price=50.0)
    ends = (generated(signal), Expired(signal.id, "trend", BTC, "TTL")) if expired else blocked(signal)
    school.entry(*ends)
    school.price(49.0, 65)
    (lesson,) = school.lessons()
    assert (lesson.counterfactual, lesson.entry_price, lesson.value) == (True, 50.0, pytest.approx(-0.02))
    assert lesson.gate == ("expired" if expired else "symbol_notional")
    school.journal_what_was_sent()
    gate: Any = school.brain.status()["gates"]
    assert (gate[lesson.gate]["count"], gate[lesson.gate]["mean_return"]) == (1, lesson.value)


def test_the_horizon_counts_in_the_markets_time_even_if_the_end_comes_late() -> None:
    school = School()
    for second in range(0, 200, 10):
        school.price(100.0 + second, second)
    school.entry(*executed(at(0), "100"))
    assert [lesson.exit_price for lesson in school.lessons()] == [160.0]


def test_a_closed_bar_is_the_price_of_its_end() -> None:
    bar = Bar(BTC, 1, 1, START_NS, START_NS, 1.0, 1.0, 1.0, 1.0, 1.0, 60 * SECOND, True)
    assert moment(bar) == START_NS + 60 * SECOND
    assert moment(msgspec.structs.replace(bar, closed=False)) == START_NS


def test_a_signal_whose_horizon_has_not_come_waits_through_a_restart() -> None:
    school = School()
    school.entry(*executed(at(0), "100"))
    school.price(101.0, 30)
    school.restart(school.brain.snapshot(), len(school.journal))
    assert not school.lessons()
    assert school.brain.status()["pending"] == 1
    school.price(103.0, 60)
    assert school.lessons()[0].value == pytest.approx(0.03)


def test_data_missed_while_away_is_asked_for_and_measured_by() -> None:
    school = School()
    school.entry(*executed(at(0), "100"))
    school.price(101.0, 30)
    snapshot, cursor = school.brain.snapshot(), len(school.journal)
    school.price(105.0, 60)
    school.price(150.0, 90)
    school.ctx.sends.clear()
    school.restart(snapshot, cursor)
    assert school.ctx.sent(Watch)[0].after == {BTC: (1, 1)}
    assert school.lessons()[0].exit_price == 105.0


def test_a_silent_market_is_measured_by_its_last_price_and_not_counted() -> None:
    school = School(silence_ns=100 * SECOND)
    signal = at(0)
    school.entry(*executed(signal, "100"))
    school.price(99.0, 20)
    school.ctx.advance(school.brain, 99 * SECOND)
    assert not school.lessons()
    school.ctx.advance(school.brain, 3 * SECOND)
    (lesson,) = school.lessons()
    assert (lesson.exit_price, lesson.horizon_ns) == (99.0, 20 * SECOND)
    assert lesson.reason.startswith("MARKET_SILENT: silent_ns=")
    school.journal_what_was_sent()
    assert school.brain.status()["records"] == {}


def test_too_many_waiting_signals_end_the_oldest_early() -> None:
    school = School(max_pending=2)
    for ordinal in range(4):
        school.entry(*blocked(at(0, ordinal)))
    school.ctx.advance(school.brain, SECOND)
    assert [lesson.reason.partition(":")[0] for lesson in school.lessons()] == ["TOO_MANY_PENDING"] * 2


def test_a_lesson_is_sent_once_and_again_to_a_new_bus_until_it_is_journaled() -> None:
    school = School()
    school.entry(*executed(at(0), "100"))
    school.price(101.0, 60)
    school.price(102.0, 61)
    assert len(school.lessons()) == 1
    for epoch in (2, 2, 3):
        school.ctx.deliver(school.brain, PeerUp("bus", epoch), "bus")
    assert len(school.lessons()) == 3
    school.journal_what_was_sent()
    school.ctx.deliver(school.brain, PeerUp("bus", 4), "bus")
    assert len(school.lessons()) == 3
    assert school.brain.status()["pending"] == 0


def test_a_lesson_the_bus_can_not_take_is_dropped() -> None:
    school = School()
    school.entry(*executed(at(0), "100"))
    school.price(101.0, 60)
    body = codec.encode(school.lessons()[0])
    school.entry(DeadLetter("learner", "bus", "Lesson", "it ended too long ago", body))
    assert school.brain.status()["unconfirmed"] == 0


def test_losses_lower_the_size_and_raise_the_threshold_and_wins_do_the_reverse() -> None:
    bad, good = School(), School()
    teach(bad, [-0.01, -0.02, -0.01, -0.03])
    teach(good, [0.01, 0.02, 0.01, 0.03])
    worse, better = bad.ctx.sent(FeedbackIssued)[-1], good.ctx.sent(FeedbackIssued)[-1]
    assert worse.size_multiplier < 1 < better.size_multiplier
    assert worse.conviction_threshold > SETTINGS.base_threshold > better.conviction_threshold
    assert (worse.wins, worse.losses) == (0, 4)
    assert better.mean_return == pytest.approx(0.0175)


def test_nothing_changes_before_there_are_enough_outcomes() -> None:
    school = School(minimum_outcomes=5)
    teach(school, [-0.01] * 4)
    assert not school.ctx.sent(FeedbackIssued)


def test_versions_rise_by_one_and_each_goes_one_step_at_most() -> None:
    school = School(max_step=0.05)
    teach(school, [-0.02] * 15)
    issued = school.ctx.sent(FeedbackIssued)
    assert [f.version for f in issued] == list(range(1, len(issued) + 1))
    sizes = [1.0, *(f.size_multiplier for f in issued)]
    assert len(issued) > 3
    assert all(abs(a - b) <= 0.05 + 1e-9 for a, b in pairwise(sizes))


def test_one_version_at_a_time_is_on_its_way() -> None:
    school = School(minimum_outcomes=1)
    for number in range(3):
        school.entry(*executed(at(number * 100, number), "100"))
        school.price(98.0, number * 100 + 60)
        school.entry(school.lessons()[number])
    assert [p.policy.version for p in school.ctx.sent(PolicyIssued)] == [1]
    assert not school.ctx.sent(FeedbackIssued)
    school.entry(school.ctx.sent(PolicyIssued)[0])
    assert [f.version for f in school.ctx.sent(FeedbackIssued)] == [1]
    teach(school, [-0.02], first=3)
    assert [f.version for f in school.ctx.sent(FeedbackIssued)] == [1, 2]


def test_signals_only_their_conviction_stopped_can_lower_the_threshold_again() -> None:
    school = School()
    for number in range(6):
        school.entry(*blocked(at(number * 100, number), "conviction"))
        school.price(103.0, number * 100 + 60)
        school.journal_what_was_sent()
    feedback = school.ctx.sent(FeedbackIssued)[-1]
    assert feedback.conviction_threshold < SETTINGS.base_threshold
    assert (feedback.wins, feedback.losses) == (0, 0)


def test_unconfirmed_feedback_is_sent_again_to_a_new_bus() -> None:
    school = School(minimum_outcomes=1)
    school.entry(*executed(at(0), "100"))
    school.price(97.0, 60)
    school.entry(school.lessons()[0])
    school.entry(school.ctx.sent(PolicyIssued)[0])
    school.ctx.deliver(school.brain, PeerUp("bus", 2), "bus")
    assert [f.version for f in school.ctx.sent(FeedbackIssued)] == [1, 1]


def test_a_broken_snapshot_is_refused() -> None:
    with pytest.raises(SnapshotError, match="expected a snapshot of the learner"):
        LearnerBrain().restore(b"x")


def test_a_learner_without_a_snapshot_rebuilds_itself_from_the_journal() -> None:
    school = School()
    teach(school, [-0.01, 0.02, -0.03, 0.01, -0.02])
    again = School()
    again.brain = LearnerBrain(school.settings)
    for seq, event in enumerate(school.journal, start=1):
        again.ctx.deliver(again.brain, entry_of(event, seq), "bus")
    again.ctx.deliver(again.brain, CaughtUp(len(school.journal)))
    for key in ("records", "gates", "feedback", "pending", "unconfirmed"):
        assert again.brain.status()[key] == school.brain.status()[key]


returns = st.floats(-0.5, 0.5, allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(returns, max_size=60), st.floats(1, 100), st.floats(0.01, 0.5))
def test_multiplier_and_threshold_stay_within_their_bounds(values: list[float], half_life: float, most: float) -> None:
    told = msgspec.structs.replace(SETTINGS, half_life=half_life, max_step=most)
    outcomes, now = Faded(), start(told)
    for count, value in enumerate(values, start=1):
        outcomes.add(value, half_life)
        assert -1 <= score(outcomes, told) <= 1
        goal = target(outcomes, count, told)
        for terms in (goal, step(now, goal, told) or now):
            assert told.size_min <= terms.size_multiplier <= told.size_max
            assert told.threshold_min <= terms.conviction_threshold <= told.threshold_max
        now = step(now, goal, told) or now


@settings(max_examples=60, deadline=None)
@given(st.lists(returns, min_size=2, max_size=60))
def test_moments_agree_with_the_textbook(values: list[float]) -> None:
    moments = Moments()
    for value in values:
        moments.add(value)
    assert moments.mean == pytest.approx(statistics.fmean(values), abs=1e-12)
    assert moments.deviation == pytest.approx(statistics.stdev(values), abs=1e-9)


def test_faded_moments_with_an_endless_half_life_are_the_plain_ones() -> None:
    values, faded = [0.1, -0.2, 0.05, 0.3], Faded()
    for value in values:
        faded.add(value, 1e12)
    assert faded.mean == pytest.approx(statistics.fmean(values))
    assert faded.variance == pytest.approx(statistics.pvariance(values))
    assert (faded.wins, faded.losses) == (pytest.approx(3), pytest.approx(1))


def test_a_step_below_the_least_is_not_issued() -> None:
    assert step(Terms(1.0, 0.1), Terms(1.005, 0.101), SETTINGS) is None


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["win", "lose", "block", "tick", "store", "restart"]), st.integers(0, 3)),
        min_size=10,
        max_size=40,
    )
)
def test_a_learner_that_is_restarted_learns_the_same_as_one_that_is_not(steps: list[tuple[str, int]]) -> None:
    steady, shaken = School(minimum_outcomes=1), School(minimum_outcomes=1)
    snapshot, cursor = shaken.brain.snapshot(), 0
    for number, (what, size) in enumerate(steps):
        second = number * 100
        if what == "store":
            snapshot, cursor = shaken.brain.snapshot(), len(shaken.journal)
        elif what == "restart":
            shaken.restart(snapshot, cursor)
            shaken.journal_what_was_sent()
        else:
            for school in (steady, shaken):
                signal = at(second, number)
                if what == "block":
                    school.entry(*blocked(signal))
                elif what != "tick":
                    school.entry(*executed(signal, "100"))
                school.price(100.0 + (size + 1) * (-1 if what == "lose" else 1), second + size)
                school.journal_what_was_sent()
    assert shaken.brain.status()["records"] == steady.brain.status()["records"]
    assert shaken.brain.status()["gates"] == steady.brain.status()["gates"]
    assert shaken.brain.status()["feedback"] == steady.brain.status()["feedback"]
    assert shaken.journal == steady.journal
