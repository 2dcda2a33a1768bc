"""How a flow's execution reads from the journal: its status, and the chain of its causes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from actors.bus.turn import keys_of
from bigwheel.errors import UsageError
from bigwheel.executions import execution_status, parse_flow
from bigwheel.why import explain
from exchanges.model.flow import Bracket, Twap
from runtime.journal.memory import MemoryJournal
from tests.unit.brain_context import SECOND
from tests.unit.flow_bench import FlowWorld, make_flow_world

D = Decimal


def journal_of(world: FlowWorld) -> MemoryJournal:
    journal = MemoryJournal()
    for record in world.hub_ctx.records:
        keys = keys_of(record.event)
        journal.append(record.event, ts=record.ts, source="bus", epoch=1, keys=keys, correlation=keys.get("signal", ""))
    journal.commit()
    return journal


def test_a_flow_under_way_is_told_with_its_orders_and_what_is_left() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Twap(4 * SECOND, 4))
    world.settle(1500 * 1_000_000)
    status = execution_status(journal_of(world), signal.id)
    assert (status.state, status.flow, status.working) == ("EXECUTING", "twap", True)
    assert (status.filled, status.remaining, status.average_price) == (D("0.5"), D("0.5"), D(100))
    assert [(leg.role, leg.status, leg.filled, leg.fills) for leg in status.legs] == [
        ("entry", "filled", D("0.25"), 1)
    ] * 2


def test_a_bracket_is_executed_and_works_on_until_its_exits_have_ended() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Bracket(D(110), D(95)))
    world.settle(2 * SECOND)
    status = execution_status(journal_of(world), signal.id)
    assert (status.state, status.working, status.exited) == ("EXECUTED", True, 0)
    world.price(94)
    world.settle(3 * SECOND)
    status = execution_status(journal_of(world), signal.id)
    assert (status.working, status.filled, status.exited, status.reason) == (False, 1, 1, "FILLED")
    assert [(leg.role, leg.status) for leg in status.legs] == [
        ("entry", "filled"),
        ("take_profit", "cancelled"),
        ("stop", "filled"),
    ]


def test_why_shows_legs_with_their_orders_and_fills_in_the_chain() -> None:
    world = make_flow_world()
    signal = world.approve_flow(Bracket(D(110), D(95)))
    world.settle(2 * SECOND)
    world.price(94)
    world.settle(3 * SECOND)
    told = "\n".join(explain(journal_of(world), signal.id))
    expected = [
        "APPROVED as",
        "as a flow: Bracket(",
        f"leg 1.0 (entry) planned as bw-{signal.id}-1-0: buy 1 limit at 101 ioc",
        "why: entry of a bracket",
        f"order bw-{signal.id}-1-0 is filled",
        "the flow's entry ended, its exits go on: FILLED",
        "EXECUTED: 1.000 at 100",
        f"leg 2.0 (take_profit) planned as bw-{signal.id}-2-0: sell 1.000 limit at 110 gtc, reduce-only",
        f"order bw-{signal.id}-2-0 is cancelled",
        f"leg 3.0 (stop) planned as bw-{signal.id}-3-0: sell 1.000 market ioc, reduce-only",
        "why: stop: last=94 below 95",
        "filled 1.000 at 100",
        "the flow ended: FILLED",
        "closed again 1.000",
    ]
    place = 0
    for text in expected:
        place = told.find(text, place)
        assert place >= 0, f"{text!r} is not there, or not in its place:\n{told}"


def test_an_id_nobody_knows_is_refused() -> None:
    with pytest.raises(UsageError, match="expected the id of a signal"):
        execution_status(MemoryJournal(), "nothing")


def test_a_flow_is_read_from_json() -> None:
    assert parse_flow('{"kind": "twap", "duration_ns": 60, "slices": 6}') == Twap(60, 6)
    with pytest.raises(UsageError, match="expected a flow as JSON"):
        parse_flow('{"kind": "magic"}')
