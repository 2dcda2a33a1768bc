"""Which rows messages become: each state of an order and each execution once, exactly."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.model.market import Book, Ticker
from exchanges.model.order import OrderStatus, OrderType, Side
from exchanges.model.venue import (
    CancelOrder,
    CommandResult,
    FillReport,
    OrderReport,
    Outcome,
    PaymentReport,
    PlaceOrder,
    StreamStatus,
    VenueState,
)
from exchanges.recording.intake import REMEMBERED, Accounts
from exchanges.recording.schemas import (
    FundingRate,
    SeenFill,
    SeenOrder,
    bars_interval_ns,
    bars_name,
    name_for,
    table_of,
)
from runtime.message import Message
from tests.unit.recording_bench import BTC, NOON_NS, SECOND, bar, fill, order, quote, trade

PLACE = PlaceOrder("bw-1", BTC, Side.BUY, OrderType.LIMIT, Decimal("0.010"), Decimal("60000.10"))


def states(accounts: Accounts, *messages: Message) -> list[tuple[str, str]]:
    """Status and venue id of the order rows, in the order of the messages."""
    found = []
    for number, message in enumerate(messages):
        for entry in accounts.entries(message, NOON_NS + number):
            assert entry.symbol == BTC
            found.append((entry.row.order.status.value, entry.row.order.venue_id))
    return found


def answer(outcome: Outcome, **more: Any) -> CommandResult:
    return CommandResult("PlaceOrder", "bw-1", BTC, outcome, **more)


def test_an_order_is_recorded_from_its_sending_to_its_end() -> None:
    assert states(
        Accounts(),
        PLACE,
        answer(Outcome.ACCEPTED, venue_id="v1"),
        OrderReport(order()),
        OrderReport(order(status=OrderStatus.FILLED, filled=Decimal("0.010"))),
    ) == [("sent", ""), ("sent", "v1"), ("open", "v1"), ("filled", "v1")]


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(Outcome.REJECTED, "rejected"), (Outcome.UNKNOWN, "unknown"), (Outcome.NOT_SENT, "pending")],
)
def test_an_order_that_was_not_taken_is_recorded_with_the_reason(outcome: Outcome, status: str) -> None:
    accounts = Accounts()
    assert states(accounts, PLACE) == [("sent", "")]
    (entry,) = accounts.entries(answer(outcome, code="10001", reason="no money"), NOON_NS)
    assert (entry.row.order.status.value, entry.row.order.reason) == (status, "10001 no money")
    assert entry.row.order.quantity == PLACE.quantity


def test_an_answer_that_comes_after_the_venues_report_changes_nothing() -> None:
    accounts = Accounts()
    assert states(accounts, PLACE, OrderReport(order()), answer(Outcome.ACCEPTED, venue_id="v1"))[-1] == ("open", "v1")


def test_the_answer_to_a_question_for_an_order_is_a_state_of_it() -> None:
    found = CommandResult("QueryOrder", "bw-1", BTC, Outcome.ACCEPTED, order=order(status=OrderStatus.CANCELLED))
    assert states(Accounts(), found) == [("cancelled", "v1")]


def test_answers_to_cancels_are_left_to_the_venues_reports() -> None:
    accounts = Accounts()
    assert states(accounts, PLACE, CommandResult("CancelOrder", "bw-1", BTC, Outcome.ACCEPTED)) == [("sent", "")]


def test_what_is_reported_again_is_not_recorded_again() -> None:
    accounts = Accounts()
    later = msgspec.structs.replace(order(), updated_ns=NOON_NS + SECOND)
    state = VenueState(True, NOON_NS, orders=(order(), later), fills=(fill(), fill("e2")))
    first = list(accounts.entries(state, NOON_NS))
    assert [(entry.table, entry.ts_ns) for entry in first] == [
        ("orders", NOON_NS),
        ("fills", NOON_NS),
        ("fills", NOON_NS),
    ]
    assert list(accounts.entries(state, NOON_NS)) == []
    assert list(accounts.entries(FillReport(fill("e2")), NOON_NS)) == []
    assert len(list(accounts.entries(FillReport(fill("e3")), NOON_NS))) == 1


def test_orders_that_are_not_ours_are_told_apart_by_the_venues_id() -> None:
    one, other = order("", venue_id="v1"), order("", venue_id="v2")
    assert states(Accounts(), OrderReport(one), OrderReport(other)) == [("open", "v1"), ("open", "v2")]


def test_a_payment_is_recorded_once_to_the_last_digit() -> None:
    accounts = Accounts()
    paid = PaymentReport("p1", "funding", BTC, Decimal("-0.00001234"), "USDT", NOON_NS)
    (entry,) = accounts.entries(paid, NOON_NS + 1)
    assert list(accounts.entries(paid, NOON_NS + 2)) == []
    (read,) = table_of(entry.table).batch([entry.row]).to_pylist()
    assert (entry.table, read["payment_id"], read["kind"], read["amount"]) == (
        "payments",
        "p1",
        "funding",
        "-0.00001234",
    )


def test_only_so_many_executions_are_remembered() -> None:
    accounts = Accounts()
    for number in range(REMEMBERED + 1):
        assert list(accounts.entries(FillReport(fill(f"e{number}")), NOON_NS))
    assert list(accounts.entries(FillReport(fill("e0")), NOON_NS))
    assert not list(accounts.entries(FillReport(fill(f"e{REMEMBERED}")), NOON_NS))


def test_other_messages_do_not_concern_the_record() -> None:
    accounts = Accounts()
    assert not accounts.concerns(StreamStatus("public", True))
    assert not accounts.concerns(CancelOrder("bw-1", BTC))
    assert accounts.concerns(PLACE)


# -- columns -----------------------------------------------------------------------------


def test_market_data_has_the_columns_of_recorded_data() -> None:
    def columns(name: str) -> list[str]:
        return [column.name for column in table_of(name).columns]

    assert columns("trades") == ["ts_ns", "price", "size", "side", "trade_id", "recv_ns"]
    assert columns("quotes") == ["ts_ns", "bid_price", "bid_size", "ask_price", "ask_size", "recv_ns"]
    assert columns("bars_60s") == ["ts_ns", "open", "high", "low", "close", "volume", "recv_ns"]
    assert columns("funding") == ["ts_ns", "rate"]


def test_each_kind_of_market_data_becomes_a_row_with_its_values() -> None:
    book = Book(BTC, 1, 2, NOON_NS, NOON_NS + 1, ((100.0, 1.0), (99.5, 2.0)), ((100.5, 3.0),))
    (read,) = table_of("books").batch([book]).to_pylist()
    assert (read["bid_prices"], read["bid_sizes"]) == ([100.0, 99.5], [1.0, 2.0])
    assert (read["ask_prices"], read["ask_sizes"]) == ([100.5], [3.0])
    (read,) = table_of("quotes").batch([quote(1)]).to_pylist()
    assert (read["bid_price"], read["ask_price"], read["ask_size"]) == (60_001.0, 60_001.5, 2.5)
    (read,) = table_of("trades").batch([trade(3)]).to_pylist()
    assert (read["trade_id"], read["side"], read["recv_ns"] - read["ts_ns"]) == ("t3", "buy", 5_000_000)
    ticker = Ticker(BTC, 0, 0, NOON_NS, NOON_NS + 1, 60_000.5, 60_001.0, 0.0001, NOON_NS + SECOND)
    (read,) = table_of(name_for(ticker)).batch([ticker]).to_pylist()
    assert (read["mark"], read["index"], read["funding_rate"], read["funding_ns"] - NOON_NS) == (
        60_000.5,
        60_001.0,
        0.0001,
        SECOND,
    )
    (read,) = table_of("funding").batch([FundingRate(NOON_NS, -0.0001)]).to_pylist()
    assert read == {"ts_ns": NOON_NS, "rate": -0.0001}


def test_only_closed_bars_are_recorded_and_each_length_in_a_table_of_its_own() -> None:
    assert name_for(bar(0)) == "bars_60s"
    assert name_for(bar(0, closed=False)) == ""
    assert name_for(msgspec.structs.replace(bar(0), interval_ns=300 * SECOND)) == "bars_300s"
    assert name_for(trade(0)) == "trades"
    assert bars_interval_ns(bars_name(900 * SECOND)) == 900 * SECOND
    assert bars_interval_ns("trades") == 0


@given(st.decimals(min_value=0, allow_nan=False, allow_infinity=False), st.decimals(0, 10**9, places=8))
def test_quantities_and_prices_come_back_digit_for_digit(quantity: Decimal, price: Decimal) -> None:
    row = SeenOrder(NOON_NS, NOON_NS, order(quantity=quantity, price=price))
    (read,) = table_of("orders").batch([row]).to_pylist()
    assert Decimal(read["quantity"]) == quantity and Decimal(read["price"]) == price
    assert "E" not in read["quantity"]


def test_a_market_order_has_no_price_and_a_fill_has_all_its_facts() -> None:
    (read,) = table_of("orders").batch([SeenOrder(1, 2, order(price=None, type=OrderType.MARKET))]).to_pylist()
    assert (read["price"], read["type"], read["side"], read["reduce_only"]) == (None, "market", "buy", False)
    (read,) = table_of("fills").batch([SeenFill(1, 2, fill())]).to_pylist()
    assert read == {
        "ts_ns": 1,
        "recv_ns": 2,
        "execution_id": "e1",
        "client_id": "bw-1",
        "venue_id": "v1",
        "side": "buy",
        "price": "60000.10",
        "quantity": "0.010",
        "fee": "0.33000055",
        "fee_currency": "USDT",
        "liquidity": "taker",
    }
