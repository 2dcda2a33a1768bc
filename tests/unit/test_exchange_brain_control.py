"""The exchange connection's brain: what leaves, what doesn't, and what is told of it."""

from __future__ import annotations

from decimal import Decimal

from actors.exchange.brain import ExchangeBrain
from actors.messages.control import Control, ControlTaken, TradingState, TradingStateChanged
from actors.messages.signals import Unsent
from exchanges.model.order import OrderStatus, Side
from exchanges.model.venue import (
    VENUE_PORT,
    CancelAll,
    CancelOrder,
    FetchState,
    OrderReport,
    Outcome,
    PlaceOrder,
    VenuePosition,
)
from runtime.lifecycle import CaughtUp, PeerDown, Stopping
from tests.unit.brain_context import SECOND, FakeContext, entry_of
from tests.unit.brain_samples import BTC, ETH, EXCHANGE
from tests.unit.exchange_bench import (
    approve,
    approved,
    connect,
    live,
    make_brain,
    reconcile,
    result,
    tell,
    venue_order,
)

D = Decimal


def unsent_code(ctx: FakeContext) -> str:
    return ctx.sent(Unsent, "bus")[-1].code


# -- control ---------------------------------------------------------------------------------


def test_a_halt_cancels_what_works_and_stays_until_it_is_resumed() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, OrderReport(venue_order(order, OrderStatus.OPEN)))
    ctx.deliver(brain, Control("c1", "halt", "me", "news"))
    assert [c.client_id for c in ctx.sent(CancelOrder)] == [order.client_id]
    assert ctx.sent(ControlTaken, "bus")[-1].control_id == "c1"
    successor = ExchangeBrain(brain.settings)
    successor.restore(brain.snapshot())
    approve(brain, ctx, approved(1, reduce_only=True), seq=2)
    assert unsent_code(ctx) == "TRADING_HALTED"
    assert successor.status()["trading"] == "HALTED"
    ctx.deliver(brain, Control("c2", "resume", "me"))
    approve(brain, ctx, approved(2, now=ctx.now), seq=3)
    assert len(ctx.sent(PlaceOrder)) == 2


def test_a_control_with_a_known_id_changes_nothing() -> None:
    brain, ctx = live()
    ctx.deliver(brain, Control("c1", "halt", "me"))
    ctx.deliver(brain, Control("c2", "resume", "me"))
    ctx.deliver(brain, Control("c1", "halt", "me"))
    assert brain.status()["trading"] == "ACTIVE"
    assert len(ctx.sent(ControlTaken)) == 2


def test_reducing_cancels_only_what_may_add_exposure() -> None:
    brain, ctx = live()
    adding, closing = approve(brain, ctx, approved(0)), approve(brain, ctx, approved(1, reduce_only=True), 2)
    for order in (adding, closing):
        tell(brain, ctx, OrderReport(venue_order(order, OrderStatus.OPEN)))
    ctx.deliver(brain, Control("c1", "reduce", "me"))
    assert [c.client_id for c in ctx.sent(CancelOrder)] == [adding.client_id]


def test_a_resume_does_not_lift_what_risk_has_halted() -> None:
    brain, ctx = live()
    ctx.deliver(brain, entry_of(TradingStateChanged(TradingState.HALTED, "drawdown", "risk"), 1))
    ctx.deliver(brain, Control("c1", "resume", "me"))
    approve(brain, ctx, approved(), 2)
    assert unsent_code(ctx) == "TRADING_HALTED"


def test_a_panic_closes_every_position_until_the_venue_has_none() -> None:
    brain, ctx = live()
    held = (VenuePosition(BTC, D("150"), D(100), D(100)), VenuePosition(ETH, D("-2"), D(50), D(50)))
    ctx.deliver(brain, PeerDown("bus"))
    ctx.deliver(brain, Control("c1", "panic", "me", "run"))
    assert ctx.sent(CancelAll) == [CancelAll()]
    assert ctx.sent(FetchState)
    reconcile(brain, ctx, positions=held)
    closing = ctx.sent(PlaceOrder)
    assert [(o.symbol, o.side, o.quantity) for o in closing] == [
        (BTC, Side.SELL, D(100)),
        (BTC, Side.SELL, D(50)),
        (ETH, Side.BUY, D(2)),
    ]
    assert all(o.reduce_only and len(o.client_id) <= 36 and o.client_id.startswith("bw-P") for o in closing)
    for order in closing:
        tell(brain, ctx, result(order, Outcome.UNKNOWN))
    ctx.advance(brain, 7 * SECOND)
    reconcile(brain, ctx, positions=held[1:])
    again = ctx.sent(PlaceOrder)[3:]
    assert [o.symbol for o in again] == [ETH]
    assert again[0].client_id not in {o.client_id for o in closing}
    ctx.advance(brain, 2 * SECOND)
    reconcile(brain, ctx)
    assert ctx.sent(ControlTaken)[-1].action == "panic-flat"
    assert brain.status()["trading"] == "HALTED"


def test_a_panic_needs_neither_bus_nor_risk_and_survives_a_crash_while_they_are_down() -> None:
    brain, ctx = live()
    for peer in ("bus", "risk"):
        ctx.deliver(brain, PeerDown(peer))
    ctx.deliver(brain, Control("p1", "panic", "me"))
    assert ctx.sent(CancelAll, VENUE_PORT)
    assert brain.state.latch is TradingState.HALTED
    again = make_brain()
    again.restore(brain.snapshot())
    successor = FakeContext(EXCHANGE, journal=False, epoch=2, now=ctx.now + SECOND)
    successor.start(again, restored=True)
    connect(again, successor)
    successor.deliver(again, CaughtUp(0), "bus")
    reconcile(again, successor, positions=(VenuePosition(BTC, D(2), D(100)),))
    closing = successor.sent(PlaceOrder, VENUE_PORT)
    assert [(order.side, order.quantity, order.reduce_only) for order in closing] == [(Side.SELL, D(2), True)]
    assert again.state.latch is TradingState.HALTED
    successor.deliver(again, Control("p0", "resume", "me"))
    assert again.state.latch is TradingState.ACTIVE, "only a resume lifts it"


def test_a_panic_goes_on_after_a_crash_under_new_ids() -> None:
    brain, ctx = live()
    held = (VenuePosition(BTC, D("1"), D(100), D(100)),)
    ctx.deliver(brain, Control("c1", "panic", "me"))
    snapshot = brain.snapshot()
    reconcile(brain, ctx, positions=held)
    first = ctx.sent(PlaceOrder)
    successor = make_brain()
    successor.restore(snapshot)
    ctx.epoch += 1
    ctx.clear()
    ctx.start(successor, restored=True, caught_up=0)
    ctx.advance(successor, 2 * SECOND)
    reconcile(successor, ctx, positions=held)
    second = ctx.sent(PlaceOrder)
    assert len(first) == len(second) == 1
    assert first[0].client_id != second[0].client_id


def test_stopping_cancels_working_orders() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, OrderReport(venue_order(order, OrderStatus.OPEN)))
    ctx.deliver(brain, Stopping("deploy"))
    assert [c.client_id for c in ctx.sent(CancelOrder)] == [order.client_id]


def test_what_is_approved_while_the_connection_stops_is_given_up_and_never_sent() -> None:
    brain, ctx = live()
    ctx.deliver(brain, Stopping("deploy"))
    approve(brain, ctx, approved())
    assert ctx.sent(PlaceOrder) == []
    assert unsent_code(ctx) == "STOPPING"
    assert brain.status()["working"] == []
