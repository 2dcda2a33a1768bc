"""Four ways to trade a binary contract, one YES book."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.kalshi.direction import book_side, complement, from_yes, side_of, to_yes
from exchanges.model.order import Side

D = Decimal
PRICES = st.decimals(min_value=D("0.0001"), max_value=D("0.9999"), places=4)


@pytest.mark.parametrize(
    ("action", "leg", "price", "side", "yes"),
    [
        ("buy", "yes", "0.45", "bid", "0.45"),
        ("sell", "yes", "0.45", "ask", "0.45"),
        ("buy", "no", "0.45", "ask", "0.55"),
        ("sell", "no", "0.45", "bid", "0.55"),
    ],
)
def test_each_direction_has_one_place_in_the_yes_book(action: str, leg: str, price: str, side: str, yes: str) -> None:
    found = to_yes(action, leg, D(price))
    assert (book_side(found.side), found.price) == (side, D(yes))


@given(action=st.sampled_from(["buy", "sell"]), leg=st.sampled_from(["yes", "no"]), price=PRICES)
def test_a_direction_comes_back_from_the_yes_book_as_it_went_in(action: str, leg: str, price: Decimal) -> None:
    assert from_yes(*to_yes(action, leg, price), leg) == (action, price)


@given(action=st.sampled_from(["buy", "sell"]), leg=st.sampled_from(["yes", "no"]), price=PRICES)
def test_the_same_bet_on_the_other_leg_is_the_same_order(action: str, leg: str, price: Decimal) -> None:
    other_action = "sell" if action == "buy" else "buy"
    other_leg = "no" if leg == "yes" else "yes"
    assert to_yes(action, leg, price) == to_yes(other_action, other_leg, complement(price))


@given(action=st.sampled_from(["buy", "sell"]), leg=st.sampled_from(["yes", "no"]), price=PRICES)
def test_the_most_that_can_be_lost_is_the_same_on_both_sides_of_the_mapping(
    action: str, leg: str, price: Decimal
) -> None:
    """Buying a leg puts its price at stake; selling it puts the rest of the dollar there."""
    stake = price if action == "buy" else 1 - price
    order = to_yes(action, leg, price)
    assert stake == (order.price if order.side is Side.BUY else 1 - order.price)


@pytest.mark.parametrize(
    ("word", "side"), [("bid", Side.BUY), ("yes", Side.BUY), ("ask", Side.SELL), ("no", Side.SELL)]
)
def test_book_side_and_outcome_side_say_the_same(word: str, side: Side) -> None:
    assert side_of(word) is side


def test_an_unknown_direction_is_refused() -> None:
    for call in (
        lambda: to_yes("hold", "yes", D("0.5")),
        lambda: to_yes("buy", "maybe", D("0.5")),
        lambda: from_yes(Side.BUY, D("0.5"), "maybe"),
        lambda: side_of("Bid"),
    ):
        with pytest.raises(ValueError, match="expected"):
            call()
