"""The exchange connection's brain: what leaves, what doesn't, and what is told of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from actors.exchange.brain import ExchangeBrain
from actors.messages.control import Control, TradingState, TradingStateChanged
from actors.messages.orders import ExchangeState, Filled, OrderChanged, Repaired, SymbolHalted
from actors.messages.signals import ApprovedOrder, Unsent
from exchanges.model.order import OrderStatus, Side
from exchanges.model.position import Balance
from exchanges.model.venue import (
    BalanceReport,
    CancelOrder,
    FetchState,
    FillReport,
    InstrumentsReport,
    OrderReport,
    Outcome,
    PlaceOrder,
    QueryOrder,
    StreamStatus,
    VenuePosition,
)
from runtime.errors import SnapshotError
from runtime.lifecycle import CaughtUp, PeerDown, PeerUp
from tests.unit.brain_context import SECOND, FakeContext, entry_of
from tests.unit.brain_samples import BTC, ETH, EXCHANGE, make_instrument, make_trade
from tests.unit.exchange_bench import (
    approve,
    approved,
    connect,
    last_order,
    live,
    make_brain,
    reconcile,
    result,
    tell,
    venue_fill,
    venue_order,
)

D = Decimal


def unsent_code(ctx: FakeContext) -> str:
    return ctx.sent(Unsent, "bus")[-1].code


def test_an_approval_leaves_at_once_and_is_reported_as_sent() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    placed = ctx.sent(PlaceOrder, "@venue")
    assert [p.client_id for p in placed] == [order.client_id]
    assert (placed[0].quantity, placed[0].price, placed[0].side) == (order.quantity, order.price, order.side)
    told = ctx.sent(OrderChanged, "bus")[-1]
    assert (told.order.status, told.attempted_ns, told.signal_id) == (OrderStatus.SENT, ctx.now, order.signal_id)
    assert set(ctx.observed) == {"tick_to_signal", "signal_to_order", "tick_to_order"}


def test_the_same_approval_twice_is_one_order() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    approve(brain, ctx, order, seq=2)
    assert len(ctx.sent(PlaceOrder)) == 1


def test_an_acknowledged_and_filled_order_is_told_step_by_step() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, result(order, Outcome.ACCEPTED, venue_id="v1"))
    assert last_order(ctx).status is OrderStatus.OPEN
    tell(brain, ctx, FillReport(venue_fill(order, "e1", "0.4")), FillReport(venue_fill(order, "e2", "0.6", "101")))
    assert (last_order(ctx).status, last_order(ctx).filled) == (OrderStatus.FILLED, D(1))
    assert last_order(ctx).average_price == D("100.6")
    fills = ctx.sent(Filled, "bus")
    assert [f.position.quantity for f in fills] == [D("0.4"), D(1)]
    assert fills[-1].position.cost == D("100.6")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        ("expired", "APPROVAL_EXPIRED"),
        ("halted", "TRADING_HALTED"),
        ("reducing", "TRADING_REDUCING"),
        ("private", "PRIVATE_STREAM_DOWN"),
        ("public", "PUBLIC_STREAM_DOWN"),
        ("symbol", "SYMBOL_HALTED"),
        ("bus", "BUS_DOWN"),
        ("risk", "RISK_DOWN"),
        ("lot", "QUANTITY_STEP"),
        ("unlisted", "INSTRUMENT_UNKNOWN"),
    ],
)
def test_new_exposure_is_refused_when_anything_is_in_doubt(spoil: str, code: str) -> None:
    brain, ctx = live()
    order = approved(now=ctx.now)
    if spoil == "expired":
        ctx.now = order.expires_ns
    elif spoil == "halted":
        ctx.deliver(brain, Control("c1", "halt", "me"))
    elif spoil == "reducing":
        ctx.deliver(brain, entry_of(TradingStateChanged(TradingState.REDUCING, "drawdown", "risk"), 1))
    elif spoil in ("private", "public"):
        tell(brain, ctx, StreamStatus(spoil, False, "gone"))
    elif spoil == "symbol":
        ctx.deliver(brain, entry_of(SymbolHalted("bybit", BTC, True, "odd"), 1))
    elif spoil in ("bus", "risk"):
        ctx.deliver(brain, PeerDown(spoil))
    elif spoil == "lot":
        order = msgspec.structs.replace(order, quantity=D("0.00015"))
    else:
        order = approved(now=ctx.now, symbol="bybit:SOLUSDT")
    approve(brain, ctx, order)
    assert unsent_code(ctx) == code
    assert not ctx.sent(PlaceOrder)


def test_the_status_says_why_a_stream_is_down_until_it_is_up() -> None:
    brain, ctx = live()
    tell(brain, ctx, StreamStatus("public", False, "no route to the host"))
    assert brain.status()["streams_down"] == {"public": "no route to the host"}
    tell(brain, ctx, StreamStatus("public", True))
    assert brain.status()["streams_down"] == {}


@pytest.mark.parametrize("spoil", ["reducing", "private", "symbol", "bus", "risk"])
def test_an_order_that_only_reduces_still_passes(spoil: str) -> None:
    brain, ctx = live()
    if spoil == "reducing":
        ctx.deliver(brain, Control("c1", "reduce", "me"))
    elif spoil == "private":
        tell(brain, ctx, StreamStatus(spoil, False, "gone"))
    elif spoil == "symbol":
        ctx.deliver(brain, entry_of(SymbolHalted("bybit", BTC, True, "odd"), 1))
    else:
        ctx.deliver(brain, PeerDown(spoil))
    approve(brain, ctx, approved(now=ctx.now, reduce_only=True))
    assert len(ctx.sent(PlaceOrder)) == 1


def holding(quantity: str = "1") -> tuple[ExchangeBrain, FakeContext]:
    """A brain whose strategy has bought so much."""
    brain, ctx = live()
    entry = approve(brain, ctx, approved(0, now=ctx.now, quantity=D(quantity)))
    tell(brain, ctx, FillReport(venue_fill(entry, "e1", quantity, ts=ctx.now + 1)))
    ctx.clear()
    return brain, ctx


def leaving(ctx: FakeContext, **changes: Any) -> ApprovedOrder:
    return approved(1, now=ctx.now, side=Side.SELL, closes=True, **changes)


def test_an_exit_that_is_not_reduce_only_leaves_while_its_strategys_share_covers_it() -> None:
    brain, ctx = holding()
    approve(brain, ctx, leaving(ctx), seq=2)
    (placed,) = ctx.sent(PlaceOrder)
    assert (placed.side, placed.quantity, placed.reduce_only) == (Side.SELL, D(1), False)


@pytest.mark.parametrize("why", ["too much", "another's", "sold", "reducing"])
def test_an_exit_that_is_not_reduce_only_stays_where_the_share_is_not_there(why: str) -> None:
    brain, ctx = holding()
    order = leaving(ctx)
    if why == "too much":
        order = leaving(ctx, quantity=D("1.1"))
    elif why == "another's":
        order = leaving(ctx, strategy="another")
    elif why == "sold":
        # Somebody closed the account's position by hand, so nobody's share is left.
        by_hand = venue_fill(order, "e2", "1", ts=ctx.now + 2, client_id="by-hand", venue_id="v-hand")
        tell(brain, ctx, FillReport(by_hand))
    else:
        ctx.deliver(brain, entry_of(TradingStateChanged(TradingState.REDUCING, "drawdown", "risk"), 2))
    approve(brain, ctx, order, seq=3)
    assert unsent_code(ctx) == ("TRADING_REDUCING" if why == "reducing" else "NOT_HELD")
    assert not ctx.sent(PlaceOrder)


def test_a_peer_that_came_back_lets_orders_pass_again() -> None:
    brain, ctx = live()
    ctx.deliver(brain, PeerDown("risk"))
    ctx.deliver(brain, PeerUp("risk", 2))
    approve(brain, ctx, approved(now=ctx.now))
    assert len(ctx.sent(PlaceOrder)) == 1


def test_a_refusal_by_the_venue_ends_the_order_with_its_code() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, result(order, Outcome.REJECTED, code="110007", reason="no balance"))
    assert last_order(ctx).status is OrderStatus.REJECTED
    assert last_order(ctx).reason == "110007: no balance"


def test_what_certainly_never_left_is_sent_again_under_the_same_id() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, result(order, Outcome.NOT_SENT, code="10006", retry_after_ns=400_000_000))
    ctx.advance(brain, SECOND // 4)
    assert len(ctx.sent(PlaceOrder)) == 1
    ctx.advance(brain, SECOND // 2)
    assert [p.client_id for p in ctx.sent(PlaceOrder)] == [order.client_id] * 2


def test_an_order_that_never_gets_out_ends_after_a_few_tries() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    for _ in range(10):
        tell(brain, ctx, result(order, Outcome.NOT_SENT))
        ctx.advance(brain, 2 * SECOND)
    assert len(ctx.sent(PlaceOrder)) == brain.settings.place_tries
    assert last_order(ctx).status is OrderStatus.REJECTED
    assert "NOT_SENT" in last_order(ctx).reason


def test_an_unknown_outcome_blocks_its_symbol_until_the_venue_answers() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, result(order, Outcome.UNKNOWN, reason="timeout"))
    assert last_order(ctx).status is OrderStatus.UNKNOWN
    assert ctx.sent(ExchangeState, "risk")[-1].unknown_orders == (order.client_id,)
    approve(brain, ctx, approved(1), seq=2)
    assert unsent_code(ctx) == "UNKNOWN_OUTCOME"
    approve(brain, ctx, approved(2, symbol=ETH), seq=3)
    assert len(ctx.sent(PlaceOrder)) == 2
    ctx.advance(brain, SECOND)
    assert [q.client_id for q in ctx.sent(QueryOrder)] == [order.client_id]
    tell(brain, ctx, result(order, Outcome.ACCEPTED, QueryOrder, order=venue_order(order, OrderStatus.OPEN)))
    assert last_order(ctx).status is OrderStatus.OPEN
    approve(brain, ctx, approved(3, now=ctx.now), seq=4)
    assert len(ctx.sent(PlaceOrder)) == 3


def test_one_not_found_after_an_unknown_outcome_proves_nothing() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, result(order, Outcome.UNKNOWN))
    ctx.advance(brain, SECOND)
    tell(brain, ctx, result(order, Outcome.NOT_FOUND, QueryOrder))
    assert last_order(ctx).status is OrderStatus.UNKNOWN
    ctx.advance(brain, SECOND)
    assert len(ctx.sent(QueryOrder)) == 1
    ctx.advance(brain, 2 * SECOND)
    tell(brain, ctx, result(order, Outcome.NOT_FOUND, QueryOrder))
    assert last_order(ctx).status is OrderStatus.REJECTED
    assert "NEVER_REACHED_VENUE" in last_order(ctx).reason
    ctx.advance(brain, 60 * SECOND)
    assert len(ctx.sent(PlaceOrder)) == 1


def test_an_order_taken_for_dead_that_lives_is_repaired_and_cancelled() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, result(order, Outcome.UNKNOWN))
    for _ in range(2):
        ctx.advance(brain, 3 * SECOND)
        tell(brain, ctx, result(order, Outcome.NOT_FOUND, QueryOrder))
    tell(brain, ctx, OrderReport(venue_order(order, OrderStatus.OPEN)))
    assert last_order(ctx).status is OrderStatus.OPEN
    assert ctx.sent(Repaired)[-1].what == "order taken for dead"
    assert [c.client_id for c in ctx.sent(CancelOrder)] == [order.client_id]


def test_a_duplicate_client_id_means_that_the_order_exists() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, result(order, Outcome.REJECTED, code="110072"))
    assert last_order(ctx).status is OrderStatus.UNKNOWN
    ctx.advance(brain, SECOND)
    assert len(ctx.sent(QueryOrder)) == 1


def test_a_failed_question_is_asked_again_after_a_growing_wait() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, result(order, Outcome.UNKNOWN))
    waits = []
    for number in range(1, 5):
        before = ctx.now
        while len(ctx.sent(QueryOrder)) < number:
            ctx.advance(brain, SECOND // 4)
        waits.append(ctx.now - before)
        tell(brain, ctx, result(order, Outcome.UNKNOWN, QueryOrder))
    assert waits == sorted(waits)
    assert waits[-1] >= 4 * waits[0]


def test_an_order_reported_filled_waits_for_its_executions() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, OrderReport(venue_order(order, OrderStatus.FILLED, "1")))
    assert last_order(ctx).status is OrderStatus.OPEN
    ctx.advance(brain, 2 * SECOND)
    assert ctx.sent(FetchState)
    reconcile(brain, ctx, fills=(venue_fill(order, "e1", "1"),), positions=(VenuePosition(BTC, D(1), D(100)),))
    assert (last_order(ctx).status, last_order(ctx).filled) == (OrderStatus.FILLED, D(1))
    assert not ctx.sent(Repaired)


def test_executions_that_never_come_are_replaced_by_the_venues_total() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, OrderReport(venue_order(order, OrderStatus.FILLED, "1")))
    for _ in range(brain.settings.fills_tries):
        ctx.advance(brain, 40 * SECOND)
        reconcile(brain, ctx, positions=(VenuePosition(BTC, D(1), D(100)),))
    assert (last_order(ctx).status, last_order(ctx).filled) == (OrderStatus.FILLED, D(1))
    assert ctx.sent(Repaired)[0].what == "missing executions"


def test_a_resting_order_past_its_time_is_cancelled() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, OrderReport(venue_order(order, OrderStatus.OPEN)))
    ctx.advance(brain, 11 * SECOND)
    assert [c.client_id for c in ctx.sent(CancelOrder)] == [order.client_id]
    tell(brain, ctx, OrderReport(venue_order(order, OrderStatus.CANCELLED)))
    assert last_order(ctx).status is OrderStatus.CANCELLED
    ctx.advance(brain, 11 * SECOND)
    assert len(ctx.sent(CancelOrder)) == 1


def test_a_cancel_with_an_unknown_outcome_is_repeated() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, OrderReport(venue_order(order, OrderStatus.OPEN)))
    ctx.deliver(brain, Control("c1", "halt", "me"))
    tell(brain, ctx, result(order, Outcome.UNKNOWN, CancelOrder))
    ctx.advance(brain, 2 * SECOND)
    assert len(ctx.sent(CancelOrder)) == 2


def test_a_call_without_any_answer_becomes_an_unknown_outcome() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved(expires_ns=0))
    ctx.advance(brain, brain.settings.answer_ns + SECOND)
    assert last_order(ctx).status is OrderStatus.UNKNOWN
    assert order.client_id in {q.client_id for q in ctx.sent(QueryOrder)}


# -- reconciliation --------------------------------------------------------------------------


def test_the_first_books_begin_with_the_venues_position() -> None:
    brain, ctx = make_brain(), FakeContext(EXCHANGE, journal=False)
    ctx.start(brain)
    connect(brain, ctx)
    ctx.deliver(brain, CaughtUp(0))
    order = approve(brain, ctx, approved())
    assert unsent_code(ctx) == "NOT_RECONCILED"
    old = venue_fill(order, "old", "3", client_id="by hand", venue_id="x")
    reconcile(brain, ctx, fills=(old,), positions=(VenuePosition(BTC, D(3), D(90)),))
    assert brain.state.positions[BTC].quantity == 3
    assert brain.state.positions[BTC].average_price == 90
    assert {r.what for r in ctx.sent(Repaired)} == {"opening position"}
    assert not ctx.sent(SymbolHalted)
    tell(brain, ctx, FillReport(old))
    assert brain.state.positions[BTC].quantity == 3


def test_a_difference_is_repaired_only_when_a_second_look_confirms_it() -> None:
    brain, ctx = live()
    odd = (VenuePosition(BTC, D("0.5"), D(100)),)
    reconcile(brain, ctx, positions=odd)
    assert not ctx.sent(Repaired)
    approve(brain, ctx, approved(now=ctx.now))
    assert unsent_code(ctx) == "POSITION_DIFFERS"
    ctx.advance(brain, 2 * SECOND)
    reconcile(brain, ctx, positions=odd)
    assert [(r.what, r.before, r.after) for r in ctx.sent(Repaired)] == [("position", "0", "0.5")]
    assert ctx.sent(SymbolHalted)[-1].halted
    assert brain.state.positions[BTC].quantity == D("0.5")
    ctx.deliver(brain, Control("c1", "resume", "me"))
    assert not ctx.sent(SymbolHalted)[-1].halted


def test_a_symbol_that_moved_since_the_fetch_began_is_not_compared() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    started = ctx.now
    tell(brain, ctx, result(order, Outcome.ACCEPTED), FillReport(venue_fill(order, "e1", "1")))
    for _ in range(2):
        reconcile(brain, ctx, started_ns=started)
    assert not ctx.sent(Repaired)
    assert brain.state.positions[BTC].quantity == 1


def test_an_order_the_venue_does_not_list_is_asked_about() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, result(order, Outcome.ACCEPTED))
    reconcile(brain, ctx)
    assert [q.client_id for q in ctx.sent(QueryOrder)] == [order.client_id]
    tell(brain, ctx, result(order, Outcome.ACCEPTED, QueryOrder, order=venue_order(order, OrderStatus.CANCELLED)))
    assert last_order(ctx).status is OrderStatus.CANCELLED


def test_an_incomplete_answer_proves_no_absence_and_is_asked_for_again() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, result(order, Outcome.ACCEPTED))
    reconcile(brain, ctx, complete=False, reason="positions: timeout", positions=(VenuePosition(BTC, D(9), D(1)),))
    assert not ctx.sent(QueryOrder)
    ctx.advance(brain, 2 * SECOND)
    assert ctx.sent(FetchState)


def test_a_foreign_fill_moves_the_position_and_is_reported() -> None:
    brain, ctx = live()
    fill = venue_fill(approved(), "f1", "2", client_id="", venue_id="manual")
    tell(brain, ctx, FillReport(fill), FillReport(fill))
    assert brain.state.positions[BTC].quantity == 2
    assert [r.what for r in ctx.sent(Repaired)] == ["foreign order"]
    assert not ctx.sent(Filled)


def test_a_lost_private_stream_stops_new_exposure_until_it_is_reconciled_again() -> None:
    brain, ctx = live()
    tell(brain, ctx, StreamStatus("private", False, "reset"), StreamStatus("private", True))
    assert ctx.sent(FetchState)
    approve(brain, ctx, approved())
    assert unsent_code(ctx) == "NOT_RECONCILED"
    reconcile(brain, ctx)
    approve(brain, ctx, approved(1), 2)
    assert len(ctx.sent(PlaceOrder)) == 1


# -- telling ---------------------------------------------------------------------------------


def test_the_state_is_told_on_change_and_every_second_with_the_equity() -> None:
    brain, ctx = live()
    tell(brain, ctx, BalanceReport((Balance("USDT", D(1000), D(900)),)))
    assert ctx.sent(ExchangeState, "risk")[-1].cash == 1000
    tell(brain, ctx, InstrumentsReport((make_instrument(BTC, trading=False),)))
    assert not ctx.sent(ExchangeState, "bus")[-1].instruments[0].trading
    ctx.clear()
    ctx.advance(brain, 3 * SECOND)
    assert len(ctx.sent(ExchangeState, "bus")) == len(ctx.sent(ExchangeState, "risk")) == 3


def test_equity_counts_open_positions_at_the_last_price() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, BalanceReport((Balance("USDT", D(1000), D(900)),)), FillReport(venue_fill(order, "e1", "1")))
    tell(brain, ctx, make_trade(110.0))
    ctx.advance(brain, SECOND)
    assert ctx.sent(ExchangeState, "risk")[-1].equity == 1010


def test_a_venue_that_does_not_push_its_balances_is_asked_for_them_after_a_burst_of_fills_once() -> None:
    brain, ctx = live(balance_ns=2 * SECOND)
    order = approve(brain, ctx, approved())
    tell(brain, ctx, *(FillReport(venue_fill(order, f"e{number}", "0.2")) for number in range(5)))
    ctx.advance(brain, SECOND)
    assert not ctx.sent(FetchState)
    ctx.advance(brain, 2 * SECOND)
    assert len(ctx.sent(FetchState)) == 1


def test_reports_a_crashed_bus_lost_are_sent_again_and_confirmed_ones_are_not() -> None:
    brain, ctx = live()
    ctx.deliver(brain, PeerUp("bus", 1))
    order = approve(brain, ctx, approved())
    sent = ctx.sent(OrderChanged)[-1]
    ctx.deliver(brain, entry_of(sent, 2), "bus")
    tell(brain, ctx, FillReport(venue_fill(order, "e1", "1")))
    ctx.clear()
    ctx.deliver(brain, PeerUp("bus", 2))
    assert [f.fill.execution_id for f in ctx.sent(Filled, "bus")] == ["e1"]
    assert [o.order.status for o in ctx.sent(OrderChanged, "bus")] == [OrderStatus.FILLED]


def test_a_foreign_snapshot_is_refused_with_a_clear_error() -> None:
    with pytest.raises(SnapshotError, match="expected a snapshot of an exchange connection"):
        make_brain().restore(b"\x93\x01\x02\x03")


def test_a_snapshot_restores_to_the_same_bytes() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, result(order, Outcome.UNKNOWN), FillReport(venue_fill(order, "e1", "0.3")))
    ctx.deliver(brain, Control("c1", "panic", "me"))
    twin = make_brain()
    twin.restore(brain.snapshot())
    assert twin.snapshot() == brain.snapshot()
    assert twin.status()["positions"] == brain.status()["positions"]
