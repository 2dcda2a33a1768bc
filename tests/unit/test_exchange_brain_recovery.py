"""Crashes and disorder: whatever comes in whatever order, the books end where the venue's are."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.exchange.brain import ExchangeBrain
from actors.messages.control import Control, ControlTaken
from actors.messages.orders import Filled, OrderChanged, Paid
from actors.messages.signals import Approved, Unsent
from exchanges.model.order import OrderStatus
from exchanges.model.venue import FillReport, OrderReport, Outcome, PlaceOrder, QueryOrder
from runtime.lifecycle import CaughtUp
from runtime.message import Message
from tests.unit.brain_context import SECOND, FakeContext, entry_of
from tests.unit.brain_samples import BTC, EXCHANGE
from tests.unit.exchange_bench import (
    World,
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


# -- reports in any order --------------------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn) -> tuple[OrderStatus, int, list[int]]:
    """How an order ended, in how many fills, and the reports' order with repeats."""
    ending = draw(st.sampled_from([OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.EXPIRED]))
    fills = draw(st.integers(1 if ending is OrderStatus.FILLED else 0, 4))
    reports = list(range(2 + 2 * fills))
    return ending, fills, draw(st.permutations(reports + draw(st.lists(st.sampled_from(reports), max_size=4))))


@settings(max_examples=150, deadline=None)
@given(histories())
def test_any_order_and_repetition_of_reports_ends_in_the_venues_truth(
    history: tuple[OrderStatus, int, list[int]],
) -> None:
    ending, count, sequence = history
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    part = D("0.2") if ending is not OrderStatus.FILLED else D(1) / count if count != 3 else D("0.25")
    sizes = [part] * count
    if ending is OrderStatus.FILLED:
        sizes[-1] = D(1) - part * (count - 1)
    fills = [venue_fill(order, f"e{n}", str(size), str(100 + n)) for n, size in enumerate(sizes)]
    totals = [sum(sizes[: n + 1], D(0)) for n in range(count)]
    reports: list[Message] = [
        OrderReport(venue_order(order, OrderStatus.OPEN)),
        OrderReport(venue_order(order, ending, str(sum(sizes, D(0))))),
        *(FillReport(fill) for fill in fills),
        *(OrderReport(venue_order(order, OrderStatus.PARTIALLY_FILLED, str(total))) for total in totals),
    ]
    tell(brain, ctx, *(reports[n] for n in sequence))
    tell(brain, ctx, result(order, Outcome.ACCEPTED))
    told = last_order(ctx)
    assert (told.status, told.filled) == (ending, sum(sizes, D(0)))
    assert brain.state.positions[BTC].quantity == sum(sizes, D(0))
    assert sorted(f.fill.execution_id for f in ctx.sent(Filled)) == sorted(f.execution_id for f in fills)
    assert not brain.state.active


@settings(max_examples=60, deadline=None)
@given(histories(), st.integers(0, 12))
def test_statuses_told_to_the_bus_only_move_forward(history: tuple[OrderStatus, int, list[int]], _cut: int) -> None:
    ending, count, sequence = history
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    reports: list[Message] = [
        OrderReport(venue_order(order, OrderStatus.OPEN)),
        OrderReport(venue_order(order, ending, "1")),
        *(FillReport(venue_fill(order, f"e{n}", "0.2")) for n in range(count)),
        *(OrderReport(venue_order(order, OrderStatus.PARTIALLY_FILLED, "0.1")) for _ in range(count)),
    ]
    tell(brain, ctx, *(reports[n] for n in sequence))
    told = [o.order for o in ctx.sent(OrderChanged)]
    rank = {OrderStatus.SENT: 0, OrderStatus.OPEN: 1, OrderStatus.PARTIALLY_FILLED: 2}
    ranks = [rank.get(o.status, 3) for o in told]
    assert ranks == sorted(ranks)
    assert [o.filled for o in told] == sorted(o.filled for o in told)


# -- one crash -------------------------------------------------------------------------------


def restarted(*events: Message) -> tuple[ExchangeBrain, FakeContext]:
    """A successor without a snapshot that has replayed ``events``; the venue is not yet asked."""
    brain, ctx = make_brain(), FakeContext(EXCHANGE, journal=False, epoch=2)
    ctx.start(brain)
    for number, event in enumerate(events, 1):
        ctx.deliver(brain, entry_of(event, number), "bus")
    connect(brain, ctx)
    assert not ctx.sent(PlaceOrder)
    ctx.deliver(brain, CaughtUp(len(events)), "bus")
    return brain, ctx


def outbox_row(ordinal: int = 0) -> Approved:
    order = approved(ordinal)
    return Approved(order.signal_id, order.strategy, order.symbol, order)


def test_an_approval_from_before_the_crash_is_asked_about_before_anything_is_sent() -> None:
    row = outbox_row()
    brain, ctx = restarted(row)
    reconcile(brain, ctx)
    assert [q.client_id for q in ctx.sent(QueryOrder)] == [row.order.client_id]
    assert not ctx.sent(PlaceOrder)
    tell(brain, ctx, result(row.order, Outcome.NOT_FOUND, QueryOrder))
    ctx.advance(brain, SECOND)
    assert not ctx.sent(PlaceOrder)
    ctx.advance(brain, 2 * SECOND)
    assert len(ctx.sent(QueryOrder)) == 2
    tell(brain, ctx, result(row.order, Outcome.NOT_FOUND, QueryOrder))
    assert [p.client_id for p in ctx.sent(PlaceOrder)] == [row.order.client_id]


def test_an_approval_from_before_the_crash_that_the_venue_lists_is_never_sent_again() -> None:
    row = outbox_row()
    brain, ctx = restarted(row)
    reconcile(brain, ctx, orders=(venue_order(row.order, OrderStatus.OPEN),))
    ctx.advance(brain, 5 * SECOND)
    assert not ctx.sent(PlaceOrder)
    assert last_order(ctx).status is OrderStatus.OPEN


def test_an_approval_that_expired_during_the_crash_is_reported_unsent() -> None:
    row = outbox_row()
    brain, ctx = restarted(row)
    ctx.now = row.order.expires_ns
    for _ in range(2):
        reconcile(brain, ctx)
        tell(brain, ctx, result(row.order, Outcome.NOT_FOUND, QueryOrder))
        ctx.advance(brain, 3 * SECOND)
    assert [(u.expired, u.client_id) for u in ctx.sent(Unsent)] == [(True, row.order.client_id)]
    assert not ctx.sent(PlaceOrder)


def test_an_order_the_journal_shows_as_sent_is_never_sent_again() -> None:
    row = outbox_row()
    sent = msgspec.structs.replace(venue_order(row.order, OrderStatus.SENT), venue_id="")
    brain, ctx = restarted(row, OrderChanged(row.signal_id, row.strategy, sent, attempted_ns=ctx_now(row)))
    reconcile(brain, ctx)
    for _ in range(3):
        tell(brain, ctx, result(row.order, Outcome.NOT_FOUND, QueryOrder))
        ctx.advance(brain, 3 * SECOND)
    assert not ctx.sent(PlaceOrder)
    assert last_order(ctx).status is OrderStatus.REJECTED


def ctx_now(row: Approved) -> int:
    return row.order.approved_ns


def test_nothing_new_is_sent_while_an_old_approval_is_unresolved() -> None:
    brain, ctx = restarted(outbox_row(0))
    reconcile(brain, ctx)
    approve(brain, ctx, approved(1, now=ctx.now), 2)
    assert ctx.sent(Unsent)[-1].code == "NOT_RECONCILED"


def test_a_halt_survives_the_loss_of_the_snapshot() -> None:
    brain, _ctx = restarted(ControlTaken("c1", "halt", "me", EXCHANGE))
    assert brain.status()["trading"] == "HALTED"


def test_positions_are_rebuilt_from_the_journal_alone() -> None:
    brain, ctx = live()
    order = approve(brain, ctx, approved())
    tell(brain, ctx, FillReport(venue_fill(order, "e1", "0.4")), FillReport(venue_fill(order, "f", "2", client_id="")))
    journal: list[Message] = [Approved(order.signal_id, order.strategy, order.symbol, order)]
    journal += [s.message for s in ctx.sends if s.to == "bus" and type(s.message).__name__ in ("Filled", "Repaired")]
    successor, later = restarted(*journal)
    assert successor.state.positions[BTC] == brain.state.positions[BTC]
    tell(successor, later, FillReport(venue_fill(order, "e1", "0.4")))
    assert successor.state.positions[BTC] == brain.state.positions[BTC]


# -- any crash -------------------------------------------------------------------------------

ACTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("approve"),
            st.sampled_from(["fill", "rest", "half", "not_sent", "lost_before", "lost_after", "rejected"]),
        ),
        st.tuples(st.just("arrive"), st.integers(0, 5)),
        st.tuples(st.just("lose"), st.integers(0, 5)),
        st.tuples(st.just("time"), st.sampled_from([100, 300, 1000, 4000])),
        st.tuples(st.just("fill"), st.integers(0, 5)),
        st.tuples(st.just("pay"), st.integers(-3, 3)),
        st.tuples(st.just("save"), st.just(0)),
        st.tuples(st.just("crash"), st.integers(0, 3)),
        st.tuples(st.just("settle"), st.just(0)),
        st.tuples(st.just("halt"), st.just(0)),
    ),
    min_size=12,
    max_size=40,
)


def act(world: World, action: str, value: int | str, number: int) -> None:
    if action == "approve":
        world.plan.append(str(value))
        world.approve(approved(number, now=world.ctx.now))
        if world.cursor == len(world.journal) - 1:
            world.entry(world.cursor)
    elif action == "settle":
        world.deliver_all()
    elif action == "arrive" and world.inbox:
        world.inbox.rotate(-int(value) % len(world.inbox))
        world.run(world.inbox.popleft())
    elif action == "lose" and world.inbox:
        del world.inbox[int(value) % len(world.inbox)]
    elif action == "time":
        world.pass_time(int(value) * 1_000_000)
    elif action == "fill":
        resting = [o for o in world.orders.values() if not o.status.final]
        if resting:
            chosen = resting[int(value) % len(resting)]
            world.fill(chosen.client_id, chosen.remaining / 2)
    elif action == "pay":
        world.pay(D(value) / 7)
    elif action == "save":
        world.save()
    elif action == "crash":
        if world.cursor < len(world.journal):
            world.cursor += 1
            world.run(entry_of(world.journal[world.cursor - 1], world.cursor, ts=world.ctx.now), lost=int(value))
        world.crash()
    elif action == "halt":
        world.run(Control(f"c{number}", "halt" if number % 2 else "resume", "me"))


@settings(max_examples=120, deadline=None)
@given(ACTIONS)
def test_no_crash_no_loss_and_no_disorder_doubles_an_order_or_loses_a_fill(
    actions: list[tuple[str, int | str]],
) -> None:
    world = World()
    world.begin()
    world.deliver_all()
    for number, (action, value) in enumerate(actions):
        act(world, action, value, number)
    world.plan.clear()
    for _ in range(12):
        world.deliver_all()
        world.pass_time(5 * SECOND)
    world.deliver_all()
    assert world.duplicates == []
    held = world.brain.state.positions.get(BTC)
    assert (held.quantity if held else D(0)) == world.position
    for client_id, order in world.orders.items():
        ours = world.brain.state.find(client_id)
        assert ours is not None, client_id
        assert (ours.status, ours.executed) == (order.status, order.filled)
    assert not world.brain.state.active
    assert not world.brain.state.halted
    journaled = [e.fill.execution_id for e in world.journal if isinstance(e, Filled)]
    assert sorted(journaled) == sorted(f.execution_id for f in world.fills)
    paid = [e for e in world.journal if isinstance(e, Paid)]
    assert sorted(e.payment_id for e in paid) == sorted(p.payment_id for p in world.payments)
    assert (held.payments if held else D(0)) == sum((e.amount for e in paid), D(0))
