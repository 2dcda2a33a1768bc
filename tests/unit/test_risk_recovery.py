"""The risk supervisor halted, restarted, and in step with a bus that restarts."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from actors.messages.control import Control, ControlTaken, TradingState, TradingStateChanged
from actors.messages.orders import OrderChanged, Repaired, SymbolHalted, Watch
from actors.messages.signals import Approved, Evaluate, Verdict
from actors.risk.brain import RiskBrain
from exchanges.model.order import OrderStatus, Side
from exchanges.model.position import Position
from runtime.errors import SnapshotError
from runtime.lanes import Delivery
from runtime.lifecycle import CaughtUp, PeerUp
from strategies.signal import client_order_id
from tests.unit.brain_context import SECOND
from tests.unit.brain_samples import (
    BTC,
    ETH,
    EXCHANGE,
    make_approved,
    make_filled,
    make_order,
    make_signal,
)
from tests.unit.risk_desk import Desk, code


def test_the_same_question_gets_the_same_answer_whatever_happened_since() -> None:
    desk = Desk()
    good, bad = desk.signal(0), desk.signal(1, symbol="bybit:NONE")
    first = [desk.ask(good), desk.ask(bad)]
    desk.refresh(200.0)
    desk.ctx.deliver(desk.brain, Control("c", "halt", "ops"), "gateway")
    assert [desk.ask(good), desk.ask(bad)] == first
    again = desk.ask(good, attempt=5)
    assert again == msgspec.structs.replace(first[0], attempt=5)


def test_questions_of_strangers_are_not_answered() -> None:
    desk = Desk()
    desk.ctx.deliver(desk.brain, Evaluate(desk.signal()), "strategy/trend/x")
    assert not desk.ctx.sent(Verdict)
    assert desk.ctx.counters["risk.impostors"] == 1


def test_a_reservation_the_bus_never_confirms_lapses_after_the_signals_life() -> None:
    desk = Desk(reservation_margin_ns=10 * SECOND)
    desk.ask(desk.signal(ttl_ns=5 * SECOND))
    desk.ctx.advance(desk.brain, 14 * SECOND)
    assert desk.brain.status()["reservations"] == 1
    desk.ctx.advance(desk.brain, 2 * SECOND)
    assert desk.brain.status()["reservations"] == 0


def test_a_bus_that_comes_back_and_does_not_confirm_frees_the_room_sooner() -> None:
    desk = Desk(reservation_margin_ns=10 * SECOND)
    forgotten, asked = desk.signal(0, ttl_ns=3600 * SECOND), desk.signal(1, symbol=ETH, ttl_ns=3600 * SECOND)
    desk.ask(forgotten)
    desk.ask(asked)
    desk.ctx.deliver(desk.brain, PeerUp("bus", 2), "bus")
    desk.ctx.deliver(desk.brain, CaughtUp(0), "bus")
    desk.ask(asked, attempt=2)
    desk.ctx.advance(desk.brain, 12 * SECOND)
    assert list(desk.brain.status()["exposure"]) == [ETH]


def test_a_halted_symbol_takes_reductions_alone() -> None:
    desk = Desk()
    desk.hold("2")
    desk.entry(SymbolHalted("bybit", BTC, True, "position differs"))
    assert code(desk.ask(desk.signal(0))) == "SYMBOL_HALTED"
    assert desk.ask(desk.signal(1, side=Side.SELL, reduce_only=True)).order is not None
    desk.entry(SymbolHalted("bybit", BTC, False, "resumed"))
    assert desk.ask(desk.signal(2)).order is not None


def test_controls_change_what_is_allowed_once_each() -> None:
    desk = Desk()
    desk.hold("2")
    for action, state in (("panic", "HALTED"), ("reduce", "REDUCING"), ("resume", "ACTIVE"), ("halt", "HALTED")):
        for _ in range(2):
            desk.ctx.deliver(desk.brain, Control(f"id-{action}", action, "ops", "why"), "gateway")
        assert desk.brain.status()["trading_state"] == state
    assert [c.state.value for c in desk.ctx.sent(TradingStateChanged, "bus")] == [
        "HALTED", "REDUCING", "ACTIVE", "HALTED",
    ]  # fmt: skip
    assert len(desk.ctx.sent(ControlTaken, "bus")) == 4
    assert code(desk.ask(desk.signal(0, side=Side.SELL, reduce_only=True))) == "TRADING_HALTED"


def test_reducing_lets_reductions_through_alone() -> None:
    desk = Desk()
    desk.hold("0.5")
    desk.ctx.deliver(desk.brain, Control("c", "reduce", "ops"), "gateway")
    assert code(desk.ask(desk.signal(0))) == "TRADING_REDUCING"
    assert code(desk.ask(desk.signal(1, side=Side.SELL, quantity=Decimal(1)))) == "TRADING_REDUCING"
    order = desk.ask(desk.signal(2, side=Side.SELL)).order
    assert order is not None
    assert (order.quantity, order.reduce_only) == (Decimal("0.5"), True)


def test_an_unconfirmed_halt_is_told_again_to_a_new_bus_and_survives_a_restart() -> None:
    desk = Desk()
    desk.ctx.deliver(desk.brain, Control("c", "halt", "ops"), "gateway")
    desk.restart(desk.brain.snapshot())
    assert desk.brain.status()["trading_state"] == "HALTED"
    desk.ctx.clear()
    desk.ctx.deliver(desk.brain, PeerUp("bus", 2), "bus")
    (change,) = desk.ctx.sent(TradingStateChanged, "bus")
    desk.entry(change)
    desk.ctx.deliver(desk.brain, PeerUp("bus", 3), "bus")
    assert len(desk.ctx.sent(TradingStateChanged)) == 1
    assert desk.brain.status()["trading_state"] == "HALTED"


def test_an_older_state_in_the_replay_does_not_lift_a_halt() -> None:
    desk = Desk()
    desk.ctx.deliver(desk.brain, Control("c", "halt", "ops"), "gateway")
    desk.entry(TradingStateChanged(TradingState.ACTIVE, "resume", "ops", "older"))
    assert desk.brain.status()["trading_state"] == "HALTED"


def test_the_days_loss_stops_new_exposure_and_goes_to_reducing_by_itself() -> None:
    desk = Desk(daily_loss=Decimal(50), max_data_age_ns=60 * SECOND)
    desk.hold("2")
    desk.refresh(74.0)
    assert code(desk.ask(desk.signal(0))) == "DAILY_LOSS"
    desk.ctx.advance(desk.brain, SECOND)
    (change,) = desk.ctx.sent(TradingStateChanged, "bus")
    assert change.state is TradingState.REDUCING
    assert change.reason.startswith("DAILY_LOSS: loss=52")
    desk.ctx.deliver(desk.brain, Control("r", "resume", "ops"), "gateway")
    desk.ctx.advance(desk.brain, SECOND)
    assert desk.brain.status()["trading_state"] == "ACTIVE"
    assert code(desk.ask(desk.signal(1))) == "DAILY_LOSS"


def test_the_days_loss_survives_a_restart_and_ends_with_the_utc_day() -> None:
    desk = Desk(daily_loss=Decimal(50), max_data_age_ns=60 * SECOND)
    desk.hold("2")
    desk.hold("-2", "70")
    desk.restart(desk.brain.snapshot())
    desk.ctx.deliver(desk.brain, CaughtUp(desk.seq))
    desk.refresh()
    assert desk.brain.status()["daily_loss"] == "60.0"
    assert desk.brain.status()["trading_state"] == "REDUCING"
    desk.ctx.now += 86_400 * SECOND
    desk.ctx.advance(desk.brain, 2 * SECOND)
    assert desk.brain.status()["daily_loss"] == "0.0"


def test_a_days_loss_is_found_again_from_the_log_alone() -> None:
    desk = Desk()
    desk.hold("2")
    desk.ctx.now += 86_400 * SECOND
    desk.hold("-2", "70")
    assert desk.brain.status()["daily_loss"] == "60.0"


def test_nothing_is_answered_before_the_replay_has_ended() -> None:
    desk = Desk()
    desk.restart(desk.brain.snapshot())
    desk.refresh()
    signal = desk.signal()
    desk.ctx.deliver(desk.brain, Evaluate(signal, 2), "bus")
    assert not desk.ctx.sent(Verdict)
    desk.ctx.deliver(desk.brain, CaughtUp(0))
    (verdict,) = desk.ctx.sent(Verdict)
    assert (verdict.signal_id, verdict.attempt) == (signal.id, 2)


def test_an_answer_waits_for_an_approval_a_restarted_risk_supervisor_has_not_seen() -> None:
    desk = Desk(symbol_notional=Decimal(1500))
    before = desk.brain.snapshot()
    first, second = desk.signal(0, quantity=Decimal(10)), desk.signal(1, quantity=Decimal(10), strategy="b")
    granted = desk.ask(first)
    desk.restart(before)
    desk.ctx.deliver(desk.brain, CaughtUp(0))
    desk.ctx.clear()
    desk.ctx.deliver(desk.brain, Evaluate(second, 1, first.id), "bus")
    assert not desk.ctx.sent(Verdict)
    assert granted.order is not None
    desk.entry(Approved(first.id, first.strategy, BTC, granted.order, granted.steps))
    assert code(desk.ctx.sent(Verdict)[-1]) == "EXPOSURE_LIMIT_SYMBOL"


def test_a_restarted_risk_supervisor_repeats_a_journaled_approval() -> None:
    desk = Desk()
    before = desk.brain.snapshot()
    signal = desk.signal()
    verdict = desk.ask(signal)
    assert verdict.order is not None
    desk.restart(before)
    desk.entry(Approved(signal.id, "trend", BTC, verdict.order, verdict.steps))
    desk.ctx.deliver(desk.brain, CaughtUp(1))
    assert desk.ask(signal) == verdict


def test_market_data_is_watched_at_the_start_and_when_an_exchange_comes_back() -> None:
    desk = Desk()
    desk.ctx.deliver(desk.brain, PeerUp(EXCHANGE, 3))
    watches = [s for s in desk.ctx.sends if isinstance(s.message, Watch)]
    assert [w.to for w in watches] == [EXCHANGE, EXCHANGE]
    assert watches[0].message == Watch((BTC, ETH), ("Trade", "Quote", "Bar", "Book"), int(Delivery.LATEST))


def test_a_repair_moves_the_position() -> None:
    desk = Desk()
    desk.entry(Repaired("bybit", BTC, "position", "0", "3", "x", "1.1", Position(BTC, Decimal(3), Decimal(300))))
    assert desk.brain.status()["exposure"] == {BTC: "300.0"}
    foreign = make_filled(desk.signal(0, side=Side.SELL), "f", "1").fill
    desk.entry(Repaired("bybit", BTC, "foreign order", "3", "2", "x", "1.2", None, foreign))
    assert desk.brain.status()["exposure"] == {BTC: "200.0"}


def test_an_order_nobody_approved_counts() -> None:
    desk = Desk()
    order = make_order(desk.signal(), OrderStatus.OPEN, quantity="5")
    desk.entry(OrderChanged("", "", order))
    assert desk.brain.status()["exposure"] == {BTC: "500.0"}


def test_a_snapshot_restores_the_same_state() -> None:
    desk = Desk()
    desk.hold("2")
    desk.approve(desk.signal(0))
    desk.ask(desk.signal(1, symbol=ETH))
    again = RiskBrain(desk.settings)
    again.restore(desk.brain.snapshot())
    assert again.snapshot() == desk.brain.snapshot()
    with pytest.raises(SnapshotError, match="expected a snapshot of the risk supervisor"):
        again.restore(b"\x01")


def test_an_approval_and_the_sample_order_agree_on_the_client_id() -> None:
    signal = make_signal()
    assert make_approved(signal).client_id == client_order_id(signal.id)
