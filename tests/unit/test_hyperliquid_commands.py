"""What the commands make of the venue's answers, without a socket."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.hyperliquid import endpoints
from exchanges.hyperliquid.catalogue import Catalogue
from exchanges.hyperliquid.cloids import Cloids
from exchanges.hyperliquid.commands import Commands
from exchanges.identities import Identities
from exchanges.model.order import OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.venue import (
    CancelAll,
    CancelOrder,
    Command,
    CommandResult,
    Outcome,
    PaymentReport,
    PlaceOrder,
    QueryOrder,
)
from exchanges.resilience import Endpoint
from runtime.message import Message
from tests.unit import hyperliquid_samples as samples
from tests.unit.hyperliquid_samples import ACCOUNT, CLIENT_ID, CLOID, COIN, NOW_MS, SYMBOL, D, settings


class Info:
    """The SDK's questions, answered by a table of lists: each answer once, the last one for ever."""

    def __init__(self, answers: dict[str, list[Any]]) -> None:
        self.answers, self.asked = answers, list[tuple[str, tuple[Any, ...]]]()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*args: Any) -> Any:
            self.asked.append((name, args))
            left = self.answers[name]
            return left.pop(0) if len(left) > 1 else left[0]

        return ask


class Rest:
    """The venue's REST without the network."""

    def __init__(self, **answers: list[Any]) -> None:
        self.settings = settings()
        self.info = Info({"meta": [samples.META], "user_fees": [samples.FEES], **answers})
        self.acted: list[tuple[str, dict[str, Any]]] = []
        self.statuses: list[Any] = []

    async def ask(self, endpoint: Endpoint, question: Any, *, key: Any = None) -> Any:
        return question(self.info)

    async def act(self, endpoint: Endpoint, action: dict[str, Any], *, key: Any = None) -> list[Any]:
        self.acted.append((endpoint.name, action))
        found = self.statuses.pop(0)
        if isinstance(found, Exception):
            raise found
        return list(found)


class Desk:
    def __init__(self, **answers: list[Any]) -> None:
        self.rest, self.counters = Rest(**answers), Counter[str]()
        self.ids, self.got = Identities(), list[Message]()
        rest: Any = self.rest
        catalogue = Catalogue(rest, self.counters)
        asyncio.run(catalogue.instruments([SYMBOL]))
        self.rest.info.asked.clear()
        self.commands = Commands(rest, catalogue, self, Cloids(), self.ids, self.got.append, self.counters)

    def best(self, coin: str, side: Side) -> Any:
        return None

    def ask(self, command: Command) -> CommandResult:
        asyncio.run(self.commands.run(command))
        answer = self.got[-1]
        assert isinstance(answer, CommandResult)
        return answer


def order(**changes: Any) -> PlaceOrder:
    told: dict[str, Any] = {"type": OrderType.LIMIT, "price": D(61_800), "time_in_force": TimeInForce.GTC}
    return PlaceOrder(
        **{"client_id": CLIENT_ID, "symbol": SYMBOL, "side": Side.BUY, "quantity": D("0.03"), **told, **changes}
    )


# -- placing -----------------------------------------------------------------------------------


def test_an_order_goes_out_in_the_venues_form_with_its_cloid() -> None:
    desk = Desk()
    desk.rest.statuses = [[{"resting": {"oid": 7}}]]
    answer = desk.ask(order(time_in_force=TimeInForce.POST_ONLY, reduce_only=True))
    assert (answer.outcome, answer.venue_id) == (Outcome.ACCEPTED, "7")
    ((name, action),) = desk.rest.acted
    assert name == "place_order"
    assert action["orders"] == [
        {"a": 0, "b": True, "p": "61800", "s": "0.03", "r": True, "t": {"limit": {"tif": "Alo"}}, "c": CLOID}
    ]
    assert desk.ids.client_id("7") == CLIENT_ID


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, "63031"), (Side.SELL, "60560")])
def test_a_market_order_without_a_streamed_price_asks_for_the_book(side: Side, price: str) -> None:
    desk = Desk(l2_snapshot=[samples.BOOK])
    desk.rest.statuses = [[{"filled": {"oid": 8, "totalSz": "0.03", "avgPx": "61796"}}]]
    assert desk.ask(order(type=OrderType.MARKET, price=None, side=side)).outcome is Outcome.ACCEPTED
    (row,) = desk.rest.acted[0][1]["orders"]
    assert (row["p"], row["t"]) == (price, {"limit": {"tif": "Ioc"}})


def test_a_market_order_into_an_empty_book_is_not_sent() -> None:
    desk = Desk(l2_snapshot=[{**samples.BOOK, "levels": [[], []]}])
    answer = desk.ask(order(type=OrderType.MARKET, price=None))
    assert (answer.outcome, answer.code, desk.rest.acted) == (Outcome.NOT_SENT, "NO_LIQUIDITY", [])


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ([[{"error": "Insufficient margin to place order."}]], Outcome.REJECTED),
        ([["waitingForFill"]], Outcome.ACCEPTED),
        ([[{"resting": {"oid": "x"}}]], Outcome.ACCEPTED),
        ([[]], Outcome.UNKNOWN),
        ([["a", "b"]], Outcome.UNKNOWN),
    ],
)
def test_a_status_says_whether_the_order_exists(statuses: list[Any], outcome: Outcome) -> None:
    desk = Desk()
    desk.rest.statuses = statuses
    assert desk.ask(order()).outcome is outcome


@pytest.mark.parametrize(
    ("first", "again"),
    [(Outcome.NOT_SENT, Outcome.ACCEPTED), (Outcome.UNKNOWN, Outcome.REJECTED), (Outcome.REJECTED, Outcome.REJECTED)],
)
def test_an_id_is_sent_again_only_if_it_certainly_never_left(first: Outcome, again: Outcome) -> None:
    desk = Desk()
    desk.rest.statuses = [VenueError(Failure(FailureKind.UNAVAILABLE, first, "C", "r")), [{"resting": {"oid": 7}}]]
    assert desk.ask(order()).outcome is first
    answer = desk.ask(order())
    assert answer.outcome is again
    assert (answer.code == "DUPLICATE_CLIENT_ID") is (again is Outcome.REJECTED)
    assert len(desk.rest.acted) == (2 if again is Outcome.ACCEPTED else 1)


# -- cancelling --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("success", Outcome.ACCEPTED),
        ({"error": "Order was never placed, already canceled, or filled. asset=0"}, Outcome.NOT_FOUND),
        ({"error": "Something else"}, Outcome.REJECTED),
        (5, Outcome.UNKNOWN),
    ],
)
def test_a_cancel_ends_as_its_status_says(status: Any, outcome: Outcome) -> None:
    desk = Desk()
    desk.rest.statuses = [[status]]
    assert desk.ask(CancelOrder(CLIENT_ID, SYMBOL)).outcome is outcome
    assert desk.rest.acted[0][1] == {"type": "cancelByCloid", "cancels": [{"asset": 0, "cloid": CLOID}]}


def test_many_orders_are_cancelled_in_parts_and_one_that_is_gone_is_as_good() -> None:
    rows = [{**samples.OPEN_ORDER, "oid": number} for number in range(45)]
    desk = Desk(frontend_open_orders=[[*rows, {**samples.OPEN_ORDER, "coin": "@107"}]])
    desk.rest.statuses = [["success"] * 40, ["success", {"error": "Order was never placed"}, *["success"] * 3]]
    assert desk.ask(CancelAll()).outcome is Outcome.ACCEPTED
    assert [len(action["cancels"]) for _, action in desk.rest.acted] == [40, 5]
    desk.rest.statuses = [[{"error": "Something else"}] * 40, ["success"] * 5]
    assert desk.ask(CancelAll(SYMBOL)).outcome is Outcome.REJECTED


# -- finding and fetching ----------------------------------------------------------------------


def test_an_order_the_first_question_does_not_know_is_looked_for_among_all() -> None:
    unknown = {"status": "unknownOid"}
    desk = Desk(
        query_order_by_cloid=[unknown], historical_orders=[[{**samples.STATUS["order"], "status": "filled"}], []]
    )
    found = desk.ask(QueryOrder(CLIENT_ID, SYMBOL))
    assert (found.outcome, found.venue_id) == (Outcome.ACCEPTED, "77738308")
    assert found.order is not None
    assert found.order.status is OrderStatus.CANCELLED
    assert desk.ask(QueryOrder(CLIENT_ID, SYMBOL)).outcome is Outcome.NOT_FOUND


def test_an_answer_that_is_neither_an_order_nor_unknown_leaves_the_question_open() -> None:
    desk = Desk(query_order_by_cloid=[{"status": "new"}, [], None])
    for _ in range(3):
        assert desk.ask(QueryOrder(CLIENT_ID, SYMBOL)).outcome is Outcome.UNKNOWN


def test_orders_that_wait_for_a_trigger_do_not_spoil_the_list() -> None:
    by_hand = {**samples.OPEN_ORDER, "isTrigger": True, "origSz": "0.0", "sz": "0.0", "oid": 9, "cloid": None}
    desk = Desk(frontend_open_orders=[[by_hand, samples.OPEN_ORDER]])
    (found,) = asyncio.run(desk.commands.orders())
    assert found.client_id == CLIENT_ID
    assert desk.counters["trigger_orders_listed"] == 1


def test_fills_are_fetched_page_after_page_and_each_is_there_once() -> None:
    first = [{**samples.FILL, "cloid": CLOID, "tid": tid, "time": NOW_MS + tid} for tid in range(2_000)]
    second = [first[-1], {**samples.FILL, "cloid": CLOID, "tid": 5_000, "time": NOW_MS + 5_000}]
    other = {"time": NOW_MS, "delta": {**samples.FUNDING, "coin": "@107"}}
    paid = {"time": NOW_MS, "delta": samples.FUNDING}
    desk = Desk(user_fills_by_time=[first, second], user_funding_history=[[paid, other]])
    found = asyncio.run(desk.commands.fills(NOW_MS * 10**6, NOW_MS * 10**6))
    assert len(found) == 2_001
    assert {fill.client_id for fill in found} == {CLIENT_ID}
    pages = [args for name, args in desk.rest.info.asked if name == "user_fills_by_time"]
    assert [args[1] for args in pages] == [NOW_MS, NOW_MS + 1_999]
    assert [message.symbol for message in desk.got if isinstance(message, PaymentReport)] == [SYMBOL]


def test_funding_is_asked_for_once_an_hour_from_where_the_last_answer_ended() -> None:
    hour, minute = 3_600 * 10**9, 60 * 10**9
    now = NOW_MS * 10**6 // hour * hour + 2 * minute
    paid = {"time": NOW_MS, "delta": samples.FUNDING}
    desk = Desk(user_fills_by_time=[[]], user_funding_history=[[paid]])
    for until in (now, now + minute, now + hour - 2 * minute, now + hour):
        asyncio.run(desk.commands.fills(now - hour, until))
    asked = [args[1] * 10**6 for name, args in desk.rest.info.asked if name == "user_funding_history"]
    assert asked == [now - hour, now - 2 * minute]
    assert len([message for message in desk.got if isinstance(message, PaymentReport)]) == 2


def test_a_fill_of_an_order_the_venue_does_not_know_is_somebody_elses() -> None:
    desk = Desk(query_order_by_oid=[{"status": "unknownOid"}])
    fill = asyncio.run(desk.commands.fill({**samples.FILL}))
    assert fill.client_id == ""
    assert desk.counters["orders_unidentified"] == 1
    asyncio.run(desk.commands.fill({**samples.FILL}))
    assert len(desk.rest.info.asked) == 1


def test_positions_and_cash_of_one_fetch_are_of_one_answer() -> None:
    desk = Desk(user_state=[samples.STATE])
    (held,) = asyncio.run(desk.commands.positions())
    (cash,) = asyncio.run(desk.commands.balances())
    assert (held.symbol, cash.total) == (SYMBOL, D(10_000))
    assert {args for _, args in desk.rest.info.asked} == {(ACCOUNT,)}
    assert endpoints.STATE.ttl_s > 0
    assert COIN in held.symbol
