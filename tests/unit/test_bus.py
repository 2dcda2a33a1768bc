"""The signal bus: one life for each signal, nothing taken twice, everything found again."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from actors.bus.brain import BusBrain
from actors.bus.lifecycle import TABLE, TRANSITIONS
from actors.bus.settings import BusSettings
from actors.messages.control import (
    DeadLetter,
)
from actors.messages.orders import Filled, OrderChanged
from actors.messages.signals import (
    Approved,
    Blocked,
    Emit,
    Evaluate,
    Executed,
    Expired,
    Generated,
    LifecycleViolation,
    SignalStuck,
    Unsent,
    Verdict,
)
from exchanges.model.order import OrderStatus
from runtime.behavior import Behavior
from strategies.signal import SignalState
from tests.unit.brain_context import SECOND
from tests.unit.brain_samples import (
    BTC,
    EXCHANGE,
    make_approved,
    make_filled,
    make_signal,
    order_changed,
)
from tests.unit.bus_desk import approved, lesson, started, steps


def test_the_bus_is_a_behavior() -> None:
    assert isinstance(BusBrain(), Behavior)


def test_the_lifecycle_ends_in_learned_from_every_state() -> None:
    for state in SignalState:
        reached = {state}
        for _ in SignalState:
            reached |= {after for known in reached for after in TABLE.after(known)}
        assert SignalState.LEARNED in reached
    assert TABLE.final(SignalState.LEARNED)
    assert not TABLE.allows(SignalState.GENERATED, SignalState.APPROVED)
    assert set(TRANSITIONS) == set(SignalState)


def test_a_signal_is_generated_evaluated_and_put_to_risk_before_the_flush() -> None:
    brain, ctx = started()
    signal = make_signal()
    ctx.deliver(brain, Emit(signal), "strategy/trend/bybit:BTCUSDT")
    assert steps(ctx, signal) == ["GENERATED", "EVALUATING"]
    assert [r.urgent for r in ctx.records] == [False, False]
    assert ctx.records[1].causation == ctx.records[0].seq
    assert ctx.records[0].keys == {"signal": signal.id, "state": "GENERATED", "strategy": "trend", "symbol": BTC}
    (sent,) = ctx.sends
    assert (sent.to, sent.message, sent.eager) == ("risk", Evaluate(signal, 1), True)


def test_the_same_signal_again_changes_nothing() -> None:
    brain, ctx = started()
    signal = make_signal()
    for _ in range(3):
        ctx.deliver(brain, Emit(signal), "strategy/trend/bybit:BTCUSDT")
    assert len(ctx.events(Generated)) == 1
    assert len(ctx.sends) == 1
    assert brain.status()["duplicates"] == 2


def test_a_signal_older_than_its_time_to_live_is_generated_and_expired() -> None:
    brain, ctx = started()
    signal = make_signal(now=ctx.now - 60 * SECOND)
    ctx.deliver(brain, Emit(signal), "s")
    assert steps(ctx, signal) == ["GENERATED", "EXPIRED"]
    assert ctx.events(Expired)[0].age_ns == 60 * SECOND
    assert not ctx.sends


@pytest.mark.parametrize(
    "changes", [{"conviction": 1.5}, {"symbol": "BTC"}, {"ttl_ns": 0}, {"id": ""}, {"quantity": Decimal(-1)}]
)
def test_a_malformed_signal_becomes_a_dead_letter_that_says_what_was_expected(changes: dict[str, object]) -> None:
    brain, ctx = started()
    ctx.deliver(brain, Emit(msgspec.structs.replace(make_signal(), **changes)), "s")
    (letter,) = ctx.events(DeadLetter)
    assert "expected" in letter.reason
    assert not ctx.events(Generated)


def test_the_whole_life_of_an_executed_signal() -> None:
    brain, ctx = started()
    signal = make_signal()
    approved(brain, ctx, signal)
    ctx.deliver(brain, order_changed(signal, OrderStatus.PENDING), EXCHANGE)
    assert steps(ctx, signal)[-1] == "APPROVED"
    ctx.deliver(brain, order_changed(signal, OrderStatus.SENT), EXCHANGE)
    assert steps(ctx, signal)[-1] == "EXECUTING"
    ctx.deliver(brain, order_changed(signal, OrderStatus.FILLED, filled="1"), EXCHANGE)
    ctx.deliver(brain, make_filled(signal, "e1", "0.4", "99"), EXCHANGE)
    assert steps(ctx, signal)[-1] == "EXECUTING"
    ctx.deliver(brain, make_filled(signal, "e2", "0.6", "101"), EXCHANGE)
    (executed,) = ctx.events(Executed)
    assert (executed.filled, executed.average_price) == (Decimal("1.0"), Decimal("100.2"))
    ctx.deliver(brain, lesson(signal), "learner")
    expected = ["GENERATED", "EVALUATING", "APPROVED", "EXECUTING", "EXECUTED", "LEARNED"]
    assert steps(ctx, signal) == expected
    assert brain.status()["signals"] == dict.fromkeys(expected, 1)
    assert not ctx.events(LifecycleViolation)


def test_each_record_names_the_one_before_it_as_its_cause() -> None:
    brain, ctx = started()
    signal = make_signal()
    approved(brain, ctx, signal)
    ctx.deliver(brain, make_filled(signal, "e1", "1"), EXCHANGE)
    ctx.deliver(brain, order_changed(signal, OrderStatus.FILLED, filled="1"), EXCHANGE)
    assert [r.causation for r in ctx.records] == [0, *[r.seq for r in ctx.records[:-1]]]
    assert all(r.correlation == signal.id for r in ctx.records)


def test_an_approval_is_urgent_and_found_by_its_client_order_id() -> None:
    brain, ctx = started()
    signal = make_signal()
    approved(brain, ctx, signal)
    record = next(r for r in ctx.records if isinstance(r.event, Approved))
    assert record.urgent
    assert record.keys["order"] == f"bw-{signal.id}-0-0"


def test_a_denial_blocks_with_gate_and_code() -> None:
    brain, ctx = started()
    signal = make_signal()
    ctx.deliver(brain, Emit(signal), "s")
    denial = Verdict(signal.id, (), None, "notional", "EXPOSURE_LIMIT_SYMBOL: exposure=2 limit=1", "too much")
    ctx.deliver(brain, denial, "risk")
    ctx.deliver(brain, denial, "risk")
    (blocked,) = ctx.events(Blocked)
    assert blocked.gate == "notional"
    assert brain.status()["duplicates"] == 1
    assert not ctx.events(LifecycleViolation)


def test_what_a_signal_was_judged_by_is_journaled_with_the_verdict() -> None:
    brain, ctx = started()
    good, bad = make_signal(0), make_signal(1)
    for signal in (good, bad):
        ctx.deliver(brain, Emit(signal), "s")
    learned = {"regime": "quiet-ranging", "policy": 7, "arm": "trial"}
    ctx.deliver(brain, Verdict(good.id, (), make_approved(good), **learned), "risk")
    ctx.deliver(brain, Verdict(bad.id, (), None, "g", "X", "y=1", **learned), "risk")
    found = [*ctx.events(Approved), *ctx.events(Blocked)]
    assert [(event.regime, event.policy, event.arm) for event in found] == [("quiet-ranging", 7, "trial")] * 2


def test_a_verdict_is_taken_from_risk_alone() -> None:
    brain, ctx = started()
    signal = make_signal()
    ctx.deliver(brain, Emit(signal), "s")
    ctx.deliver(brain, Verdict(signal.id, (), make_approved(signal)), "strategy/trend/bybit:BTCUSDT")
    (violation,) = ctx.events(LifecycleViolation)
    assert violation.by == "strategy/trend/bybit:BTCUSDT"
    assert not ctx.events(Approved)


def test_a_repeated_approval_is_ignored_even_after_the_order_is_done() -> None:
    brain, ctx = started()
    signal = make_signal()
    approved(brain, ctx, signal)
    ctx.deliver(brain, make_filled(signal, "e1", "1"), EXCHANGE)
    ctx.deliver(brain, order_changed(signal, OrderStatus.FILLED, filled="1"), EXCHANGE)
    ctx.deliver(brain, Verdict(signal.id, (), make_approved(signal)), "risk")
    assert len(ctx.events(Approved)) == 1
    assert not ctx.events(LifecycleViolation)


def test_a_contrary_verdict_is_a_violation() -> None:
    brain, ctx = started()
    signal = make_signal()
    approved(brain, ctx, signal)
    ctx.deliver(brain, Verdict(signal.id, (), None, "g", "X: y=1"), "risk")
    assert ctx.events(LifecycleViolation)[0].state == "APPROVED"
    assert brain.status()["violations"] == 1


def test_an_approval_of_another_order_is_refused() -> None:
    brain, ctx = started()
    signal, other = make_signal(), make_signal(1)
    ctx.deliver(brain, Emit(signal), "s")
    ctx.deliver(brain, Verdict(signal.id, (), make_approved(other)), "risk")
    assert not ctx.events(Approved)
    assert "derived from signal" in ctx.events(LifecycleViolation)[0].detail


def test_a_verdict_for_an_unknown_signal_is_a_dead_letter() -> None:
    brain, ctx = started()
    ctx.deliver(brain, Verdict("NOBODY", (), None, "g", "X: y=1"), "risk")
    assert ctx.events(DeadLetter)[0].kind == "Verdict"


def test_a_signal_without_a_verdict_is_asked_for_again_then_stuck_then_expired() -> None:
    brain, ctx = started(BusSettings(redeliver_ns=2 * SECOND, stuck_evaluating_ns=5 * SECOND))
    signal = make_signal(ttl_ns=8 * SECOND)
    ctx.deliver(brain, Emit(signal), "s")
    ctx.advance(brain, 3 * SECOND)
    assert len(ctx.sent(Evaluate, "risk")) == 2
    ctx.advance(brain, 3 * SECOND)
    (stuck,) = ctx.events(SignalStuck)
    assert (stuck.signal_id, stuck.state) == (signal.id, "EVALUATING")
    assert brain.status()["stuck"] == [signal.id]
    ctx.advance(brain, 3 * SECOND)
    assert steps(ctx, signal)[-1] == "EXPIRED"
    assert len(ctx.events(SignalStuck)) == 1
    assert brain.status()["stuck"] == []
    ctx.deliver(brain, Verdict(signal.id, (), make_approved(signal)), "risk")
    assert not ctx.events(Approved)
    assert len(ctx.events(LifecycleViolation)) == 1


def test_an_approval_that_comes_after_the_time_to_live_expires_the_signal() -> None:
    brain, ctx = started()
    signal = make_signal(ttl_ns=SECOND)
    ctx.deliver(brain, Emit(signal), "s")
    ctx.now += 2 * SECOND
    ctx.deliver(brain, Verdict(signal.id, (), make_approved(signal)), "risk")
    assert steps(ctx, signal) == ["GENERATED", "EVALUATING", "EXPIRED"]


def test_an_approved_signal_is_never_expired_by_the_bus_but_raised_when_the_exchange_is_silent() -> None:
    brain, ctx = started()
    signal = make_signal()
    approved(brain, ctx, signal)
    ctx.advance(brain, 300 * SECOND)
    assert steps(ctx, signal)[-1] == "APPROVED"
    assert [s.state for s in ctx.events(SignalStuck)] == ["APPROVED"]


def test_an_executing_signal_is_never_expired_by_the_bus_but_raised() -> None:
    brain, ctx = started()
    signal = make_signal()
    approved(brain, ctx, signal)
    ctx.deliver(brain, order_changed(signal, OrderStatus.UNKNOWN), EXCHANGE)
    ctx.advance(brain, 3600 * SECOND)
    assert steps(ctx, signal)[-1] == "EXECUTING"
    assert [s.state for s in ctx.events(SignalStuck)] == ["EXECUTING"]


@pytest.mark.parametrize(("status", "last"), [(OrderStatus.REJECTED, "BLOCKED"), (OrderStatus.CANCELLED, "EXPIRED")])
def test_an_order_that_ends_unfilled_ends_its_signal(status: OrderStatus, last: str) -> None:
    brain, ctx = started()
    signal = make_signal()
    approved(brain, ctx, signal)
    ctx.deliver(brain, order_changed(signal, status, reason="insufficient margin"), EXCHANGE)
    assert steps(ctx, signal)[-2:] == ["EXECUTING", last]
    if last == "BLOCKED":
        (blocked,) = ctx.events(Blocked)
        assert (blocked.gate, blocked.code, blocked.detail) == ("venue", "VENUE_REJECTED", "insufficient margin")


def test_a_cancelled_order_with_a_fill_is_executed() -> None:
    brain, ctx = started()
    signal = make_signal()
    approved(brain, ctx, signal)
    ctx.deliver(brain, make_filled(signal, "e1", "0.3"), EXCHANGE)
    ctx.deliver(brain, order_changed(signal, OrderStatus.CANCELLED, filled="0.3"), EXCHANGE)
    assert ctx.events(Executed)[0].filled == Decimal("0.3")


def test_fills_and_orders_told_twice_are_journaled_once() -> None:
    brain, ctx = started()
    signal = make_signal()
    approved(brain, ctx, signal)
    for _ in range(2):
        ctx.deliver(brain, order_changed(signal, OrderStatus.OPEN, updated_ns=ctx.now), EXCHANGE)
        ctx.deliver(brain, make_filled(signal, "e1", "1"), EXCHANGE)
        ctx.now += SECOND
    assert len(ctx.events(OrderChanged)) == len(ctx.events(Filled)) == 1


def test_older_order_states_told_again_are_not_journaled_again() -> None:
    brain, ctx = started()
    signal = make_signal()
    approved(brain, ctx, signal)
    for _ in range(2):
        for status in (OrderStatus.SENT, OrderStatus.UNKNOWN, OrderStatus.OPEN):
            ctx.deliver(brain, order_changed(signal, status), EXCHANGE)
    assert [e.order.status.value for e in ctx.events(OrderChanged)] == ["sent", "unknown", "open"]


def test_an_order_that_lives_on_after_its_signal_ended_is_booked_and_raised() -> None:
    brain, ctx = started()
    signal = make_signal()
    approved(brain, ctx, signal)
    ctx.deliver(brain, order_changed(signal, OrderStatus.REJECTED), EXCHANGE)
    ctx.deliver(brain, order_changed(signal, OrderStatus.OPEN), EXCHANGE)
    assert len(ctx.events(OrderChanged)) == 2
    assert steps(ctx, signal)[-1] == "BLOCKED"
    assert "after the signal had ended" in ctx.events(LifecycleViolation)[0].detail


def test_a_final_order_whose_fills_never_come_ends_on_its_own_totals() -> None:
    brain, ctx = started()
    signal = make_signal()
    approved(brain, ctx, signal)
    ctx.deliver(brain, make_filled(signal, "e1", "0.4", "90"), EXCHANGE)
    ctx.deliver(brain, order_changed(signal, OrderStatus.FILLED, filled="1"), EXCHANGE)
    ctx.advance(brain, 29 * SECOND)
    assert not ctx.events(Executed)
    ctx.advance(brain, 2 * SECOND)
    (executed,) = ctx.events(Executed)
    assert (executed.filled, executed.average_price) == (Decimal(1), Decimal(100))


def test_a_fill_after_the_end_is_booked_and_raised() -> None:
    brain, ctx = started()
    signal = make_signal()
    approved(brain, ctx, signal)
    ctx.deliver(brain, order_changed(signal, OrderStatus.CANCELLED), EXCHANGE)
    ctx.deliver(brain, make_filled(signal, "late", "1"), EXCHANGE)
    assert len(ctx.events(Filled)) == 1
    assert "late" in ctx.events(LifecycleViolation)[0].detail


def test_a_fill_of_somebody_elses_order_is_booked() -> None:
    brain, ctx = started()
    foreign = msgspec.structs.replace(make_filled(make_signal(), "x", "1"), signal_id="", strategy="")
    ctx.deliver(brain, foreign, EXCHANGE)
    assert ctx.records[0].keys == {"symbol": BTC, "order": foreign.fill.client_id}


def test_orders_are_taken_from_their_own_exchange_alone() -> None:
    brain, ctx = started()
    signal = make_signal()
    approved(brain, ctx, signal)
    ctx.deliver(brain, order_changed(signal, OrderStatus.FILLED, filled="1"), "exchange/alpaca")
    ctx.deliver(brain, make_filled(signal, "e", "1"), "risk")
    assert len(ctx.events(LifecycleViolation)) == 2
    assert steps(ctx, signal)[-1] == "APPROVED"


@pytest.mark.parametrize(("expired", "last"), [(True, "EXPIRED"), (False, "BLOCKED")])
def test_an_order_that_will_not_be_sent_ends_its_signal_once(expired: bool, last: str) -> None:
    brain, ctx = started()
    signal = make_signal()
    approved(brain, ctx, signal)
    message = Unsent(signal.id, f"bw-{signal.id}-0-0", expired, "exchange", "APPROVAL_EXPIRED: late_ns=5", "x")
    ctx.deliver(brain, message, EXCHANGE)
    ctx.now += SECOND
    ctx.deliver(brain, message, EXCHANGE)
    assert steps(ctx, signal)[-1] == last
    assert not ctx.events(LifecycleViolation)
    assert brain.status()["duplicates"] == 1


def test_unsent_is_refused_once_the_order_is_on_its_way() -> None:
    brain, ctx = started()
    signal = make_signal()
    approved(brain, ctx, signal)
    ctx.deliver(brain, order_changed(signal, OrderStatus.SENT), EXCHANGE)
    ctx.deliver(brain, Unsent(signal.id, f"bw-{signal.id}-0-0", True, "g", "c", "d"), EXCHANGE)
    assert steps(ctx, signal)[-1] == "EXECUTING"
    assert len(ctx.events(LifecycleViolation)) == 1
