"""What a lesson holds besides its return, and what it is put down to."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from actors.learner.attribution import KEYS, OTHER, Tally, entry, wilson
from actors.learner.prices import Track
from actors.messages.learning import Lesson
from actors.messages.signals import Approved, Blocked, Step
from exchanges.model.market import Bar
from exchanges.model.order import Side
from runtime.message import Message
from strategies.signal import Signal
from tests.unit.brain_context import SECOND, START_NS
from tests.unit.brain_samples import BTC, make_approved, make_exchange_state, make_filled, make_trade
from tests.unit.learner_school import School, at, blocked, executed, generated, teach

MINUTE = 60 * SECOND


def lesson_of(school: School, *events: Message, prices: tuple[tuple[int, float], ...] = ((60, 100.0),)) -> Lesson:
    school.entry(*events)
    for second, price in prices:
        school.price(price, second)
    return school.lessons()[-1]


def bar(minute: int, low: float, high: float, close: float) -> Bar:
    start = START_NS + minute * MINUTE
    return Bar(BTC, 1, minute + 1, start, start, close, high, low, close, 1.0, MINUTE, True)


def test_the_best_and_the_worst_on_the_way_are_kept() -> None:
    prices = ((10, 97.0), (30, 104.0), (60, 101.0), (70, 150.0))
    lesson = lesson_of(School(), *executed(at(0)), prices=prices)
    assert (lesson.favourable, lesson.adverse) == (pytest.approx(0.04), pytest.approx(-0.03))


def test_a_sales_excursions_are_the_other_way_round() -> None:
    lesson = lesson_of(School(), *executed(at(0, side=Side.SELL)), prices=((10, 97.0), (30, 104.0), (60, 100.0)))
    assert (lesson.favourable, lesson.adverse) == (pytest.approx(0.03), pytest.approx(-0.04))


def test_what_happened_before_the_entry_is_no_excursion() -> None:
    lesson = lesson_of(School(), *executed(at(30)), prices=((10, 50.0), (20, 200.0), (60, 101.0), (90, 102.0)))
    assert (lesson.favourable, lesson.adverse) == (pytest.approx(0.02), 0.0)


def test_extremes_between_two_kept_prices_are_not_lost() -> None:
    track = Track()
    for number, price in enumerate((100.0, 90.0, 110.0, 101.0)):
        track.add(make_trade(price, ts=START_NS + number), 0, SECOND)
    assert track.range(START_NS - 1, START_NS + 10) == (90.0, 110.0)
    assert len(track.times) == 1


def test_a_bars_own_extremes_count_unless_its_beginning_is_known_better() -> None:
    bars, both = Track(), Track()
    for number in range(2):
        candle = bar(number, 90.0, 120.0, 100.0)
        bars.add(candle, 0, SECOND)
    both.add(make_trade(100.0, ts=START_NS + 30 * SECOND), 0, SECOND)
    both.add(bar(0, 90.0, 120.0, 100.0), 0, SECOND)
    assert bars.range(START_NS, START_NS + 2 * MINUTE) == (90.0, 120.0)
    assert both.range(START_NS, START_NS + 2 * MINUTE) == (100.0, 100.0)


def test_a_track_from_before_extremes_were_kept_goes_on() -> None:
    school = School()
    school.price(100.0, 0)
    state: Any = msgspec.msgpack.decode(school.brain.snapshot())
    for track in state["tracks"].values():
        del track["highs"], track["lows"]
    school.restart(msgspec.msgpack.encode(state), 0)
    lesson = lesson_of(school, *executed(at(0)), prices=((30, 103.0), (60, 101.0)))
    assert lesson.favourable == pytest.approx(0.03)


def test_slippage_is_what_was_paid_more_than_the_price_it_was_to_meet() -> None:
    for side, price in ((Side.BUY, "101"), (Side.SELL, "99")):
        signal = at(0, side=side)
        order = make_approved(signal, price="100")
        events = executed(signal, price)
        approved = Approved(signal.id, signal.strategy, BTC, order, regime="calm", policy=3, arm="trial")
        lesson = lesson_of(School(), events[0], approved, *events[1:])
        assert lesson.slippage == pytest.approx(1 / float(price))


def test_fees_are_those_paid_and_the_way_out_at_the_takers() -> None:
    school = School()
    school.entry(make_exchange_state())
    lesson = lesson_of(school, *executed(at(0), fee="0.02"), prices=((60, 101.0),))
    assert lesson.fees == pytest.approx(0.0002 + 0.00055)
    assert lesson.value == pytest.approx(0.01 - lesson.fees)


def test_a_fee_paid_in_the_base_currency_is_reckoned_at_the_fills_price() -> None:
    school = School()
    school.entry(make_exchange_state())
    signal = at(0)
    made, filled, done = executed(signal)
    coin = msgspec.structs.replace(filled.fill, fee=Decimal("0.001"), fee_currency="BTC")
    lesson = lesson_of(school, made, msgspec.structs.replace(filled, fill=coin), done)
    assert lesson.fees == pytest.approx(0.001 + 0.00055)


def test_a_signal_made_of_a_bar_is_followed_from_the_bars_end() -> None:
    signal = at(0)
    end = msgspec.structs.replace(signal.cause, kind="Bar", recv_ns=START_NS + MINUTE)
    lesson = lesson_of(
        School(), *blocked(msgspec.structs.replace(signal, cause=end)), prices=((60, 90.0), (119, 95.0), (120, 101.0))
    )
    assert (lesson.exit_price, lesson.horizon_ns) == (101.0, MINUTE)


def test_the_stake_is_what_was_filled_or_asked_for_or_usual() -> None:
    school = School(stake_fraction=0.01, stake_limit=80.0)
    assert lesson_of(school, *executed(at(0))).stake == 100.0
    asked = at(0, 1, quantity=Decimal(3))
    assert lesson_of(school, *blocked(asked)).stake == 300.0
    assert lesson_of(school, *blocked(at(0, 2))).stake == 0.0
    school.entry(make_exchange_state(equity=Decimal(5_000)))
    assert lesson_of(school, *blocked(at(0, 3))).stake == 50.0
    school.entry(make_exchange_state(equity=Decimal(50_000)))
    assert lesson_of(school, *blocked(at(0, 4))).stake == 80.0


def test_a_signal_stopped_after_it_was_sized_stakes_what_it_was_sized_to() -> None:
    signal = at(0)
    steps = (Step("sizing", True, "", {"quantity": "0.4"}), Step("total_notional", False, "EXPOSURE_LIMIT_TOTAL"))
    stopped = Blocked(signal.id, "trend", BTC, "total_notional", "EXPOSURE_LIMIT_TOTAL", "", steps, "calm", 7, "base")
    lesson = lesson_of(School(), generated(signal), stopped)
    assert (lesson.stake, lesson.code) == (pytest.approx(40.0), "EXPOSURE_LIMIT_TOTAL")
    assert (lesson.regime, lesson.policy, lesson.arm) == ("calm", 7, "base")


def fill_of(signal: Signal, second: int, quantity: str) -> Message:
    return make_filled(signal, f"x-{signal.id}", quantity, ts=START_NS + second * SECOND)


def test_a_position_is_held_until_its_strategys_fills_have_closed_it() -> None:
    school = School()
    entry_, exit_ = at(0), at(20, 1, side=Side.SELL, reduce_only=True)
    school.entry(*executed(entry_), generated(exit_), fill_of(exit_, 20, "0.4"), fill_of(exit_, 25, "0.6"))
    school.price(100.0, 60)
    assert [lesson.holding_ns for lesson in school.lessons()] == [25 * SECOND]


def test_a_position_still_held_at_the_horizon_was_held_so_long() -> None:
    lesson = lesson_of(School(), *executed(at(0)), prices=((61, 100.0),))
    assert lesson.holding_ns == lesson.horizon_ns == 61 * SECOND


def test_what_only_closes_is_measured_but_moves_no_terms_and_no_source() -> None:
    school = School(minimum_outcomes=1)
    teach(school, [-0.02, -0.02, -0.02], side=Side.SELL, reduce_only=True)
    status: Any = school.brain.status()
    assert all(lesson.reduces for lesson in school.lessons())
    assert status["records"] == {} and "source" not in status["tables"]
    assert status["tables"]["strategy"]["trend"]["count"] == 3


def test_outcomes_are_put_down_to_strategy_symbol_regime_and_source() -> None:
    school = School()
    teach(school, [0.02, -0.01], sources={"momentum": 0.6, "flow": -0.2})
    tables: Any = school.brain.status()["tables"]
    for dimension, key in (("strategy", "trend"), ("symbol", BTC), ("regime", "unknown"), ("source", "momentum")):
        row = tables[dimension][key]
        assert (row["count"], row["win_rate"]) == (2, 0.5)
        assert row["mean_return"] == pytest.approx(0.005)
        assert row["profit"] == pytest.approx(1.0)
    assert tables["source"]["flow"]["mean_return"] == pytest.approx(-0.005)


def test_an_opinion_against_the_signal_pays_costs_as_well() -> None:
    school = School(taker_fee=0.001)
    teach(school, [0.01], sources={"flow": -0.2})
    tables: Any = school.brain.status()["tables"]
    (lesson,) = school.lessons()
    assert tables["source"]["flow"]["mean_return"] == pytest.approx(-0.01 - lesson.fees)


def test_each_gate_has_a_measured_saving_and_a_rate_of_false_positives() -> None:
    school = School()
    for number, price in enumerate((90.0, 95.0, 104.0)):
        school.entry(*blocked(at(number * 100, number, quantity=Decimal(2)), "daily_loss"))
        school.price(price, number * 100 + 60)
        school.journal_what_was_sent()
    gates: Any = school.brain.status()["gates"]
    for key in ("daily_loss", "daily_loss:CODE"):
        gate = gates[key]
        assert gate["saved"] == pytest.approx(2 * (10 + 5 - 4))
        assert gate["mean_saving"] == pytest.approx(22 / 3)
        assert gate["false_positive_rate"] == pytest.approx(1 / 3)
        assert gate["false_positive_low"] < 1 / 3 < gate["false_positive_high"]


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(1, 200))
def test_the_score_interval_agrees_with_the_reference(wins: int, count: int) -> None:
    wins = min(wins, count)
    expected = binomtest(wins, count).proportion_ci(0.95, method="wilson")
    assert wilson(wins, count) == (pytest.approx(expected.low, abs=1e-9), pytest.approx(expected.high, abs=1e-9))


def test_a_gate_that_stopped_nothing_may_be_wrong_always_or_never() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_table_does_not_grow_without_bound() -> None:
    table: dict[str, Tally] = {}
    for number in range(KEYS + 5):
        entry(table, f"source-{number}", Tally).take(0.01, 1.0)
    assert len(table) == KEYS + 1
    assert table[OTHER].count == 5
