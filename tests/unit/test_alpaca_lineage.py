"""Chains of replaced orders and their executions: one order of ours, nothing lost, nothing twice."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.alpaca import wire
from exchanges.alpaca.lineage import Lineage, Node, root_of, successor_of
from exchanges.alpaca.reporter import Reporter, message
from exchanges.alpaca.values import WireError, rfc3339
from exchanges.alpaca.wire import Execution
from exchanges.model.order import Order, OrderStatus, Side
from exchanges.model.venue import FillReport, OrderReport
from runtime.lifecycle import DeadLetter

D = Decimal
ROOT = "bw-ABCDEFGHIJKLMNOPQRST-0-1"


def row(order_id: str = "o0", status: str = "new", filled: str = "0", at: int = 1, **changes: Any) -> dict[str, Any]:
    """One of the venue's orders; the number in its id is its generation."""
    generation = int(order_id[1:])
    told: dict[str, Any] = {
        "id": order_id,
        "client_order_id": f"{ROOT}.r{generation}" if generation else ROOT,
        "symbol": "AAPL",
        "asset_class": "us_equity",
        "qty": "10",
        "filled_qty": filled,
        "side": "buy",
        "type": "limit",
        "limit_price": str(100 + generation),
        "time_in_force": "gtc",
        "status": status,
        "submitted_at": rfc3339(1000 + generation),
        "updated_at": rfc3339(2000 + at),
        "replaces": f"o{generation - 1}" if generation else None,
    }
    return {**told, **changes}


class Bench:
    """A reporter with what it asked to be looked up."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.lineage = Lineage(self.counters)
        self.asked: list[str] = []
        self.reporter = Reporter(self.lineage, D("0.0025"), self.asked.append, self.counters)

    def add(self, *rows: dict[str, Any]) -> Node:
        return [self.lineage.add(wire.order(one)) for one in rows][-1]

    def view(self) -> Order | None:
        return self.lineage.view(ROOT)

    def push(self, event: str, order: dict[str, Any], **more: Any) -> list[Any]:
        told = {"event": event, "order": order, "timestamp": rfc3339(5), **more}
        return list(self.reporter.take(told))

    def fills(self, event: str, order: dict[str, Any], quantity: str) -> list[tuple[str, Decimal]]:
        made = self.push(event, order, qty=quantity, price="100")
        return [(m.fill.execution_id, m.fill.quantity) for m in made if isinstance(m, FillReport)]


def execution(order_id: str, cumulative: str, quantity: str) -> Execution:
    return Execution(order_id, D(cumulative), D(quantity), D(100), Side.BUY, 5)


# -- names ---------------------------------------------------------------------------------------


@given(st.text("ABCDEFGHIJ0123456789-_bw", min_size=1, max_size=36), st.integers(1, 30))
def test_every_generation_leads_back_to_the_order_it_began_with(client_id: str, generations: int) -> None:
    name = client_id
    for _ in range(generations):
        name = successor_of(name)
    assert root_of(name) == client_id
    assert name == f"{client_id}.r{generations}"


# -- chains --------------------------------------------------------------------------------------


def test_a_replaced_order_lives_on_in_its_successor() -> None:
    bench = Bench()
    bench.add(row("o0", "replaced", at=3, replaced_by="o1"), row("o1", "new", at=2))
    view = bench.view()
    assert view is not None
    assert (view.client_id, view.venue_id, view.price, view.status) == (ROOT, "o1", D(101), OrderStatus.OPEN)
    assert view.updated_ns == 2003


def test_a_replaced_order_whose_successor_is_unknown_is_not_told() -> None:
    bench = Bench()
    bench.add(row("o0", "replaced"))
    assert bench.view() is None


def test_a_successor_whose_ancestors_are_unknown_is_not_told() -> None:
    bench = Bench()
    bench.add(row("o1", "new"))
    assert bench.view() is None


@pytest.mark.parametrize("status", ["pending_new", "accepted", "rejected"])
def test_a_replacement_that_is_not_there_or_refused_leaves_the_first_order_standing(status: str) -> None:
    bench = Bench()
    bench.add(row("o0", "partially_filled", "4"), row("o1", status))
    view = bench.view()
    assert view is not None
    assert (view.venue_id, view.quantity, view.filled) == ("o0", D(10), D(4))
    bench.add(row("o0", "filled", "10", at=5))
    view = bench.view()
    assert view is not None and view.status is OrderStatus.FILLED


def test_what_was_filled_before_the_replacement_counts_on_top_where_it_was_not_carried_over() -> None:
    bench = Bench()
    bench.add(row("o0", "replaced", "4", replaced_by="o1"), row("o1", "new", qty="6"))
    view = bench.view()
    assert view is not None
    assert (view.quantity, view.filled, view.status) == (D(10), D(4), OrderStatus.PARTIALLY_FILLED)


def test_what_was_carried_over_to_the_replacement_counts_once() -> None:
    bench = Bench()
    bench.add(row("o0", "replaced", "4", replaced_by="o1"), row("o1", "partially_filled", "7"))
    assert bench.view() is None
    for found in (execution("o0", "4", "4"), execution("o1", "7", "3")):
        bench.lineage.fetched(found)
    assert bench.lineage.settle(ROOT)
    view = bench.view()
    assert view is not None
    assert (view.quantity, view.filled) == (D(10), D(7))


def test_a_chain_whose_executions_are_missing_is_not_settled() -> None:
    bench = Bench()
    bench.add(row("o0", "partially_filled", "4"))
    assert not bench.lineage.settle(ROOT)
    bench.lineage.fetched(execution("o0", "4", "4"))
    assert bench.lineage.settle(ROOT)


def test_a_successor_under_a_name_of_the_venues_is_ours_once_its_predecessor_is_known() -> None:
    bench = Bench()
    node = bench.add(row("o1", "new", client_order_id="f2b1"))
    assert node.root is None
    bench.add(row("o0", "replaced", replaced_by="o1"))
    assert node.root == ROOT
    view = bench.view()
    assert view is not None and view.venue_id == "o1"


def test_an_older_view_does_not_undo_a_newer_one() -> None:
    bench = Bench()
    bench.add(row("o0", "canceled", at=9), row("o0", "new", at=1))
    view = bench.view()
    assert view is not None and view.status is OrderStatus.CANCELLED


@pytest.mark.parametrize("later", [row("o0", "filled", "10"), row("o0", "replaced"), row("o0", "new")])
def test_of_two_views_with_the_same_time_the_one_that_is_further_counts(later: dict[str, Any]) -> None:
    bench = Bench()
    for rows in ((row("o0", "pending_new"), later), (later, row("o0", "pending_new"))):
        bench.add(*rows)
        node = bench.lineage.get("o0")
        assert node is not None and node.order.status == later["status"]


def test_the_oldest_ended_orders_are_forgotten_and_no_working_one() -> None:
    lineage = Lineage(Counter(), capacity=40)
    for number in range(100):
        status = "new" if number < 5 else "canceled"
        lineage.add(wire.order(row(status=status, id=f"x{number}", client_order_id=f"c{number}")))
    assert len(lineage) <= 41
    assert all(lineage.get(f"x{number}") for number in range(5))


# -- executions ----------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.data())
def test_whatever_the_stream_loses_repeats_or_shows_too_late_nothing_is_named_wrongly(
    parts: list[int], data: st.DataObject
) -> None:
    """Each execution told has its own true name and quantity; if one is missing, the order is looked up."""
    total, bench = sum(parts), Bench()
    bench.add(row("o0", "new", qty=str(total)))
    truth, cumulative, events = {}, 0, []
    for part in parts:
        cumulative += part
        truth[f"o0:{cumulative}"] = D(part)
        events.append((cumulative, part))
    told: dict[str, Decimal] = {}
    for number, (filled, part) in enumerate(events):
        fate = data.draw(st.sampled_from(("told", "lost", "twice", "late")))
        shown = events[min(number + 1, len(events) - 1)][0] if fate == "late" else filled
        for _ in range({"lost": 0, "twice": 2}.get(fate, 1)):
            state = "filled" if shown == total else "partially_filled"
            told.update(bench.fills("partial_fill", row("o0", state, str(shown), at=number, qty=str(total)), str(part)))
    assert all(truth[name] == quantity for name, quantity in told.items())
    node = bench.lineage.get("o0")
    assert node is not None
    if set(told) != set(truth) and node.order.filled > sum(told.values()):
        assert "o0" in bench.asked


def test_an_execution_that_does_not_follow_the_last_one_is_looked_up_instead_of_told() -> None:
    bench = Bench()
    bench.add(row("o0", "new"))
    assert bench.fills("partial_fill", row("o0", "partially_filled", "2", at=2), "2") == [("o0:2", D(2))]
    assert bench.fills("partial_fill", row("o0", "partially_filled", "7", at=3), "2") == []
    assert (bench.asked, bench.counters["executions_deferred"]) == (["o0"], 1)


def test_after_a_restart_executions_go_on_where_the_listed_order_stood() -> None:
    bench = Bench()
    bench.add(row("o0", "partially_filled", "4"))
    assert bench.fills("fill", row("o0", "filled", "10", at=3), "6") == [("o0:10", D(6))]
    assert bench.asked == []


def test_a_missed_execution_shows_in_the_next_update_of_any_kind() -> None:
    bench = Bench()
    bench.add(row("o0", "new"))
    bench.push("canceled", row("o0", "canceled", "3", at=4))
    assert bench.asked == ["o0"]


def test_executions_of_a_successor_bear_the_first_orders_name() -> None:
    bench = Bench()
    bench.add(row("o0", "replaced", replaced_by="o1"), row("o1", "new"))
    made = bench.push("fill", row("o1", "filled", "10", at=5), qty="10", price="101")
    assert [m.fill.client_id for m in made if isinstance(m, FillReport)] == [ROOT]
    assert [(m.order.client_id, m.order.status) for m in made if isinstance(m, OrderReport)] == [
        (ROOT, OrderStatus.FILLED)
    ]


def test_an_update_of_an_unknown_successor_is_looked_up() -> None:
    bench = Bench()
    assert bench.push("new", row("o1", "new")) == []
    assert bench.asked == ["o1"]


# -- what nobody knows ---------------------------------------------------------------------------


def test_an_unknown_status_is_told_once_counted_always_and_never_final() -> None:
    bench = Bench()
    first = bench.push("new", row("o0", "vaporised"))
    again = bench.push("new", row("o0", "vaporised", at=2))
    assert [type(m) for m in first] == [DeadLetter, OrderReport]
    assert [type(m) for m in again] == [OrderReport]
    assert all(not m.order.status.final for m in (*first, *again) if isinstance(m, OrderReport))
    assert bench.counters["unknown_statuses"] == 2


def test_an_unknown_event_is_told_and_its_order_reported() -> None:
    made = Bench().push("teleported", row("o0", "new"))
    assert [type(m) for m in made] == [DeadLetter, OrderReport]


@pytest.mark.parametrize("event", ["trade_bust", "trade_correct"])
def test_an_execution_undone_is_told(event: str) -> None:
    bench = Bench()
    letters = [m for m in bench.push(event, row("o0", "partially_filled", "0")) if isinstance(m, DeadLetter)]
    assert [letter.kind for letter in letters] == ["undone"]
    assert bench.counters["executions_undone"] == 1


def test_an_update_that_cannot_be_read_has_its_order_looked_up() -> None:
    bench = Bench()
    bench.add(row("o0", "new"))
    with pytest.raises(WireError):
        bench.push("fill", {**row("o0"), "side": "sideways"}, qty="1", price="1")
    assert bench.asked == ["o0"]


def test_numbers_of_the_stream_are_read_as_they_are_written() -> None:
    said = message(b'{"stream":"trade_updates","data":{"price":100.10000000000000000001}}')
    assert said["data"]["price"] == "100.10000000000000000001"
