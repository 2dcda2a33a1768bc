"""The matching engine's rules, one sentence each."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from exchanges.matching.engine import MatchingEngine
from exchanges.matching.rejection import OrderRejectedError, Reject
from exchanges.matching.synthetic import SyntheticDepth
from exchanges.model.order import Liquidity, OrderStatus, Side, TimeInForce
from exchanges.model.venue import CancelOrder
from tests.unit.matching_bench import BTC, SYMBOL, Bench, prices


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_taker_gets_the_best_price_first_and_the_earlier_order_of_a_price_first(bench: Bench) -> None:
    dear, _ = bench.place("b", Side.SELL, "1", "101.0")
    first, _ = bench.place("b", Side.SELL, "1", "100.0")
    second, _ = bench.place("c", Side.SELL, "1", "100.0")
    _, changes = bench.place("a", Side.BUY, "2.5", "101.0")
    assert prices(changes, "a") == [("100.0", "1"), ("100.0", "1"), ("101.0", "0.5")]
    assert [first.status, second.status, dear.status] == [
        OrderStatus.FILLED,
        OrderStatus.FILLED,
        OrderStatus.PARTIALLY_FILLED,
    ]


def test_maker_and_taker_pay_their_own_fee_rate(bench: Bench) -> None:
    bench.place("b", Side.SELL, "1", "100.0")
    _, changes = bench.place("a", Side.BUY, "1", "100.0")
    fees = {e.account: (e.fill.liquidity, e.fill.fee) for e in changes.executions}
    assert fees == {"b": (Liquidity.MAKER, D("0.02")), "a": (Liquidity.TAKER, D("0.055"))}


def test_the_rest_of_a_crossing_limit_order_rests_at_its_price(bench: Bench) -> None:
    bench.place("b", Side.SELL, "1", "100.0")
    order, _ = bench.place("a", Side.BUY, "3", "100.5")
    assert (order.status, order.open) == (OrderStatus.PARTIALLY_FILLED, D(2))
    assert bench.engine.markets[SYMBOL].book.bids.best() == D("100.5")


def test_an_immediate_or_cancel_order_never_rests(bench: Bench) -> None:
    bench.place("b", Side.SELL, "1", "100.0")
    order, _ = bench.place("a", Side.BUY, "3", "100.0", TimeInForce.IOC)
    assert (order.status, order.filled, order.reason) == (OrderStatus.CANCELLED, D(1), "NO_IMMEDIATE_QUANTITY")
    assert not bench.engine.markets[SYMBOL].book.bids


def test_a_fill_or_kill_order_leaves_the_book_untouched_when_depth_is_short(bench: Bench) -> None:
    bench.place("b", Side.SELL, "1", "100.0")
    order, changes = bench.place("a", Side.BUY, "1.001", "100.0", TimeInForce.FOK)
    assert (order.status, changes.executions) == (OrderStatus.CANCELLED, [])
    filled, _ = bench.place("a", Side.BUY, "1", "100.0", TimeInForce.FOK)
    assert filled.status is OrderStatus.FILLED


def test_a_fill_or_kill_order_does_not_count_on_the_accounts_own_resting_orders(bench: Bench) -> None:
    bench.place("a", Side.SELL, "1", "100.0")
    order, _ = bench.place("a", Side.BUY, "1", "100.0", TimeInForce.FOK)
    assert order.status is OrderStatus.CANCELLED


def test_a_post_only_order_that_would_take_is_cancelled(bench: Bench) -> None:
    bench.place("b", Side.SELL, "1", "100.0")
    crossing, changes = bench.place("a", Side.BUY, "1", "100.0", TimeInForce.POST_ONLY)
    resting, _ = bench.place("a", Side.BUY, "1", "99.9", TimeInForce.POST_ONLY)
    assert (crossing.status, crossing.reason, changes.executions) == (OrderStatus.CANCELLED, "POST_ONLY_CROSS", [])
    assert resting.status is OrderStatus.OPEN


def test_an_account_never_trades_with_itself_and_its_resting_order_gives_way(bench: Bench) -> None:
    own, _ = bench.place("a", Side.SELL, "1", "100.0")
    bench.place("b", Side.SELL, "1", "100.1")
    order, changes = bench.place("a", Side.BUY, "1", "100.1")
    assert (own.status, own.reason) == (OrderStatus.CANCELLED, "SELF_TRADE")
    assert prices(changes, "a") == [("100.1", "1")]
    assert order.status is OrderStatus.FILLED


def test_a_client_order_id_is_taken_for_ever_once_an_order_has_it(bench: Bench) -> None:
    bench.place("a", Side.BUY, "1", "99.0", client_id="once")
    bench.engine.cancel("a", CancelOrder("once", SYMBOL), 9)
    assert bench.refused("a", Side.BUY, "1", "99.0", client_id="once") is Reject.DUPLICATE_CLIENT_ID
    bench.place("b", Side.BUY, "1", "99.0", client_id="once")


def test_a_refused_order_leaves_its_client_order_id_free(bench: Bench) -> None:
    assert bench.refused("a", Side.BUY, "0.0005", "99.0", client_id="again") is Reject.QUANTITY
    bench.place("a", Side.BUY, "1", "99.0", client_id="again")


@pytest.mark.parametrize(
    ("quantity", "price", "code"),
    [
        ("0", "100", Reject.QUANTITY),
        ("1001", "100", Reject.QUANTITY),
        ("1", "100.05", Reject.PRICE),
        ("1", "-1", Reject.PRICE),
        ("0.001", "100", Reject.NOTIONAL_MIN),
        ("900", "60000", Reject.INSUFFICIENT_MARGIN),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused(bench: Bench, quantity: str, price: str, code: Reject) -> None:
    assert bench.refused("a", Side.BUY, quantity, price) is code


def test_margin_is_reserved_while_an_order_works_and_released_when_it_ends(bench: Bench) -> None:
    order, _ = bench.place("a", Side.BUY, "1", "50000")
    assert bench.engine.available("a") == D(95_000)
    bench.engine.cancel("a", CancelOrder(order.client_id, SYMBOL), 9)
    assert bench.engine.available("a") == D(100_000)


def test_leverage_decides_how_much_margin_an_order_needs(bench: Bench) -> None:
    assert bench.refused("a", Side.BUY, "20", "60000") is Reject.INSUFFICIENT_MARGIN
    bench.engine.set_leverage("a", SYMBOL, D(20))
    bench.place("a", Side.BUY, "20", "60000")


def test_closing_a_position_needs_no_margin_and_books_the_profit_to_the_wallet(bench: Bench) -> None:
    bench.quote("99.9", "100.0", "10", "10")
    bench.place("a", Side.BUY, "2")
    bench.quote("110.0", "110.1", "10", "10")
    bench.engine.accounts["a"].wallet = D(0)
    bench.place("a", Side.SELL, "2")
    assert bench.engine.accounts["a"].wallet == D(20) - D(2) * D(110) * BTC.taker_fee


def test_a_reduce_only_order_is_clamped_to_the_position(bench: Bench) -> None:
    bench.quote("99.9", "100.0", "10", "10")
    bench.place("a", Side.BUY, "2")
    order, _ = bench.place("a", Side.SELL, "5", "120.0", reduce_only=True)
    assert order.quantity == D(2)


def test_a_reduce_only_order_without_a_position_to_reduce_is_refused(bench: Bench) -> None:
    bench.quote("99.9", "100.0", "10", "10")
    assert bench.refused("a", Side.SELL, "1", "120.0", reduce_only=True) is Reject.REDUCE_ONLY
    bench.place("a", Side.BUY, "1")
    assert bench.refused("a", Side.BUY, "1", "90.0", reduce_only=True) is Reject.REDUCE_ONLY


def test_resting_reduce_only_orders_shrink_and_end_with_the_position(bench: Bench) -> None:
    bench.quote("99.9", "100.0", "10", "10")
    bench.place("a", Side.BUY, "3")
    order, _ = bench.place("a", Side.SELL, "3", "120.0", reduce_only=True)
    bench.place("a", Side.SELL, "1")
    assert order.open == D(2)
    bench.place("a", Side.SELL, "2")
    assert (order.status, order.reason) == (OrderStatus.CANCELLED, "REDUCE_ONLY")


def test_an_amend_keeps_its_place_only_when_it_makes_the_order_smaller(bench: Bench) -> None:
    first, _ = bench.place("b", Side.SELL, "2", "100.0", client_id="first")
    second, _ = bench.place("c", Side.SELL, "2", "100.0", client_id="second")
    bench.amend("b", "first", quantity="1")
    bench.place("a", Side.BUY, "1", "100.0")
    assert (first.status, second.filled) == (OrderStatus.FILLED, D(0))
    third, _ = bench.place("b", Side.SELL, "1", "100.0", client_id="third")
    bench.amend("c", "second", quantity="3")
    bench.place("a", Side.BUY, "1", "100.0")
    assert (third.status, second.filled) == (OrderStatus.FILLED, D(0))


def test_an_amend_to_a_crossing_price_trades(bench: Bench) -> None:
    bench.place("b", Side.SELL, "1", "100.0")
    bench.place("a", Side.BUY, "1", "99.0", client_id="up")
    assert bench.amend("a", "up", price="100.0").status is OrderStatus.FILLED


def test_an_amend_that_changes_nothing_or_goes_below_the_filled_quantity_is_refused(bench: Bench) -> None:
    bench.place("a", Side.SELL, "3", "100.0", client_id="x")
    bench.place("b", Side.BUY, "2", "100.0")
    for quantity, code in (("3", Reject.UNCHANGED), ("2", Reject.QUANTITY)):
        with pytest.raises(OrderRejectedError) as caught:
            bench.amend("a", "x", quantity=quantity)
        assert caught.value.code is code


def test_an_ended_or_unknown_order_can_not_be_cancelled(bench: Bench) -> None:
    bench.place("a", Side.BUY, "1", "99.0", client_id="x")
    bench.engine.cancel("a", CancelOrder("x", SYMBOL), 5)
    for name, code in (("x", Reject.ALREADY_CLOSED), ("y", Reject.UNKNOWN_ORDER)):
        with pytest.raises(OrderRejectedError) as caught:
            bench.engine.cancel("a", CancelOrder(name, SYMBOL), 6)
        assert caught.value.code is code


def test_cancel_all_ends_only_the_accounts_own_orders(bench: Bench) -> None:
    bench.place("a", Side.BUY, "1", "99.0")
    bench.place("a", Side.SELL, "1", "101.0")
    other, _ = bench.place("b", Side.BUY, "1", "99.0")
    ended = bench.engine.cancel_all("a", 9)
    assert len(ended.orders) == 2
    assert (bench.engine.working("a"), other.status) == ([], OrderStatus.OPEN)


def test_a_quotes_size_is_filled_first_and_the_rest_slips_a_tick(bench: Bench) -> None:
    bench.quote("99.9", "100.0", ask_size="1")
    _, changes = bench.place("a", Side.BUY, "3")
    assert prices(changes, "a") == [("100.0", "1"), ("100.1", "2")]


def test_consumed_liquidity_stays_consumed_until_fresh_data(bench: Bench) -> None:
    bench.quote("99.9", "100.0", ask_size="1")
    bench.place("a", Side.BUY, "1")
    _, late = bench.place("a", Side.BUY, "1")
    bench.quote("99.9", "100.0", ask_size="1")
    _, fresh = bench.place("a", Side.BUY, "1")
    assert (prices(late, "a"), prices(fresh, "a")) == ([("100.1", "1")], [("100.0", "1")])


def test_a_taker_walks_the_levels_of_a_book_with_one_fill_a_level(bench: Bench) -> None:
    asks = [(D("100.0"), D(1)), (D("100.2"), D(2)), (D("100.5"), D(4))]
    bench.engine.on_book(SYMBOL, [(D("99.9"), D(1))], asks)
    order, changes = bench.place("a", Side.BUY, "10", "100.2", TimeInForce.IOC)
    assert prices(changes, "a") == [("100.0", "1"), ("100.2", "2")]
    assert order.average_price == (D("100.0") + D("200.4")) / 3


def test_a_trade_fills_a_resting_order_at_the_orders_own_price_and_at_most_with_its_size(bench: Bench) -> None:
    order, _ = bench.place("a", Side.BUY, "3", "100.0")
    changes = bench.engine.on_trade(SYMBOL, 99.0, 1.5, Side.SELL, 5)
    assert prices(changes, "a") == [("100.0", "1.5")]
    assert changes.executions[0].fill.liquidity is Liquidity.MAKER
    assert order.status is OrderStatus.PARTIALLY_FILLED


def test_a_bought_trade_fills_no_resting_buy(bench: Bench) -> None:
    bench.place("a", Side.BUY, "3", "100.0")
    assert not bench.engine.on_trade(SYMBOL, 99.0, 5.0, Side.BUY, 5)


def test_the_external_queue_ahead_is_served_before_a_resting_order_at_its_price(bench: Bench) -> None:
    bench.engine.on_book(SYMBOL, [(D("100.0"), D(5))], [(D("100.1"), D(5))])
    order, _ = bench.place("a", Side.BUY, "2", "100.0")
    assert not bench.engine.on_trade(SYMBOL, 100.0, 4.0, Side.SELL, 5).executions
    assert order.queue_ahead == D(1)
    changes = bench.engine.on_trade(SYMBOL, 100.0, 2.0, Side.SELL, 6)
    assert prices(changes, "a") == [("100.0", "1.0")]


def test_a_trade_through_the_price_leaves_no_queue_ahead(bench: Bench) -> None:
    bench.engine.on_book(SYMBOL, [(D("100.0"), D(5))], [(D("100.1"), D(5))])
    order, _ = bench.place("a", Side.BUY, "2", "100.0")
    bench.engine.on_trade(SYMBOL, 99.9, 2.0, Side.SELL, 5)
    assert order.status is OrderStatus.FILLED


def test_orders_of_two_accounts_at_one_price_share_one_external_queue(bench: Bench) -> None:
    bench.engine.on_book(SYMBOL, [(D("100.0"), D(5))], [(D("100.1"), D(5))])
    first, _ = bench.place("a", Side.BUY, "2", "100.0")
    second, _ = bench.place("b", Side.BUY, "2", "100.0")
    bench.engine.on_trade(SYMBOL, 100.0, 8.0, Side.SELL, 5)
    assert (first.filled, second.filled) == (D(2), D(1))


def test_the_synthetic_depth_is_the_same_for_the_same_seed_and_has_a_small_spread() -> None:
    def fills(seed: int) -> list[tuple[str, str]]:
        bench = Bench(depth=SyntheticDepth(seed))
        bench.engine.on_trade(SYMBOL, 61800.0, 1.0, Side.BUY, 1)
        return prices(bench.place("a", Side.BUY, "3")[1], "a") + prices(bench.place("a", Side.SELL, "3")[1], "a")

    assert fills(7) == fills(7) != fills(8)
    bench = Bench(depth=SyntheticDepth(7))
    bench.engine.on_trade(SYMBOL, 61800.0, 1.0, Side.BUY, 1)
    market = bench.engine.markets[SYMBOL]
    bid, ask = market.best(Side.BUY), market.best(Side.SELL)
    assert bid is not None
    assert ask == D("61800.0")
    assert D(0) < ask - bid <= D("0.8")


def test_a_market_order_without_any_liquidity_is_cancelled(bench: Bench) -> None:
    order, _ = bench.place("a", Side.BUY, "1")
    assert (order.status, order.filled) == (OrderStatus.CANCELLED, D(0))


def test_the_visible_book_is_never_crossed_by_the_external_market(bench: Bench) -> None:
    bench.place("a", Side.BUY, "1", "100.0")
    bench.engine.on_book(SYMBOL, [(D("98.0"), D(1))], [(D("99.0"), D(1)), (D("100.5"), D(2))])
    assert bench.engine.markets[SYMBOL].depth(5) == (
        [(D("100.0"), D(1)), (D("98.0"), D(1))],
        [(D("100.5"), D(2))],
    )


def test_restored_orders_are_in_the_book_in_their_old_priority_and_ids_go_on(bench: Bench) -> None:
    bench.place("b", Side.SELL, "1", "100.0", client_id="first")
    bench.place("c", Side.SELL, "1", "100.0", client_id="second")
    bench.amend("b", "first", quantity="2")
    old = bench.engine
    bench.engine = MatchingEngine()
    bench.engine.list_instrument(BTC)
    orders = old.orders("b") + old.orders("c")
    bench.engine.restore(old.counters(), old.accounts.values(), orders)
    order, changes = bench.place("a", Side.BUY, "1", "100.0")
    assert [e.fill.client_id for e in changes.executions if e.account != "a"] == ["second"]
    assert order.id not in {record.id for record in orders}
    assert bench.refused("b", Side.SELL, "1", "100.0", client_id="first") is Reject.DUPLICATE_CLIENT_ID


def test_a_position_whose_mark_is_not_known_yet_counts_at_its_entry_price(bench: Bench) -> None:
    bench.quote("99.9", "100.0", "10", "10")
    bench.place("a", Side.BUY, "2")
    held = bench.engine.accounts["a"]
    assert held.available(lambda symbol: D(0)) == held.wallet - D(20)
