"""Kalshi's fee formula, and the rounding that keeps balances on their step."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.kalshi.fees import ASSUMED, CENT, CENTICENT, MAKER, TAKER, OrderFees, rates, trade_fee
from exchanges.model.order import Side

D = Decimal
ONE = D(1)
COUNTS = st.decimals(min_value=D("0.01"), max_value=D(2000), places=2)
PRICES = st.integers(min_value=1, max_value=999).map(lambda mills: D(mills) / 1000)


@pytest.mark.parametrize(
    ("count", "price", "fee"),
    [
        ("1", "0.50", "0.0175"),
        ("100", "0.50", "1.75"),
        ("100", "0.05", "0.3325"),
        ("100", "0.95", "0.3325"),
        ("1", "0.01", "0.0007"),
    ],
)
def test_a_taker_pays_seven_hundredths_of_the_risk_on_both_sides(count: str, price: str, fee: str) -> None:
    assert trade_fee(TAKER, D(count), D(price)) == D(fee)


def test_a_maker_pays_a_quarter_of_that_where_makers_pay() -> None:
    assert trade_fee(MAKER, D(100), D("0.50")) == D("0.4375")


def test_a_fee_is_rounded_up_to_a_hundredth_of_a_cent() -> None:
    assert trade_fee(TAKER, D("0.03"), D("0.3301")) == D("0.0005")


@pytest.mark.parametrize(
    ("fee_type", "multiplier", "maker", "taker", "known"),
    [
        ("quadratic", "1", "0", "0.07", True),
        ("quadratic", "0.5", "0", "0.035", True),
        ("quadratic_with_maker_fees", "1", "0.0175", "0.07", True),
        ("quadratic_with_maker_fees", "2", "0.035", "0.14", True),
        ("cubic", "1", "0.0175", "0.07", False),
    ],
)
def test_a_series_sets_the_coefficients(fee_type: str, multiplier: str, maker: str, taker: str, known: bool) -> None:
    found = rates(fee_type, D(multiplier))
    assert (found.maker, found.taker, found.known) == (D(maker), D(taker), known)


def test_unknown_fees_are_taken_for_the_dearest_usual_ones() -> None:
    assert (ASSUMED.maker, ASSUMED.taker, ASSUMED.known) == (MAKER, TAKER, False)


@pytest.mark.parametrize(
    ("price", "count", "trade", "rounding", "nets"),
    [
        ("0.055", "1", "0.0085", "0.0065", ["0.0150", "0.0050", "0.0150"]),
        ("0.50", "0.30", "0.0041", "0.0059", ["0.0100", "0.0000", "0.0100"]),
        ("0.3301", "0.03", "0.0005", "0.009597", ["0.010097", "0.000097", "0.000097"]),
    ],
)
def test_the_rounding_follows_the_venues_worked_examples(
    price: str, count: str, trade: str, rounding: str, nets: list[str]
) -> None:
    """Three equal buys of one order, at rates that give the trade fees of the examples."""
    rate = D("0.1635") if price == "0.055" else TAKER if price == "0.3301" else D("0.0543")
    order = OrderFees(CENT)
    charges = [order.charge(Side.BUY, D(price), D(count), rate) for _ in nets]
    assert [charge.trade for charge in charges] == [D(trade)] * 3
    assert [charge.rounding for charge in charges] == [D(rounding)] * 3
    assert [charge.net for charge in charges] == [D(net) for net in nets]


@given(
    fills=st.lists(st.tuples(COUNTS, PRICES, st.sampled_from([TAKER, MAKER])), min_size=1, max_size=30),
    side=st.sampled_from(Side),
    step=st.sampled_from([CENT, CENTICENT]),
)
def test_every_balance_stays_on_its_step_and_rounding_costs_at_most_two_cents_an_order(
    fills: list[tuple[Decimal, Decimal, Decimal]], side: Side, step: Decimal
) -> None:
    order, rounded, given_back = OrderFees(step), D(0), D(0)
    for count, price, rate in fills:
        charge = order.charge(side, price, count, rate)
        change = -side.sign * price * count - charge.net
        assert change % step == 0
        assert 0 <= charge.rounding < step
        assert charge.net >= 0
        rounded, given_back = rounded + charge.rounding, given_back + charge.rebate
        assert given_back <= rounded
    # What is kept is a cent, and what a fill that cost less than a cent could not give back.
    assert rounded - given_back <= CENT * (1 + sum(1 for *_, rate in fills if rate))


@given(count=COUNTS, price=PRICES)
def test_a_whole_cent_fill_of_whole_contracts_costs_its_fee_rounded_up(count: Decimal, price: Decimal) -> None:
    whole, cents = count.to_integral_value() + 1, price.quantize(CENT) or CENT
    charge = OrderFees(CENT).charge(Side.BUY, cents, whole, TAKER)
    exact = TAKER * whole * cents * (ONE - cents)
    assert exact <= charge.net < exact + CENT + CENTICENT
