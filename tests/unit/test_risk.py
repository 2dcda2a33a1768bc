"""The risk supervisor: in order, fail closed, the same answer to the same question."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from actors.messages.learning import FeedbackIssued
from actors.messages.signals import Blocked, Evaluate, Executed, Expired, Verdict
from actors.risk.brain import KINDS, RiskBrain
from actors.risk.gates import GATES
from exchanges.model.flow import Rest
from exchanges.model.market import Quote
from exchanges.model.order import OrderStatus, OrderType, Side, TimeInForce
from runtime.behavior import Behavior
from runtime.lifecycle import PeerDown
from runtime.message import Message
from strategies.signal import client_order_id
from tests.unit.brain_context import SECOND, FakeContext
from tests.unit.brain_samples import (
    BTC,
    ETH,
    EXCHANGE,
    make_exchange_state,
    make_filled,
    make_signal,
    make_trade,
    order_changed,
)
from tests.unit.risk_desk import SETTINGS, Desk, code


def test_the_risk_supervisor_is_a_behavior_that_follows_what_it_folds() -> None:
    assert isinstance(RiskBrain(), Behavior)
    assert {"Approved", "Filled", "OrderChanged", "TradingStateChanged", "FeedbackIssued"} <= set(KINDS)


def test_an_approval_passes_every_gate_and_is_a_limit_order_within_the_slippage() -> None:
    desk = Desk()
    signal = desk.signal()
    verdict = desk.ask(signal)
    order = verdict.order
    assert order is not None
    assert [step.name for step in verdict.steps] == [gate.__name__ for gate in GATES]
    assert all(step.passed and step.inputs for step in verdict.steps)
    assert order.client_id == client_order_id(signal.id)
    assert (order.type, order.time_in_force) == (OrderType.LIMIT, TimeInForce.IOC)
    assert (order.price, order.quantity) == (Decimal("100.3"), Decimal("1"))
    assert order.expires_ns == desk.ctx.now + desk.settings.approval_ttl_ns


def test_an_approval_is_a_market_order_if_the_settings_say_so() -> None:
    order = Desk(order_type=OrderType.MARKET).ask(make_signal()).order
    assert order is not None
    assert (order.type, order.price) == (OrderType.MARKET, None)


def test_a_signals_own_limit_price_tightens_the_order() -> None:
    desk = Desk(order_type=OrderType.MARKET)
    order = desk.ask(desk.signal(limit_price=Decimal("99.97"), quantity=Decimal(1))).order
    assert order is not None
    assert (order.type, order.price) == (OrderType.LIMIT, Decimal("99.9"))


def test_without_market_data_there_is_no_exposure() -> None:
    brain, ctx = RiskBrain(SETTINGS), FakeContext("risk")
    ctx.start(brain, caught_up=0)
    ctx.deliver(brain, make_exchange_state(), EXCHANGE)
    ctx.deliver(brain, Evaluate(make_signal()), "bus")
    (verdict,) = ctx.sent(Verdict)
    assert (verdict.gate, verdict.code, verdict.detail) == ("market_data", "NO_MARKET_DATA", f"symbol={BTC}")


def test_old_market_data_is_no_market_data() -> None:
    desk = Desk(max_data_age_ns=5 * SECOND)
    desk.ctx.now += 6 * SECOND
    desk.ctx.deliver(desk.brain, make_exchange_state(), EXCHANGE)
    assert code(desk.ask(desk.signal())) == "MARKET_DATA_STALE"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"private_up": False}, "PRIVATE_STREAM_DOWN"), ({"reconciled": False}, "NOT_RECONCILED")],
)
def test_an_exchange_that_is_not_in_order_gets_no_exposure(changes: dict[str, bool], expected: str) -> None:
    desk = Desk()
    desk.ctx.deliver(desk.brain, make_exchange_state(**changes), EXCHANGE)
    assert code(desk.ask(desk.signal())) == expected


def test_a_silent_exchange_and_a_broken_link_get_no_exposure() -> None:
    desk = Desk(max_state_age_ns=3 * SECOND, max_data_age_ns=60 * SECOND)
    desk.ctx.deliver(desk.brain, PeerDown(EXCHANGE))
    assert code(desk.ask(desk.signal(0))) == "EXCHANGE_DOWN"
    desk.refresh()
    desk.ctx.now += 4 * SECOND
    assert code(desk.ask(desk.signal(1))) == "EXCHANGE_STALE"
    assert code(desk.ask(desk.signal(2, symbol="kalshi:X"))) == "NO_EXCHANGE_STATE"
    assert code(desk.ask(desk.signal(3, symbol="bybit:X"))) == "NO_INSTRUMENT"


def test_an_exchange_state_from_the_journal_does_not_mend_a_broken_link() -> None:
    desk = Desk()
    desk.ctx.deliver(desk.brain, PeerDown(EXCHANGE))
    desk.entry(make_exchange_state())
    assert code(desk.ask(desk.signal())) == "EXCHANGE_DOWN"


def test_a_denial_names_its_values() -> None:
    desk = Desk(symbol_notional=Decimal(1000), order_notional=Decimal(2000))
    verdict = desk.ask(desk.signal(quantity=Decimal(12)))
    assert (verdict.gate, verdict.code) == ("symbol_notional", "EXPOSURE_LIMIT_SYMBOL")
    assert verdict.detail == "exposure=1203.6 limit=1000"
    assert verdict.order is None
    assert not verdict.steps[-1].passed


def test_what_was_granted_but_not_journaled_counts_against_the_limit() -> None:
    desk = Desk(symbol_notional=Decimal(1500))
    assert desk.ask(desk.signal(0, quantity=Decimal(10))).order is not None
    second = desk.ask(desk.signal(1, quantity=Decimal(10), strategy="mean"))
    assert code(second) == "EXPOSURE_LIMIT_SYMBOL"


@pytest.mark.parametrize("status", [OrderStatus.OPEN, OrderStatus.CANCELLED])
def test_an_order_counts_until_its_fills_are_in(status: OrderStatus) -> None:
    desk = Desk(symbol_notional=Decimal(1500))
    signal = desk.signal(0, quantity=Decimal(10))
    desk.approve(signal)
    desk.entry(order_changed(signal, status, quantity="10", filled="6"))
    assert code(desk.ask(desk.signal(1, quantity=Decimal(10), strategy="b"))) == "EXPOSURE_LIMIT_SYMBOL"
    desk.entry(make_filled(signal, "e1", "6"))
    if status is OrderStatus.CANCELLED:
        assert desk.brain.status()["orders"] == 0
        assert desk.brain.status()["exposure"] == {BTC: "600.0"}
    else:
        assert desk.brain.status()["exposure"] == {BTC: "1000.0"}


@pytest.mark.parametrize("ended", [Blocked, Expired, Executed])
def test_the_end_of_a_signal_frees_its_room(ended: type[Message]) -> None:
    desk = Desk()
    signal = desk.signal()
    desk.approve(signal)
    ends: dict[type[Message], Message] = {
        Blocked: Blocked(signal.id, "trend", BTC, "venue", "VENUE_REJECTED", "x"),
        Expired: Expired(signal.id, "trend", BTC, "x"),
        Executed: Executed(signal.id, "trend", BTC, "c", Decimal(1), Decimal(100)),
    }
    desk.entry(ends[ended])
    assert desk.brain.status()["exposure"] == {}


def test_an_order_of_unknown_outcome_stops_new_exposure_in_its_symbol_alone() -> None:
    desk = Desk()
    signal = desk.signal(0)
    desk.approve(signal)
    desk.entry(order_changed(signal, OrderStatus.UNKNOWN))
    denied = desk.ask(desk.signal(1, side=Side.SELL, strategy="b"))
    assert (denied.code, denied.detail) == ("ORDER_UNKNOWN", f"symbol={BTC} orders={client_order_id(signal.id)}")
    assert desk.ask(desk.signal(2, symbol=ETH)).order is not None


def test_an_unknown_order_nobody_can_place_stops_the_venue() -> None:
    desk = Desk()
    desk.ctx.deliver(desk.brain, make_exchange_state(unknown_orders=("bw-x-0-0",)), EXCHANGE)
    assert code(desk.ask(desk.signal())) == "ORDER_UNKNOWN"


def test_a_reduction_passes_on_old_data_and_a_broken_private_stream() -> None:
    desk = Desk(symbol_notional=Decimal(10), order_notional=Decimal(10), total_notional=Decimal(10))
    desk.hold("2")
    desk.ctx.now += 600 * SECOND
    desk.ctx.deliver(desk.brain, make_exchange_state(private_up=False), EXCHANGE)
    order = desk.ask(desk.signal(0, side=Side.SELL, reduce_only=True)).order
    assert order is not None
    assert (order.quantity, order.reduce_only) == (Decimal(2), True)


def test_a_reduction_needs_something_to_reduce() -> None:
    desk = Desk()
    assert code(desk.ask(desk.signal(0, side=Side.SELL, reduce_only=True))) == "NOTHING_TO_REDUCE"
    desk.hold("2")
    desk.approve(desk.signal(1, side=Side.SELL, reduce_only=True))
    assert code(desk.ask(desk.signal(2, side=Side.SELL, reduce_only=True))) == "NOTHING_TO_REDUCE"


def test_an_order_that_flips_the_position_is_one_order_counted_on_its_result() -> None:
    desk = Desk(symbol_notional=Decimal(500), order_notional=Decimal(2000))
    desk.hold("4")
    order = desk.ask(desk.signal(0, side=Side.SELL, quantity=Decimal(8))).order
    assert order is not None
    assert (order.quantity, order.reduce_only) == (Decimal(8), False)
    assert code(desk.ask(desk.signal(1, side=Side.SELL, quantity=Decimal(12), strategy="b"))) == "EXPOSURE_LIMIT_SYMBOL"


def test_an_order_smaller_than_the_opposite_position_is_sent_as_reduce_only() -> None:
    desk = Desk()
    desk.hold("4")
    order = desk.ask(desk.signal(0, side=Side.SELL)).order
    assert order is not None
    assert (order.quantity, order.reduce_only) == (Decimal("1.000"), True)


def test_conviction_is_measured_by_the_learners_threshold_and_size_by_its_multiplier() -> None:
    desk = Desk()
    desk.entry(FeedbackIssued("trend", BTC, 2, 0.5, 0.7, 1, 3, -0.01))
    desk.entry(FeedbackIssued("trend", BTC, 1, 2.0, 0.9, 1, 3, -0.01))
    low = desk.ask(desk.signal(0, conviction=0.6))
    assert (low.gate, low.code) == ("conviction", "CONVICTION_LOW")
    assert low.detail.startswith("conviction=0.6 threshold=0.7 by=feedback 2 policy=0")
    order = desk.ask(desk.signal(1, conviction=0.75)).order
    assert order is not None
    assert order.quantity == Decimal("0.500")


def test_the_size_is_rounded_to_the_lot_unless_that_is_too_far_from_what_was_intended() -> None:
    coarse = make_exchange_state(equity=Decimal(15_000))
    desk = Desk(rounding_tolerance=Decimal("0.2"))
    desk.ctx.deliver(desk.brain, coarse, EXCHANGE)
    lots = tuple(msgspec.structs.replace(i, lot=Decimal(1)) for i in coarse.instruments)
    desk.ctx.deliver(desk.brain, msgspec.structs.replace(coarse, instruments=lots), EXCHANGE)
    assert code(desk.ask(desk.signal(0))) == "SIZE_ROUNDING"
    assert code(desk.ask(desk.signal(1, quantity=Decimal("0.9")))) == "SIZE_ZERO"
    order = desk.ask(desk.signal(2, quantity=Decimal("5.9"))).order
    assert order is not None
    assert order.quantity == Decimal(5)
    desk.ctx.deliver(desk.brain, msgspec.structs.replace(coarse, equity=Decimal(17_000), instruments=lots), EXCHANGE)
    nearest = desk.ask(desk.signal(3, strategy="b")).order
    assert nearest is not None
    assert nearest.quantity == Decimal(2)


@pytest.mark.parametrize(
    ("settings", "quantity", "expected"),
    [
        ({}, "0.04", "NOTIONAL_MIN"),
        ({}, "101", "QUANTITY_MAX"),
        ({}, "25", "ORDER_NOTIONAL"),
        ({"total_notional": Decimal(100)}, "2", "EXPOSURE_LIMIT_TOTAL"),
        ({"max_open_positions": 1}, "2", "OPEN_POSITIONS"),
        ({"leverage": Decimal("0.01")}, "2", "MARGIN"),
    ],
)
def test_each_limit_denies_with_its_own_code(settings: dict[str, Any], quantity: str, expected: str) -> None:
    desk = Desk(**settings)
    desk.hold("0.1", symbol=ETH)
    verdict = desk.ask(desk.signal(quantity=Decimal(quantity)))
    assert code(verdict) == expected
    assert "=" in verdict.detail


def test_too_many_approvals_in_a_second_or_a_minute_are_denied() -> None:
    desk = Desk(orders_per_second=2, orders_per_minute=3, max_data_age_ns=600 * SECOND, max_state_age_ns=600 * SECOND)
    codes = []
    for ordinal in range(6):
        signal = desk.signal(ordinal, quantity=Decimal("0.1"), strategy=f"s{ordinal}")
        codes.append(code(desk.ask(signal)) or "ok")
        if ordinal == 3:
            desk.ctx.now += 2 * SECOND
    assert codes == ["ok", "ok", "ORDER_RATE", "ORDER_RATE", "ok", "ORDER_RATE"]
    desk.ctx.now += 61 * SECOND
    assert code(desk.ask(desk.signal(9, quantity=Decimal("0.1"), strategy="z"))) == ""


def test_entries_of_one_strategy_keep_their_distance() -> None:
    desk = Desk(cooldown_ns=10 * SECOND, max_data_age_ns=60 * SECOND)
    first = desk.signal(0)
    desk.approve(first)
    assert code(desk.ask(desk.signal(1))) == "DUPLICATE_INTENT"
    desk.entry(make_filled(first, "e", "1"))
    desk.entry(Executed(first.id, "trend", BTC, client_order_id(first.id), Decimal(1), Decimal(100)))
    assert code(desk.ask(desk.signal(2))) == "COOLDOWN"
    desk.ctx.now += 10 * SECOND
    desk.ctx.deliver(desk.brain, make_exchange_state(), EXCHANGE)
    assert code(desk.ask(desk.signal(3))) == ""


def test_quotes_that_only_make_rest_on_both_sides_and_are_moved_without_a_cooldown() -> None:
    desk = Desk(cooldown_ns=10 * SECOND)
    quote = Rest(post_only=True)
    bid = desk.signal(0, flow=quote, limit_price=Decimal(99))
    desk.approve(bid)
    ask = desk.signal(1, flow=quote, limit_price=Decimal(101), side=Side.SELL)
    assert code(desk.ask(ask)) == ""
    assert code(desk.ask(desk.signal(2, flow=quote, limit_price=Decimal(98)))) == "DUPLICATE_INTENT"
    desk.entry(Expired(bid.id, "trend", BTC, "withdrawn", 1))
    assert code(desk.ask(desk.signal(3, flow=Rest(post_only=False), limit_price=Decimal(99)))) == "COOLDOWN"
    assert code(desk.ask(desk.signal(4, flow=quote, limit_price=Decimal(98)))) == ""


def test_a_dry_run_goes_through_every_gate_but_the_last() -> None:
    verdict = Desk().ask(make_signal(dry_run=True))
    assert (verdict.gate, len(verdict.steps)) == ("dry_run", len(GATES))
    assert code(verdict) == "DRY_RUN"


def test_a_quote_gives_the_side_the_order_would_meet() -> None:
    desk = Desk()
    quote = Quote(BTC, 1, 9, desk.ctx.now, desk.ctx.now, 99.0, 1.0, 101.0, 1.0)
    desk.ctx.deliver(desk.brain, quote, EXCHANGE)
    buy, sell = desk.ask(desk.signal(0)).order, desk.ask(desk.signal(1, side=Side.SELL)).order
    assert buy is not None
    assert sell is not None
    assert (buy.reference_price, sell.reference_price) == (Decimal("101.0"), Decimal("99.0"))


def test_prices_that_are_no_prices_are_counted_and_ignored() -> None:
    desk = Desk()
    for price in (float("nan"), float("inf"), 0.0, -1.0):
        desk.ctx.deliver(desk.brain, make_trade(price, ts=desk.ctx.now), EXCHANGE)
    assert desk.ctx.counters["risk.market_data_unusable"] == 4
    assert desk.ask(desk.signal()).order is not None


def test_a_reduction_and_another_sale_can_together_turn_the_position_round() -> None:
    desk = Desk()
    desk.hold("5")
    desk.approve(desk.signal(0, side=Side.SELL, reduce_only=True))
    desk.approve(desk.signal(1, side=Side.SELL, quantity=Decimal(7), strategy="b"))
    assert desk.brain.status()["exposure"] == {BTC: "700.0"}
