"""Trading on paper: the venue's prices, our engine's fills, and nothing that ever reaches the venue."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal as D
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from exchanges.paper import PaperSettings
from exchanges.simulators.errors import SimulatorError
from runtime.lifecycle import DeadLetter
from tests.unit.paper_bench import (
    BTC,
    Paper,
    Source,
    bar,
    book,
    event,
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


# -- a restart -------------------------------------------------------------------------------


def test_a_restart_goes_on_with_position_cash_orders_and_executions(tmp_path: Path) -> None:
    told: list[object] = []

    async def before(p: Paper) -> None:
        p.source.say(quote(100.0, 100.1))
        await p.ask(market("bw-a-0-0"))
        await p.ask(limit("bw-b-0-0", "99.5"))
        told.append(await p.state())

    async def after(p: Paper) -> None:
        state, earlier = await p.state(), told[0]
        for part in ("orders", "fills", "balances"):
            assert getattr(state, part) == getattr(earlier, part)
        assert [(h.symbol, h.quantity, h.mark_price > 0) for h in state.positions] == [(BTC, D("0.1"), True)]
        p.source.say(quote(100.0, 100.1))
        assert (await p.ask(market("bw-a-0-0"))).code == "DUPLICATE_CLIENT_ID"
        p.source.say(trade(99.4, size=9.0, side="sell"))
        assert p.of(FillReport)[-1].fill.client_id == "bw-b-0-0"
        ids = [fill.execution_id for fill in (await p.state()).fills]
        assert len(ids) == len(set(ids)) == 2

    play(before, folder=tmp_path / "books")
    play(after, folder=tmp_path / "books", balance=D(7))


def test_books_that_another_account_has_open_are_refused(tmp_path: Path) -> None:
    async def scenario(p: Paper) -> None:
        with pytest.raises(SimulatorError, match="whether this process has it open already"):
            Paper(Source(), folder=tmp_path)

    play(scenario, folder=tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"balance": D(0)}, "expected a balance above 0"), ({"latency_s": -1.0}, "expected a latency_s of at least 0")],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PaperSettings(**({"balance": D(1)} | changes))  # type: ignore[arg-type]


# -- funding and settlement --------------------------------------------------------------------


class Funding(Source):
    """A venue that tells a funding rate of a moment right after each question."""

    def __init__(self, rate: float, moment_ns: int, interval_ns: int) -> None:
        super().__init__(perpetual(funding_interval_ns=interval_ns))
        self.rate, self.moment_ns = rate, moment_ns
        self.asked = 0

    async def funding(self, symbol: str, start_ns: int, end_ns: int) -> list[tuple[int, float]]:
        self.asked += 1
        if self.asked == 1:
            raise ConnectionError("not now")
        now = time.time_ns()
        return [(at, self.rate) for at in (self.moment_ns, now) if start_ns <= at < end_ns + 10**9]


def test_funding_is_paid_once_for_what_was_held_at_its_moment() -> None:
    source = Funding(0.0001, time.time_ns() - 3_600 * 10**9, 100 * 10**6)

    async def scenario(p: Paper) -> None:
        p.source.say(quote(100.0, 100.0))
        await p.ask(market("bw-a-0-0", quantity="1"))
        cash = p.of(BalanceReport)[-1].balances[0].total
        await p.until(lambda: p.exchange.stats().get("paper_fundings"), "a funding")
        assert p.of(BalanceReport)[-1].balances[0].total == cash - D(100) * D("0.0001") * D(
            int(p.exchange.stats()["paper_fundings"])
        )
        assert p.exchange.stats()["paper_accruals_failed"] == 1.0

    play(scenario, source)


class Ending(Source):
    """A venue of events whose outcome is known after some questions."""

    venue = "kalshi"

    def __init__(self, value: D) -> None:
        super().__init__(event())
        self.value, self.asked = value, 0

    async def settlement(self, symbol: str) -> D | None:
        self.asked += 1
        return self.value if self.asked > 2 else None


@pytest.mark.parametrize(
    ("value", "side", "gain"), [(D(1), Side.BUY, "6"), (D(0), Side.BUY, "-4"), (D(0), Side.SELL, "4")]
)
def test_an_event_pays_out_what_it_is_worth_once_its_outcome_is_final(value: D, side: Side, gain: str) -> None:
    symbol = event().symbol

    async def scenario(p: Paper) -> None:
        p.source.say(quote(0.4, 0.4, size=100.0, symbol=symbol))
        await p.ask(market("bw-a-0-0", side, "10", symbol=symbol))
        fee = p.of(FillReport)[0].fill.fee
        await p.until(lambda: len(p.of(FillReport)) == 2, "the settlement")
        paid = p.of(FillReport)[1].fill
        assert (paid.settles, paid.price, paid.quantity, paid.client_id) == (True, value, D(10), "")
        state = await p.state()
        assert state.positions == ()
        assert state.balances[0].total == D(100_000) + D(gain) - fee
        p.source.say(InstrumentsReport((event(),)))
        assert (await p.ask(market("bw-b-0-0", symbol=symbol, quantity="10"))).outcome is Outcome.REJECTED

    play(scenario, Ending(value))


# -- an invariant ------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("market"), st.sampled_from(list(Side)), st.integers(1, 50)),
        st.tuples(st.just("limit"), st.sampled_from(list(Side)), st.integers(950, 1050)),
        st.tuples(st.just("trade"), st.sampled_from(list(Side)), st.integers(950, 1050)),
        st.tuples(st.just("quote"), st.just(Side.BUY), st.integers(950, 1050)),
        st.tuples(st.just("restart"), st.just(Side.BUY), st.just(1)),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_reported_fills_explain_position_and_cash_whatever_happens(steps: list[tuple[str, Side, int]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_explained(steps, Path(folder)))


async def _explained(steps: list[tuple[str, Side, int]], folder: Path) -> None:
    fills: dict[str, Fill] = {}
    paper = Paper(Source(), folder=folder)
    await paper.exchange.connect([BTC], paper.got.append)
    paper.source.say(quote(100.0, 100.1))
    for number, (kind, side, value) in enumerate(steps):
        if kind == "market":
            await paper.ask(market(f"bw-{number}-0-0", side, f"{value / 1000:.3f}"))
        elif kind == "limit":
            await paper.ask(limit(f"bw-{number}-0-0", f"{value / 10:.1f}", side))
        elif kind == "trade":
            paper.source.say(trade(value / 10, 0.05, side.value))
        elif kind == "quote":
            paper.source.say(quote(value / 10, value / 10 + 0.1))
        else:
            await paper.exchange.close()
            _merge(fills, paper)
            paper = Paper(Source(), folder=folder)
            await paper.exchange.connect([BTC], paper.got.append)
            paper.source.say(quote(100.0, 100.1))
    state = await paper.state()
    await paper.exchange.close()
    _merge(fills, paper)
    assert {fill.execution_id for fill in state.fills} == set(fills)
    assert sum((f.quantity * f.side.sign for f in fills.values()), D(0)) == sum(
        (held.quantity for held in state.positions), D(0)
    )
    cash = sum((-f.fee - f.quantity * f.side.sign * f.price for f in fills.values()), D(100_000))
    entry = sum((held.quantity * held.average_price for held in state.positions), D(0))
    assert abs(state.balances[0].total - cash - entry) < D("0.0000001")


def _merge(fills: dict[str, Fill], paper: Paper) -> None:
    for report in paper.of(FillReport):
        assert report.fill.execution_id not in fills, "an execution was reported twice"
        fills[report.fill.execution_id] = report.fill
