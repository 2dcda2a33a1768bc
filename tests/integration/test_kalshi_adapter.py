"""The Kalshi adapter: the SDK's transport and the WebSocket, unchanged, against the simulator over real sockets."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

import pytest

from exchanges.kalshi import rest
from exchanges.kalshi.failures import DUPLICATE
from exchanges.model.instrument import ContractKind
from exchanges.model.market import Bar, Book, Quote, Trade
from exchanges.model.order import Liquidity, OrderStatus, Side, TimeInForce
from exchanges.model.venue import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    InstrumentsReport,
    OrderReport,
    Outcome,
    QueryOrder,
    StreamStatus,
)
from exchanges.simulators.faults import FaultOrder, RequestFault, RequestRule
from exchanges.simulators.kalshi import wire
from tests.integration.kalshi_floor import STAND, SYMBOL, TICKER, Floor, exchange, floor, play

D = Decimal
MINUTE_NS = 60_000_000_000


# -- connecting and market data --------------------------------------------------------------


def test_connecting_reports_the_market_and_its_data_in_terms_of_yes() -> None:
    async def scenario(f: Floor) -> None:
        instrument = f.of(InstrumentsReport)[0].instruments[0]
        assert (instrument.symbol, instrument.kind, instrument.quote) == (SYMBOL, ContractKind.BINARY_EVENT, "USD")
        assert (instrument.tick, instrument.lot, instrument.contract_value) == (D("0.01"), D("0.01"), D(1))
        assert (instrument.taker_fee, instrument.maker_fee, instrument.fee_step) == (D("0.07"), D(0), D("0.01"))
        assert instrument.trading
        assert instrument.closes_ns > time.time_ns()
        await f.until(lambda: f.of(Trade) and f.of(Quote) and f.of(Book), "market data")
        assert f.of(Trade)[-1].price == 0.4
        for quote in f.of(Quote):
            assert 0 < quote.bid < quote.ask < 1
            assert quote.ask - quote.bid < 0.1

    play(scenario)


def test_the_streams_book_is_the_one_that_rest_gives() -> None:
    async def scenario(f: Floor) -> None:
        for price in (0.31, 0.62, 0.55):
            await f.trade(price)
        client = f.exchange._client()
        answer = await client.get(rest.BOOK, f"/markets/{TICKER}/orderbook")
        yes = max(D(price) for price, _ in answer["orderbook_fp"]["yes_dollars"])
        no = max(D(price) for price, _ in answer["orderbook_fp"]["no_dollars"])
        await f.until(lambda: f.exchange.best(TICKER, Side.SELL) == yes, "the best bid")
        await f.until(lambda: f.exchange.best(TICKER, Side.BUY) == 1 - no, "the best ask")

    play(scenario)


def test_history_comes_from_candles_and_public_trades() -> None:
    async def scenario(f: Floor) -> None:
        await f.trade(0.45, 7)
        trades = await f.exchange.trades(SYMBOL, 10)
        assert [(trade.price, trade.size) for trade in trades[-2:]] == [(0.4, 100.0), (0.45, 7.0)]
        with pytest.raises(ValueError, match="multiple of 60"):
            await f.exchange.bars(SYMBOL, 90_000_000_000, 0, time.time_ns())
        now = time.time_ns()
        bars = await f.exchange.bars(SYMBOL, 5 * MINUTE_NS, now - 60 * MINUTE_NS, now)
        assert all(bar.ts_ns % (5 * MINUTE_NS) == 0 and bar.ts_ns + 5 * MINUTE_NS <= now for bar in bars)

    play(scenario)


def test_bars_of_the_stream_are_closed_by_its_own_time() -> None:
    async def scenario(f: Floor) -> None:
        await f.until(lambda: _keeps(f, closed=True), "a closed bar")
        for bar in f.of(Bar):
            assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        closed = [bar.ts_ns for bar in f.of(Bar) if bar.closed]
        assert closed == sorted(set(closed))

    play(scenario, venue={"feed": "generator", "rate": 30.0}, bar_interval_s=1)


def _keeps(f: Floor, *, closed: bool) -> bool:
    return any(bar.closed is closed for bar in f.of(Bar))


def test_an_unknown_market_is_named_and_the_public_stream_stays_down() -> None:
    async def scenario(f: Floor) -> None:
        await f.exchange.connect([SYMBOL, "kalshi:KXNOSUCH-1"], f.sink)
        await f.until(lambda: any("KXNOSUCH-1" in status.reason for status in f.of(StreamStatus)), "the reason")
        assert True not in f.streams("public")

    play(scenario, connected=False)


# -- orders ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "price", "held", "paid"),
    [(Side.BUY, "0.45", 10, "4.10"), (Side.SELL, "0.35", -10, "6.10")],
    ids=["buy YES", "buy NO"],
)
def test_a_position_of_either_leg_is_opened_and_closed_again(side: Side, price: str, held: int, paid: str) -> None:
    """YES is bought at 0.41 or NO at 0.61 (YES sold at 0.39), then sold again."""

    async def scenario(f: Floor) -> None:
        order = await f.placed(f.limit(side, price, TimeInForce.IOC))
        await f.until(lambda: f.filled(order.client_id) == 10, "the fills")
        (fill,) = f.fills(order.client_id)
        assert (fill.side, fill.liquidity, fill.fee_currency) == (side, Liquidity.TAKER, "USD")
        cost = fill.price if side is Side.BUY else 1 - fill.price
        assert fill.fee == D("0.17")
        assert await f.held() == held
        state = await f.state()
        (position,) = state.positions
        assert position.average_price == fill.price
        (balance,) = state.balances
        assert balance.available == balance.total == D(100_000) - 10 * cost - fill.fee
        await f.placed(f.market(side.opposite, D(10), reduce_only=True))
        await f.until(lambda: OrderStatus.FILLED in f.statuses(f.of(OrderReport)[-1].order.client_id), "the end")
        assert await f.held() == 0

    play(scenario)


def test_a_market_order_goes_through_the_book_no_further_than_its_slippage() -> None:
    async def scenario(f: Floor) -> None:
        order = await f.placed(f.market(Side.BUY, D(5)))
        await f.until(lambda: f.filled(order.client_id) == 5, "the fills")
        (shown,) = f.orders(order.client_id)
        best = f.fills(order.client_id)[0].price
        assert shown.price is not None
        assert best <= shown.price <= best + D("0.05")

    play(scenario)


def test_a_market_order_without_a_book_in_hand_asks_for_one() -> None:
    async def scenario(f: Floor) -> None:
        assert f.exchange.best(TICKER, Side.BUY) is None
        order = await f.placed(f.market(Side.BUY, D(5)))
        await f.until(lambda: f.filled(order.client_id) == 5, "the fills")

    async def run() -> None:
        async with floor(streams=("trade",)) as f:
            await f.up(priced=False)
            await f.trade(0.40)
            await scenario(f)

    asyncio.run(run())


def test_an_order_rests_is_amended_queried_and_cancelled_and_never_lost() -> None:
    async def scenario(f: Floor) -> None:
        order = await f.placed(f.limit(Side.BUY, "0.20"))
        assert [one.client_id for one in (await f.state()).orders] == [order.client_id]
        amended = await f.ask(AmendOrder(order.client_id, SYMBOL, quantity=D(8), price=D("0.25")))
        assert amended.outcome is Outcome.ACCEPTED, amended
        found = await f.ask(QueryOrder(order.client_id, SYMBOL))
        assert found.order is not None
        assert (found.order.price, found.order.quantity, found.order.status) == (D("0.25"), D(8), OrderStatus.OPEN)
        assert (await f.ask(AmendOrder(order.client_id, SYMBOL, price=D("0.22")))).outcome is Outcome.ACCEPTED
        assert (await f.ask(CancelOrder(order.client_id, SYMBOL))).outcome is Outcome.ACCEPTED
        await f.until(lambda: f.statuses(order.client_id)[-1] is OrderStatus.CANCELLED, "the report of its end")
        assert (await f.ask(CancelOrder(order.client_id, SYMBOL))).outcome is Outcome.NOT_FOUND
        ended = await f.ask(QueryOrder(order.client_id, SYMBOL))
        assert ended.order is not None
        assert (ended.order.status, ended.order.filled) == (OrderStatus.CANCELLED, D(0))
        for command in (QueryOrder("bw-never-0-0", SYMBOL), CancelOrder("bw-never-0-0", SYMBOL)):
            assert (await f.ask(command)).outcome is Outcome.NOT_FOUND
        assert (await f.ask(AmendOrder("bw-never-0-0", SYMBOL, price=D("0.2")))).outcome is Outcome.NOT_FOUND

    play(scenario)


def test_a_resting_order_is_filled_as_maker_for_free() -> None:
    async def scenario(f: Floor) -> None:
        order = await f.placed(f.limit(Side.BUY, "0.39", TimeInForce.POST_ONLY))
        await f.trade(0.30, 100_000.0, Side.SELL)
        await f.until(lambda: f.filled(order.client_id) == 10, "the fills")
        assert {(fill.liquidity, fill.fee, fill.price) for fill in f.fills(order.client_id)} == {
            (Liquidity.MAKER, D(0), D("0.39"))
        }

    play(scenario)


@pytest.mark.parametrize("force", [TimeInForce.FOK, TimeInForce.IOC])
def test_what_cannot_be_filled_at_once_is_cancelled(force: TimeInForce) -> None:
    async def scenario(f: Floor) -> None:
        order = f.limit(Side.BUY, "0.10", force)
        await f.ask(order)
        found = await f.ask(QueryOrder(order.client_id, SYMBOL))
        assert found.order is not None
        assert (found.order.status, found.order.filled) == (OrderStatus.CANCELLED, D(0))
        await f.until(lambda: f.statuses(order.client_id)[-1:] == [OrderStatus.CANCELLED], "the report")

    play(scenario)


def test_a_reduce_only_order_that_would_rest_goes_as_immediate_or_cancel() -> None:
    async def scenario(f: Floor) -> None:
        await f.placed(f.market(Side.BUY, D(10)))
        order = await f.placed(f.limit(Side.SELL, "0.35", quantity=D(4), reduce_only=True))
        await f.until(lambda: f.filled(order.client_id) == 4, "the fills")
        assert await f.held() == 6
        assert f.stat("reduce_only_sent_as_ioc") == 1
        refused = await f.ask(f.limit(Side.SELL, "0.90", TimeInForce.POST_ONLY, reduce_only=True))
        assert (refused.outcome, refused.code) == (Outcome.REJECTED, "REDUCE_ONLY_RESTING")

    play(scenario)


def test_cancel_all_takes_every_order_or_those_of_one_market() -> None:
    async def scenario(f: Floor) -> None:
        for _ in range(3):
            await f.placed(f.limit(Side.BUY, "0.10"))
        assert (await f.ask(CancelAll("kalshi:KXNOTHING-1"))).outcome is Outcome.ACCEPTED
        assert len((await f.state()).orders) == 3
        assert (await f.ask(CancelAll(SYMBOL))).outcome is Outcome.ACCEPTED
        assert (await f.state()).orders == ()
        await f.placed(f.limit(Side.BUY, "0.10"))
        assert (await f.ask(CancelAll())).outcome is Outcome.ACCEPTED
        assert (await f.state()).orders == ()

    play(scenario)


def test_an_order_of_an_earlier_life_is_cancelled_and_its_fills_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue cancels by its own ids and may tell fills by them alone: both are learnt from its lists."""

    async def scenario(f: Floor) -> None:
        resting = await f.placed(f.limit(Side.BUY, "0.10"))
        filled = await f.placed(f.market(Side.BUY, D(3)))
        await f.until(lambda: f.filled(filled.client_id) == 3, "the fills")
        successor = exchange(f.simulator)
        second = Floor(STAND, f.simulator, successor)
        try:
            await second.up(priced=False)
            # The venue documents rows without our ids, the simulator adds them.
            told = wire.fill
            monkeypatch.setattr(wire, "fill", lambda done: {**told(done), "client_order_id": None})
            state = await second.state()
            assert state.complete, state.reason
            assert {fill.client_id for fill in state.fills} == {filled.client_id}
            assert (await second.ask(CancelOrder(resting.client_id, SYMBOL))).outcome is Outcome.ACCEPTED
        finally:
            await successor.close()

    play(scenario)


# -- refusals and faults ---------------------------------------------------------------------


def test_the_same_client_id_twice_is_refused_in_the_brains_words() -> None:
    async def scenario(f: Floor) -> None:
        order = await f.placed(f.limit(Side.BUY, "0.10"))
        again = await f.ask(order)
        assert (again.outcome, again.code) == (Outcome.REJECTED, DUPLICATE)
        assert len(f.orders(order.client_id)) == 1

    play(scenario)


def test_an_order_the_account_cannot_pay_for_is_refused_with_the_venues_reason() -> None:
    async def scenario(f: Floor) -> None:
        answer = await f.ask(f.limit(Side.BUY, "0.45", quantity=D(900_000)))
        assert (answer.outcome, answer.code) == (Outcome.REJECTED, "insufficient_balance")

    play(scenario)


@pytest.mark.parametrize(("price", "quantity"), [("0.45001", "10"), ("0.45", "1.005"), ("1.5", "10")])
def test_an_order_that_cannot_be_written_never_leaves(price: str, quantity: str) -> None:
    async def scenario(f: Floor) -> None:
        order = f.limit(Side.BUY, price, quantity=D(quantity))
        answer = await f.ask(order)
        assert (answer.outcome, answer.code) == (Outcome.NOT_SENT, "MALFORMED")
        assert f.orders(order.client_id) == []

    play(scenario)


@pytest.mark.parametrize(
    "kind",
    [RequestFault.TIMEOUT_AFTER, RequestFault.HTML_AFTER, RequestFault.RESET_AFTER, RequestFault.STATUS_AFTER],
)
def test_an_order_taken_without_an_answer_is_unknown_and_found_by_its_client_id(kind: RequestFault) -> None:
    async def scenario(f: Floor) -> None:
        order = f.limit(Side.BUY, "0.10")
        f.fault(kind)
        assert (await f.ask(order)).outcome is Outcome.UNKNOWN
        found = await f.ask(QueryOrder(order.client_id, SYMBOL))
        assert found.order is not None
        assert len(f.orders(order.client_id)) == 1
        assert (await f.ask(CancelOrder(order.client_id, SYMBOL))).outcome is Outcome.ACCEPTED

    play(scenario, request_timeout_s=1.0)


@pytest.mark.parametrize(
    "kind", [RequestFault.TIMEOUT_BEFORE, RequestFault.HTML, RequestFault.RESET_BEFORE, RequestFault.HTTP_STATUS]
)
def test_an_order_lost_on_its_way_is_unknown_and_not_found(kind: RequestFault) -> None:
    async def scenario(f: Floor) -> None:
        order = f.limit(Side.BUY, "0.10")
        f.fault(kind)
        assert (await f.ask(order)).outcome is Outcome.UNKNOWN
        assert (await f.ask(QueryOrder(order.client_id, SYMBOL))).outcome is Outcome.NOT_FOUND
        assert f.orders(order.client_id) == []

    play(scenario, request_timeout_s=1.0)


def test_a_rate_limited_order_was_not_sent_and_waits_though_the_venue_names_no_time() -> None:
    async def scenario(f: Floor) -> None:
        order = f.limit(Side.BUY, "0.10")
        f.fault(RequestFault.RATE_LIMIT_BARE)
        answer = await f.ask(order)
        assert answer.outcome is Outcome.NOT_SENT
        assert 0 < answer.retry_after_ns <= 10_000_000_000
        assert f.orders(order.client_id) == []
        assert (await f.ask(order)).outcome is Outcome.ACCEPTED

    play(scenario)


def test_a_status_nobody_knows_ends_no_order() -> None:
    async def scenario(f: Floor) -> None:
        f.execution_fault(unknown=1)
        order = await f.placed(f.limit(Side.BUY, "0.10"))
        await f.until(lambda: f.statuses(order.client_id), "the report")
        assert f.statuses(order.client_id) == [OrderStatus.OPEN]
        assert f.stat("order_status_unknown") == 1

    play(scenario)


def test_an_answer_full_of_words_nobody_knows_is_still_an_answer() -> None:
    async def scenario(f: Floor) -> None:
        order = f.limit(Side.BUY, "0.10")
        f.fault(RequestFault.UNKNOWN_VALUE_AFTER)
        await f.ask(order)
        found = await f.ask(QueryOrder(order.client_id, SYMBOL))
        assert found.order is not None
        assert not found.order.status.final

    play(scenario)


@pytest.mark.parametrize("part", ["orders", "fills", "positions", "balance", "settlements"])
def test_a_part_of_the_state_that_fails_makes_it_incomplete_and_is_named(part: str) -> None:
    async def scenario(f: Floor) -> None:
        rule = RequestRule(f"/trade-api/v2/portfolio/{part}", RequestFault.HTTP_STATUS, count=20)
        f.simulator.inject(FaultOrder(requests=[rule]))
        state = await f.state()
        assert not state.complete
        assert state.reason
        f.simulator.inject(FaultOrder(clear=True))
        await f.until(lambda: f.stat(f"breaker_state_{part}") == 0, "the circuit")

    play(scenario)


def test_a_repeated_execution_bears_the_same_id() -> None:
    async def scenario(f: Floor) -> None:
        f.execution_fault(duplicate=1)
        order = await f.placed(f.market(Side.BUY, D(3)))
        await f.until(lambda: len(f.fills(order.client_id)) == 2, "both copies")
        assert len({fill.execution_id for fill in f.fills(order.client_id)}) == 1

    play(scenario)


def test_an_execution_the_stream_lost_is_in_the_state() -> None:
    async def scenario(f: Floor) -> None:
        f.execution_fault(lose=1)
        order = await f.placed(f.market(Side.BUY, D(3)))
        state = await f.state()
        assert [fill.client_id for fill in state.fills] == [order.client_id]

    play(scenario)
