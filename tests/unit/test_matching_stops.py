"""Orders that wait for a price in the matching engine, one sentence each."""

from __future__ import annotations

from decimal import Decimal as D

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.matching.engine import MatchingEngine
from exchanges.matching.record import Changes, OrderRecord
from exchanges.matching.rejection import OrderRejectedError, Reject
from exchanges.matching.synthetic import SyntheticDepth
from exchanges.model.market import Bar
from exchanges.model.order import OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.trigger import Direction, Source, Trigger
from exchanges.model.venue import AmendOrder, CancelOrder, PlaceOrder
from tests.unit.matching_bench import BTC, COIN, SHARE, SYMBOL, Bench, prices

BELOW = Direction.BELOW


class StopBench(Bench):
    """A bench in which the market trades: account a is long 1 at about 100."""

    def __init__(self, instrument: object = BTC, held: str = "1", **more: object) -> None:
        super().__init__(instrument, depth=SyntheticDepth(3), **more)  # type: ignore[arg-type]
        self.trade("100.0")
        if held != "0":
            self.place("a", Side.BUY, held)

    def trade(self, price: str, taker: Side = Side.SELL) -> Changes:
        self.count += 1
        return self.engine.on_trade(self.symbol, float(price), 0.001, taker, self.count)

    def stop(
        self,
        price: str,
        quantity: str = "1",
        *,
        limit: str | None = None,
        source: Source = Source.LAST,
        side: Side = Side.SELL,
        reduce_only: bool = True,
    ) -> OrderRecord:
        self.count += 1
        direction = BELOW if side is Side.SELL else Direction.ABOVE
        command = PlaceOrder(
            f"stop{self.count}", self.symbol, side, OrderType.LIMIT if limit else OrderType.MARKET, D(quantity),
            D(limit) if limit else None, TimeInForce.GTC, reduce_only, Trigger(direction, D(price), source),
        )  # fmt: skip
        subject = self.engine.place("a", command, self.count).subject
        assert subject is not None
        return subject

    def held(self, account: str = "a") -> D:
        return self.engine.accounts[account].position(self.symbol).quantity


def test_a_stop_waits_outside_of_the_book_until_the_last_price_has_come_to_it() -> None:
    bench = StopBench()
    stop = bench.stop("98.0")
    assert (stop.status, stop.waiting, bench.held()) == (OrderStatus.OPEN, True, 1)
    assert not bench.engine.markets[SYMBOL].book.asks
    assert not bench.trade("98.1")
    changes = bench.trade("98.0")
    assert (stop.status, stop.triggered, stop.waiting, bench.held()) == (OrderStatus.FILLED, True, False, 0)
    assert [order.id for order in changes.orders] == [stop.id]
    assert stop.order().triggered and stop.order().trigger == Trigger(BELOW, D("98.0"))


def test_a_stop_that_the_market_jumps_over_is_filled_where_the_market_is() -> None:
    bench = StopBench()
    bench.stop("98.0")
    changes = bench.trade("95.0")
    assert {price for price, _ in prices(changes, "a")} == {"95.0"}


def test_a_stop_with_a_limit_rests_in_the_book_where_the_market_is_through_its_limit() -> None:
    bench = StopBench()
    stop = bench.stop("98.0", limit="97.5")
    bench.trade("95.0")
    assert (stop.status, stop.resting, stop.price, bench.held()) == (OrderStatus.OPEN, True, D("97.5"), 1)
    bench.engine.on_trade(SYMBOL, 97.6, 5.0, Side.BUY, 50)
    assert (stop.status, bench.held()) == (OrderStatus.FILLED, 0)


@pytest.mark.parametrize(("side", "price"), [(Side.SELL, "100.0"), (Side.SELL, "101.0"), (Side.BUY, "99.0")])
def test_a_stop_that_is_through_the_market_already_is_refused(side: Side, price: str) -> None:
    bench = StopBench()
    with pytest.raises(OrderRejectedError) as caught:
        bench.stop(price, side=side, reduce_only=False)
    assert caught.value.code is Reject.TRIGGER


def test_a_stop_may_look_at_the_mark_price_alone() -> None:
    bench = StopBench()
    bench.engine.on_mark(SYMBOL, D(100))
    stop = bench.stop("98.0", source=Source.MARK)
    bench.trade("95.0")
    assert stop.waiting
    bench.engine.on_mark(SYMBOL, D("97.9"))
    bench.engine.liquidate(60, SYMBOL)
    assert stop.triggered


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"trigger": Trigger(BELOW, D("98.05"))}, Reject.PRICE),
        ({"trigger": Trigger(BELOW, D("98"), Source.BID)}, Reject.PARAMETER),
        ({"trigger": Trigger(BELOW, D("98"), symbol="test:OTHER")}, Reject.PARAMETER),
        ({"quantity": D("0.0005")}, Reject.QUANTITY),
        ({"side": Side.BUY, "trigger": Trigger(Direction.ABOVE, D(102))}, Reject.REDUCE_ONLY),
    ],
)
def test_a_stop_that_breaks_a_rule_is_refused(changes: dict[str, object], code: Reject) -> None:
    bench = StopBench()
    command = PlaceOrder(
        "s", SYMBOL, Side.SELL, OrderType.MARKET, D(1), reduce_only=True, trigger=Trigger(BELOW, D(98))
    )
    with pytest.raises(OrderRejectedError) as caught:
        bench.engine.place("a", msgspec.structs.replace(command, **changes), 9)
    assert caught.value.code is code


def test_a_waiting_stop_is_amended_and_cancelled_like_any_order() -> None:
    bench = StopBench()
    stop = bench.stop("98.0")
    bench.engine.amend("a", AmendOrder(stop.client_id, SYMBOL, D("0.4"), trigger_price=D("99.0")), 20)
    assert (stop.quantity, stop.trigger, stop.updated_ns) == (D("0.4"), Trigger(BELOW, D("99.0")), 20)
    for amendment in (AmendOrder(stop.client_id, SYMBOL), AmendOrder(stop.client_id, SYMBOL, trigger_price=D("99.0"))):
        with pytest.raises(OrderRejectedError, match="UNCHANGED"):
            bench.engine.amend("a", amendment, 21)
    with pytest.raises(OrderRejectedError, match="TRIGGER"):
        bench.engine.amend("a", AmendOrder(stop.client_id, SYMBOL, trigger_price=D("100.0")), 22)
    bench.engine.cancel("a", CancelOrder(stop.client_id, SYMBOL), 23)
    bench.trade("90.0")
    assert (stop.status, bench.held()) == (OrderStatus.CANCELLED, 1)


def test_cancelling_all_takes_the_waiting_ones_along() -> None:
    bench = StopBench()
    stop = bench.stop("98.0")
    bench.engine.cancel_all("a", 20)
    assert (stop.status, bench.engine.markets[SYMBOL].stops) == (OrderStatus.CANCELLED, {})


def test_a_reduce_only_stop_shrinks_with_the_position_and_goes_with_it() -> None:
    bench = StopBench()
    stop = bench.stop("98.0")
    bench.place("a", Side.SELL, "0.4")
    assert (stop.quantity, stop.status) == (D("0.6"), OrderStatus.OPEN)
    bench.place("a", Side.SELL, "0.6")
    assert (stop.status, stop.reason) == (OrderStatus.CANCELLED, "REDUCE_ONLY")


def test_two_exits_that_wait_side_by_side_never_close_more_than_is_held() -> None:
    bench = StopBench()
    stop = bench.stop("98.0")
    profit, _ = bench.place("a", Side.SELL, "1", "102.0", reduce_only=True)
    bench.engine.on_trade(SYMBOL, 102.5, 0.7, Side.BUY, 20)
    assert (profit.filled, stop.quantity) == (D("0.7"), D("0.3"))
    bench.trade("97.0")
    assert (bench.held(), stop.status, profit.status) == (0, OrderStatus.FILLED, OrderStatus.CANCELLED)


def test_a_stop_that_may_open_a_perpetual_needs_its_margin_only_when_it_is_met() -> None:
    bench = StopBench(held="0")
    before = bench.engine.available("a")
    small, huge = (bench.stop("102.0", size, side=Side.BUY, reduce_only=False) for size in ("1", "1000"))
    bench.stop("103.0", "900", side=Side.BUY, reduce_only=False, limit="60000")
    assert bench.engine.available("a") == before
    bench.trade("102.0", Side.BUY)
    assert (small.status, huge.status) == (OrderStatus.FILLED, OrderStatus.FILLED)
    bench.trade("103.0", Side.BUY)
    assert [r.reason for r in bench.engine.orders("a")][-1] == "INSUFFICIENT_FUNDS"


def test_what_waits_to_be_sold_can_not_be_sold_twice_where_it_is_paid_for() -> None:
    bench = StopBench(COIN, "10")
    bench.stop("98.0", "8", reduce_only=False)
    assert bench.refused("a", Side.SELL, "3", "105.0") is Reject.INSUFFICIENT_POSITION
    bench.place("a", Side.SELL, "1", "105.0")


def test_a_stop_on_a_share_holds_cash_for_what_it_may_sell_short() -> None:
    bench = StopBench(SHARE, "0", balance=D(1_000), multiplier=D(2))
    bench.stop("98.0", "10", reduce_only=False)
    assert bench.engine.available("a") == D(1_000) - D(980) / 2


def test_a_market_that_is_closed_lets_no_stop_go() -> None:
    bench = StopBench()
    stop = bench.stop("98.0")
    bench.engine.relist(msgspec.structs.replace(BTC, trading=False))
    bench.trade("97.0")
    assert stop.waiting
    bench.engine.relist(BTC)
    bench.trade("97.0")
    assert stop.status is OrderStatus.FILLED


@pytest.mark.parametrize(
    ("opens", "filled"),
    [(100.0, "98.0"), (99.9, "98.0"), (97.5, "97.5")],
    ids=["a way down", "a way over the high", "a gap"],
)
def test_a_bar_meets_a_stop_where_it_waits_on_its_way_or_where_it_opens_beyond(opens: float, filled: str) -> None:
    bench = StopBench()
    bench.stop("98.0")
    changes = bench.engine.on_bar(Bar(SYMBOL, 0, 0, 1, 1, opens, 100.2, 97.0, 99.5, 40.0, 60), 30)
    assert {price for price, _ in prices(changes, "a")} == {filled}
    assert bench.held() == 0


def test_a_bar_meets_what_waits_in_the_order_of_its_way() -> None:
    bench = StopBench()
    low, high = bench.stop("97.5", "0.5"), bench.stop("98.5", "0.5")
    changes = bench.engine.on_bar(Bar(SYMBOL, 0, 0, 1, 1, 100.0, 100.0, 97.0, 99.5, 40.0, 60), 30)
    assert prices(changes, "a") == [("98.5", "0.5"), ("97.5", "0.5")]
    assert (low.status, high.status) == (OrderStatus.FILLED, OrderStatus.FILLED)


def test_waiting_orders_are_there_again_after_a_restart() -> None:
    bench = StopBench()
    stop = bench.stop("98.0")
    decoder = msgspec.msgpack.Decoder(OrderRecord)
    kept = [decoder.decode(msgspec.msgpack.encode(record)) for record in bench.engine.orders("a")]
    engine = MatchingEngine(depth=SyntheticDepth(3))
    engine.list_instrument(BTC)
    engine.restore(bench.engine.counters(), bench.engine.accounts.values(), kept)
    engine.on_trade(SYMBOL, 97.0, 1.0, Side.SELL, 99)
    found = engine.find("a", client_id=stop.client_id)
    assert found is not None and found.status is OrderStatus.FILLED


def test_a_record_from_before_there_were_stops_waits_for_nothing() -> None:
    bench = StopBench()
    fields = msgspec.to_builtins(bench.engine.orders("a")[0])
    for name in ("trigger", "waiting", "triggered"):
        del fields[name]
    assert not msgspec.convert(fields, OrderRecord).waiting


_STEP = st.one_of(
    st.tuples(st.just("trade"), st.integers(900, 1100)),
    st.tuples(st.just("stop"), st.integers(900, 1100)),
    st.tuples(st.just("take"), st.integers(900, 1100)),
    st.tuples(st.just("sell"), st.integers(1, 400)),
    st.tuples(st.just("buy"), st.integers(1, 400)),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.tuples(st.just("amend"), st.integers(900, 1100)),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(_STEP, max_size=40))
def test_whatever_happens_reduce_only_orders_never_turn_a_position_and_none_that_is_met_waits(
    steps: list[tuple[str, int]],
) -> None:
    bench = StopBench()
    for kind, value in steps:
        before = bench.held()
        _step(bench, kind, value)
        if kind != "buy" and kind != "sell":
            assert 0 <= bench.held() <= before
        market = bench.engine.markets[SYMBOL]
        for stop in market.stops.values():
            assert stop.trigger is not None
            assert not stop.trigger.reached(market.external.last)
            assert stop.waiting and not stop.resting and not stop.status.final
            assert 0 < stop.open <= bench.held()
        waiting = {record.id for record in bench.engine.working("a") if record.waiting}
        assert waiting == set(market.stops)


def _step(bench: StopBench, kind: str, value: int) -> None:
    price = f"{value / 10:.1f}"
    stops = list(bench.engine.markets[SYMBOL].stops.values())
    try:
        if kind == "trade":
            bench.trade(price)
        elif kind == "stop":
            bench.stop(price, "0.5")
        elif kind == "take":
            bench.place("a", Side.SELL, "0.5", price, reduce_only=True)
        elif kind in ("sell", "buy"):
            bench.place(
                "a", Side.SELL if kind == "sell" else Side.BUY, f"{value / 1000:.3f}", reduce_only=kind == "sell"
            )
        elif stops and kind == "cancel":
            bench.engine.cancel("a", CancelOrder(stops[value % len(stops)].client_id, SYMBOL), 1)
        elif stops:
            bench.engine.amend("a", AmendOrder(stops[0].client_id, SYMBOL, trigger_price=D(price)), 1)
    except OrderRejectedError as error:
        assert error.code in (Reject.TRIGGER, Reject.REDUCE_ONLY, Reject.UNCHANGED, Reject.NOTIONAL_MIN)
