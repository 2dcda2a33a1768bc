"""Commands, look-ups and repairs against a scripted venue: answers that no well-behaved simulator gives."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from exchanges.alpaca import lookup as lookups
from exchanges.alpaca import wire
from exchanges.alpaca.commands import Commands
from exchanges.alpaca.hours import Session
from exchanges.alpaca.lineage import Lineage
from exchanges.alpaca.lookup import Lookup
from exchanges.alpaca.resolver import TRIES, Resolver
from exchanges.alpaca.settings import AlpacaSettings
from exchanges.alpaca.values import rfc3339
from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.model.order import OrderStatus, OrderType, Side
from exchanges.model.venue import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    CommandResult,
    FillReport,
    OrderReport,
    Outcome,
    PlaceOrder,
    QueryOrder,
)
from exchanges.modes import Mode
from tests.unit.test_alpaca_lineage import ROOT, row

D = Decimal
AAPL = "alpaca:AAPL"
SETTINGS = AlpacaSettings(mode=Mode.DEMO, key="k", secret="s")
BUY = PlaceOrder(ROOT, AAPL, Side.BUY, OrderType.LIMIT, D(10), D(100))
NOT_FOUND = Failure(FailureKind.NOT_FOUND, Outcome.NOT_FOUND, "40410000", "order not found")
TIMEOUT = Failure(FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "TIMEOUT", "no answer")
TAKEN = Failure(FailureKind.REJECTED, Outcome.REJECTED, "42210000", 'order is already in "replaced" state')
Answer = Any


def fill_row(order_id: str, cumulative: str, quantity: str, number: int = 0) -> dict[str, Any]:
    return {
        "activity_type": "FILL", "id": f"20260702{number:09d}::{order_id}-{cumulative}", "order_id": order_id,
        "cum_qty": cumulative, "qty": quantity, "price": "100", "side": "buy", "symbol": "AAPL",
        "transaction_time": rfc3339(10**18 + number * 10**6),
    }  # fmt: skip


class Script(list[Any]):
    """Answers given one after the other."""


class Venue:
    """Orders by id, activities, and answers that come instead, by method and path."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.orders = {order["id"]: order for order in rows}
        self.activities: list[dict[str, Any]] = []
        self.positions: list[dict[str, Any]] = []
        self.instead: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.stack = self

    def forget(self, endpoint: object) -> None:
        """A cache this venue has none of."""

    def _told(self, method: str, path: str) -> Answer:
        self.asked.append(f"{method} {path}")
        found = self.instead.get(f"{method} {path}", ...)
        if isinstance(found, Script):
            found = found.pop(0)
        if isinstance(found, Failure):
            raise VenueError(found)
        return found

    async def get(self, endpoint: object, path: str, params: Mapping[str, Any] | None = None) -> Answer:
        told, given = self._told("GET", path), params or {}
        if told is not ...:
            return told
        if path == "/orders:by_client_order_id":
            return self._order("client_order_id", given["client_order_id"])
        if path.startswith("/orders/"):
            return self._order("id", path.rpartition("/")[2])
        if path == "/positions":
            return self.positions
        rows, size = (self.activities, "page_size") if "activities" in path else (self._listed(given), "limit")
        ids = [found["id"] for found in rows]
        start = ids.index(given["page_token"]) + 1 if given.get("page_token") in ids else 0
        return rows[start : start + given[size]]

    def _order(self, name: str, value: str) -> dict[str, Any]:
        found = next((order for order in self.orders.values() if order[name] == value), None)
        if found is None:
            raise VenueError(NOT_FOUND)
        return found

    def _listed(self, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        over = ("replaced", "filled", "canceled", "rejected")
        rows = [o for o in self.orders.values() if given["status"] == "all" or o["status"] not in over]
        return [o for o in rows if o["submitted_at"] > given.get("after", "")]

    async def post(self, endpoint: object, path: str, body: Mapping[str, Any]) -> Answer:
        return self._told("POST", path)

    async def patch(self, endpoint: object, path: str, body: Mapping[str, Any]) -> Answer:
        return self._told("PATCH", path)

    async def delete(self, endpoint: object, path: str) -> Answer:
        return self._told("DELETE", path)


class Bench:
    """Commands at a scripted venue."""

    def __init__(self, venue: Venue, session: Session | None = Session.REGULAR) -> None:
        self.venue, self.got = venue, []  # type: ignore[var-annotated]
        self.counters: Counter[str] = Counter()
        self.lineage = Lineage(self.counters)
        rest: Any = venue
        self.lookup = Lookup(rest, self.lineage)
        self.commands = Commands(SETTINGS, rest, self.lookup, self.got.append, self.counters, lambda: session)
        self.resolver = Resolver(self.lookup, D(0), self.got.append, self.counters, wait_s=0.001)

    async def ask(self, command: Command) -> CommandResult:
        await self.commands.run(command)
        found = self.got[-1]
        assert isinstance(found, CommandResult)
        return found


def play(bench: Bench, work: Callable[[Bench], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        return await work(bench)

    return asyncio.run(run())


def ask(venue: Venue, command: Command, session: Session | None = Session.REGULAR) -> CommandResult:
    found: CommandResult = play(Bench(venue, session), lambda bench: bench.ask(command))
    return found


# -- placing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [None, [], "text", {}, {"id": "o0"}, {**row(), "qty": "-1"}])
def test_an_answer_that_cannot_be_read_leaves_the_outcome_unknown(answer: Answer) -> None:
    venue = Venue()
    venue.instead["POST /orders"] = answer
    assert ask(venue, BUY).outcome is Outcome.UNKNOWN


def test_an_answer_about_another_order_leaves_the_outcome_unknown() -> None:
    venue = Venue()
    venue.instead["POST /orders"] = row(client_order_id="someone-elses")
    found = ask(venue, BUY)
    assert (found.outcome, found.code) == (Outcome.UNKNOWN, "OTHER_ORDER")


def test_before_the_clock_was_heard_no_exposure_leaves_and_a_reduction_does() -> None:
    venue = Venue()
    venue.instead["POST /orders"] = row(client_order_id="bw-close-0-0")
    venue.positions = [{"symbol": "AAPL", "qty": "-3", "side": "short", "qty_available": "-3"}]
    assert (ask(venue, BUY, None).outcome, venue.asked) == (Outcome.NOT_SENT, [])
    closing = PlaceOrder("bw-close-0-0", AAPL, Side.BUY, OrderType.MARKET, D(3), reduce_only=True)
    assert ask(venue, closing, None).outcome is Outcome.ACCEPTED


# -- amending and cancelling ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "command", "code"),
    [
        (row(status="filled", filled="10"), AmendOrder(ROOT, AAPL, price=D(9)), "ORDER_FINAL"),
        (row(filled="1"), AmendOrder(ROOT, AAPL, price=D(9)), "AMEND_PARTIALLY_FILLED"),
        (row(qty="1.5"), AmendOrder(ROOT, AAPL, quantity=D(2)), "AMEND_FRACTIONAL"),
        (row(), AmendOrder(ROOT, AAPL, quantity=D("2.5")), "AMEND_FRACTIONAL"),
    ],
)
def test_what_cannot_be_amended_safely_is_refused_and_nothing_leaves(
    order: dict[str, Any], command: AmendOrder, code: str
) -> None:
    venue = Venue(order)
    found = ask(venue, command)
    assert (found.outcome, found.code) == (Outcome.REJECTED, code)
    assert not [asked for asked in venue.asked if asked.startswith("PATCH")]


def test_an_order_that_cannot_be_looked_up_is_not_amended_and_nothing_left() -> None:
    venue = Venue(row())
    venue.instead["GET /orders:by_client_order_id"] = TIMEOUT
    assert ask(venue, AmendOrder(ROOT, AAPL, price=D(9))).outcome is Outcome.NOT_SENT
    assert ask(venue, CancelOrder(ROOT, AAPL)).outcome is Outcome.NOT_SENT


def test_an_order_replaced_behind_our_back_is_cancelled_under_its_new_id() -> None:
    venue = Venue(row("o0", "replaced", replaced_by="o1"), row("o1"))
    bench = Bench(venue)
    bench.lineage.add(wire.order(row("o0")))
    venue.instead.update({"DELETE /orders/o0": TAKEN, "DELETE /orders/o1": None})
    found = play(bench, lambda b: b.ask(CancelOrder(ROOT, AAPL)))
    assert (found.outcome, found.venue_id) == (Outcome.ACCEPTED, "o1")


def test_a_cancel_the_venue_refuses_is_not_tried_on_the_same_order_again() -> None:
    venue = Venue(row())
    venue.instead["DELETE /orders/o0"] = TAKEN
    assert ask(venue, CancelOrder(ROOT, AAPL)).outcome is Outcome.REJECTED
    assert venue.asked.count("DELETE /orders/o0") == 1


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "accepted"), (404, "accepted"), (422, "accepted"), (500, "unknown")]
)
def test_cancelling_all_is_done_when_nothing_is_left_that_could_trade(status: int, outcome: str) -> None:
    venue = Venue()
    venue.instead["DELETE /orders"] = [{"id": "a", "status": 200}, {"id": "b", "status": status}]
    assert ask(venue, CancelAll()).outcome == outcome


def test_cancelling_one_symbol_reports_what_may_still_work() -> None:
    venue = Venue(row("o0"), {**row("o1", client_order_id="x", replaces=None), "symbol": "MSFT"})
    venue.instead["DELETE /orders/o0"] = TIMEOUT
    assert ask(venue, CancelAll(AAPL)).outcome is Outcome.UNKNOWN
    venue.instead["DELETE /orders/o0"] = NOT_FOUND
    assert ask(venue, CancelAll(AAPL)).outcome is Outcome.ACCEPTED
    assert "DELETE /orders/o1" not in venue.asked


# -- looking up ----------------------------------------------------------------------------------


def test_a_successor_is_found_by_its_name_where_the_venue_does_not_tell_its_id() -> None:
    found = ask(
        Venue(row("o0", "replaced", replaced_by=None), row("o1", "partially_filled", "3")), QueryOrder(ROOT, AAPL)
    )
    assert found.order is not None
    assert (found.order.client_id, found.order.venue_id, found.order.filled) == (ROOT, "o1", D(3))


def test_a_successor_under_a_name_of_the_venues_is_listed_under_ours() -> None:
    venue = Venue(row("o0", "replaced", replaced_by="o1"), row("o1", client_order_id="f00d"))
    orders = play(Bench(venue), lambda bench: bench.commands.orders())
    assert [(order.client_id, order.venue_id) for order in orders] == [(ROOT, "o1")]


def test_an_order_replaced_by_nobody_knows_what_stays_unknown() -> None:
    assert ask(Venue(row("o0", "replaced")), QueryOrder(ROOT, AAPL)).outcome is Outcome.UNKNOWN


def test_an_order_whose_ancestor_is_gone_is_listed_as_it_stands() -> None:
    bench = Bench(Venue(row("o1", client_order_id="foreign")))
    orders = play(bench, lambda b: b.commands.orders())
    assert [(order.client_id, order.venue_id) for order in orders] == [("foreign", "o1")]
    assert bench.counters["chains_broken"] == 1


def test_a_partly_filled_chain_counts_what_was_carried_over_once() -> None:
    for carried, own in (("7", "3"), ("3", "3")):
        venue = Venue(row("o0", "replaced", "4", replaced_by="o1"), row("o1", "partially_filled", carried))
        venue.activities = [fill_row("o0", "4", "4"), fill_row("o1", carried, own, 1)]
        found = ask(venue, QueryOrder(ROOT, AAPL)).order
        assert found is not None and found.filled == D(7)


def test_executions_of_many_unknown_orders_are_found_in_one_list() -> None:
    rows = [row("o0", "filled", "1", id=f"x{n}", client_order_id=f"bw-{n}-0-0") for n in range(9)]
    venue = Venue(*rows)
    venue.activities = [fill_row(f"x{n}", "1", "1", n) for n in range(9)]
    fills = play(Bench(venue), lambda bench: bench.commands.fills(0, 0))
    assert [fill.client_id for fill in fills] == [f"bw-{n}-0-0" for n in range(9)]
    assert not [asked for asked in venue.asked if asked.startswith("GET /orders/")]


def test_executions_of_an_order_that_is_nowhere_make_the_answer_incomplete() -> None:
    venue = Venue()
    venue.activities = [fill_row("ghost", "1", "1")]
    with pytest.raises(VenueError, match="ghost"):
        play(Bench(venue), lambda bench: bench.commands.fills(0, 0))


def test_orders_submitted_at_one_instant_are_not_lost_between_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "ORDERS_A_PAGE", 3)
    rows = [row("o0", id=f"x{n}", client_order_id=f"bw-{n}-0-0", submitted_at=rfc3339(1000 + n // 2)) for n in range(9)]
    orders = play(Bench(Venue(*rows)), lambda bench: bench.commands.orders())
    assert sorted(order.venue_id for order in orders) == [f"x{n}" for n in range(9)]


@pytest.mark.parametrize("path", ["/orders", "/account/activities/FILL"])
def test_a_list_that_never_ends_is_given_up(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "ORDERS_A_PAGE", 1)
    monkeypatch.setattr(lookups, "FILLS_A_PAGE", 1)
    venue = Venue(row())
    venue.instead[f"GET {path}"] = [row() if path == "/orders" else fill_row("o0", "1", "1")]
    state = play(Bench(venue), lambda bench: bench.commands.state(0))
    assert not state.complete
    assert "the same again" in state.reason


# -- repairs -------------------------------------------------------------------------------------


def resolved(bench: Bench, *order_ids: str) -> None:
    async def work(b: Bench) -> None:
        for order_id in order_ids:
            b.resolver.resolve(order_id)
        while b.resolver._tasks:
            await asyncio.gather(*b.resolver._tasks.values())
            await asyncio.sleep(0)

    play(bench, work)


def test_what_the_stream_left_uncertain_is_reported_from_what_the_venue_says() -> None:
    venue = Venue(row("o0", "filled", "10"))
    venue.activities = [fill_row("o0", "4", "4"), fill_row("o0", "10", "6", 1)]
    bench = Bench(venue)
    resolved(bench, "o0", "o0")
    fills = {m.fill.execution_id: m.fill.quantity for m in bench.got if isinstance(m, FillReport)}
    assert fills == {"o0:4": D(4), "o0:10": D(6)}
    assert [m.order.status for m in bench.got if isinstance(m, OrderReport)][-1] is OrderStatus.FILLED


def test_executions_that_are_late_are_waited_for_and_then_given_up() -> None:
    bench = Bench(Venue(row("o0", "filled", "10")))
    resolved(bench, "o0")
    assert bench.counters["resolved_not"] == 1
    assert bench.venue.asked.count("GET /orders/o0") == TRIES
    assert not [m for m in bench.got if isinstance(m, OrderReport)]


def test_a_look_that_fails_is_repeated() -> None:
    venue = Venue(row("o0"))
    venue.instead["GET /orders/o0"] = Script([TIMEOUT, row("o0")])
    bench = Bench(venue)
    resolved(bench, "o0")
    assert [m.order.client_id for m in bench.got] == [ROOT]
