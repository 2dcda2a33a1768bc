"""The signal bus restarted, and what it journals without taking part in it."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from actors.bus.brain import BusBrain
from actors.bus.settings import BusSettings
from actors.messages.control import (
    ActorRestarted,
    Control,
    ControlTaken,
    DeadLetter,
    TradingState,
    TradingStateChanged,
)
from actors.messages.learning import FeedbackIssued, Lesson, Policy, PolicyIssued, Stage
from actors.messages.orders import ExchangeState, SymbolHalted
from actors.messages.signals import (
    Approved,
    Emit,
    Evaluate,
    Evaluating,
    Executed,
    Generated,
    Learned,
    LifecycleViolation,
    Verdict,
)
from exchanges.model.order import OrderStatus
from runtime.errors import SnapshotError
from runtime.lifecycle import CaughtUp, PeerUp
from tests.unit.brain_context import SECOND, FakeContext
from tests.unit.brain_samples import (
    BTC,
    EXCHANGE,
    make_approved,
    make_exchange_state,
    make_filled,
    make_signal,
    order_changed,
)
from tests.unit.bus_desk import approved, lesson, restarted, started, steps


def test_a_new_incarnation_of_risk_is_asked_again() -> None:
    brain, ctx = started()
    first, second = make_signal(0), make_signal(1)
    ctx.deliver(brain, Emit(first), "s")
    approved(brain, ctx, second)
    ctx.sends.clear()
    ctx.deliver(brain, PeerUp("risk", 7))
    ctx.deliver(brain, PeerUp("risk", 7))
    assert [s.message for s in ctx.sends] == [Evaluate(first, 2, second.id)]
    assert [e.attempt for e in ctx.events(Evaluating) if e.signal_id == first.id] == [1, 2]
    assert brain.status()["redeliveries"] == 1


def test_a_lesson_is_learned_once_with_the_feedback_version_of_its_time() -> None:
    brain, ctx = started()
    signal = make_signal(now=ctx.now - 60 * SECOND)
    ctx.deliver(brain, Emit(signal), "s")
    ctx.deliver(brain, FeedbackIssued("trend", BTC, 3, 1.0, 0.5, 1, 1, 0.0), "learner")
    ctx.deliver(brain, FeedbackIssued("trend", BTC, 3, 1.0, 0.5, 1, 1, 0.0), "learner")
    for _ in range(2):
        ctx.deliver(brain, lesson(signal, "EXPIRED", -0.5), "learner")
    assert len(ctx.events(FeedbackIssued)) == len(ctx.events(Lesson)) == 1
    assert ctx.events(Learned) == [Learned(signal.id, "trend", BTC, 3, -0.5)]


def test_a_lesson_of_an_open_signal_is_a_violation() -> None:
    brain, ctx = started()
    signal = make_signal()
    ctx.deliver(brain, Emit(signal), "s")
    ctx.deliver(brain, lesson(signal), "learner")
    assert ctx.events(LifecycleViolation)[0].asked == "LEARNED"


def test_an_exchange_state_is_journaled_when_something_material_changed() -> None:
    brain, ctx = started()
    for equity in ("10000", "10001", "10050", "10100", "10101"):
        ctx.deliver(brain, make_exchange_state(equity=Decimal(equity)), EXCHANGE)
    assert [e.equity for e in ctx.events(ExchangeState)] == [Decimal("10000"), Decimal("10100")]
    ctx.deliver(brain, make_exchange_state(equity=Decimal("10101"), private_up=False), EXCHANGE)
    assert len(ctx.events(ExchangeState)) == 3


def test_notices_are_journaled_once() -> None:
    brain, ctx = started()
    halted = TradingStateChanged(TradingState.HALTED, "panic", "ops", "c1")
    messages = [
        (halted, "risk"),
        (ControlTaken("c1", "panic", "ops", EXCHANGE), EXCHANGE),
        (SymbolHalted("bybit", BTC, True, "position differs"), EXCHANGE),
        (ActorRestarted("risk", "RiskBrain", 4, "killed"), "root"),
    ]
    for message, sender in messages * 2:
        ctx.deliver(brain, message, sender)
    assert [r.event for r in ctx.records] == [message for message, _ in messages]
    assert brain.status()["trading_state"] == "HALTED"
    assert brain.status()["halted_symbols"] == [BTC]


def test_a_message_the_bus_does_not_know_is_a_dead_letter() -> None:
    brain, ctx = started()
    ctx.deliver(brain, Control("c", "halt", "ops"), "gateway")
    (letter,) = ctx.events(DeadLetter)
    assert (letter.sender, letter.to, letter.kind) == ("gateway", "bus", "Control")
    assert letter.body


def test_what_comes_before_the_replay_has_ended_waits() -> None:
    brain, ctx = BusBrain(), FakeContext("bus")
    ctx.start(brain)
    signal = make_signal()
    ctx.deliver(brain, Emit(signal), "s")
    assert not ctx.records
    ctx.deliver(brain, CaughtUp(0))
    assert steps(ctx, signal) == ["GENERATED", "EVALUATING"]


def test_a_restarted_bus_asks_risk_again_and_finishes_what_was_begun() -> None:
    brain, ctx = started()
    waiting, done = make_signal(0), make_signal(1)
    ctx.deliver(brain, Emit(waiting), "s")
    approved(brain, ctx, done)
    ctx.deliver(brain, make_filled(done, "e1", "1"), EXCHANGE)
    ctx.deliver(brain, order_changed(done, OrderStatus.FILLED, filled="1"), EXCHANGE)
    lost = ctx.records.pop()
    assert isinstance(lost.event, Executed)
    ctx.sends.clear()
    again = restarted(brain, ctx)
    assert steps(ctx, done)[-1] == "EXECUTED"
    assert [s.message for s in ctx.sends] == [Evaluate(waiting, 2, done.id)]
    assert again.status()["redeliveries"] == 1


def test_a_generated_signal_whose_question_was_lost_is_put_to_risk_after_the_restart() -> None:
    brain, ctx = started()
    signal = make_signal()
    ctx.deliver(brain, Emit(signal), "s")
    del ctx.records[1:]
    ctx.sends.clear()
    restarted(brain, ctx)
    assert steps(ctx, signal) == ["GENERATED", "EVALUATING"]
    assert len(ctx.sends) == 1


def test_replay_gives_the_same_state_as_the_live_fold() -> None:
    brain, ctx = started()
    for ordinal in range(4):
        approved(brain, ctx, make_signal(ordinal))
    ctx.deliver(brain, make_filled(make_signal(1), "e1", "1"), EXCHANGE)
    ctx.deliver(brain, order_changed(make_signal(1), OrderStatus.FILLED, filled="1"), EXCHANGE)
    ctx.deliver(brain, lesson(make_signal(1)), "learner")
    assert restarted(brain, ctx).snapshot() == brain.snapshot()
    assert restarted(brain, ctx, snapshot=brain.snapshot()).snapshot() == brain.snapshot()


def test_a_bus_restored_in_place_goes_on_where_its_snapshot_was_taken() -> None:
    brain, ctx = started()
    again = BusBrain()
    again.restore(brain.snapshot())
    signal = make_signal()
    ctx.deliver(again, Emit(signal), "s")
    assert steps(ctx, signal) == ["GENERATED", "EVALUATING"]


def test_a_verdict_of_a_risk_supervisor_that_is_gone_is_void() -> None:
    brain, ctx = started()
    signal = make_signal()
    ctx.deliver(brain, Emit(signal), "s")
    ctx.deliver(brain, PeerUp("risk", 2))
    ctx.deliver(brain, Verdict(signal.id, (), make_approved(signal), attempt=1), "risk")
    assert not ctx.events(Approved)
    ctx.deliver(brain, Verdict(signal.id, (), make_approved(signal), attempt=2), "risk")
    assert len(ctx.events(Approved)) == 1
    assert not ctx.events(LifecycleViolation)


def test_a_forgotten_signal_is_refused_and_never_taken_twice() -> None:
    brain, ctx = started(BusSettings(recent_signals=2))
    signals = [make_signal(i, now=ctx.now + i - 60 * SECOND) for i in range(5)]
    for signal in signals:
        ctx.deliver(brain, Emit(signal), "s")
    ctx.deliver(brain, Emit(signals[0]), "s")
    assert len(ctx.events(Generated)) == 5
    assert "refused" in ctx.events(DeadLetter)[0].reason


def test_a_broken_snapshot_is_refused_with_a_reason() -> None:
    with pytest.raises(SnapshotError, match="expected a snapshot of the signal bus"):
        BusBrain().restore(b"nonsense")
    later = msgspec.msgpack.encode({**msgspec.msgpack.decode(BusBrain().snapshot()), "version": 99})
    with pytest.raises(SnapshotError, match="version 99"):
        BusBrain().restore(later)


def test_each_stage_of_a_policy_is_journaled_once_and_from_the_learner_alone() -> None:
    brain, ctx = started()
    shadow = PolicyIssued(Policy(1, weights={"trend|": 0.5}), Stage.SHADOW)
    for message in (shadow, shadow, PolicyIssued(Policy(1), Stage.TRIAL, 0.5), shadow):
        ctx.deliver(brain, message, "learner")
    assert [event.stage for event in ctx.events(PolicyIssued)] == [Stage.SHADOW, Stage.TRIAL]
    brain = restarted(brain, ctx)
    ctx.deliver(brain, shadow, "learner")
    ctx.deliver(brain, PolicyIssued(Policy(2), Stage.FULL), "risk")
    assert len(ctx.events(PolicyIssued)) == 2
    assert ctx.events(LifecycleViolation)[-1].detail == "expected PolicyIssued from learner, found it from risk"
