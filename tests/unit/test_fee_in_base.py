"""A fee taken from the coin bought: books, matching, reconciliation, panic, and what a strategy sees."""

from __future__ import annotations

from decimal import Decimal as D
from decimal import localcontext

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.exchange.brain import ExchangeBrain
from actors.messages.control import Control, ControlTaken
from actors.messages.orders import Filled, Repaired, SymbolHalted
from actors.risk.book import Book
from actors.risk.book import filled as fold_fill
from exchanges.bybit import wire
from exchanges.model.order import Fill, Liquidity, OrderType, Side
from exchanges.model.position import Position
from exchanges.model.venue import FillReport, InstrumentsReport, PlaceOrder, VenuePosition
from runtime.lifecycle import CaughtUp
from tests.unit.brain_context import SECOND, START_NS, FakeContext, entry_of
from tests.unit.brain_samples import BTC, EXCHANGE, make_instrument
from tests.unit.exchange_bench import approve, approved, connect, make_brain, reconcile, tell, venue_fill
from tests.unit.matching_bench import COIN, Bench
from tests.unit.strategy_session import LABEL, SYMBOL, Buyer, emitted, feed, started, trade

TAKING = msgspec.structs.replace(COIN, fee_in_base=True, maker_fee=D("0.002"))
amounts = st.decimals(min_value="0.001", max_value="1000", places=3)
prices = st.decimals(min_value="0.01", max_value="90000", places=2)
rates = st.decimals(min_value="0", max_value="0.01", places=4)


def made(side: Side, quantity: D, price: D, rate: D) -> Fill:
    """A fill as a spot venue charges it: coins of a purchase, cash of a sale."""
    in_base = side is Side.BUY
    fee = rate * (quantity if in_base else quantity * price)
    currency = "BTC" if in_base else "USDT"
    return Fill("e", "c", "v", BTC, side, price, quantity, fee, currency, Liquidity.TAKER, 1, in_base)


def cash_of(fill: Fill) -> D:
    """What a fill does to the cash of the quote currency."""
    return -fill.quantity * fill.side.sign * fill.price - (D(0) if fill.fee_in_base else fill.fee)


# -- the books -------------------------------------------------------------------------------


def test_a_purchase_holds_what_the_fee_left_at_the_price_paid() -> None:
    held = Position(BTC).apply(made(Side.BUY, D("0.5"), D(60_000), D("0.001")))
    assert (held.quantity, held.average_price) == (D("0.4995"), D(60_000))
    assert (held.fees, held.realized) == (D("0.0005") * 60_000, D(0))


def test_a_purchase_on_top_moves_the_average_as_if_less_had_been_bought() -> None:
    held = Position(BTC).apply(made(Side.BUY, D(1), D(100), D(0))).apply(made(Side.BUY, D(1), D(200), D("0.5")))
    assert (held.quantity, held.average_price, held.fees) == (D("1.5"), D(200) / D("1.5"), D(100))


def test_a_fee_in_the_coin_on_a_sale_sells_that_much_more() -> None:
    sale = msgspec.structs.replace(made(Side.SELL, D(1), D(100), D(0)), fee=D("0.1"), fee_in_base=True)
    after = Position(BTC, D(2), D(100)).apply(sale)
    assert (after.quantity, after.realized, after.fees) == (D("0.9"), D(55), D(10))


@given(trades=st.lists(st.tuples(st.sampled_from(list(Side)), amounts, prices, rates), max_size=12))
def test_cash_is_always_realised_less_fees_less_what_the_position_cost(trades: list[tuple[Side, D, D, D]]) -> None:
    with localcontext(prec=80):
        held, cash, coins = Position(BTC), D(0), D(0)
        for side, quantity, price, rate in trades:
            fill = made(side, quantity, price, rate)
            held = held.apply(fill)
            cash += cash_of(fill)
            coins += fill.quantity * fill.side.sign - (fill.fee if fill.fee_in_base else D(0))
        assert held.quantity == coins
        assert abs(cash - (held.realized - held.fees - held.cost)) < D("1e-30")


@given(quantity=st.decimals(min_value="-9", max_value="9", places=7), lot=st.sampled_from([D("0.001"), D("0.5"), D(0)]))
def test_what_can_be_traded_is_whole_lots_at_the_same_price(quantity: D, lot: D) -> None:
    held = Position(BTC, quantity, quantity * 7)
    found = held.tradable(lot)
    assert abs(quantity - found.quantity) < (lot or D("1e-30"))
    assert not lot or found.quantity % lot == 0
    assert found.quantity * quantity >= 0
    assert abs(found.cost - found.quantity * 7) < D("1e-20")


# -- the matching engine ---------------------------------------------------------------------


def test_the_engine_takes_the_fee_of_a_purchase_from_the_coins_and_of_a_sale_from_the_cash() -> None:
    bench = Bench(TAKING)
    engine, cash = bench.engine, bench.engine.accounts["a"].wallet
    engine.on_book(bench.symbol, [(D(99), D(50))], [(D(100), D(50))])
    bought = engine.place("a", PlaceOrder("b", bench.symbol, Side.BUY, OrderType.MARKET, D(10)), 1).executions[0].fill
    assert (bought.fee, bought.fee_currency, bought.fee_in_base) == (D("0.010"), "COIN", True)
    account = engine.accounts["a"]
    assert account.position(bench.symbol).quantity == D("9.990")
    assert account.wallet == cash - 1_000
    sold = engine.place("a", PlaceOrder("s", bench.symbol, Side.SELL, OrderType.MARKET, D("9.9")), 2).executions[0].fill
    assert (sold.fee, sold.fee_currency, sold.fee_in_base) == (D("0.9801"), "USDT", False)
    assert account.wallet == cash - 1_000 + D("9.9") * 99 - D("0.9801")
    assert account.position(bench.symbol).quantity == D("0.090")


def test_all_of_the_cash_buys_where_the_fee_is_in_the_coin() -> None:
    bench = Bench(TAKING, D(1_000))
    bench.engine.on_book(bench.symbol, [], [(D(100), D(50))])
    changes = bench.engine.place("a", PlaceOrder("b", bench.symbol, Side.BUY, OrderType.LIMIT, D(10), D(100)), 1)
    assert changes.executions[0].fill.quantity == 10
    assert bench.engine.accounts["a"].wallet == 0


def test_a_reduce_only_sale_is_of_whole_lots() -> None:
    bench = Bench(TAKING)
    bench.engine.on_book(bench.symbol, [(D(99), D(50))], [(D(100), D(50))])
    bench.engine.place("a", PlaceOrder("b", bench.symbol, Side.BUY, OrderType.MARKET, D(10)), 1)
    sale = PlaceOrder("s", bench.symbol, Side.SELL, OrderType.MARKET, D(10), reduce_only=True)
    assert bench.engine.place("a", sale, 2).executions[0].fill.quantity == D("9.9")


# -- the adapter -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "in_base", "delta"),
    [
        ({"side": "Buy", "feeCurrency": "BTC", "execFee": "0.00001"}, True, D("0.00999")),
        ({"side": "Buy", "execFee": "0.00001"}, True, D("0.00999")),
        ({"side": "Buy", "feeCurrency": "MNT", "execFee": "0.2"}, False, D("0.01")),
        ({"side": "Sell", "feeCurrency": "USDT", "execFee": "0.6"}, False, D("-0.01")),
        ({"side": "Sell", "feeCurrency": "BTC", "execFee": "-0.00001"}, True, D("-0.00999")),
        ({"side": "Buy", "category": "linear", "execFee": "0.00001"}, False, D("0.01")),
    ],
)
def test_an_execution_says_whether_its_fee_is_off_the_coins(row: dict[str, str], in_base: bool, delta: D) -> None:
    usual = {
        "category": "spot", "symbol": "BTCUSDT", "execId": "e", "execPrice": "60000", "execQty": "0.01", "execTime": "1"
    }  # fmt: skip
    fill = wire.fill({**usual, **row})
    assert fill is not None
    assert (fill.fee_in_base, fill.delta) == (in_base, delta)


# -- the exchange connection -----------------------------------------------------------------


def holding(*, fee_told: bool = True, fee: str = "0.00001234", lot: str = "0.001") -> tuple[ExchangeBrain, FakeContext]:
    """A connection that has bought 0.01234 and got 0.01232766 of it, unless another fee is asked for."""
    brain, ctx = make_brain(symbols=(BTC,)), FakeContext(EXCHANGE, journal=False)
    ctx.start(brain)
    connect(brain, ctx)
    tell(brain, ctx, InstrumentsReport((make_instrument(BTC, fee_in_base=True, fee_told=fee_told, lot=D(lot)),)))
    ctx.deliver(brain, CaughtUp(0), "bus")
    reconcile(brain, ctx)
    order = approve(brain, ctx, approved(quantity=D("0.01234"), price=D(500)))
    fill = venue_fill(order, "e1", "0.01234", fee=D(fee), fee_currency="BTC", fee_in_base=True)
    tell(brain, ctx, FillReport(fill))
    ctx.clear()
    return brain, ctx


def test_the_wallet_and_the_books_agree_after_a_purchase() -> None:
    brain, ctx = holding()
    assert brain.state.positions[BTC].quantity == D("0.01232766")
    for _ in range(3):
        ctx.advance(brain, 40 * SECOND)
        reconcile(brain, ctx, positions=(VenuePosition(BTC, D("0.01232766"), D(100)),))
    assert not ctx.sent(Repaired)
    assert not ctx.sent(SymbolHalted)


def test_a_difference_below_a_lot_is_taken_over_without_stopping_the_symbol() -> None:
    brain, ctx = holding()
    before = brain.state.positions[BTC]
    for _ in range(2):
        ctx.advance(brain, 40 * SECOND)
        reconcile(brain, ctx, positions=(VenuePosition(BTC, D("0.0123276"), D(7)),))
    (repaired,) = ctx.sent(Repaired)
    after = repaired.position
    assert repaired.what == "fee rounding"
    assert after is not None
    assert (after.quantity, after.average_price) == (D("0.0123276"), before.average_price)
    assert after.cost + after.fees == before.cost + before.fees, "the cash has not moved"
    assert not brain.state.halted
    assert not ctx.sent(SymbolHalted)


def test_a_difference_of_a_lot_still_stops_it() -> None:
    brain, ctx = holding()
    for _ in range(2):
        ctx.advance(brain, 40 * SECOND)
        reconcile(brain, ctx, positions=(VenuePosition(BTC, D("0.01132766"), D(100)),))
    assert BTC in brain.state.halted


@pytest.mark.parametrize(("rate", "halted"), [("0.0015", False), ("0.004", False), ("0.006", True)])
def test_a_fee_that_was_reckoned_is_corrected_by_what_is_held(rate: str, halted: bool) -> None:
    brain, ctx = holding(fee_told=False, fee="0.0000308500", lot="0.000001")
    ours = brain.state.positions[BTC]
    theirs = D("0.01234") * (1 - D(rate))
    for _ in range(2):
        ctx.advance(brain, 40 * SECOND)
        reconcile(brain, ctx, positions=(VenuePosition(BTC, theirs, D(7)),))
    assert brain.state.positions[BTC].quantity == theirs
    assert (BTC in brain.state.halted) is halted
    if not halted:
        assert brain.state.positions[BTC].fees == (D("0.01234") - theirs) * 100
        assert brain.state.positions[BTC].average_price == ours.average_price
        assert [repaired.what for repaired in ctx.sent(Repaired)] == ["fee reckoned"]


def test_a_panic_sells_whole_lots_and_is_over_when_only_crumbs_are_left() -> None:
    brain, ctx = holding()
    ctx.deliver(brain, Control("c1", "panic", "me"))
    reconcile(brain, ctx, positions=(VenuePosition(BTC, D("0.01232766"), D(100), D(100)),))
    assert [order.quantity for order in ctx.sent(PlaceOrder)] == [D("0.012")]
    ctx.advance(brain, 7 * SECOND)
    reconcile(brain, ctx, positions=(VenuePosition(BTC, D("0.00032766"), D(100), D(100)),))
    assert len(ctx.sent(PlaceOrder)) == 1
    assert ctx.sent(ControlTaken)[-1].action == "panic-flat"


# -- those who follow ------------------------------------------------------------------------


def told(seq: int, side: Side, quantity: str, fee: str, strategy: str = LABEL) -> Filled:
    in_base = side is Side.BUY
    fill = Fill(
        f"e{seq}", f"bw-S{seq}-0-0", "v", SYMBOL, side, D(100), D(quantity), D(fee), "BTC" if in_base else "USDT",
        Liquidity.TAKER, START_NS + seq, in_base,
    )  # fmt: skip
    return Filled(f"S{seq}", strategy, fill, Position(SYMBOL).apply(fill), D("0.001"))


class Leaver(Buyer):
    """Exits whatever it holds."""

    def on_trade(self, trade: object) -> None:
        self.exit("enough")


def test_a_strategy_sees_whole_lots_and_is_flat_when_only_crumbs_are_left() -> None:
    brain, ctx = started(Leaver)
    ctx.deliver(brain, entry_of(told(1, Side.BUY, "0.01234", "0.00001234"), 1))
    assert brain.strategy.position.quantity == D("0.012")
    feed(brain, ctx, [trade(1)])
    assert emitted(ctx)[-1].quantity == D("0.012")
    ctx.deliver(brain, entry_of(told(2, Side.SELL, "0.012", "0.0012"), 2))
    assert not brain.strategy.position.quantity
    assert brain.desk.position.quantity == D("0.00032766")
    successor, later = started(Leaver)
    successor.restore(brain.snapshot())
    assert not successor.strategy.position.quantity
    before = len(emitted(later))
    feed(successor, later, [trade(2)])
    assert len(emitted(later)) == before


def test_crumbs_are_no_open_position_to_risk() -> None:
    book = Book()
    fold_fill(book, told(1, Side.BUY, "0.001", "0.000001"))
    assert book.position(SYMBOL).quantity == D("0.000999")
    assert book.symbols() == []
    fold_fill(book, msgspec.structs.replace(told(2, Side.BUY, "0.001", "0"), position=Position(SYMBOL, D("0.001999"))))
    assert book.symbols() == [SYMBOL]
