"""Flows, each from its approval to its end: what leaves, what is told, what survives."""

from __future__ import annotations

from collections import deque
from decimal import Decimal

import msgspec
import pytest

from actors.exchange.brain import ExchangeBrain
from actors.messages.control import Control
from actors.messages.orders import FlowEnded, OrderChanged
from actors.messages.signals import Executed, Withdraw
from exchanges.model.flow import (
    Bracket,
    Chase,
    Conditional,
    Direction,
    Iceberg,
    Oco,
    Rest,
    TrailingStop,
    Trigger,
    Twap,
)
from exchanges.model.order import OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.venue import CommandResult, Outcome
from runtime.lifecycle import Stopping
from tests.unit.brain_context import SECOND
from tests.unit.flow_bench import MS, FlowWorld, bought, make_flow_world

D = Decimal


def sizes(world: FlowWorld) -> list[float]:
    return [float(place.quantity) for place in world.places]


# -- TWAP ------------------------------------------------------------------------------------


def test_a_twap_sends_equal_parts_on_the_lot_over_its_time() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Twap(4 * SECOND, 4), "1.001")
    world.settle(500 * MS)
    assert sizes(world) == [0.250]
    assert world.state(signal) == "EXECUTING"
    world.settle(5 * SECOND)
    assert sizes(world) == [0.250, 0.250, 0.250, 0.251]
    ended = world.ended(signal)
    assert ended is not None
    assert (ended.filled, ended.average_price, ended.code) == (D("1.001"), D(100), "FILLED")
    assert world.state(signal) == "EXECUTED"
    assert [e.filled for e in world.hub_ctx.events(Executed)] == [D("1.001")]


def test_what_a_slice_could_not_get_is_added_to_the_next() -> None:
    world = make_flow_world()
    world.plan.extend(["half", "rejected", "fill", "fill"])
    signal = world.approve_flow(Twap(4 * SECOND, 4))
    world.settle(5 * SECOND)
    assert sizes(world) == [0.250, 0.375, 0.625, 0.25]
    assert world.filled(signal, Side.BUY) == 1


def test_slices_missed_while_nothing_could_leave_are_made_good() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Twap(8 * SECOND, 4))
    world.settle(SECOND)
    world.save()
    world.ctx.now += 5 * SECOND
    world.crash()
    world.settle(4 * SECOND)
    assert sizes(world) == [0.250, 0.75]
    assert world.state(signal) == "EXECUTED"


def test_a_slice_whose_outcome_is_unknown_holds_the_next_one_until_the_venue_has_spoken() -> None:
    world = make_flow_world()
    world.plan.append("lost_before")
    signal = world.approve_flow(Twap(20 * SECOND, 4))
    world.settle(2 * SECOND)
    assert sizes(world) == [0.250]
    world.settle(20 * SECOND)
    assert sizes(world) == [0.250, 0.500, 0.250, 0.250]
    assert world.filled(signal, Side.BUY) == 1


# -- one order, moved or shown in parts --------------------------------------------------------


def test_a_resting_order_is_cancelled_at_the_end_of_its_life_and_keeps_what_it_got() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Rest(3 * SECOND), price="99.5")
    world.settle(SECOND)
    place = world.places[0]
    assert (place.type, place.price, place.time_in_force) == (OrderType.LIMIT, D("99.5"), TimeInForce.POST_ONLY)
    world.fill(place.client_id, D("0.4"))
    world.settle(4 * SECOND)
    ended = world.ended(signal)
    assert ended is not None
    assert (ended.filled, ended.code) == (D("0.4"), "LIFETIME_OVER")
    assert (world.state(signal), len(world.places)) == ("EXECUTED", 1)


def test_an_order_that_would_have_taken_is_refused_and_its_signal_expires() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Rest(3 * SECOND), price="99.5")
    world.settle(SECOND)
    world._update(world.orders[world.places[0].client_id], status=OrderStatus.CANCELLED, reason="would take")
    world.settle(SECOND)
    assert (world.state(signal), len(world.places)) == ("EXPIRED", 1)


def test_an_iceberg_shows_one_part_after_the_other() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Iceberg(D("0.4"), 60 * SECOND), price="99.5")
    for part in range(3):
        world.settle(SECOND)
        working = [order for order in world.legs(signal) if not order.status.final]
        assert len(working) == 1
        assert len(world.places) == part + 1
        world.fill(working[0].client_id, working[0].quantity)
    world.settle(SECOND)
    assert sizes(world) == [0.4, 0.4, 0.2]
    assert world.state(signal) == "EXECUTED"


def test_a_chase_follows_its_side_of_the_book_within_the_approved_price() -> None:
    world = make_flow_world()
    world.approve_flow(Chase(interval_ns=SECOND, patience_ns=20 * SECOND), price="100.5")
    world.settle(500 * MS)
    assert world.places[0].price == 100
    world.price(100.2)
    world.settle(1500 * MS)
    world.price(103.0)
    world.settle(1500 * MS)
    assert [amend.price for amend in world.amends] == [D("100.2"), D("100.5")]
    assert len(world.places) == 1


def test_a_chase_whose_amendment_is_refused_cancels_and_places_anew() -> None:
    world = make_flow_world()
    world.refuse_amends = True
    signal = world.approve_flow(Chase(interval_ns=SECOND, patience_ns=20 * SECOND), price="100.5")
    world.settle(SECOND)
    world.fill(world.places[0].client_id, D("0.25"))
    world.price(100.2)
    world.settle(4 * SECOND)
    assert [(place.price, place.quantity) for place in world.places] == [(100, 1), (D("100.2"), D("0.75"))]
    assert [order.status for order in world.legs(signal)] == [OrderStatus.CANCELLED, OrderStatus.OPEN]


@pytest.mark.parametrize("moved", [True, False])
def test_an_amendment_of_unknown_outcome_is_settled_by_the_venues_view_while_it_fills(moved: bool) -> None:
    world = make_flow_world()
    signal = world.approve_flow(Chase(interval_ns=SECOND, patience_ns=30 * SECOND), price="100.5")
    world.settle(500 * MS)
    order = world.places[0].client_id
    world.price(100.2)
    world.refuse_amends = not moved
    while not world.amends:
        world.pass_time(250 * MS)
    world.fill(order, D("0.4"))
    world.inbox = deque(m for m in world.inbox if not isinstance(m, CommandResult))
    world.inbox.append(CommandResult("AmendOrder", order, signal.symbol, Outcome.UNKNOWN, "TIMEOUT"))
    world.settle(1500 * MS)
    assert world.brain.state.active[order].order.price == (D("100.2") if moved else D(100))
    world.refuse_amends = False
    world.settle(2 * SECOND)
    assert world.orders[order].price == D("100.2")
    world.fill(order, D("0.6"))
    world.settle(SECOND)
    assert (len(world.places), world.filled(signal, Side.BUY), world.state(signal)) == (1, 1, "EXECUTED")


@pytest.mark.parametrize(("take", "state"), [(True, "EXECUTED"), (False, "EXPIRED")])
def test_a_chase_that_got_nothing_takes_the_rest_or_gives_up(take: bool, state: str) -> None:
    world = make_flow_world()
    signal = world.approve_flow(Chase(patience_ns=2 * SECOND, take=take), price="100.5")
    world.settle(5 * SECOND)
    assert world.state(signal) == state
    assert [place.time_in_force for place in world.places] == [TimeInForce.GTC, TimeInForce.IOC][: 1 + take]


def test_a_cancel_that_loses_to_a_fill_is_counted_before_the_rest_is_taken() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Chase(patience_ns=2 * SECOND), price="100.5")
    world.settle(SECOND)
    world.beaten = D("0.7")
    world.settle(6 * SECOND)
    assert sizes(world) == [1, 0.3]
    assert world.filled(signal, Side.BUY) == 1


# -- conditional -------------------------------------------------------------------------------

ABOVE, BELOW = Trigger(Direction.ABOVE, D(105)), Trigger(Direction.BELOW, D(95))


def test_a_conditional_order_waits_for_any_of_its_triggers() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Conditional((ABOVE, BELOW)), market=True)
    world.settle(8 * SECOND)
    assert (world.places, world.state(signal)) == ([], "APPROVED")
    world.price(94.9)
    world.settle(SECOND)
    assert (sizes(world), world.state(signal)) == ([1], "EXECUTED")
    assert world.planned(signal)[0].reason == "met: bybit:BTCUSDT last=94.9 below 95"


def test_every_trigger_has_to_be_met_at_the_same_time_where_that_is_asked() -> None:
    world = make_flow_world()
    low = Trigger(Direction.ABOVE, D(99))
    world.approve_flow(Conditional((ABOVE, low), every=True), market=True)
    world.settle(SECOND)
    assert not world.places
    world.price(106)
    world.settle(SECOND)
    assert sizes(world) == [1]


def test_a_conditional_order_that_is_never_met_expires() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Conditional((ABOVE,), lifetime_ns=5 * SECOND), market=True)
    world.settle(7 * SECOND)
    assert (world.places, world.state(signal)) == ([], "EXPIRED")


# -- exits -------------------------------------------------------------------------------------


def test_a_brackets_signal_is_executed_with_its_entry_and_its_profit_closes_it() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Bracket(D(110), D(95)))
    world.settle(2 * SECOND)
    assert world.state(signal) == "EXECUTED"
    take = world.places[1]
    assert (take.side, take.price, take.quantity, take.reduce_only) == (Side.SELL, 110, 1, True)
    assert world.ended(signal) is None
    world.fill(take.client_id, D(1))
    world.settle(SECOND)
    ended = world.ended(signal)
    assert ended is not None
    assert (ended.filled, ended.exited, world.position) == (1, 1, 0)
    assert len(world.places) == 2


def test_a_stop_cancels_the_other_exit_and_closes_what_that_had_left() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Bracket(D(110), D(95)))
    world.settle(2 * SECOND)
    world.fill(world.places[1].client_id, D("0.3"))
    world.price(94)
    world.settle(3 * SECOND)
    stop = world.places[2]
    assert (stop.type, stop.quantity, stop.reduce_only) == (OrderType.MARKET, D("0.7"), True)
    assert (world.position, len(world.places)) == (0, 3)
    assert world.ended(signal) is not None


def test_a_stop_waits_until_it_is_certain_what_the_other_exit_has_done() -> None:
    world = make_flow_world()
    world.approve_flow(Bracket(D(110), D(95)))
    world.settle(2 * SECOND)
    world.beaten = D("0.6")
    world.price(94)
    world.settle(4 * SECOND)
    assert [order.filled for order in world.orders.values() if order.side is Side.SELL] == [D("0.6"), D("0.4")]
    assert world.position == 0


def test_a_trailing_stop_follows_the_best_price() -> None:
    world = make_flow_world()
    bought(world, "1")
    signal = world.approve_flow(TrailingStop(D(3)), side=Side.SELL, price="90")
    world.settle(SECOND)
    for price in (104, 102, 101.5):
        world.price(price)
    world.settle(SECOND)
    assert len(world.places) == 1
    world.price(101)
    world.settle(SECOND)
    assert (world.position, world.state(signal)) == (0, "EXECUTED")
    assert world.planned(signal)[0].reason == "stop: last=101 below 101"


def test_one_cancels_the_other_on_a_position_that_is_held() -> None:
    world = make_flow_world()
    bought(world, "1")
    signal = world.approve_flow(Oco(D(110), D(95)), side=Side.SELL)
    world.settle(SECOND)
    world.price(94.5)
    world.settle(2 * SECOND)
    assert [order.status for order in world.legs(signal)] == [OrderStatus.CANCELLED, OrderStatus.FILLED]
    assert (world.position, world.state(signal)) == (0, "EXECUTED")


def test_exits_end_when_the_strategy_has_closed_its_position_itself() -> None:
    world = make_flow_world()
    bracket = world.approve_flow(Bracket(D(110), D(95)))
    world.settle(2 * SECOND)
    world.approve_flow(Twap(SECOND, 1), side=Side.SELL, price="99", reduce_only=True)
    world.settle(3 * SECOND)
    ended = world.ended(bracket)
    assert ended is not None
    assert (ended.code, world.position) == ("POSITION_CLOSED", 0)
    assert world.legs(bracket)[1].status is OrderStatus.CANCELLED


def test_a_stop_that_the_venue_refuses_is_tried_again() -> None:
    world = make_flow_world()
    bought(world, "1")
    world.approve_flow(TrailingStop(D(3)), side=Side.SELL)
    world.settle(SECOND)
    world.plan.extend(["rejected", "not_sent", "half"])
    world.price(96)
    world.settle(8 * SECOND)
    assert world.position == 0


# -- what interferes -----------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["halt", "reduce"])
def test_a_halt_ends_entries_and_keeps_what_they_got(action: str) -> None:
    world = make_flow_world()
    signal = world.approve_flow(Twap(4 * SECOND, 4))
    world.settle(500 * MS)
    world.run(Control("c1", action, "me"))
    world.settle(2 * SECOND)
    assert (sizes(world), world.state(signal)) == ([0.25], "EXECUTED")
    ended = world.ended(signal)
    assert ended is not None
    assert ended.code.startswith("TRADING_")


def test_a_flow_that_is_halted_before_it_got_anything_is_blocked() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Conditional((ABOVE,)), market=True)
    world.settle(SECOND)
    world.run(Control("c1", "halt", "me"))
    world.settle(SECOND)
    assert world.state(signal) == "BLOCKED"


def test_exits_wait_while_trading_is_halted_and_go_on_after_it() -> None:
    world = make_flow_world()
    world.approve_flow(Bracket(D(110), D(95)))
    world.settle(2 * SECOND)
    world.run(Control("c1", "halt", "me"))
    world.price(94)
    world.settle(2 * SECOND)
    assert (world.position, world.orders[world.places[1].client_id].status) == (1, OrderStatus.CANCELLED)
    world.run(Control("c2", "resume", "me"))
    world.price(94)
    world.settle(2 * SECOND)
    assert world.position == 0


def test_exits_still_pass_while_trading_is_reducing() -> None:
    world = make_flow_world()
    world.approve_flow(Bracket(D(110), D(95)))
    world.settle(2 * SECOND)
    world.run(Control("c1", "reduce", "me"))
    world.price(94)
    world.settle(3 * SECOND)
    assert world.position == 0


def test_a_panic_ends_flows_with_their_exits() -> None:
    world = make_flow_world()
    twap, bracket = world.approve_flow(Twap(9 * SECOND, 3)), world.approve_flow(Bracket(D(110), D(95)))
    world.settle(2 * SECOND)
    world.run(Control("c1", "panic", "me"))
    world.settle(8 * SECOND)
    ends = [world.ended(signal) for signal in (twap, bracket)]
    assert [end.code for end in ends if end is not None] == ["PANIC", "PANIC"]
    assert world.position == 0
    assert not world.brain.state.flows


def test_what_is_withdrawn_is_cancelled_and_keeps_what_it_got() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Iceberg(D("0.4"), 60 * SECOND), price="99.5")
    world.settle(SECOND)
    world.fill(world.places[0].client_id, D("0.1"))
    world.deliver_all()
    world.withdraw(signal)
    world.settle(2 * SECOND)
    ended = world.ended(signal)
    assert ended is not None
    assert (ended.code, ended.filled, world.state(signal)) == ("WITHDRAWN", D("0.1"), "EXECUTED")
    assert world.legs(signal)[0].status is OrderStatus.CANCELLED


def test_nobody_else_can_withdraw_a_signal() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Iceberg(D("0.4"), 60 * SECOND), price="99.5")
    world.settle(SECOND)
    world._tell_bus(Withdraw(signal.id, signal.symbol, "x"), "strategy/x/bybit:BTCUSDT")
    world.settle(SECOND)
    assert world.ended(signal) is None
    assert not world.legs(signal)[0].status.final


def test_a_session_that_stops_cancels_and_the_next_one_goes_on() -> None:
    world = make_flow_world()
    rest = world.approve_flow(Rest(60 * SECOND), price="99.5")
    world.settle(SECOND)
    world.run(Stopping("test"))
    world.settle(SECOND)
    assert [order.status for order in world.legs(rest)] == [OrderStatus.CANCELLED]
    world.save()
    world.crash()
    world.settle(5 * SECOND)
    assert [order.status for order in world.legs(rest)] == [OrderStatus.CANCELLED, OrderStatus.OPEN]
    assert world.state(rest) == "EXECUTING"


# -- crashes -----------------------------------------------------------------------------------


def test_a_leg_planned_by_a_predecessor_is_the_same_leg() -> None:
    world = make_flow_world()
    world.save()
    signal = world.approve_flow(Twap(60 * SECOND, 3), "0.9")
    world.entry(world.cursor)
    assert [leg.number for leg in world.planned(signal)] == [1]
    assert not world.places
    world.crash()
    world.settle(6 * SECOND)
    assert [place.client_id for place in world.places] == [f"bw-{signal.id}-1-0"]
    world.settle(70 * SECOND)
    assert world.filled(signal, Side.BUY) == D("0.9")


def test_an_end_that_was_not_told_is_told_by_the_successor() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Twap(2 * SECOND, 2))
    world.settle(SECOND)
    world.save()
    world.bus_down = True
    world.settle(2 * SECOND)
    world.crash()
    world.crash_bus()
    world.settle(6 * SECOND)
    assert world.state(signal) == "EXECUTED"
    assert sum(isinstance(event, FlowEnded) for event in world.journal) == 1


def test_nothing_leaves_while_the_bus_cannot_journal_it() -> None:
    world = make_flow_world()
    world.approve_flow(Twap(4 * SECOND, 4))
    world.bus_down = True
    world.settle(3 * SECOND)
    assert not world.places
    world.crash_bus()
    world.settle(4 * SECOND)
    assert sum((place.quantity for place in world.places), D(0)) == 1


def test_an_order_of_a_flow_that_never_left_is_on_record() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Twap(9 * SECOND, 3))
    world.entry(world.cursor)
    world.run(Control("c1", "halt", "me"))
    world.settle(2 * SECOND)
    told = [event.order for event in world.journal if isinstance(event, OrderChanged)]
    assert [(order.status, order.reason.partition(":")[0]) for order in told] == [
        (OrderStatus.REJECTED, "UNSENT TRADING_HALTED")
    ]
    assert (world.places, world.state(signal)) == ([], "BLOCKED")


def test_the_orders_of_a_flow_under_way_are_not_forgotten_however_many_others_end() -> None:
    world = FlowWorld()
    world.settings = msgspec.structs.replace(world.settings, orders_kept=1)
    world.brain = ExchangeBrain(world.settings)
    world.start()
    signal = world.approve_flow(Twap(6 * SECOND, 6), "0.6")
    world.settle(8 * SECOND)
    assert sizes(world) == [0.1] * 6
    assert world.state(signal) == "EXECUTED"
    bought(world, "1")
    assert len(world.brain.state.closed) == 1
