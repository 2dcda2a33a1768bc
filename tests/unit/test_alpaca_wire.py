"""Alpaca's account messages: exact numbers and times, known statuses, and what an order looks like on its way out."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from alpaca.trading.enums import OrderStatus as SdkStatus
from alpaca.trading.enums import TradeEvent as SdkEvent
from hypothesis import given
from hypothesis import strategies as st

from exchanges.alpaca import wire
from exchanges.alpaca.values import WireError, instant, listed, native, number, plain, rfc3339
from exchanges.model.order import OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.venue import PlaceOrder

D = Decimal
ORDER: dict[str, Any] = {
    "id": "o-1", "client_order_id": "bw-a-0-0", "symbol": "AAPL", "asset_class": "us_equity", "qty": "1.5",
    "filled_qty": "0.5", "filled_avg_price": "100.1", "type": "limit", "side": "buy", "time_in_force": "day",
    "limit_price": "100.10", "status": "partially_filled", "submitted_at": "2026-07-02T14:00:00.000000001Z",
    "updated_at": "2026-07-02T14:00:00.123456789Z", "replaces": None, "replaced_by": None,
}  # fmt: skip
FILL: dict[str, Any] = {
    "activity_type": "FILL", "id": "20260702100000123::7d", "order_id": "o-1", "cum_qty": "0.50", "qty": "0.2",
    "price": "100.1", "side": "buy", "symbol": "AAPL", "transaction_time": "2026-07-02T14:00:00.123Z", "type": "fill",
}  # fmt: skip


def placed(**changes: Any) -> PlaceOrder:
    told: dict[str, Any] = {
        "client_id": "bw-a-0-0",
        "symbol": "alpaca:AAPL",
        "side": Side.BUY,
        "type": OrderType.LIMIT,
        "quantity": D(2),
        "price": D("100.10"),
    }
    return PlaceOrder(**{**told, **changes})


@given(st.integers(0, 2**62))
def test_every_nanosecond_survives_the_way_there_and_back(ns: int) -> None:
    assert instant(rfc3339(ns), "t") == ns


@given(st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2200, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_a_time_with_an_offset_is_the_same_moment(moment: dt.datetime, minutes: int) -> None:
    written = moment.replace(tzinfo=dt.timezone(dt.timedelta(minutes=minutes)))
    expected = (written - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1) * 1000
    assert instant(written.isoformat(), "t") == expected


@given(st.decimals("-999999999", "999999999", places=9))
def test_a_number_is_what_was_written(value: Decimal) -> None:
    assert number(str(value), "n") == value
    assert D(plain(value)) == value


@given(st.floats(-1e15, 1e15).filter(lambda value: value == 0 or abs(value) > 1e-20))
def test_a_float_is_its_shortest_decimal_form(value: float) -> None:
    assert float(number(value, "n")) == value


@pytest.mark.parametrize(
    "value", ["", " 1", "1_000", "NaN", "inf", "1e99999", "１", None, True, [], float("nan"), 10**40]
)
def test_what_is_no_plain_finite_number_is_refused(value: object) -> None:
    with pytest.raises(WireError, match="expected a"):
        number(value, "n")


@pytest.mark.parametrize(
    "value", ["", "2022-13-01T00:00:00Z", "2022-01-01", "2022-01-01T25:00:00Z", "2022-01-01T00:00:00", 5, None]
)
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(WireError, match="expected a time"):
        instant(value, "t")


def test_positions_name_pairs_without_the_slash_that_orders_have() -> None:
    assert listed({"symbol": "BTCUSD", "asset_class": "crypto"}) == "BTC/USD"
    assert listed({"symbol": "ETHBTC", "asset_class": "crypto"}) == "ETH/BTC"
    assert listed({"symbol": "BTCUSDT", "asset_class": "crypto"}) == "BTC/USDT"
    assert listed({"symbol": "AAPL", "asset_class": "us_equity"}) == "AAPL"
    with pytest.raises(WireError, match="quoted in one of"):
        listed({"symbol": "BTCXYZ", "asset_class": "crypto"})
    with pytest.raises(WireError, match="expected a symbol such as"):
        native("bybit:BTCUSDT")


# -- orders ----------------------------------------------------------------------------------


def test_an_order_is_read_exactly() -> None:
    order = wire.order(ORDER)
    assert (order.symbol, order.quantity, order.filled, order.price) == ("alpaca:AAPL", D("1.5"), D("0.5"), D("100.10"))
    assert (order.state, order.updated_ns % 10**9) == (OrderStatus.PARTIALLY_FILLED, 123_456_789)


def test_every_status_and_event_of_the_sdk_is_known() -> None:
    assert {status.value for status in SdkStatus} <= set(wire.STATUSES)
    assert {event.value for event in SdkEvent} <= wire.EVENTS


@pytest.mark.parametrize(("filled", "state"), [("0", OrderStatus.OPEN), ("0.5", OrderStatus.PARTIALLY_FILLED)])
def test_a_status_nobody_knows_leaves_the_order_open(filled: str, state: OrderStatus) -> None:
    order = wire.order({**ORDER, "status": "vaporised", "filled_qty": filled})
    assert (order.known, order.final, order.state) == (False, False, state)


@pytest.mark.parametrize("status", ["replaced", "pending_cancel", "done_for_day", "stopped", "calculated"])
def test_a_passing_status_ends_no_order(status: str) -> None:
    assert not wire.order({**ORDER, "status": status}).final


@pytest.mark.parametrize(
    "change",
    [
        {"id": None}, {"side": "hold"}, {"qty": "0"}, {"qty": "-1"}, {"qty": "abc"}, {"limit_price": "0"},
        {"limit_price": "-5"}, {"filled_qty": "-1"}, {"status": 7}, {"symbol": ""}, {"updated_at": "soon"},
        {"filled_avg_price": "-1"}, {"client_order_id": 5},
    ],
)  # fmt: skip
def test_a_malformed_order_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        wire.order({**ORDER, **change})


def test_an_execution_has_the_same_name_in_the_stream_and_in_the_activities() -> None:
    told = {"event": "partial_fill", "execution_id": "another-uuid", "price": "100.1", "qty": "0.2", "order": ORDER}
    pushed = wire.update({**told, "timestamp": "2026-07-02T14:00:00.123456Z"}).execution
    fetched = wire.activity(FILL)
    assert pushed is not None
    assert pushed.id == fetched.id == "o-1:0.5"


@pytest.mark.parametrize(
    "change",
    [
        {"activity_type": "DIV"}, {"cum_qty": None}, {"cum_qty": "0.1"}, {"qty": "0"}, {"price": "0"},
        {"price": "-1"}, {"order_id": ""}, {"side": "none"}, {"transaction_time": None},
    ],
)  # fmt: skip
def test_a_malformed_activity_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        wire.activity({**FILL, **change})


def test_a_pushed_execution_larger_than_what_is_filled_is_refused() -> None:
    with pytest.raises(WireError, match="expected at least"):
        wire.update({"event": "fill", "price": "100", "qty": "9", "order": ORDER})


def test_equities_are_free_and_pairs_cost_what_the_settings_say() -> None:
    execution = wire.activity(FILL)
    assert wire.fill(execution, "c", "alpaca:AAPL", D("0.0025")).fee == 0
    bought = wire.fill(execution, "c", "alpaca:ETH/BTC", D("0.0025"))
    assert (bought.fee, bought.fee_currency, bought.fee_in_base) == (D("0.0025") * D("0.2"), "ETH", True)
    sale = msgspec.structs.replace(execution, side=Side.SELL)
    sold = wire.fill(sale, "c", "alpaca:ETH/BTC", D("0.0025"))
    assert (sold.fee, sold.fee_currency) == (D("0.0025") * D("0.2") * D("100.1"), "BTC")
    assert not sold.fee_in_base


# -- on the way out --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "extended", "expected"),
    [
        ({}, False, ("gtc", "2", "100.1", None)),
        ({}, True, ("day", "2", "100.1", True)),
        ({"quantity": D("0.5")}, False, ("day", "0.5", "100.1", None)),
        ({"type": OrderType.MARKET, "price": None}, False, ("day", "2", None, None)),
        ({"time_in_force": TimeInForce.IOC}, False, ("ioc", "2", "100.1", None)),
        ({"time_in_force": TimeInForce.FOK}, False, ("fok", "2", "100.1", None)),
        ({"symbol": "alpaca:BTC/USD", "quantity": D("1E-8")}, True, ("gtc", "0.00000001", "100.1", None)),
        ({"type": OrderType.MARKET, "quantity": D("0.5"), "time_in_force": TimeInForce.IOC}, False,
         ("day", "0.5", None, None)),
    ],
)  # fmt: skip
def test_an_order_leaves_in_plain_numbers_and_with_the_right_lifetime(
    change: dict[str, Any], extended: bool, expected: tuple[Any, ...]
) -> None:
    body = wire.order_request(placed(**change), extended=extended)
    found = tuple(body.get(name) for name in ("time_in_force", "qty", "limit_price", "extended_hours"))
    assert found == expected
    assert body["client_order_id"] == "bw-a-0-0"


@pytest.mark.parametrize(
    "change",
    [
        {"time_in_force": TimeInForce.POST_ONLY},
        {"price": None},
        {"quantity": D("0.5"), "time_in_force": TimeInForce.IOC},
        {"symbol": "alpaca:BTC/USD", "time_in_force": TimeInForce.FOK},
        {"symbol": "bybit:BTCUSDT"},
    ],
)
def test_an_order_the_venue_does_not_have_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="expected"):
        wire.order_request(placed(**change))


# -- the account -----------------------------------------------------------------------------


@pytest.mark.parametrize(("quantity", "side", "expected"), [("5", "long", 5), ("5", "short", -5), ("-5", "short", -5)])
def test_a_position_has_the_sign_of_its_side(quantity: str, side: str, expected: int) -> None:
    row = {"symbol": "AAPL", "asset_class": "us_equity", "qty": quantity, "side": side, "qty_available": "3"}
    assert wire.position(row).quantity == expected
    assert wire.closable(row) == (3 if expected > 0 else -3)
    assert wire.closable({**row, "qty_available": None}) == expected


@pytest.mark.parametrize("change", [{"side": "flat"}, {"qty": "-1", "side": "long"}, {"qty": None}])
def test_a_malformed_position_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        wire.position({"symbol": "AAPL", "qty": "1", "side": "long", **change})


def test_what_orders_hold_is_not_available() -> None:
    row = {"status": "ACTIVE", "currency": "USD", "cash": "100", "buying_power": "80", "trading_blocked": True}
    account = wire.account(row)
    assert (account.balance.total, account.balance.available, account.blocked) == (D(100), D(80), True)
    assert wire.account({**row, "cash": "-5"}).balance.available == 0


def test_a_cancel_all_answers_for_each_order() -> None:
    assert wire.cancelled([{"id": "a", "status": 200}, {"id": "b", "status": 404}]) == [("a", 200), ("b", 404)]
    assert wire.cancelled(None) == []
    with pytest.raises(WireError):
        wire.cancelled([{"id": "a", "status": "200"}])
