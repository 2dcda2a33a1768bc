"""What a failed call means for the command it carried, and how an order stands."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import requests
import urllib3

from exchanges.failures import Failure, VenueError
from exchanges.failures import FailureKind as Kind
from exchanges.fields import WireError
from exchanges.hyperliquid import wire
from exchanges.hyperliquid.cloids import Cloids
from exchanges.hyperliquid.failures import ActionRefused, Garbage, HttpRefusal, OrderRefused, classify, rejected
from exchanges.model.order import Liquidity, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.trigger import Direction, Source, Trigger
from exchanges.model.venue import Outcome, PlaceOrder
from tests.unit import hyperliquid_samples as samples
from tests.unit.hyperliquid_samples import CLIENT_ID, NOW_NS, SYMBOL, D

SECOND = 1_000_000_000


def pooled(reason: Exception) -> requests.exceptions.ConnectionError:
    return requests.exceptions.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/", reason))  # type: ignore[arg-type]


NO_SERVER = pooled(urllib3.exceptions.NewConnectionError(None, "refused"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "kind", "outcome", "code"),
    [
        (HttpRefusal(429, "null"), Kind.RATE_LIMITED, Outcome.NOT_SENT, "HTTP_429"),
        (HttpRefusal(422, "Failed to deserialize"), Kind.INVALID, Outcome.REJECTED, "HTTP_422"),
        (HttpRefusal(403, ""), Kind.UNAUTHORISED, Outcome.REJECTED, "HTTP_403"),
        (HttpRefusal(408, ""), Kind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "HTTP_408"),
        (HttpRefusal(502, "<html>"), Kind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "HTTP_502"),
        (ActionRefused("User or API Wallet 0x1 does not exist."), Kind.UNAUTHORISED, Outcome.REJECTED, "UNAUTHORISED"),
        (ActionRefused("Unable to recover signer."), Kind.UNAUTHORISED, Outcome.REJECTED, "UNAUTHORISED"),
        (ActionRefused("Invalid nonce: 5 < 6"), Kind.UNAVAILABLE, Outcome.NOT_SENT, "STALE"),
        (ActionRefused("Invalid nonce: duplicate nonce 5"), Kind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "DUPLICATE_NONCE"),
        (ActionRefused("Action expired"), Kind.UNAVAILABLE, Outcome.NOT_SENT, "STALE"),
        (ActionRefused("Too many cumulative requests sent"), Kind.RATE_LIMITED, Outcome.NOT_SENT, "ADDRESS_LIMIT"),
        (ActionRefused("Something else"), Kind.REJECTED, Outcome.REJECTED, "REFUSED"),
        (OrderRefused("Order must have minimum value of $10."), Kind.REJECTED, Outcome.REJECTED, "minTradeNtlRejected"),
        (OrderRefused("Insufficient margin to place order."), Kind.REJECTED, Outcome.REJECTED, "perpMarginRejected"),
        (OrderRefused("Cloid is in use"), Kind.REJECTED, Outcome.REJECTED, "DUPLICATE_CLIENT_ID"),
        (
            OrderRefused("Order was never placed, already canceled, or filled. asset=0"),
            Kind.NOT_FOUND, Outcome.NOT_FOUND, "missingOrder",
        ),
        (Garbage("html"), Kind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "GARBAGE"),
        (WireError("a price"), Kind.INVALID, Outcome.NOT_SENT, "MALFORMED"),
        (PermissionError("no key"), Kind.INVALID, Outcome.NOT_SENT, "MALFORMED"),
        (NO_SERVER, Kind.UNAVAILABLE, Outcome.NOT_SENT, "NO_CONNECTION"),
        (requests.exceptions.ConnectTimeout("slow"), Kind.UNAVAILABLE, Outcome.NOT_SENT, "NO_CONNECTION"),
        (requests.exceptions.ReadTimeout("slow"), Kind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "ReadTimeout"),
        (requests.exceptions.TooManyRedirects("0"), Kind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "TooManyRedirects"),
        (pooled(urllib3.exceptions.ProtocolError("reset")), Kind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "ConnectionError"),
        (rejected("X", "y"), Kind.REJECTED, Outcome.REJECTED, "X"),
    ],
)  # fmt: skip
def test_an_error_has_one_meaning(error: BaseException, kind: Kind, outcome: Outcome, code: str) -> None:
    found = classify(error)
    assert (found.kind, found.outcome, found.code) == (kind, outcome, code)


@pytest.mark.parametrize(
    ("error", "wait_ns"),
    [
        (HttpRefusal(429, "null"), SECOND),
        (HttpRefusal(429, "null", "7"), 7 * SECOND),
        (HttpRefusal(429, "null", "90000"), 60 * SECOND),
        (HttpRefusal(429, "null", "soon"), SECOND),
        (ActionRefused("Too many cumulative requests sent"), 10 * SECOND),
    ],
)
def test_a_limit_says_how_long_to_wait(error: BaseException, wait_ns: int) -> None:
    assert classify(error).retry_after_ns == wait_ns


def test_a_failure_of_ours_is_passed_on_as_it_is() -> None:
    failure = Failure(Kind.INVALID, Outcome.NOT_SENT, "C", "r")
    assert classify(VenueError(failure)) is failure


# -- orders, fills, positions ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "left", "status", "filled"),
    [
        ("open", "0.03", OrderStatus.OPEN, "0"),
        ("open", "0.01", OrderStatus.PARTIALLY_FILLED, "0.02"),
        ("triggered", "0.03", OrderStatus.OPEN, "0"),
        ("filled", "0.0", OrderStatus.FILLED, "0.03"),
        ("filled", "0.01", OrderStatus.CANCELLED, "0.02"),
        ("canceled", "0.01", OrderStatus.CANCELLED, "0.02"),
        ("marginCanceled", "0.03", OrderStatus.CANCELLED, "0"),
        ("scheduledCancel", "0.03", OrderStatus.CANCELLED, "0"),
        ("iocCancelRejected", "0.03", OrderStatus.REJECTED, "0"),
        ("somethingNew", "0.03", OrderStatus.OPEN, "0"),
        ("somethingNew", "0.01", OrderStatus.PARTIALLY_FILLED, "0.02"),
    ],
)
def test_an_order_stands_as_its_status_and_open_size_say(
    word: str, left: str, status: OrderStatus, filled: str
) -> None:
    row = {**samples.REPORT, "status": word, "order": {**samples.ORDER, "sz": left}}
    order = wire.report(row, Cloids())
    assert (order.status, order.filled, order.client_id) == (status, D(filled), CLIENT_ID)
    assert (order.venue_id, order.symbol, order.side, order.price) == ("77738308", SYMBOL, Side.BUY, D(61_800))
    assert order.updated_ns == NOW_NS + 5_000_000


@pytest.mark.parametrize(
    ("told", "kind", "direction"),
    [
        ("Stop Market", OrderType.MARKET, Direction.ABOVE),
        ("Stop Limit", OrderType.LIMIT, Direction.ABOVE),
        ("Take Profit Market", OrderType.MARKET, Direction.BELOW),
    ],
)
def test_an_order_that_waits_says_for_which_mark_price(told: str, kind: OrderType, direction: Direction) -> None:
    row = {**samples.OPEN_ORDER, "isTrigger": True, "triggerPx": "63000.0", "orderType": told, "tif": None}
    waiting = wire.working({**row, "sz": row["origSz"]}, Cloids())
    assert (waiting.trigger, waiting.triggered, waiting.type) == (
        Trigger(direction, D(63_000), Source.MARK),
        False,
        kind,
    )
    assert (waiting.price is None) is (kind is OrderType.MARKET)
    met = wire.report({**samples.REPORT, "status": "triggered", "order": row}, Cloids())
    assert (met.triggered, met.status.final) == (True, False)


def test_a_stop_leaves_as_a_trigger_order_on_the_mark_price() -> None:
    trigger = Trigger(Direction.BELOW, D(60_000), Source.MARK)
    stop = PlaceOrder("c", SYMBOL, Side.SELL, OrderType.MARKET, D("0.03"), reduce_only=True, trigger=trigger)
    (row,) = wire.place_action(stop, 3, D(59_000), TimeInForce.GTC, "0x" + "0" * 32)["orders"]
    assert (row["b"], row["p"], row["s"], row["r"]) == (False, "59000", "0.03", True)
    assert row["t"] == {"trigger": {"isMarket": True, "triggerPx": "60000", "tpsl": "sl"}}
    rising = msgspec.structs.replace(stop, trigger=Trigger(Direction.ABOVE, D(60_000), Source.MARK))
    (row,) = wire.place_action(rising, 3, D(59_000), TimeInForce.GTC, "0x" + "0" * 32)["orders"]
    assert row["t"]["trigger"]["tpsl"] == "tp"
    with pytest.raises(WireError, match="expected a trigger on the mark price"):
        last = msgspec.structs.replace(stop, trigger=Trigger(Direction.BELOW, D(60_000)))
        wire.place_action(last, 3, D(59_000), TimeInForce.GTC, "0x" + "0" * 32)


def test_an_open_order_has_its_time_in_force() -> None:
    order = wire.working({**samples.OPEN_ORDER, "tif": "Alo", "reduceOnly": True}, Cloids())
    assert (order.time_in_force, order.reduce_only, order.status) == (
        TimeInForce.POST_ONLY, True, OrderStatus.PARTIALLY_FILLED,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("row", "changes"),
    [
        (samples.ORDER, {"sz": "0.04"}),
        (samples.ORDER, {"side": "X"}),
        (samples.ORDER, {"limitPx": 61_800.0}),
        (samples.ORDER, {"oid": "7"}),
        (samples.ORDER, {"origSz": "0"}),
        (samples.ORDER, {"cloid": 5}),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(row: dict[str, Any], changes: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        wire.order({**row, **changes}, "open", NOW_NS, Cloids())


def test_a_fill_is_named_by_order_and_trade() -> None:
    fill = wire.fill(samples.FILL, CLIENT_ID)
    assert (fill.execution_id, fill.venue_id, fill.client_id) == ("77738308-1070372942", "77738308", CLIENT_ID)
    assert (fill.price, fill.quantity, fill.fee, fill.fee_currency) == (D(61_795), D("0.02"), D("0.556155"), "USDC")
    assert (fill.liquidity, fill.ts_ns) == (Liquidity.TAKER, NOW_NS)
    assert wire.fill({**samples.FILL, "crossed": False}, "").liquidity is Liquidity.MAKER


def test_funding_that_was_paid_is_below_nothing_and_has_the_same_id_everywhere() -> None:
    paid = wire.payment(samples.FUNDING, NOW_NS)
    assert (paid.amount, paid.kind, paid.symbol) == (D("-3.625312"), "funding", SYMBOL)
    assert paid.payment_id == wire.payment({**samples.FUNDING}, NOW_NS).payment_id


def test_positions_are_signed_and_cash_is_without_their_profit() -> None:
    (held,) = wire.positions(samples.STATE)
    assert (held.symbol, held.quantity, held.average_price, held.mark_price) == (
        SYMBOL,
        D("-0.02"),
        D(61_795),
        D(62_000),
    )
    cash = wire.balance(samples.STATE)
    assert (cash.currency, cash.total, cash.available) == ("USDC", D(10_000), D("9933.9"))
