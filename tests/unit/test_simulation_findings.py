"""What the simulation found, as small tests of the brains concerned."""

from __future__ import annotations

from decimal import Decimal

from actors.messages.control import Control, ControlTaken
from actors.messages.orders import Filled, OrderChanged
from exchanges.model.order import OrderStatus
from exchanges.model.venue import FillReport, OrderReport
from runtime.lifecycle import CaughtUp
from runtime.message import Message
from tests.unit.brain_context import FakeContext, entry_of
from tests.unit.exchange_bench import (
    EXCHANGE,
    approve,
    approved,
    connect,
    live,
    make_brain,
    reconcile,
    tell,
    venue_fill,
    venue_order,
)


def test_an_order_that_ended_while_its_sender_was_restarting_is_told_to_the_bus() -> None:
    brain, ctx = make_brain(), FakeContext(EXCHANGE, epoch=2, journal=False)
    ctx.start(brain, restored=True)
    order = approve(brain, ctx, approved())
    ctx.deliver(brain, CaughtUp(1), "bus")
    connect(brain, ctx)
    reconcile(brain, ctx)
    ctx.clear()
    tell(brain, ctx, OrderReport(venue_order(order, OrderStatus.CANCELLED)))
    assert [each.order.status for each in ctx.sent(OrderChanged, "bus")] == [OrderStatus.CANCELLED]


def test_a_fill_that_comes_before_the_replay_has_ended_is_counted_for_its_order_all_the_same() -> None:
    brain, ctx = make_brain(), FakeContext(EXCHANGE, epoch=2, journal=False)
    order, first, second = approved(), venue_fill(approved(), "e1", "0.4"), venue_fill(approved(), "e2", "0.6")
    ctx.start(brain, restored=True)
    connect(brain, ctx)
    tell(brain, ctx, FillReport(first))
    approve(brain, ctx, order)
    ctx.deliver(brain, CaughtUp(1), "bus")
    tell(brain, ctx, FillReport(second))
    reconcile(brain, ctx, fills=(first, second))
    told = ctx.sent(Filled, "bus")
    assert sorted(each.fill.execution_id for each in told) == ["e1", "e2"]
    assert {each.strategy for each in told} == {order.strategy}
    assert ctx.sent(OrderChanged, "bus")[-1].order.filled == Decimal(1)


def test_what_a_predecessor_left_unsaid_is_said_before_anything_new_and_only_its_turn_confirms_it() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, FillReport(venue_fill(order, "e1", "0.4")))
    left, successor, later = brain.snapshot(), make_brain(), FakeContext(EXCHANGE, epoch=2, journal=False)
    successor.restore(left)
    later.start(successor, restored=True)
    later.deliver(successor, Control("c1", "halt", "me"))
    assert not later.sent(ControlTaken, "bus")
    later.deliver(successor, CaughtUp(1), "bus")
    told = [type(each) for each in later.sent(Message, "bus") if isinstance(each, Filled | ControlTaken)]
    assert told == [Filled, ControlTaken]
    later.deliver(successor, entry_of(later.sent(Filled, "bus")[0], 2), "bus")
    assert list(successor.state.unconfirmed)[-1] == "control/c1"
