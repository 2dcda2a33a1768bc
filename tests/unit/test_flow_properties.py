"""Flows under anything the venue, the bus and crashes can do: never too much, never twice, always an end."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.messages.control import Control
from actors.messages.orders import LegRefused
from actors.messages.signals import Executed
from exchanges.model.flow import (
    Bracket,
    Chase,
    Conditional,
    Direction,
    Flow,
    Iceberg,
    Oco,
    Rest,
    TrailingStop,
    Trigger,
    Twap,
    protects,
)
from exchanges.model.order import Side
from exchanges.model.trigger import StopOrders
from runtime.lifecycle import Stopping
from tests.unit.brain_context import SECOND
from tests.unit.brain_samples import BTC
from tests.unit.exchange_bench import entry_of
from tests.unit.flow_bench import MS, FlowWorld, make_flow_world

D = Decimal
FLOWS: tuple[Flow, ...] = (
    Twap(6 * SECOND, 4),
    Iceberg(D("0.3"), 8 * SECOND),
    Rest(5 * SECOND),
    Rest(5 * SECOND, post_only=False),
    Chase(1, SECOND // 2, 3, 4 * SECOND),
    Conditional((Trigger(Direction.ABOVE, D(102)), Trigger(Direction.BELOW, D(98))), lifetime_ns=9 * SECOND),
    Bracket(D(103), D(97), lifetime_ns=12 * SECOND),
    Bracket(None, D(97), D(1), 12 * SECOND),
    Oco(D(103), D(97), 12 * SECOND),
    TrailingStop(D(1), 12 * SECOND),
)
FATES = ("fill", "rest", "half", "not_sent", "lost_before", "lost_after", "rejected")
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("flow"), st.integers(0, len(FLOWS) - 1)),
        st.tuples(st.just("fate"), st.sampled_from(FATES)),
        st.tuples(st.just("price"), st.sampled_from([96, 98, 99, 100, 101, 102, 104])),
        st.tuples(st.just("arrive"), st.integers(0, 5)),
        st.tuples(st.just("lose"), st.integers(0, 5)),
        st.tuples(st.just("time"), st.sampled_from([100, 300, 1000, 4000])),
        st.tuples(st.just("fill"), st.integers(0, 5)),
        st.tuples(st.just("beat"), st.integers(1, 9)),
        st.tuples(st.just("withdraw"), st.integers(0, 5)),
        st.tuples(st.sampled_from(["save", "settle", "halt", "refuse", "bus_dies", "bus_lives", "stop"]), st.just(0)),
        st.tuples(st.just("crash"), st.integers(0, 3)),
    ),
    min_size=10,
    max_size=40,
)


def act(world: FlowWorld, action: str, value: int | str, number: int) -> None:
    if action == "flow":
        flow = FLOWS[int(value)]
        world.approve_flow(flow, "1.003", side=Side.SELL if protects(flow) else Side.BUY, strategy=f"s{number}")
    elif action == "fate":
        world.plan.append(str(value))
    elif action == "price":
        world.price(float(value))
    elif action == "arrive" and world.inbox:
        world.inbox.rotate(-int(value) % len(world.inbox))
        world.run(world.inbox.popleft())
    elif action == "lose" and world.inbox:
        del world.inbox[int(value) % len(world.inbox)]
    elif action == "time":
        world.pass_time(int(value) * MS)
    elif action == "fill":
        resting = [order for order in world.orders.values() if not order.status.final]
        if resting:
            chosen = resting[int(value) % len(resting)]
            world.fill(chosen.client_id, chosen.remaining / 2)
    elif action == "beat":
        world.beaten = D(int(value)) / 10
    elif action == "withdraw" and world.signals:
        world.withdraw(world.signals[int(value) % len(world.signals)])
    else:
        interfere(world, action, int(value), number)


def interfere(world: FlowWorld, action: str, value: int, number: int) -> None:
    if action == "save":
        world.save()
    elif action == "settle":
        world.deliver_all()
    elif action == "halt":
        world.run(Control(f"c{number}", "halt" if number % 2 else "resume", "me"))
    elif action == "refuse":
        world.refuse_amends = not world.refuse_amends
    elif action == "bus_dies":
        world.bus_down = True
    elif action == "bus_lives":
        world.crash_bus()
    elif action == "stop":
        world.run(Stopping("test"))
        world.deliver_all()
        world.crash()
    elif action == "crash":
        if world.cursor < len(world.journal):
            world.cursor += 1
            world.run(entry_of(world.journal[world.cursor - 1], world.cursor, ts=world.ctx.now), lost=value)
        world.crash()


def check(world: FlowWorld) -> None:
    """At every moment: nothing beyond an approval, no client id twice, exits within what was entered.

    Of exits that stand side by side each stays within that on its own.
    """
    assert world.duplicates == []
    for signal in world.signals:
        for stands in (True, False):
            legs = [order for order in world.legs(signal) if (order.trigger is not None) is stands]
            book = [order for order in legs if order.side is signal.side]
            most = sum((order.filled if order.status.final else order.quantity for order in book), D(0))
            assert most <= D("1.003")
            closed = sum((order.filled for order in legs if order.side is not signal.side), D(0))
            assert signal.reduce_only or closed <= world.filled(signal, signal.side)


@pytest.mark.parametrize("stops", [None, StopOrders(), StopOrders(beside=False, amend=False)])
@settings(max_examples=150, deadline=None)
@given(ACTIONS)
def test_whatever_happens_no_flow_exceeds_its_approval_and_each_ends_with_exact_sums(
    stops: StopOrders | None, actions: list[tuple[str, int | str]]
) -> None:
    world = make_flow_world(stops)
    for number, (action, value) in enumerate(actions):
        act(world, action, value, number)
        check(world)
    world.plan.clear()
    world.crash_bus()
    for number in range(16):
        world.run(Control(f"end{number}", "resume", "me"))
        world.settle(4 * SECOND, SECOND)
        world.price(100)
    check(world)
    for signal in world.signals:
        ended = world.ended(signal)
        if world.state(signal) in ("BLOCKED", "EXPIRED") and ended is None:
            continue
        assert ended is not None, (signal.flow, world.brain.status()["flows"])
        assert ended.filled == world.filled(signal, signal.side)
        assert world.state(signal) == ("EXECUTED" if ended.filled else world.state(signal))
        if not signal.reduce_only:
            assert ended.exited == world.filled(signal, signal.side.opposite)
    assert world.hub_ctx.events(LegRefused) == []
    told = {event.signal_id: event.filled for event in world.hub_ctx.events(Executed)}
    assert all(told[signal.id] == world.filled(signal, signal.side) for signal in world.signals if signal.id in told)
    assert sorted(world.journaled()) == sorted(fill.execution_id for fill in world.fills)
    assert max(Counter(place.client_id for place in world.places).values(), default=0) <= world.settings.place_tries
    held = world.brain.state.positions.get(BTC)
    assert (held.quantity if held else D(0)) == world.position
    assert not world.brain.state.active
    assert not world.brain.state.flows
    assert not world.hub._state.ledger.flows


def test_a_halt_that_ended_a_brackets_entry_leaves_its_exits_alive_after_a_crash() -> None:
    world = make_flow_world()
    world.plan.append("half")
    world.save()
    signal = world.approve_flow(Bracket(D(103), D(97), lifetime_ns=60 * SECOND))
    while not world.places:
        world.entry(world.cursor)
    world.run(Control("c1", "halt", "me"))
    world.settle(SECOND)
    world.run(Control("c2", "resume", "me"))
    world.settle(SECOND)
    world.crash()
    world.settle(8 * SECOND)
    assert world.ended(signal) is None
    world.price(96)
    world.settle(4 * SECOND)
    ended = world.ended(signal)
    assert ended is not None
    assert (ended.filled, ended.exited, world.position) == (D("0.5"), D("0.5"), 0)
