"""Every pair of an order's state and what can happen to it, as a table; and any order of the venue's reports."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.exchange import orders
from actors.exchange.orders import OrderEvent
from actors.exchange.state import TrackedOrder
from exchanges.model.order import Fill, Liquidity, Order, OrderStatus, OrderType, Side
from tests.unit.brain_samples import BTC

D = Decimal
TABLE = """
                  send acknowledge refuse   lose    lapse   absent   list fill             complete cancel    reject   expire
pending           sent .           rejected .       expired .        open partially_filled filled   cancelled rejected expired
sent              sent open        rejected unknown expired rejected open partially_filled filled   cancelled rejected expired
unknown           .    open        rejected .       .       rejected open partially_filled filled   cancelled rejected expired
open              .    .           .        .       .       expired  .    partially_filled filled   cancelled rejected expired
partially_filled  .    .           .        .       .       expired  .    .                filled   cancelled rejected expired
filled            .    .           .        .       .       .        .    .                .        .         .        .
cancelled         .    .           .        .       .       .        .    .                .        .         .        .
rejected          .    .           .        .       .       .        .    .                .        .         .        .
expired           .    .           .        .       .       .        .    .                .        .         .        .
"""  # noqa: E501
"""What follows; a dot where nothing changes."""

ROWS = [line.split() for line in TABLE.strip().splitlines()]
PAIRS = [(row[0], event, row[1 + place]) for row in ROWS[1:] for place, event in enumerate(ROWS[0])]
EVIDENCE = ("list", "fill", "complete", "cancel", "reject", "expire")


def tracked(status: OrderStatus, **changes: object) -> TrackedOrder:
    order = Order("bw-x-0-0", BTC, Side.BUY, OrderType.LIMIT, D(10), D(100), status=status)
    made = TrackedOrder(order, reference_price=D(100))
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_the_table_has_every_state_and_every_event() -> None:
    assert {row[0] for row in ROWS[1:]} == {status.value for status in OrderStatus}
    assert set(ROWS[0]) == {event.value for event in OrderEvent}


@pytest.mark.parametrize(("status", "event", "expected"), PAIRS)
def test_what_follows_an_event(status: str, event: str, expected: str) -> None:
    order = tracked(OrderStatus(status))
    assert orders.step(order, OrderEvent(event), "why") is (expected != ".")
    assert order.status.value == (status if expected == "." else expected)
    assert (order.order.reason == "why") is (expected != ".")


@pytest.mark.parametrize("event", EVIDENCE)
@pytest.mark.parametrize("status", ["rejected", "expired"])
def test_the_venues_word_undoes_an_end_that_was_only_concluded(status: str, event: str) -> None:
    order = tracked(OrderStatus(status), inferred=True)
    assert orders.step(order, OrderEvent(event))
    assert order.status.value == next(to for of, what, to in PAIRS if (of, what) == ("unknown", event))
    assert not order.inferred


def view(status: OrderStatus, filled: int) -> Order:
    return Order(
        "bw-x-0-0", BTC, Side.BUY, OrderType.LIMIT, D(10), D(100), status=status, filled=D(filled),
        average_price=D(100) if filled else D(0), updated_ns=filled + 1,
    )  # fmt: skip


def execution(number: int, quantity: int) -> Fill:
    return Fill(
        f"e{number}", "bw-x-0-0", "v", BTC, Side.BUY, D(100), D(quantity), D(0), "USDT", Liquidity.TAKER, number
    )


@st.composite
def truths(draw: st.DrawFn) -> tuple[OrderStatus, list[int], list[tuple[str, int]]]:
    """How an order ended, its fills, and all reports of it: disordered, some twice, none missing."""
    parts = draw(st.lists(st.integers(1, 5), max_size=4).filter(lambda sizes: sum(sizes) <= 10))
    whole = sum(parts) == 10
    final = OrderStatus.FILLED if whole else draw(st.sampled_from([OrderStatus.CANCELLED, OrderStatus.EXPIRED]))
    reports = [("fill", number) for number in range(len(parts))]
    reports += [("open", number) for number in range(len(parts))] + [("final", 0)]
    again = draw(st.lists(st.sampled_from(reports), max_size=4))
    return final, parts, draw(st.permutations(reports + again))


@settings(max_examples=200, deadline=None)
@given(truths(), st.sampled_from([OrderStatus.PENDING, OrderStatus.SENT, OrderStatus.UNKNOWN, OrderStatus.OPEN]))
def test_any_order_and_repetition_of_reports_ends_in_the_venues_truth(
    truth: tuple[OrderStatus, list[int], list[tuple[str, int]]], start: OrderStatus
) -> None:
    final, parts, reports = truth
    order, seen = tracked(start), set()
    for kind, number in reports:
        before = msgspec.structs.replace(order.order)
        if kind == "fill" and number not in seen:
            seen.add(number)
            orders.execute(order, execution(number, parts[number]))
        elif kind == "open":
            filled = sum(parts[: number + 1])
            orders.claim(order, view(OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.OPEN, min(filled, 9)))
        elif kind == "final":
            orders.claim(order, view(final, sum(parts)))
        assert order.order.filled >= before.filled
        assert not before.status.final or order.status is before.status
    assert (order.status, order.order.filled) == (final, sum(parts))
