"""The adapter through its real SDK and real sockets: wallets, funding, leverage, orders, history."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exchanges.hyperliquid.wire import CURRENCY
from exchanges.model.market import Bar, Book, Ticker, Trade
from exchanges.model.order import OrderStatus, Side, TimeInForce
from exchanges.model.venue import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    FillReport,
    InstrumentsReport,
    OrderReport,
    Outcome,
    PaymentReport,
    QueryOrder,
    StreamStatus,
)
from exchanges.modes import Mode
from exchanges.recording.coverage import Span
from exchanges.recording.history import Downloader, Wanted
from exchanges.recording.schemas import FUNDING
from exchanges.simulators.faults import FaultOrder, KeyState, StreamFault, StreamRule
from exchanges.simulators.hyperliquid.wallets import address_of, private_key_of
from tests.integration.hyperliquid_bench import BTC, D, desk, run, running

HOUR_NS = 3_600 * 10**9


# -- wallets -----------------------------------------------------------------------------------


def test_an_accounts_own_key_trades_as_well_as_an_api_wallets() -> None:
    own = private_key_of("the account's own")

    async def work() -> None:
        async with running(api_key=address_of(own), api_secret=own) as simulator, desk(simulator) as made:
            await made.up()
            order = made.order()
            assert (await made.ask(order)).outcome is Outcome.ACCEPTED
            await made.until(lambda: made.of(FillReport), "the fill")

    run(work)


def test_a_wallet_of_another_account_keeps_the_private_stream_down_and_says_what_to_do() -> None:
    other = private_key_of("another")

    async def work() -> None:
        async with running(more_keys={"other": other}) as simulator, desk(simulator, private_key=other) as made:
            await made.adapter.connect([BTC], made.got.append)
            await made.until(lambda: [s for s in made.of(StreamStatus) if "key check" in s.reason], "the reason")
            (reason, *_) = [s.reason for s in made.of(StreamStatus) if "key check" in s.reason]
            assert "found an API wallet of another account; approve the wallet at the venue" in reason
            assert simulator.account not in reason

    run(work)


def test_a_wallet_that_is_revoked_while_trading_is_refused_and_found_out_at_the_next_connection() -> None:
    async def work() -> None:
        async with running() as simulator, desk(simulator) as made:
            await made.up()
            simulator.inject(FaultOrder(keys={simulator.settings.api_key: KeyState.REVOKED}))
            answer = await made.ask(made.order())
            assert (answer.outcome, answer.code) == (Outcome.REJECTED, "UNAUTHORISED")
            simulator.inject(FaultOrder(streams=[StreamRule("private", StreamFault.DROP)]))
            await made.until(lambda: [s for s in made.of(StreamStatus) if "key check" in s.reason], "the reason")

    run(work)


def test_paper_opens_no_private_stream_and_asks_nothing_about_an_account() -> None:
    async def work() -> None:
        async with running() as simulator, desk(simulator, mode=Mode.PAPER, account="", private_key="") as made:
            await made.adapter.connect([BTC], made.got.append)
            await made.until(lambda: made.of(InstrumentsReport), "the instruments")
            answer = await made.ask(made.order(price=D(30_000)))
            assert (answer.outcome, answer.code) == (Outcome.NOT_SENT, "WRONG_MODE")
            assert {status.stream for status in made.of(StreamStatus)} <= {"public"}
            asked = {path for path in simulator.rest.calls if simulator.rest.calls[path]}
            assert asked <= {"/info/meta", "/info/l2Book"}

    run(work)


# -- perpetuals --------------------------------------------------------------------------------


def test_funding_is_told_by_the_stream_and_by_a_fetch_under_one_id_and_is_in_the_cash() -> None:
    async def work() -> None:
        async with running(funding_s=1.0) as simulator, desk(simulator) as made:
            await made.up()
            order = made.order("0.5")
            assert (await made.ask(order)).outcome is Outcome.ACCEPTED
            await made.until(lambda: [p for p in made.of(PaymentReport) if p.amount], "a payment")
            pushed = {paid.payment_id: paid for paid in made.of(PaymentReport)}
            made.got.clear()
            state = await made.state()
            fetched = {paid.payment_id: paid for paid in made.of(PaymentReport)}
            assert pushed.items() <= fetched.items()
            (cash,) = state.balances
            assert cash.currency == CURRENCY
            assert state.complete, state.reason
            earlier = D(100_000) - sum(fill.fee for fill in state.fills) + sum(one.amount for one in pushed.values())
            later = earlier + sum(paid.amount for name, paid in fetched.items() if name not in pushed)
            assert min(abs(cash.total - one) for one in (earlier, later)) < D("0.001")
            (held,) = state.positions
            assert (held.symbol, held.quantity) == (BTC, D("0.5"))
            assert held.mark_price > 0

    run(work)


def test_the_leverage_is_set_once_before_the_first_private_connection() -> None:
    async def work() -> None:
        async with running() as simulator, desk(simulator, leverage=7) as made:
            await made.up()
            assert simulator.venue.engine.accounts["main"].leverage[BTC] == 7
            assert simulator.rest.calls["/exchange/updateLeverage"] == 1
        async with running() as simulator, desk(simulator, leverage=99) as made:
            await made.adapter.connect([BTC], made.got.append)
            await made.until(lambda: [s for s in made.of(StreamStatus) if "Invalid leverage" in s.reason], "the reason")

    run(work)


def test_books_contexts_and_candles_come_when_they_are_wanted() -> None:
    async def work() -> None:
        streams = ("trade", "quote", "bar", "book", "ticker")
        async with running() as simulator, desk(simulator, streams=streams, book_levels=3) as made:
            await made.up(BTC, "hyperliquid:ETH")
            for kind in (Book, Ticker, Bar):
                await made.until(lambda kind=kind: len({m.symbol for m in made.of(kind)}) == 2, kind.__name__)  # type: ignore[misc]
            book = made.of(Book)[0]
            assert len(book.bids) == len(book.asks) == 3
            assert made.of(Ticker)[0].mark > 0

    run(work)


# -- orders ------------------------------------------------------------------------------------


def test_what_the_venue_lacks_is_refused_before_anything_is_sent() -> None:
    async def work() -> None:
        async with running() as simulator, desk(simulator) as made:
            await made.up()
            refused = await made.ask(made.order(price=D(30_000), time_in_force=TimeInForce.FOK))
            assert (refused.outcome, refused.code) == (Outcome.REJECTED, "FILL_OR_KILL")
            amended = await made.ask(AmendOrder("bw-x", BTC, price=D(31_000)))
            assert (amended.outcome, amended.code) == (Outcome.NOT_SENT, "UNSUPPORTED")
            assert not simulator.venue.engine.orders("main")

    run(work)


def test_an_order_that_found_nobody_is_rejected_in_the_same_words_by_answer_stream_and_query() -> None:
    async def work() -> None:
        async with running() as simulator, desk(simulator) as made:
            await made.up()
            order = made.order(price=D(30_000), time_in_force=TimeInForce.IOC)
            answer = await made.ask(order)
            assert (answer.outcome, answer.code) == (Outcome.REJECTED, "iocCancelRejected")
            await made.until(lambda: made.of(OrderReport), "its report")
            told = made.of(OrderReport)[-1].order
            found = (await made.ask(QueryOrder(order.client_id, BTC))).order
            assert found is not None
            assert {told.status, found.status} == {OrderStatus.REJECTED}
            assert {told.reason, found.reason} == {"iocCancelRejected"}

    run(work)


def test_an_order_that_took_too_long_on_its_way_is_not_taken_and_may_be_sent_again() -> None:
    async def work() -> None:
        async with running(), running() as simulator, desk(simulator) as made:
            await made.up()
            simulator.inject(FaultOrder(clock_skew_ms=8_000))
            order = made.order()
            late = await made.ask(order)
            assert (late.outcome, late.code) == (Outcome.NOT_SENT, "STALE")
            assert not simulator.venue.engine.orders("main")
            simulator.inject(FaultOrder(clear=True))
            assert (await made.ask(order)).outcome is Outcome.ACCEPTED

    run(work)


def test_all_orders_of_one_symbol_are_cancelled_and_no_other() -> None:
    async def work() -> None:
        async with running() as simulator, desk(simulator) as made:
            await made.up(BTC, "hyperliquid:ETH")
            kept = made.order("1", price=D(1_000), symbol="hyperliquid:ETH")
            for order in (made.order(price=D(30_000)), made.order(price=D(31_000)), kept):
                assert (await made.ask(order)).outcome is Outcome.ACCEPTED
            assert (await made.ask(CancelAll(BTC))).outcome is Outcome.ACCEPTED
            assert [record.client_id for record in simulator.venue.engine.working("main")] == [kept.client_id]
            assert (await made.ask(CancelAll())).outcome is Outcome.ACCEPTED
            assert not simulator.venue.engine.working("main")

    run(work)


def test_orders_of_an_earlier_process_are_known_by_their_cloids() -> None:
    async def work() -> None:
        async with running() as simulator:
            async with desk(simulator) as first:
                await first.up()
                resting, filled = first.order(price=D(30_000)), first.order()
                for order in (resting, filled):
                    assert (await first.ask(order)).outcome is Outcome.ACCEPTED
            async with desk(simulator) as second:
                await second.up()
                state = await second.state()
                assert [order.client_id for order in state.orders] == [resting.client_id]
                assert {fill.client_id for fill in state.fills} == {filled.client_id}
                assert (await second.ask(CancelOrder(resting.client_id, BTC))).outcome is Outcome.ACCEPTED

    run(work)


def test_a_fill_that_names_no_cloid_is_looked_up_by_its_order() -> None:
    async def work() -> None:
        async with running() as simulator, desk(simulator) as made:
            await made.up()
            order = made.order()
            assert (await made.ask(order)).outcome is Outcome.ACCEPTED
            (row, *_) = simulator.account_rows("main")["fills"]
            async with desk(simulator) as other:
                await other.adapter.connect([BTC], other.got.append)
                other.adapter._nameless({**row, "cloid": None})
                await other.until(lambda: other.of(FillReport), "the fill")
                assert other.of(FillReport)[-1].fill.client_id == order.client_id

    run(work)


# -- history -----------------------------------------------------------------------------------


def test_history_is_closed_candles_recent_trades_and_hourly_rates(tmp_path: Path) -> None:
    async def work() -> None:
        async with running() as simulator, desk(simulator) as made:
            await made.until(lambda: len(simulator.venue.markets["BTC"].recent) >= 5, "trades")
            now = time.time_ns()
            assert await made.adapter.bars(BTC, 60 * 10**9, now - HOUR_NS, now) == []
            with pytest.raises(ValueError, match="expected an interval in seconds among"):
                await made.adapter.bars(BTC, 7 * 10**9, now - HOUR_NS, now)
            trades = await made.adapter.trades(BTC, 5)
            assert len(trades) == 5
            assert [one.ts_ns for one in trades] == sorted(one.ts_ns for one in trades)
            assert {Side(one.side) for one in trades} <= set(Side)
            start = (now // HOUR_NS - 600) * HOUR_NS
            rates = await made.adapter.funding(BTC, start, start + 550 * HOUR_NS)
            assert [at for at, _ in rates] == [start + hour * HOUR_NS for hour in range(550)]
            report = await Downloader(made.adapter, tmp_path).download(
                Wanted(BTC, FUNDING, Span(start, start + 48 * HOUR_NS))
            )
            assert (report.rows, report.pending) == (48, ())

    run(work)


def test_a_recording_is_played_trade_by_trade_and_makes_the_candles_it_was_of(tmp_path: Path) -> None:
    start_ns = 1_700_000_000 * 10**9 // (60 * 10**9) * 60 * 10**9
    prices = [60_000.0 + (number * 37) % 101 for number in range(900)]
    times = [start_ns + number * 200_000_000 for number in range(900)]
    table = pa.table({"ts_ns": times, "price": prices, "size": [0.01] * 900, "symbol": ["BTC"] * 900})
    pq.write_table(table, tmp_path / "trades.parquet")

    async def work() -> None:
        told = {"feed": "replay", "replay_path": tmp_path / "trades.parquet", "speed": "max", "symbols": ()}
        async with running(**told) as simulator, desk(simulator) as made:
            await made.up()
            await made.until(lambda: len(made.of(Trade)) == 900, "every trade")
            assert [trade.price for trade in made.of(Trade)] == prices
            assert [trade.ts_ns for trade in made.of(Trade)] == times
            await made.until(lambda: len([bar for bar in made.of(Bar) if bar.closed]) == 2, "the candles")
            closed = [(bar.ts_ns, bar.open, bar.high, bar.low, bar.close) for bar in made.of(Bar) if bar.closed]
            minutes = [prices[number : number + 300] for number in (0, 300)]
            assert closed == [
                (start_ns + number * 60 * 10**9, part[0], max(part), min(part), part[-1])
                for number, part in enumerate(minutes)
            ]

    run(work)
