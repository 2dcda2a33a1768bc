"""Stops that rest at the venue: placed, resized, trailed, met, refused, found again."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from actors.exchange.brain import ExchangeBrain
from actors.messages.control import Control
from actors.messages.signals import Withdraw
from exchanges.model.flow import Bracket, Direction, Oco, Source, TrailingStop, Trigger, Twap
from exchanges.model.order import Order, OrderStatus, OrderType, Side
from exchanges.model.trigger import StopOrders
from exchanges.model.venue import CommandResult, Outcome, PlaceOrder
from runtime.lifecycle import Stopping
from strategies.signal import Signal
from tests.unit.brain_context import SECOND
from tests.unit.flow_bench import MS, FlowWorld, bought, make_flow_world

D = Decimal
BELOW_95 = Trigger(Direction.BELOW, D(95))


def world_with_stops(**changes: object) -> FlowWorld:
    return make_flow_world(StopOrders(**changes))  # type: ignore[arg-type]


def bracket(world: FlowWorld, flow: Bracket | None = None) -> Signal:
    """A bracket whose entry is filled and whose exits have been sent."""
    signal = world.approve_flow(flow or Bracket(D(110), D(95)))
    world.settle(2 * SECOND)
    return signal


def standing(world: FlowWorld) -> list[Order]:
    return [order for order in world.orders.values() if order.trigger is not None and not order.status.final]


def stops(world: FlowWorld) -> list[PlaceOrder]:
    return [place for place in world.places if place.trigger is not None]


# -- placing -----------------------------------------------------------------------------------


def test_the_stop_of_a_bracket_rests_at_the_venue_beside_what_takes_profit() -> None:
    world = world_with_stops()
    signal = bracket(world)
    stop, profit = world.places[1:]
    assert (stop.type, stop.trigger, stop.quantity, stop.reduce_only) == (OrderType.MARKET, BELOW_95, 1, True)
    assert (profit.type, profit.price, profit.trigger) == (OrderType.LIMIT, D(110), None)
    assert [leg.role.value for leg in world.planned(signal)] == ["entry", "stop", "take_profit"]
    assert stop.client_id == f"bw-{signal.id}-3-0"
    flow = world.brain.status()["flows"][0]  # type: ignore[index]
    assert flow["at_venue"] == [{"client_id": stop.client_id, "quantity": "1.000", "trigger_price": "95"}]


def test_a_venue_without_them_or_a_setting_against_them_leaves_every_stop_here() -> None:
    world = make_flow_world(StopOrders())
    world.settings = msgspec.structs.replace(world.settings, native_stops=False)
    world.brain = ExchangeBrain(world.settings)
    world.begin()
    world.settle(2 * SECOND)
    world.price(100)
    bracket(world)
    assert stops(world) == []


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
def test_what_the_venue_meets_ends_the_flow_and_takes_the_other_exit_away(side: Side) -> None:
    world = world_with_stops()
    flow = Bracket(D(110), D(95)) if side is Side.BUY else Bracket(D(90), D(105))
    signal = world.approve_flow(flow, side=side, price="101" if side is Side.BUY else "99")
    world.settle(2 * SECOND)
    world.moves(94 if side is Side.BUY else 106)
    world.settle(2 * SECOND)
    ended = world.ended(signal)
    assert ended is not None
    assert (world.position, ended.filled, ended.exited, ended.code) == (0, 1, 1, "FILLED")
    assert [order.status for order in world.legs(signal)] == [
        OrderStatus.FILLED,
        OrderStatus.FILLED,
        OrderStatus.CANCELLED,
    ]
    assert len(world.places) == 3


def test_profit_that_is_taken_takes_the_stop_away_part_by_part() -> None:
    world = world_with_stops()
    signal = bracket(world)
    stop, profit = (place.client_id for place in world.places[1:])
    world.fill(profit, D("0.3"))
    world.settle(SECOND)
    assert [(amend.client_id, amend.quantity) for amend in world.amends] == [(stop, D("0.7"))]
    assert standing(world)[0].quantity == D("0.7")
    world.fill(profit, D("0.7"))
    world.settle(2 * SECOND)
    assert (world.orders[stop].status, world.position) == (OrderStatus.CANCELLED, 0)
    assert world.ended(signal) is not None


def test_where_amending_is_refused_the_stop_is_placed_anew_in_its_new_size() -> None:
    world = world_with_stops()
    bracket(world)
    world.refuse_amends = True
    world.fill(world.places[2].client_id, D("0.3"))
    world.settle(3 * SECOND)
    assert [(order.quantity, order.trigger) for order in standing(world)] == [(D("0.7"), BELOW_95)]
    assert [place.client_id.rsplit("-", 1)[1] for place in stops(world)] == ["0", "1"]


def test_a_cancel_that_loses_to_a_fill_ends_in_what_the_venue_says() -> None:
    world = world_with_stops()
    signal = bracket(world)
    world.refuse_amends, world.beaten = True, D("0.2")
    world.fill(world.places[2].client_id, D("0.3"))
    world.settle(3 * SECOND)
    assert [(order.quantity, order.filled) for order in world.legs(signal)[1:]] == [
        (1, D("0.2")),
        (1, D("0.3")),
        (D("0.5"), 0),
        (D("0.5"), 0),
    ]
    world.moves(94)
    world.settle(2 * SECOND)
    ended = world.ended(signal)
    assert ended is not None
    assert (ended.exited, world.position) == (1, 0)


def test_stops_are_kept_within_what_the_venue_takes_in_one_order() -> None:
    world = FlowWorld(StopOrders())
    world.rules = msgspec.structs.replace(world.rules, max_quantity=D("0.4"))
    world.start()
    world.approve_flow(Twap(3 * SECOND, 3), "1.2")
    world.settle(4 * SECOND)
    signal = world.approve_flow(Oco(D(110), D(95)), "1.2", side=Side.SELL)
    world.settle(3 * SECOND)
    assert [place.quantity for place in stops(world)] == [D("0.4")] * 3
    world.moves(94)
    world.settle(3 * SECOND)
    assert (world.position, world.filled(signal, Side.SELL)) == (0, D("1.2"))


# -- refused, lost, unknown --------------------------------------------------------------------


def test_a_stop_that_is_refused_because_it_is_through_the_market_exits_from_here_at_once() -> None:
    world = world_with_stops()
    world.moves(94)
    signal = world.approve_flow(Bracket(D(110), D(95)))
    world.settle(500 * MS)
    assert world.orders.get(f"bw-{signal.id}-3-0") is None
    world.price(94)
    world.settle(SECOND)
    assert (world.position, world.places[-1].type, world.places[-1].trigger) == (0, OrderType.MARKET, None)


def test_a_stop_that_is_refused_is_tried_again_and_watched_here_in_between() -> None:
    world = world_with_stops()
    world.plan.extend(["fill", "rejected"])
    bracket(world)
    world.settle(2 * SECOND)
    assert [order.trigger for order in standing(world)] == [BELOW_95]
    assert len(stops(world)) == 2


@pytest.mark.parametrize("fate", ["lost_after", "lost_before"])
def test_a_stop_of_unknown_outcome_is_asked_about_before_another_is_sent(fate: str) -> None:
    world = world_with_stops()
    world.plan.extend(["fill", fate])
    signal = bracket(world)
    world.settle(6 * SECOND)
    assert [order.trigger for order in standing(world)] == [BELOW_95]
    assert len(stops(world)) == (1 if fate == "lost_after" else 2)
    world.moves(94)
    world.settle(2 * SECOND)
    assert (world.position, world.duplicates) == (0, [])
    assert world.ended(signal) is not None


def test_a_stop_that_the_venue_does_not_meet_is_cancelled_and_sold_from_here() -> None:
    world = world_with_stops(sources=(Source.MARK,))
    bracket(world)
    stop = stops(world)[0]
    assert stop.trigger == Trigger(Direction.BELOW, D(95), Source.MARK)
    world.orders[stop.client_id] = msgspec.structs.replace(
        world.orders[stop.client_id], trigger=Trigger(Direction.BELOW, D(1))
    )
    world.price(94)
    world.settle(SECOND)
    assert world.position == 1
    world.settle(3 * SECOND)
    assert (world.orders[stop.client_id].status, world.position) == (OrderStatus.CANCELLED, 0)


# -- trailing ----------------------------------------------------------------------------------


def test_a_trailing_stop_moves_in_steps_and_not_too_often() -> None:
    world = world_with_stops()
    bought(world, "1")
    world.approve_flow(TrailingStop(D(4)), side=Side.SELL, price="90")
    world.settle(SECOND)
    assert standing(world)[0].trigger == Trigger(Direction.BELOW, D(96))
    for price in (100.1, 101, 102, 103):
        world.price(price)
        world.deliver_all()
    assert [amend.trigger_price for amend in world.amends] == [D(97)]
    world.settle(2 * SECOND)
    world.price(102)
    world.settle(2 * SECOND)
    assert [amend.trigger_price for amend in world.amends] == [D(97), D(99)]
    world.moves(99)
    world.settle(SECOND)
    assert world.position == 0


def test_a_step_that_is_refused_cancels_the_stop_and_places_it_where_it_belongs() -> None:
    world = world_with_stops()
    bought(world, "1")
    world.approve_flow(TrailingStop(D(4)), side=Side.SELL, price="90")
    world.settle(SECOND)
    world.refuse_amends = True
    world.price(104)
    world.settle(5 * SECOND)
    assert [order.trigger for order in standing(world)] == [Trigger(Direction.BELOW, D(100))]
    assert len(stops(world)) == 2


# -- one exit at a time ------------------------------------------------------------------------


def test_where_another_strategy_holds_the_symbol_only_the_stop_rests_until_its_profit_is_there() -> None:
    world = world_with_stops()
    world.approve_flow(Bracket(None, D(90)), strategy="other")
    world.settle(2 * SECOND)
    signal = bracket(world)
    mine = [place for place in world.places if signal.id in place.client_id]
    assert [place.trigger for place in mine] == [None, BELOW_95]
    world.price(111)
    world.settle(2 * SECOND)
    legs = world.legs(signal)
    assert [order.status for order in legs] == [OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.FILLED]
    assert (legs[2].price, world.filled(signal, Side.SELL)) == (D(110), 1)
    assert world.position == 1


def test_a_profit_that_could_not_be_taken_puts_the_stop_back() -> None:
    world = world_with_stops(beside=False)
    signal = bracket(world)
    world.plan.append("rest")
    world.price(111)
    world.settle(600 * MS)
    world.price(105)
    world.settle(3 * SECOND)
    kinds = [place.trigger is not None for place in world.places if signal.id in place.client_id]
    assert kinds == [False, True, False, True]
    assert (len(standing(world)), world.position) == (1, 1)


def test_what_takes_profit_leaves_the_book_when_somebody_else_enters() -> None:
    world = world_with_stops()
    bracket(world)
    profit = world.places[2].client_id
    bought_by_other = world.approve_flow(Bracket(None, D(90)), strategy="other")
    world.settle(3 * SECOND)
    assert world.orders[profit].status is OrderStatus.CANCELLED
    assert len(standing(world)) == 2
    assert world.filled(bought_by_other, Side.BUY) == 1


# -- what interferes ---------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["halt", "reduce"])
def test_a_halt_leaves_the_stop_at_the_venue_and_takes_the_profit_order_away(action: str) -> None:
    world = world_with_stops()
    bracket(world)
    world.run(Control("c1", action, "me"))
    world.settle(2 * SECOND)
    assert len(standing(world)) == 1
    assert world.orders[world.places[2].client_id].status.final is (action == "halt")
    world.moves(94)
    world.settle(2 * SECOND)
    assert world.position == 0


def test_a_panic_takes_the_stop_along() -> None:
    world = world_with_stops()
    bracket(world)
    world.run(Control("c1", "panic", "me"))
    world.settle(8 * SECOND)
    assert (standing(world), world.position, world.brain.state.flows) == ([], 0, {})


def test_a_withdrawal_takes_the_stop_away() -> None:
    world = world_with_stops()
    signal = bracket(world)
    world._tell_bus(Withdraw(signal.id, signal.symbol, "trend"), f"strategy/trend/{signal.symbol}")
    world.settle(2 * SECOND)
    assert (standing(world), world.position) == ([], 1)


@pytest.mark.parametrize("outlive", [True, False])
def test_at_the_end_of_a_session_the_stop_stays_unless_it_is_told_otherwise(outlive: bool) -> None:
    world = world_with_stops()
    world.settings = msgspec.structs.replace(world.settings, stops_outlive=outlive)
    world.brain.settings = world.settings
    signal = bracket(world)
    world.run(Stopping("test"))
    world.settle(SECOND)
    assert len(standing(world)) == outlive
    assert world.orders[world.places[2].client_id].status is OrderStatus.CANCELLED
    world.save()
    world.crash()
    world.price(100)
    world.settle(6 * SECOND)
    assert (len(standing(world)), len(stops(world))) == (1, 1 if outlive else 2)
    world.moves(94)
    world.settle(2 * SECOND)
    assert (world.position, world.ended(signal) is not None) == (0, True)


# -- crashes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("saved", [True, False])
def test_a_stop_that_was_met_while_we_were_down_is_taken_in_and_its_sibling_cancelled(saved: bool) -> None:
    world = world_with_stops()
    signal = bracket(world)
    if saved:
        world.save()
    world.moves(94)
    assert world.position == 0
    world.crash()
    world.settle(6 * SECOND)
    ended = world.ended(signal)
    assert ended is not None
    assert (ended.exited, ended.code) == (1, "FILLED")
    assert sorted(world.journaled()) == sorted(fill.execution_id for fill in world.fills)
    assert not standing(world)
    assert not world.brain.state.active


def test_a_stop_that_rests_is_found_again_after_a_crash_and_the_flow_goes_on() -> None:
    world = world_with_stops()
    bracket(world)
    world.crash()
    world.price(100)
    world.settle(6 * SECOND)
    assert len(stops(world)) == 1
    assert world.brain.state.active[stops(world)[0].client_id].order.trigger == BELOW_95
    world.fill(world.places[2].client_id, D(1))
    world.settle(3 * SECOND)
    assert (standing(world), world.brain.state.flows) == ([], {})


def test_an_amendment_of_unknown_outcome_is_settled_by_the_venues_view() -> None:
    world = world_with_stops()
    bought(world, "1")
    signal = world.approve_flow(TrailingStop(D(4)), side=Side.SELL, price="90")
    world.settle(SECOND)
    stop = stops(world)[0].client_id
    world.price(104)
    world.inbox.clear()
    world.inbox.append(CommandResult("AmendOrder", stop, signal.symbol, Outcome.UNKNOWN, "TIMEOUT"))
    world.settle(2 * SECOND)
    trigger = world.brain.state.active[stop].order.trigger
    assert trigger is not None and trigger.price == D(100)
    assert len(world.amends) == 1
