"""Trading on paper: the venue's prices, our engine's fills, and nothing that ever reaches the venue."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal as D

import pytest

from exchanges.model.market import MarketData, Trade
from exchanges.model.order import Fill, Liquidity, Order, OrderStatus, Side, TimeInForce
from exchanges.model.position import Balance
from exchanges.model.venue import (
    AmendOrder,
    BalanceReport,
    CancelAll,
    CancelOrder,
    CommandResult,
    FillReport,
    InstrumentsReport,
    OrderReport,
    Outcome,
    QueryOrder,
    StreamStatus,
)
from runtime.lifecycle import DeadLetter
from tests.unit.paper_bench import (
    BTC,
    Paper,
    Source,
    bar,
    book,
    limit,
    market,
    perpetual,
    play,
    quote,
    trade,
)

ETH = "bybit:ETHUSDT"


def test_prices_pass_and_the_account_opens_with_the_instruments() -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.1))
        p.source.say(trade(100.0))
        assert [type(m).__name__ for m in p.got] == [
            "InstrumentsReport",
            "StreamStatus",
            "StreamStatus",
            "Quote",
            "Trade",
        ]
        assert [(s.stream, s.up) for s in p.of(StreamStatus)] == [("private", True), ("public", True)]
        state = await p.state()
        assert state.complete
        assert state.balances == (Balance("USDT", D(100_000), D(100_000)),)

    paper = play(scenario)
    assert paper.of(StreamStatus)[-1] == StreamStatus("private", False, "closed")


def test_a_market_order_takes_what_the_venue_quotes_and_pays_the_takers_fee() -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.1))
        answer = await p.ask(market("bw-a-0-0"))
        assert answer.outcome is Outcome.ACCEPTED
        (fill,) = [report.fill for report in p.of(FillReport)]
        assert (fill.price, fill.quantity, fill.fee) == (D("100.1"), D("0.1"), D("0.1") * D("100.1") * D("0.00055"))
        assert (fill.client_id, fill.venue_id, fill.liquidity) == ("bw-a-0-0", answer.venue_id, Liquidity.TAKER)
        order = p.of(OrderReport)[-1].order
        assert (order.status, order.filled, order.average_price) == (OrderStatus.FILLED, D("0.1"), D("100.1"))
        assert p.of(BalanceReport)[-1].balances[0].total == D(100_000) - fill.fee
        state = await p.state()
        assert [(h.symbol, h.quantity, h.average_price) for h in state.positions] == [(BTC, D("0.1"), D("100.1"))]
        assert state.fills == (fill,)
        assert state.orders == ()

    play(scenario)


def test_a_large_order_walks_the_book_and_what_it_took_is_gone_until_fresh_data() -> None:
    async def scenario(p: Paper) -> None:
        levels = book([(100.0, 1.0)], [(100.1, 0.1), (100.2, 0.1)])
        p.source.say(levels)
        p.source.say(quote(100.0, 100.1))
        assert (await p.ask(market("bw-a-0-0", quantity="0.3"))).outcome is Outcome.ACCEPTED
        assert [r.fill.price for r in p.of(FillReport)] == [D("100.1"), D("100.2")]
        last = p.of(OrderReport)[-1].order
        assert (last.status, last.filled) == (OrderStatus.CANCELLED, D("0.2"))
        p.source.say(levels)
        await p.ask(market("bw-b-0-0"))
        assert [r.fill.price for r in p.of(FillReport)][2:] == [D("100.1")]

    play(scenario)


def test_a_resting_order_is_filled_by_the_venues_trades_at_its_own_price() -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.1))
        await p.ask(limit("bw-a-0-0", "99.5"))
        assert (await p.state()).orders[0].status is OrderStatus.OPEN
        p.source.say(trade(99.6, side="sell"))
        assert p.of(FillReport) == []
        before = len(p.got)
        p.source.say(trade(99.4, size=0.04, side="sell"))
        assert isinstance(p.got[before], Trade), "the trade is told before what it did to us"
        assert [(r.fill.price, r.fill.quantity, r.fill.liquidity) for r in p.of(FillReport)] == [
            (D("99.5"), D("0.04"), Liquidity.MAKER)
        ]
        assert p.of(OrderReport)[-1].order.status is OrderStatus.PARTIALLY_FILLED
        p.source.say(trade(99.4, size=9.0, side="sell"))
        assert p.of(OrderReport)[-1].order.status is OrderStatus.FILLED

    play(scenario)


@pytest.mark.parametrize(
    ("price", "taker"), [(100.4, Side.BUY), (100.0, Side.SELL), (100.3, Side.BUY), (100.1, Side.SELL)]
)
def test_a_trade_whose_taker_is_not_told_fills_the_side_it_must_have_met(price: float, taker: Side) -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.4))
        p.source.say(trade(100.2, side="buy"))
        await p.ask(limit("bw-a-0-0", f"{price - 0.1 * taker.sign:.1f}", taker.opposite))
        p.source.say(trade(price, size=99.0, side=""))
        assert [r.fill.side for r in p.of(FillReport)] == [taker.opposite]

    play(scenario)


def test_a_quote_through_an_order_fills_it_where_no_trades_are_streamed() -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.1))
        await p.ask(limit("bw-a-0-0", "99.5"))
        await p.ask(limit("bw-b-0-0", "101.0", Side.SELL))
        p.source.say(quote(99.4, 99.5))
        assert p.of(FillReport) == []
        p.source.say(quote(99.3, 99.4))
        assert [(r.fill.client_id, r.fill.price) for r in p.of(FillReport)] == [("bw-a-0-0", D("99.5"))]
        p.source.say(quote(101.2, 101.3))
        assert [(r.fill.client_id, r.fill.price) for r in p.of(FillReport)][1:] == [("bw-b-0-0", D("101.0"))]

    play(scenario)


def test_where_trades_are_streamed_a_quote_alone_fills_nothing() -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(trade(100.0))
        p.source.say(quote(100.0, 100.1))
        await p.ask(limit("bw-a-0-0", "99.5"))
        p.source.say(quote(99.3, 99.4))
        assert p.of(FillReport) == []

    play(scenario)


@pytest.mark.parametrize(("trades", "closed", "fills"), [(False, True, 1), (False, False, 0), (True, True, 0)])
def test_closed_bars_fill_where_there_is_nothing_finer(trades: bool, closed: bool, fills: int) -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(trade(100.0) if trades else quote(100.0, 100.1))
        await p.ask(limit("bw-a-0-0", "99.5"))
        p.source.say(bar(98.0, 100.0, closed=closed))
        assert len({r.fill.client_id for r in p.of(FillReport)}) == fills

    play(scenario)


def test_orders_are_amended_queried_and_cancelled() -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.1))
        await p.ask(limit("bw-a-0-0", "99.5"))
        await p.ask(limit("bw-b-0-0", "99.4"))
        assert (await p.ask(AmendOrder("bw-a-0-0", BTC, price=D("99.6")))).outcome is Outcome.ACCEPTED
        found = await p.ask(QueryOrder("bw-a-0-0", BTC))
        assert found.order is not None
        assert (found.outcome, found.order.price, found.order.status) == (
            Outcome.ACCEPTED,
            D("99.6"),
            OrderStatus.OPEN,
        )
        assert (await p.ask(CancelOrder("bw-a-0-0", BTC))).outcome is Outcome.ACCEPTED
        assert p.of(OrderReport)[-1].order.status is OrderStatus.CANCELLED
        again = await p.ask(CancelOrder("bw-a-0-0", BTC))
        assert (again.outcome, again.code) == (Outcome.NOT_FOUND, "ALREADY_CLOSED")
        assert (await p.ask(CancelAll())).outcome is Outcome.ACCEPTED
        assert (await p.state()).orders == ()
        assert (await p.ask(QueryOrder("bw-never-0-0", BTC))).outcome is Outcome.NOT_FOUND
        unknown = await p.ask(AmendOrder("bw-never-0-0", BTC, price=D("1")))
        assert (unknown.outcome, unknown.code) == (Outcome.NOT_FOUND, "UNKNOWN_ORDER")

    play(scenario)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (limit("bw-a-0-0", "99.55"), "PRICE"),
        (limit("bw-a-0-0", "99.5", quantity="0.0001"), "QUANTITY"),
        (limit("bw-a-0-0", "99.5", quantity="0.001"), "NOTIONAL_MIN"),
        (limit("bw-a-0-0", "99.5", quantity="99"), ""),
        (limit("bw-a-0-0", "1000000.0", quantity="100"), "INSUFFICIENT_MARGIN"),
        (limit("bw-a-0-0", "99.5", reduce_only=True), "REDUCE_ONLY"),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused_with_its_code(command: object, code: str) -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.1))
        answer = await p.ask(command)  # type: ignore[arg-type]
        expected = (Outcome.REJECTED, code) if code else (Outcome.ACCEPTED, "")
        assert (answer.outcome, answer.code) == expected, answer.reason

    play(scenario)


def test_the_same_client_id_twice_is_refused_as_a_venue_refuses_it() -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.1))
        await p.ask(market("bw-a-0-0"))
        again = await p.ask(market("bw-a-0-0"))
        assert (again.outcome, again.code) == (Outcome.REJECTED, "DUPLICATE_CLIENT_ID")
        assert len(p.of(FillReport)) == 1

    play(scenario)


def test_a_post_only_order_that_would_take_is_cancelled() -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.1))
        await p.ask(limit("bw-a-0-0", "100.1", time_in_force=TimeInForce.POST_ONLY))
        last = p.of(OrderReport)[-1].order
        assert (last.status, last.reason, p.of(FillReport)) == (OrderStatus.CANCELLED, "POST_ONLY_CROSS", [])

    play(scenario)


# -- without prices --------------------------------------------------------------------------


def test_an_order_before_the_first_price_is_not_sent_and_may_be_sent_anew() -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.1, symbol=ETH))
        answer = await p.ask(market("bw-a-0-0"))
        assert (answer.outcome, answer.code) == (Outcome.NOT_SENT, "NO_MARKET_DATA")
        p.source.say(quote(100.0, 100.1))
        assert (await p.ask(market("bw-a-0-0"))).outcome is Outcome.ACCEPTED

    play(scenario, Source(perpetual(), perpetual(ETH)))


def test_while_the_venue_can_not_be_heard_nothing_new_is_taken_but_cancels_are() -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.1))
        await p.ask(limit("bw-a-0-0", "99.5"))
        p.source.say(StreamStatus("public", False, "reset"))
        assert (await p.ask(market("bw-b-0-0"))).code == "NO_MARKET_DATA"
        assert (await p.ask(AmendOrder("bw-a-0-0", BTC, price=D("99.9")))).code == "NO_MARKET_DATA"
        assert (await p.ask(CancelOrder("bw-a-0-0", BTC))).outcome is Outcome.ACCEPTED
        p.source.up()
        assert (await p.ask(market("bw-b-0-0"))).code == "NO_MARKET_DATA", "prices of before are too old"
        p.source.say(quote(200.0, 200.1))
        await p.ask(market("bw-b-0-0"))
        assert p.of(FillReport)[-1].fill.price == D("200.1")
        assert [s.up for s in p.of(StreamStatus) if s.stream == "private"] == [True]

    play(scenario)


def test_prices_of_a_symbol_that_is_not_listed_change_nothing() -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.1, symbol="bybit:XUSDT"))
        assert p.of(MarketData)
        answer = await p.ask(market("bw-a-0-0", symbol="bybit:XUSDT"))
        assert answer.outcome is Outcome.NOT_SENT

    play(scenario)


def test_without_instruments_there_is_no_account_yet() -> None:
    class Silent(Source):
        def up(self) -> None:
            self.say(StreamStatus("public", True))

    async def scenario(p: Paper) -> None:
        state = await p.state()
        assert not state.complete
        assert "NO_INSTRUMENTS" in state.reason
        assert [s for s in p.of(StreamStatus) if s.stream == "private"] == []

    play(scenario, Silent())


def test_symbols_of_two_currencies_keep_the_account_closed_and_say_why() -> None:
    async def scenario(p: Paper) -> None:
        (status,) = [s for s in p.of(StreamStatus) if s.stream == "private"]
        assert not status.up
        assert "expected symbols of one quote currency for an account on paper, found BTC, USDT" in status.reason
        assert p.of(InstrumentsReport) == []

    play(scenario, Source(perpetual(), perpetual(ETH, quote="BTC")))


def test_an_instrument_that_closes_takes_no_orders_and_opens_again() -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.1))
        p.source.say(InstrumentsReport((perpetual(trading=False),)))
        assert (await p.ask(market("bw-a-0-0"))).outcome is Outcome.REJECTED
        p.source.say(InstrumentsReport((perpetual(taker_fee=D("0.001")),)))
        await p.ask(market("bw-b-0-0"))
        assert p.of(FillReport)[-1].fill.fee == D("0.1") * D("100.1") * D("0.001")

    play(scenario)


# -- the source's account is nobody's ---------------------------------------------------------


def test_what_the_venue_says_of_an_account_is_dropped_and_counted() -> None:
    async def scenario(p: Paper) -> None:
        before = len(p.got)
        order = Order("bw-a-0-0", BTC, Side.BUY, limit("x", "1").type, D(1))
        fill = Fill("e", "bw-a-0-0", "v", BTC, Side.BUY, D(1), D(1), D(0), "USDT", Liquidity.TAKER, 1)
        for message in (OrderReport(order), FillReport(fill), BalanceReport(()), StreamStatus("private", False, "x")):
            p.source.say(message)
        assert len(p.got) == before
        assert p.exchange.stats()["paper_private_dropped"] == 4.0
        assert p.exchange.stats()["messages_public"] == 3.0

    play(scenario)


def test_what_is_about_nobodys_account_passes() -> None:
    async def scenario(p: Paper) -> None:
        letter = DeadLetter("@venue", "", "malformed", "x", b"")
        p.source.say(letter)
        assert p.got[-1] is letter
        p.exchange.pause(True)
        assert p.source.paused == [True]
        assert await p.exchange.bars(BTC, 1, 2, 3) == [bar(1.0, 2.0)]
        assert await p.exchange.trades(BTC, 1) == [trade(1.0)]

    play(scenario)


# -- latency ---------------------------------------------------------------------------------


def test_an_order_meets_the_market_of_when_it_arrives() -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.1))
        began = time.monotonic()
        p.exchange.submit(market("bw-a-0-0"))
        p.exchange.submit(market("bw-b-0-0"))
        p.source.say(quote(200.0, 200.1))
        assert p.of(CommandResult) == []
        await p.until(lambda: len(p.of(CommandResult)) == 2, "both answers")
        assert time.monotonic() - began >= 0.2
        assert [r.fill.client_id for r in p.of(FillReport)] == ["bw-a-0-0", "bw-b-0-0"]
        assert {r.fill.price for r in p.of(FillReport)} == {D("200.1")}

    play(scenario, latency_s=0.2)


def test_what_was_submitted_is_carried_out_before_the_end() -> None:
    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.1))
        p.exchange.submit(market("bw-a-0-0"))

    assert len(play(scenario, latency_s=0.2).of(FillReport)) == 1


def test_a_command_before_connect_is_a_mistake_of_the_caller() -> None:
    async def run() -> None:
        paper = Paper(Source())
        with pytest.raises(RuntimeError, match=r"expected connect\(\) before submit"):
            paper.exchange.submit(CancelAll())
        await paper.exchange.close()

    asyncio.run(run())
