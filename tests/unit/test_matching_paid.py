"""Spot pairs, shares and event contracts: what is paid for, what is locked, what is refused."""

from __future__ import annotations

from decimal import Decimal as D

import msgspec
import pytest

from exchanges.matching.account import Account
from exchanges.matching.rejection import OrderRejectedError, Reject
from exchanges.matching.synthetic import SyntheticDepth
from exchanges.model.instrument import PriceStep
from exchanges.model.order import OrderStatus, Side, TimeInForce
from exchanges.model.venue import CancelOrder
from tests.unit.matching_bench import COIN, EVENT, SHARE, Bench, prices

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def spot() -> Bench:
    """a has 1,000 in cash, b 100 coins too, c nothing but cash."""
    return filled(Bench(COIN, D(1_000)))


@pytest.fixture
def event() -> Bench:
    return Bench(EVENT, D(100))


def filled(bench: Bench) -> Bench:
    bench.quote("9.00", "9.01", "1000", "1000")
    bench.engine.accounts["b"].wallet += 901
    bench.place("b", BUY, "100", "9.01")
    bench.engine.accounts["b"].wallet = D(1_000)
    bench.engine.on_book(bench.symbol, [], [])
    return bench


def wallet(bench: Bench, name: str) -> Account:
    return bench.engine.accounts[name]


class TestSpot:
    def test_buying_takes_the_price_and_the_fee_from_cash_and_selling_brings_them_back(self, spot: Bench) -> None:
        spot.place("b", SELL, "10", "9.50")
        spot.place("a", BUY, "10", "9.50")
        assert wallet(spot, "a").wallet == D(1_000) - D("95") - D("95") * D("0.001")
        assert wallet(spot, "b").wallet == D(1_000) + D("95")
        assert wallet(spot, "a").position(spot.symbol).quantity == 10

    def test_what_cash_does_not_reach_for_is_refused(self, spot: Bench) -> None:
        assert spot.refused("a", BUY, "100", "10.00") is Reject.INSUFFICIENT_MARGIN
        spot.place("a", BUY, "99.9", "10.00")

    def test_a_resting_buy_keeps_its_cost_and_fee_from_other_orders(self, spot: Bench) -> None:
        spot.place("a", BUY, "50", "9.00")
        assert spot.engine.available("a") == D(1_000) - D(450) - D("0.45")
        assert spot.refused("a", BUY, "62", "9.00") is Reject.INSUFFICIENT_MARGIN

    def test_more_than_is_held_and_not_yet_being_sold_can_not_be_sold(self, spot: Bench) -> None:
        assert spot.refused("a", SELL, "1", "9.00") is Reject.INSUFFICIENT_POSITION
        spot.place("b", SELL, "60", "11.00")
        assert spot.refused("b", SELL, "41", "12.00") is Reject.INSUFFICIENT_POSITION
        spot.place("b", SELL, "40", "12.00")

    def test_a_market_buy_that_cash_does_not_cover_is_refused_by_what_the_book_asks(self, spot: Bench) -> None:
        spot.place("b", SELL, "50", "9.00")
        spot.place("b", SELL, "50", "30.00")
        assert spot.refused("a", BUY, "80") is Reject.INSUFFICIENT_MARGIN
        order, _ = spot.place("a", BUY, "50")
        assert order.status is OrderStatus.FILLED

    def test_a_cancelled_order_gives_its_cash_back(self, spot: Bench) -> None:
        spot.place("a", BUY, "50", "9.00", client_id="one")
        spot.engine.cancel("a", CancelOrder("one", spot.symbol), 99)
        assert spot.engine.available("a") == D(1_000)

    def test_an_amended_order_reserves_what_it_now_costs(self, spot: Bench) -> None:
        spot.place("a", BUY, "50", "9.00", client_id="one")
        spot.amend("a", "one", quantity="100")
        assert spot.engine.available("a") == D(1_000) - D(900) * D("1.001")
        with pytest.raises(OrderRejectedError) as caught:
            spot.amend("a", "one", price="10.00")
        assert caught.value.code is Reject.INSUFFICIENT_MARGIN


class TestShares:
    def test_a_margin_account_may_hold_its_multiple_and_no_more(self) -> None:
        bench = Bench(SHARE, D(1_000), multiplier=D(2))
        bench.quote("99.99", "100.00", "1000", "1000")
        assert bench.refused("a", BUY, "21", "100.00") is Reject.INSUFFICIENT_MARGIN
        order, _ = bench.place("a", BUY, "20", "100.00")
        account = wallet(bench, "a")
        assert (order.status, account.wallet) == (OrderStatus.FILLED, D(-1_000))
        bench.engine.on_mark(bench.symbol, D(100))
        assert (account.equity(bench.engine.mark), account.available(bench.engine.mark)) == (D(1_000), D(0))

    def test_selling_short_holds_the_proceeds_and_as_much_again(self) -> None:
        bench = Bench(SHARE, D(1_000))
        bench.quote("100.00", "100.01", "1000", "1000")
        assert bench.refused("a", SELL, "10.5", "100.00") is Reject.INSUFFICIENT_MARGIN
        bench.place("a", SELL, "10", "100.00")
        bench.engine.on_mark(bench.symbol, D(100))
        account = wallet(bench, "a")
        assert (account.wallet, account.available(bench.engine.mark)) == (D(2_000), D(0))
        assert account.equity(bench.engine.mark) == D(1_000)

    def test_what_can_not_be_sold_short_is_refused(self) -> None:
        bench = Bench(msgspec.structs.replace(SHARE, short=False), D(1_000))
        assert bench.refused("a", SELL, "1", "100.00") is Reject.INSUFFICIENT_POSITION

    def test_a_closed_market_refuses_orders_until_it_is_listed_as_open_again(self) -> None:
        bench = Bench(SHARE, D(1_000))
        bench.engine.relist(msgspec.structs.replace(SHARE, trading=False))
        assert bench.refused("a", BUY, "1", "100.00") is Reject.NOT_TRADING
        bench.engine.relist(SHARE)
        bench.place("a", BUY, "1", "100.00")


class TestEvents:
    def test_yes_costs_its_price_and_no_what_is_missing_to_the_full_value(self, event: Bench) -> None:
        event.place("a", BUY, "100", "0.30")
        event.place("b", SELL, "100", "0.30")
        fee = D("0.07") * 100 * D("0.3") * D("0.7")
        assert (wallet(event, "a").wallet, wallet(event, "b").wallet) == (D(70), D(100) - D(70) - fee)
        assert wallet(event, "b").locked == {event.symbol: D(100)}

    def test_collateral_beyond_cash_is_refused_on_both_sides(self, event: Bench) -> None:
        assert event.refused("a", BUY, "400", "0.30") is Reject.INSUFFICIENT_MARGIN
        assert event.refused("a", SELL, "150", "0.30") is Reject.INSUFFICIENT_MARGIN
        event.place("a", SELL, "139", "0.30")

    def test_two_resting_sells_can_not_both_count_on_the_same_position(self, event: Bench) -> None:
        event.quote("0.49", "0.50", "200", "200")
        event.place("a", BUY, "100", "0.50")
        free = event.engine.available("a")
        event.place("a", SELL, "100", "0.60")
        assert event.engine.available("a") == free
        event.place("a", SELL, "50", "0.70")
        fee = D("0.07") * 50 * D("0.7") * D("0.3")
        assert event.engine.available("a") == free - 50 * D("0.30") - fee

    @pytest.mark.parametrize(("value", "a", "b"), [("1", "170", "0"), ("0", "70", "100")])
    def test_settlement_pays_the_winner_the_full_value_and_ends_everything(
        self, event: Bench, value: str, a: str, b: str
    ) -> None:
        event.place("a", BUY, "100", "0.30")
        event.place("b", SELL, "100", "0.30")
        resting, _ = event.place("a", BUY, "10", "0.20")
        before = wallet(event, "b").wallet
        changes = event.engine.settle(event.symbol, D(value), 99)
        assert (wallet(event, "a").wallet, wallet(event, "b").wallet) == (D(a), before + D(b))
        assert (resting.status, resting.reason) == (OrderStatus.CANCELLED, "SETTLED")
        assert [(e.fill.execution_id, e.fill.client_id, e.settlement) for e in changes.executions] == [
            ("settlement-EVENT", "", True)
        ] * 2
        assert all(not wallet(event, name).position(event.symbol).quantity for name in "ab")
        assert event.refused("a", BUY, "1", "0.20") is Reject.NOT_TRADING
        assert sum(account.wallet + account.fees for account in event.engine.accounts.values()) == 300

    def test_only_an_event_contract_settles_and_only_within_its_value(self, event: Bench, spot: Bench) -> None:
        for bench, value in ((spot, "1"), (event, "1.01"), (event, "-0.01")):
            with pytest.raises(OrderRejectedError) as caught:
                bench.engine.settle(bench.symbol, D(value), 99)
            assert caught.value.code is Reject.PARAMETER

    def test_a_price_at_or_beyond_the_full_value_is_refused_and_steps_depend_on_the_price(self) -> None:
        steps = (PriceStep(D(0), D("0.001")), PriceStep(D("0.1"), D("0.01")))
        bench = Bench(msgspec.structs.replace(EVENT, price_steps=steps), D(100))
        assert bench.refused("a", BUY, "1", "1.00") is Reject.PRICE
        assert bench.refused("a", BUY, "1", "0.455") is Reject.PRICE
        bench.place("a", BUY, "1", "0.055")

    def test_synthetic_depth_stays_between_nothing_and_the_full_value(self) -> None:
        for last, taker in (("0.01", SELL), ("0.98", BUY), ("0.99", BUY)):
            bids, asks = SyntheticDepth(3).ladders(EVENT, D(last), taker, 7)
            shown = [price for price, _ in (*bids.remaining(), *asks.remaining())]
            assert shown
            assert all(0 < price < 1 for price in shown)

    def test_a_fee_is_rounded_up_over_the_order_and_not_over_each_fill(self) -> None:
        bench = Bench(msgspec.structs.replace(EVENT, fee_step=D("0.01")), D(100))
        for _ in range(10):
            bench.place("b", SELL, "1", "0.50")
        order, changes = bench.place("a", BUY, "10", "0.50", TimeInForce.IOC)
        assert order.fee == D("0.18")  # 10 x 0.07 x 0.25 = 0.175; rounded fill by fill it would be 0.20
        assert sum(e.fill.fee for e in changes.executions if e.account == "a") == D("0.18")

    def test_a_cash_account_pays_for_rounding_only_what_it_has_left(self) -> None:
        bench = Bench(msgspec.structs.replace(EVENT, fee_step=D("0.01")), D("0.5175"))
        bench.quote("0.49", "0.50", "9", "9")
        order, _ = bench.place("a", BUY, "1", "0.50")
        assert (order.status, order.fee, wallet(bench, "a").wallet) == (OrderStatus.FILLED, D("0.0175"), D(0))

    def test_a_market_order_stops_where_cash_ends_though_the_book_changed_under_it(self) -> None:
        bench = Bench(EVENT, D("11"))
        bench.quote("0.48", "0.49", "100", "10")
        bench.place("b", BUY, "10", "0.49")
        bench.engine.on_book(bench.symbol, [], [(D("0.90"), D(100))])
        bench.place("b", SELL, "10", "0.50", reduce_only=True)
        bench.place("b", SELL, "10", "0.51", reduce_only=True)
        order, changes = bench.place("a", BUY, "20")
        # The second sell ends with b's position: what is left of the order meets 0.90 instead of 0.51.
        assert (order.status, order.reason) == (OrderStatus.CANCELLED, "INSUFFICIENT_FUNDS")
        assert [price for price, _ in prices(changes, "a")] == ["0.50", "0.90"]
        assert 0 <= wallet(bench, "a").wallet < D("0.95")


class TestFunding:
    def test_longs_pay_shorts_size_times_mark_times_rate(self) -> None:
        bench = Bench()
        bench.place("a", BUY, "2", "100.0")
        bench.place("b", SELL, "2", "100.0")
        bench.engine.on_mark(bench.symbol, D(110))
        before = {name: wallet(bench, name).wallet for name in "ab"}
        changes = bench.engine.fund(bench.symbol, D("0.0001"), 99)
        assert wallet(bench, "a").wallet == before["a"] - D("0.022")
        assert wallet(bench, "b").wallet == before["b"] + D("0.022")
        assert [(f.account, f.quantity, f.amount) for f in changes.fundings] == [
            ("a", D(2), D("0.022")),
            ("b", D(-2), D("-0.022")),
        ]
        assert changes.accounts == ["a", "b"]
        assert bench.engine.counters().executions == 4

    def test_a_negative_rate_is_paid_by_shorts_and_a_flat_account_pays_nothing(self) -> None:
        bench = Bench()
        bench.place("a", BUY, "1", "100.0")
        bench.place("b", SELL, "1", "100.0")
        changes = bench.engine.fund(bench.symbol, D("-0.001"), 99)
        assert not changes.fundings  # nothing has traded outside and the book is empty: there is no mark yet
        bench.engine.on_mark(bench.symbol, D(100))
        changes = bench.engine.fund(bench.symbol, D("-0.001"), 99)
        assert {f.account: f.amount for f in changes.fundings} == {"a": D("-0.1"), "b": D("0.1")}

    def test_a_mark_price_values_positions_and_zero_goes_back_to_the_last_trade(self) -> None:
        bench = Bench()
        bench.engine.on_trade(bench.symbol, 100.0, 1.0, BUY, 1)
        bench.engine.on_mark(bench.symbol, D(105))
        assert bench.engine.mark(bench.symbol) == 105
        bench.engine.on_mark(bench.symbol, D(0))
        assert bench.engine.mark(bench.symbol) == 100
