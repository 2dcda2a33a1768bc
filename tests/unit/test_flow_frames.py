"""What an approval with a flow allows: how risk makes and counts it, how the bus holds orders to it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from actors.bus.frame import Frame
from actors.messages.orders import Filled, FlowEnded, LegPlanned, LegRefused, OrderChanged, Watch, Watching
from actors.messages.signals import (
    Approved,
    ApprovedOrder,
    Blocked,
    Emit,
    Executed,
    LifecycleViolation,
    Verdict,
    Withdraw,
)
from actors.strategy.brain import StrategyBrain
from actors.strategy.settings import BrainSettings
from exchanges.model.flow import (
    Bracket,
    Chase,
    Conditional,
    Direction,
    Flow,
    Iceberg,
    Oco,
    Rest,
    Role,
    TrailingStop,
    Trigger,
    Twap,
    fault,
    lifetime_ns,
)
from exchanges.model.market import Trade
from exchanges.model.order import Order, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.position import Position
from strategies.errors import HookError
from strategies.signal import Signal, client_order_id
from strategies.strategy import Strategy
from tests.unit.brain_context import SECOND, START_NS, FakeContext
from tests.unit.brain_samples import BTC, EXCHANGE, make_filled, make_trade
from tests.unit.bus_desk import started
from tests.unit.flow_bench import make_flow_world
from tests.unit.risk_desk import Desk, code

D = Decimal
TWAP = Twap(40 * SECOND, 4)


class Inverted(Strategy):
    """Asks for a bracket that is upside down."""

    def on_trade(self, trade: Trade) -> None:
        self.buy(flow=Bracket(D(90), D(110)))


# -- flows themselves --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flow", "side", "reduce_only", "text"),
    [
        (Twap(0, 1), Side.BUY, False, "expected duration_ns"),
        (Twap(SECOND, 0), Side.BUY, False, "slices"),
        (Iceberg(D(0)), Side.BUY, False, "expected visible above 0"),
        (Rest(), Side.BUY, False, "expected a limit_price"),
        (Chase(moves=-1), Side.BUY, False, "expected offset_ticks and moves"),
        (Conditional(()), Side.BUY, False, "triggers"),
        (Conditional((Trigger(Direction.ABOVE, D(-1)),)), Side.BUY, False, "trigger's price"),
        (
            Conditional((Trigger(Direction.ABOVE, D(1), symbol="kalshi:X"),)),
            Side.BUY,
            False,
            "expected triggers on bybit",
        ),
        (Bracket(), Side.BUY, False, "none of them"),
        (Bracket(D(90), D(110)), Side.BUY, False, "expected take_profit above stop_loss"),
        (Bracket(D(110), D(90)), Side.SELL, False, "expected take_profit below stop_loss"),
        (Bracket(D(110), D(90)), Side.BUY, True, "use Oco"),
        (Oco(D(110), D(90)), Side.SELL, False, "expected reduce_only"),
        (Oco(D(110), D(90)), Side.BUY, True, "expected take_profit below stop_loss"),
        (TrailingStop(D(1)), Side.SELL, False, "expected reduce_only"),
        (TrailingStop(D("NaN")), Side.SELL, True, "expected distance above 0"),
    ],
)
def test_a_faulty_flow_is_named(flow: Flow, side: Side, reduce_only: bool, text: str) -> None:
    assert text in fault(flow, BTC, side, reduce_only=reduce_only, limit_price=None)


@pytest.mark.parametrize(
    ("flow", "side", "reduce_only"),
    [
        (TWAP, Side.BUY, False),
        (Rest(), Side.SELL, True),
        (Chase(), Side.BUY, False),
        (Iceberg(D(1)), Side.BUY, False),
        (Bracket(D(110), D(90)), Side.BUY, False),
        (Bracket(D(90), D(110)), Side.SELL, False),
        (Bracket(trail=D(2)), Side.SELL, False),
        (Oco(D(110), D(90)), Side.SELL, True),
        (Oco(D(90), D(110)), Side.BUY, True),
        (TrailingStop(D(1)), Side.BUY, True),
    ],
)
def test_a_sound_flow_is_taken(flow: Flow, side: Side, reduce_only: bool) -> None:
    assert fault(flow, BTC, side, reduce_only=reduce_only, limit_price=D(100)) == ""


def test_a_strategy_hears_at_once_that_its_flow_is_faulty() -> None:
    brain, ctx = StrategyBrain(BrainSettings(), Inverted.create(BTC)), FakeContext(f"strategy/inverted/{BTC}")
    ctx.start(brain, caught_up=0)
    ctx.deliver(brain, Watching(ctx.sent(Watch)[-1].ticket), EXCHANGE)
    with pytest.raises(HookError, match="expected take_profit above stop_loss"):
        ctx.deliver(brain, make_trade(100.0), EXCHANGE)
    assert not ctx.sent(Emit)


def test_the_bus_refuses_a_signal_with_a_faulty_flow() -> None:
    brain, ctx = started()
    signal = Desk().signal(flow=Bracket(D(90), D(110)))
    ctx.deliver(brain, Emit(signal), "strategy/trend/bybit:BTCUSDT")
    assert brain._state.ledger.state_of(signal.id) is None
    assert ctx.counters["bus.dead_letters"] == 1


# -- risk --------------------------------------------------------------------------------------


def approved(desk: Desk, flow: Flow, **changes: Any) -> tuple[Signal, ApprovedOrder]:
    signal = desk.signal(len(desk.ctx.sends), flow=flow, **changes)
    verdict = desk.approve(signal)
    assert verdict.order is not None
    return signal, verdict.order


@pytest.mark.parametrize(
    ("flow", "changes", "kind", "price", "force"),
    [
        (TWAP, {}, OrderType.LIMIT, D("100.3"), TimeInForce.IOC),
        (Rest(), {"limit_price": D("99.5")}, OrderType.LIMIT, D("99.5"), TimeInForce.GTC),
        (Chase(), {}, OrderType.LIMIT, D("100.3"), TimeInForce.GTC),
        (Conditional((Trigger(Direction.ABOVE, D(110)),)), {}, OrderType.LIMIT, D("110.3"), TimeInForce.IOC),
        (Conditional((Trigger(Direction.BELOW, D(90)),)), {}, OrderType.LIMIT, D("100.3"), TimeInForce.IOC),
    ],
)
def test_the_frame_of_an_entry_has_a_worst_price(
    flow: Flow, changes: dict[str, Any], kind: OrderType, price: Decimal, force: TimeInForce
) -> None:
    _, order = approved(Desk(), flow, quantity=D(1), **changes)
    assert (order.type, order.price, order.time_in_force, order.flow) == (kind, price, force, flow)
    assert order.ends_ns == order.approved_ns + lifetime_ns(flow)


@pytest.mark.parametrize(
    "flow", [Oco(D(110), D(90)), TrailingStop(D(1)), Conditional((Trigger(Direction.BELOW, D(90)),))]
)
def test_the_frame_of_exits_is_reduce_only_and_at_market(flow: Flow) -> None:
    desk = Desk()
    desk.hold("1")
    _, order = approved(desk, flow, side=Side.SELL, reduce_only=True, quantity=D(1))
    assert (order.type, order.price, order.reduce_only) == (OrderType.MARKET, None, True)


def leg_order(signal: Signal, number: int, amount: str, **changes: Any) -> Order:
    order = Order(
        client_order_id(signal.id, number), BTC, signal.side, OrderType.LIMIT, D(amount), D(100), TimeInForce.IOC
    )
    return msgspec.structs.replace(order, **changes)


def leg(signal: Signal, number: int, amount: str, role: Role = Role.ENTRY, **changes: Any) -> LegPlanned:
    order = leg_order(signal, number, amount, **changes)
    return LegPlanned(signal.id, signal.strategy, BTC, order, role, number, 0, "test", START_NS, START_NS + SECOND)


def leg_filled(signal: Signal, number: int, quantity: str, side: Side | None = None) -> Filled:
    event = make_filled(signal, f"{signal.id}{number}{quantity}", quantity)
    fill = msgspec.structs.replace(event.fill, client_id=client_order_id(signal.id, number), side=side or signal.side)
    return msgspec.structs.replace(event, fill=fill)


def exposure(desk: Desk) -> Decimal:
    return Decimal(str(desk.brain._state.book.exposure(BTC)))


def test_a_flow_counts_once_with_what_it_has_not_filled_until_it_has_ended() -> None:
    desk = Desk()
    signal, _ = approved(desk, TWAP, quantity=D(8))
    assert exposure(desk) == 800
    desk.entry(leg(signal, 1, "2"))
    desk.entry(OrderChanged(signal.id, "trend", leg_order(signal, 1, "2", status=OrderStatus.OPEN)))
    assert exposure(desk) == 800
    desk.entry(leg_filled(signal, 1, "2"))
    desk.entry(OrderChanged(signal.id, "trend", leg_order(signal, 1, "2", status=OrderStatus.FILLED, filled=D(2))))
    assert desk.brain._state.book.bounds(BTC).high == 8
    desk.entry(FlowEnded(signal.id, "trend", BTC, D(2), D(100), "flow", "WITHDRAWN", "", True))
    assert desk.brain._state.book.bounds(BTC).high == 8, "its fills may still be missing"
    desk.entry(Executed(signal.id, "trend", BTC, client_order_id(signal.id), D(2), D(100)))
    assert desk.brain._state.book.bounds(BTC).high == 2


def test_the_exits_of_a_bracket_add_nothing_and_hold_no_room() -> None:
    desk = Desk()
    signal, _ = approved(desk, Bracket(D(110), D(90)), quantity=D(2))
    desk.entry(leg(signal, 1, "2"))
    desk.entry(leg_filled(signal, 1, "2"))
    desk.entry(FlowEnded(signal.id, "trend", BTC, D(2), D(100), "flow", "FILLED", "", True, True))
    desk.entry(Executed(signal.id, "trend", BTC, client_order_id(signal.id), D(2), D(100)))
    desk.entry(leg(signal, 2, "2", Role.TAKE, side=Side.SELL, reduce_only=True))
    bounds = desk.brain._state.book.bounds(BTC)
    assert (bounds.low, bounds.high) == (0, 2), "it may have closed already, and be told of later"
    assert desk.brain._state.book.closable(BTC, Side.SELL) == 2
    assert desk.ask(desk.signal(77, side=Side.BUY, quantity=D(1))).order is not None, "it is no entry under way"


def test_an_exit_of_a_bracket_that_is_out_counts_until_its_fills_are_in() -> None:
    desk = Desk()
    signal, _ = approved(desk, Bracket(D(110), D(90)), quantity=D(2))
    desk.entry(leg(signal, 1, "2"))
    desk.entry(leg_filled(signal, 1, "2"))
    desk.entry(FlowEnded(signal.id, "trend", BTC, D(2), D(100), "flow", "FILLED", "", True, True))
    take = {"side": Side.SELL, "reduce_only": True}
    desk.entry(leg(signal, 2, "2", Role.TAKE, **take))
    desk.entry(Executed(signal.id, "trend", BTC, client_order_id(signal.id), D(2), D(100)))
    desk.approve(desk.signal(77, side=Side.SELL, quantity=D(5), strategy="other"))
    bounds = desk.brain._state.book.bounds(BTC)
    assert (bounds.low, bounds.high) == (-5, 2)
    done = leg_order(signal, 2, "2", status=OrderStatus.FILLED, filled=D(2), **take)
    desk.entry(OrderChanged(signal.id, "trend", done))
    assert desk.brain._state.book.bounds(BTC).low == -5, "its fill is still missing"
    held = msgspec.structs.replace(leg_filled(signal, 2, "2", Side.SELL), position=Position(BTC))
    desk.entry(held)
    bounds = desk.brain._state.book.bounds(BTC)
    assert (bounds.low, bounds.high) == (-5, 0)


def test_nothing_is_left_of_a_flow_that_was_never_sent() -> None:
    desk = Desk()
    desk.hold("2")
    signal, _ = approved(desk, Oco(D(110), D(90)), side=Side.SELL, reduce_only=True, quantity=D(2))
    desk.entry(Blocked(signal.id, "trend", BTC, "connection", "RISK_DOWN", "no link to risk"))
    book = desk.brain._state.book
    assert (book.commitments, book.frames) == ({}, {})


def test_waiting_exits_stand_in_no_other_exits_way() -> None:
    desk = Desk()
    desk.hold("2")
    approved(desk, Oco(D(110), D(90)), side=Side.SELL, reduce_only=True, quantity=D(2))
    verdict = desk.ask(desk.signal(78, side=Side.SELL, reduce_only=True, quantity=D(2)))
    assert verdict.order is not None
    assert verdict.order.quantity == 2


def test_a_leg_of_unknown_outcome_stops_new_exposure_in_its_symbol_alone() -> None:
    desk = Desk()
    signal, _ = approved(desk, TWAP, quantity=D(2))
    desk.entry(leg(signal, 1, "1"))
    desk.entry(OrderChanged(signal.id, "trend", leg_order(signal, 1, "1", status=OrderStatus.UNKNOWN)))
    assert code(desk.ask(desk.signal(80, strategy="other", quantity=D(1)))) == "ORDER_UNKNOWN"
    assert desk.ask(desk.signal(81, symbol="bybit:ETHUSDT", quantity=D(1))).order is not None


def test_a_risk_supervisor_restored_in_mid_flow_counts_the_same() -> None:
    desk = Desk()
    signal, _ = approved(desk, TWAP, quantity=D(8))
    desk.entry(leg(signal, 1, "2"))
    snapshot = desk.brain.snapshot()
    desk.restart(snapshot)
    desk.entry(leg_filled(signal, 1, "2"))
    assert desk.brain._state.book.bounds(BTC).high == 8


# -- the bus -----------------------------------------------------------------------------------


def frame(flow: Flow = TWAP, **changes: Any) -> tuple[Signal, Frame]:
    signal, order = approved(Desk(), flow, quantity=D(4))
    return signal, Frame(msgspec.structs.replace(order, **changes))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"quantity": D(5)}, "expected no more than 4"),
        ({"quantity": D(0)}, "expected an order for"),
        ({"symbol": "bybit:ETHUSDT"}, "expected an order for"),
        ({"side": Side.SELL}, "expected the other side"),
        ({"price": D("100.4")}, "expected a price no worse than 100.3"),
        ({"price": None, "type": OrderType.MARKET}, "a market order"),
        ({"client_id": "bw-OTHER-1-0"}, "expected a client id"),
    ],
)
def test_an_order_outside_of_its_approval_is_refused(changes: dict[str, Any], text: str) -> None:
    signal, held = frame()
    assert held.fault(leg(signal, 1, "4")) == ""
    assert text in held.fault(leg(signal, 1, "4", **changes))


def test_orders_count_together_with_what_they_may_still_fill() -> None:
    signal, held = frame()
    held.planned(leg_order(signal, 1, "3"))
    assert "found 5" in held.fault(leg(signal, 2, "2"))
    held.changed(leg_order(signal, 1, "3", status=OrderStatus.CANCELLED, filled=D(1)))
    assert held.fault(leg(signal, 2, "3")) == ""
    assert "found 5" in held.fault(leg(signal, 2, "4"))


def test_exits_close_no_more_than_was_entered_and_are_reduce_only() -> None:
    signal, held = frame(Bracket(D(110), D(90)))
    exits = {"side": Side.SELL, "reduce_only": True, "price": D(110)}
    held.planned(leg_order(signal, 1, "4"))
    assert "expected no more than 0" in held.fault(leg(signal, 2, "1", Role.TAKE, **exits))
    held.changed(leg_order(signal, 1, "4", status=OrderStatus.CANCELLED, filled=D(2)))
    assert held.fault(leg(signal, 2, "2", Role.TAKE, **exits)) == ""
    assert "expected no more than 2" in held.fault(leg(signal, 2, "3", Role.TAKE, **exits))
    assert "expected a reduce-only" in held.fault(leg(signal, 2, "2", Role.TAKE, **{**exits, "reduce_only": False}))
    held.planned(leg_order(signal, 2, "2", **exits))
    assert "expected no more than 2" in held.fault(leg(signal, 3, "1", Role.STOP, **exits))


def test_a_refused_order_is_on_record_ends_the_flow_and_never_leaves() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Twap(4 * SECOND, 4), "1")
    world.hub._state.ledger.flows[signal.id].order = msgspec.structs.replace(
        world.hub._state.ledger.flows[signal.id].order, quantity=D("0.1")
    )
    world.settle(2 * SECOND)
    assert not world.places
    assert len(world.hub_ctx.events(LegRefused)) == len(world.hub_ctx.events(LifecycleViolation)) == 1
    ended = world.ended(signal)
    assert ended is not None
    assert (ended.code, world.state(signal)) == ("LEG_REFUSED", "BLOCKED")


def test_only_the_connection_of_its_venue_plans_orders_and_ends_flows() -> None:
    world = make_flow_world()
    signal = world.approve_flow(TWAP)
    for message in (leg(signal, 1, "1"), FlowEnded(signal.id, "trend", BTC, D(0), D(0), "flow", "X", "", True)):
        world._tell_bus(message, "strategy/trend/bybit:BTCUSDT")
    assert len(world.hub_ctx.events(LifecycleViolation)) == 2
    assert (world.planned(signal), world.ended(signal)) == ([], None)


def test_a_signal_withdrawn_before_its_verdict_expires() -> None:
    brain, ctx = started()
    signal = Desk().signal()
    ctx.deliver(brain, Emit(signal), f"strategy/trend/{BTC}")
    ctx.deliver(brain, Withdraw(signal.id, BTC, "trend", "no"), f"strategy/trend/{BTC}")
    assert brain._state.ledger.state_of(signal.id) == "EXPIRED"
    ctx.deliver(brain, Withdraw(signal.id, BTC, "trend", "no"), f"strategy/trend/{BTC}")
    assert brain._state.ledger.counters["duplicates"] == 1


def test_a_verdict_for_another_flow_than_was_asked_for_is_refused() -> None:
    world = make_flow_world()
    signal = Desk().signal(5, flow=TWAP)
    _, order = approved(Desk(), Iceberg(D(1)), quantity=D(1))
    world._tell_bus(Emit(signal), EXCHANGE)
    wrong = msgspec.structs.replace(order, signal_id=signal.id, client_id=client_order_id(signal.id))
    world._tell_bus(Verdict(signal.id, (), wrong, attempt=1), "risk")
    assert not world.hub_ctx.events(Approved)
