"""Whether the comparison of a venue's books with the journal sees what it is there to see."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from bigwheel.books import Books
from bigwheel.reconciliation import Agreement, VenueBooks, compare
from exchanges.model.order import Fill, Order, OrderStatus
from tests.unit.brain_samples import make_filled, make_order, make_signal

D = Decimal
SIGNAL = make_signal()
ORDER = make_order(SIGNAL, OrderStatus.FILLED, filled="1", venue_id="v1")
FILLED = make_filled(SIGNAL, "e1", "1")


def journal(*fills: Any, order: Order | None = ORDER) -> Books:
    books = Books()
    if order is not None:
        books.orders[order.client_id] = order
    for event in fills:
        books._fill(event)
    return books


def venue(**changes: Any) -> VenueBooks:
    base = VenueBooks((ORDER,), (FILLED.fill,), {ORDER.symbol: D(1)}, D(100))
    return msgspec.structs.replace(base, **changes)


def verdict(books: Books, at_venue: VenueBooks) -> tuple[int, int, int, int, bool]:
    found: Agreement = compare(books, "bybit", at_venue)
    return found.orders_lost, found.orders_doubled, found.fills_lost, found.fills_doubled, found.reconciled


def test_equal_books_are_reconciled() -> None:
    assert verdict(journal(FILLED), venue()) == (0, 0, 0, 0, True)


def test_a_fill_that_the_journal_lacks_is_lost_and_the_position_differs() -> None:
    found = compare(journal(), "bybit", venue())
    assert (found.fills_lost, found.reconciled) == (1, False)
    assert any(text.startswith("position") for text in found.differences)


def test_a_fill_that_is_journaled_twice_is_doubled_even_under_one_id() -> None:
    assert verdict(journal(FILLED, FILLED), venue()) == (0, 0, 0, 1, False)


def test_two_orders_for_one_leg_are_a_doubled_order() -> None:
    second = msgspec.structs.replace(ORDER, client_id=ORDER.client_id[:-1] + "1")
    books = journal(FILLED)
    books.orders[second.client_id] = second
    assert verdict(books, venue(orders=(ORDER, second)))[1] == 1
    books.planned = {ORDER.client_id, second.client_id}
    assert verdict(books, venue(orders=(ORDER, second)))[1] == 0, "a flow had planned each of them"


def test_an_order_that_one_side_does_not_know_is_lost() -> None:
    assert verdict(journal(FILLED, order=None), venue())[0] == 1
    assert verdict(journal(FILLED), venue(orders=()))[0] == 1
    refused = msgspec.structs.replace(ORDER, status=OrderStatus.REJECTED)
    assert verdict(journal(FILLED, order=refused), venue(orders=()))[0] == 0


def test_an_order_of_ours_that_still_works_is_no_clean_end() -> None:
    working = msgspec.structs.replace(ORDER, status=OrderStatus.OPEN)
    assert not compare(journal(FILLED), "bybit", venue(orders=(working,))).reconciled


def test_what_another_venue_did_does_not_count() -> None:
    elsewhere = msgspec.structs.replace(FILLED.fill, symbol="alpaca:AAPL", execution_id="a1")
    books = journal(FILLED)
    books._book(elsewhere)
    assert verdict(books, venue())[4]


def test_the_execution_may_be_called_otherwise_at_the_venue() -> None:
    other: Fill = msgspec.structs.replace(FILLED.fill, execution_id="another")
    assert verdict(journal(FILLED), venue(fills=(other,))) == (0, 0, 0, 0, True)
