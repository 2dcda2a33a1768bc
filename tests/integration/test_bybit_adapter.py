"""The Bybit adapter: the official SDK, unchanged, against the simulator over real sockets."""

from __future__ import annotations

import asyncio

import pytest

from exchanges.model.market import Bar, Quote, Trade
from exchanges.model.order import OrderStatus
from exchanges.model.venue import (
    AmendOrder,
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
from exchanges.simulators.bybit import BybitSimulator, SimulatorSettings
from exchanges.simulators.faults import ExecutionRule, FaultOrder, RequestFault, StreamFault, StreamRule
from runtime.lifecycle import DeadLetter
from tests.integration.bybit_adapter_desk import BTC, D, Desk, desk, market, play, resting


def test_connecting_reports_instruments_streams_and_market_data() -> None:
    async def scenario(d: Desk) -> None:
        await d.until(lambda: d.of(Trade) and d.of(Quote) and d.of(Bar), "market data")
        instrument = d.of(InstrumentsReport)[0].instruments[0]
        assert (instrument.symbol, instrument.tick, instrument.lot) == (BTC, D("0.1"), D("0.001"))
        trade = d.of(Trade)[0]
        assert trade.symbol == BTC
        assert trade.price > 0
        assert trade.recv_ns > 0
        assert (trade.epoch, trade.seq) == (0, 0)

    play(scenario)


def test_an_order_is_placed_filled_and_found_in_the_venues_state() -> None:
    async def scenario(d: Desk) -> None:
        answer = await d.ask(market("bw-a-0-0"))
        assert answer.outcome is Outcome.ACCEPTED
        assert answer.venue_id
        await d.until(lambda: any(r.order.status is OrderStatus.FILLED for r in d.of(OrderReport)), "the report")
        await d.until(lambda: sum(f.fill.quantity for f in d.of(FillReport)) == D("0.01"), "the fills")
        state = await d.state()
        assert state.complete, state.reason
        assert [(p.symbol, p.quantity) for p in state.positions if p.quantity] == [(BTC, D("0.01"))]
        assert {f.execution_id for f in state.fills} == {r.fill.execution_id for r in d.of(FillReport)}
        assert {b.currency for b in state.balances} == {"USDT"}

    play(scenario)


def test_a_resting_order_is_amended_queried_and_cancelled() -> None:
    async def scenario(d: Desk) -> None:
        assert (await d.ask(resting("bw-a-0-0"))).outcome is Outcome.ACCEPTED
        assert [o.client_id for o in (await d.state()).orders] == ["bw-a-0-0"]
        assert (await d.ask(AmendOrder("bw-a-0-0", BTC, price=D("31000")))).outcome is Outcome.ACCEPTED
        found = await d.ask(QueryOrder("bw-a-0-0", BTC))
        assert found.order is not None
        assert (found.order.price, found.order.status) == (D("31000"), OrderStatus.OPEN)
        assert (await d.ask(CancelOrder("bw-a-0-0", BTC))).outcome is Outcome.ACCEPTED
        again = await d.ask(CancelOrder("bw-a-0-0", BTC))
        assert again.outcome in (Outcome.NOT_FOUND, Outcome.REJECTED)
        gone = await d.ask(QueryOrder("bw-a-0-0", BTC))
        assert gone.order is not None
        assert gone.order.status is OrderStatus.CANCELLED
        assert (await d.ask(QueryOrder("bw-never-0-0", BTC))).outcome is Outcome.NOT_FOUND

    play(scenario)


def test_cancel_all_leaves_no_working_order() -> None:
    async def scenario(d: Desk) -> None:
        for number in range(3):
            await d.ask(resting(f"bw-{number}-0-0"))
        assert (await d.ask(CancelAll())).outcome is Outcome.ACCEPTED
        assert (await d.state()).orders == ()

    play(scenario)


def test_the_same_client_id_twice_is_refused_by_its_code() -> None:
    async def scenario(d: Desk) -> None:
        await d.ask(resting("bw-a-0-0"))
        answer = await d.ask(resting("bw-a-0-0"))
        assert (answer.outcome, answer.code) == (Outcome.REJECTED, "110072")

    play(scenario)


@pytest.mark.parametrize(
    "kind",
    [RequestFault.TIMEOUT_AFTER, RequestFault.HTML_AFTER, RequestFault.RESET_AFTER, RequestFault.STATUS_AFTER],
)
def test_an_order_taken_without_an_answer_is_unknown_and_found_by_its_client_id(kind: RequestFault) -> None:
    async def scenario(d: Desk) -> None:
        d.fault("/v5/order/create", kind, seconds=2.0)
        answer = await d.ask(resting("bw-a-0-0"))
        assert answer.outcome is Outcome.UNKNOWN, answer
        found = await d.ask(QueryOrder("bw-a-0-0", BTC))
        assert found.outcome is Outcome.ACCEPTED
        assert len(d.orders("bw-a-0-0")) == 1

    play(scenario)


@pytest.mark.parametrize(
    "kind", [RequestFault.TIMEOUT_BEFORE, RequestFault.HTML, RequestFault.RESET_BEFORE, RequestFault.HTTP_STATUS]
)
def test_an_order_lost_on_its_way_is_unknown_and_not_found(kind: RequestFault) -> None:
    async def scenario(d: Desk) -> None:
        d.fault("/v5/order/create", kind, seconds=1.0)
        assert (await d.ask(resting("bw-a-0-0"))).outcome is Outcome.UNKNOWN
        assert (await d.ask(QueryOrder("bw-a-0-0", BTC))).outcome is Outcome.NOT_FOUND
        assert d.orders("bw-a-0-0") == []

    play(scenario)


def test_a_rate_limited_order_was_not_sent_and_says_when_to_try_again() -> None:
    async def scenario(d: Desk) -> None:
        d.fault("/v5/order/create", RequestFault.RATE_LIMIT)
        answer = await d.ask(resting("bw-a-0-0"))
        assert (answer.outcome, answer.code) == (Outcome.NOT_SENT, "10006")
        assert 0 < answer.retry_after_ns <= 10_000_000_000
        assert d.orders("bw-a-0-0") == []

    play(scenario)


def test_our_own_limiter_holds_a_flood_back_before_the_venue_does() -> None:
    async def scenario(d: Desk) -> None:
        for number in range(60):
            d.exchange.submit(resting(f"bw-{number}-0-0"))
        await d.until(lambda: len(d.of(CommandResult)) == 60, "60 results")
        outcomes = {r.code for r in d.of(CommandResult) if r.outcome is Outcome.NOT_SENT}
        assert outcomes == {"LIMITER"}
        assert all(r.retry_after_ns > 0 for r in d.of(CommandResult) if r.outcome is Outcome.NOT_SENT)
        assert (await d.ask(CancelAll())).outcome is Outcome.ACCEPTED

    play(scenario, orders_per_second=5, request_timeout_s=5.0)


def test_a_part_of_the_state_that_fails_makes_it_incomplete_and_is_named() -> None:
    async def scenario(d: Desk) -> None:
        d.fault("/v5/position/list", RequestFault.HTTP_STATUS, count=4)
        state = await d.state()
        assert not state.complete
        assert "positions: HTTP_503" in state.reason
        assert (await d.state()).complete

    play(scenario)


def test_a_read_that_fails_is_repeated_until_the_state_is_whole() -> None:
    async def scenario(d: Desk) -> None:
        for path in ("/v5/position/list", "/v5/order/realtime", "/v5/execution/list", "/v5/account/wallet-balance"):
            d.fault(path, RequestFault.HTTP_STATUS)
        assert (await d.state()).complete
        stats = d.exchange.stats()
        assert stats["retries"] == 4
        assert stats["calls_positions"] == 2

    play(scenario)


def test_a_list_of_several_pages_is_fetched_whole() -> None:
    async def scenario(d: Desk) -> None:
        for number in range(53):
            await d.ask(resting(f"bw-{number}-0-0", str(30000 + number)))
        assert len((await d.state()).orders) == 53

    play(scenario, orders_per_second=1000, queries_per_second=1000)


@pytest.mark.parametrize("stream", ["private", "public"])
@pytest.mark.parametrize("kind", [StreamFault.DROP, StreamFault.CLOSE])
def test_a_dropped_stream_is_reported_and_comes_back(stream: str, kind: StreamFault) -> None:
    async def scenario(d: Desk) -> None:
        d.got.clear()
        d.simulator.inject(FaultOrder(streams=[StreamRule(stream, kind)]))
        await d.until(lambda: [s.up for s in d.of(StreamStatus) if s.stream == stream][:1] == [False], "the loss")
        await d.until(lambda: [s.up for s in d.of(StreamStatus) if s.stream == stream][-1], "the return")
        d.got.clear()
        if stream == "public":
            await d.until(lambda: d.of(Trade), "trades again")
        else:
            await d.ask(market("bw-a-0-0"))
            await d.until(lambda: d.of(FillReport), "the fill on the new stream")

    play(scenario)


def test_a_stream_that_falls_silent_is_replaced() -> None:
    async def scenario(d: Desk) -> None:
        d.got.clear()
        d.simulator.inject(FaultOrder(streams=[StreamRule("private", StreamFault.MUTE, 30.0)]))
        await d.until(lambda: any("silent" in s.reason for s in d.of(StreamStatus)), "the silence noticed")
        await d.until(lambda: [s.up for s in d.of(StreamStatus)][-1:] == [True], "the return")

    play(scenario, stale_after_s=1.0)


def test_garbage_on_a_stream_is_reported_and_the_stream_goes_on() -> None:
    async def scenario(d: Desk) -> None:
        d.got.clear()
        d.simulator.inject(FaultOrder(streams=[StreamRule("public", StreamFault.GARBAGE)]))
        await d.until(lambda: d.of(DeadLetter), "the report")
        count = len(d.of(Trade))
        await d.until(lambda: len(d.of(Trade)) > count, "trades after it")
        assert d.of(StreamStatus) == []
        assert d.exchange.stats()["malformed"] >= 1

    play(scenario)


def test_a_repeated_execution_is_passed_on_twice_for_the_brain_to_tell() -> None:
    async def scenario(d: Desk) -> None:
        d.simulator.inject(FaultOrder(executions=ExecutionRule(duplicate=1)))
        await d.ask(market("bw-a-0-0", quantity="0.001"))
        await d.until(lambda: len(d.of(FillReport)) == 2, "both copies")
        assert len({r.fill.execution_id for r in d.of(FillReport)}) == 1

    play(scenario)


def test_a_wrong_key_keeps_the_private_stream_down_and_says_why() -> None:
    async def run() -> None:
        async with desk(key="stranger") as d:
            await d.exchange.connect([BTC], d.got.append)
            await d.until(lambda: any("10003" in s.reason for s in d.of(StreamStatus)), "the refusal")
            await d.until(lambda: d.of(Trade), "public data all the same")
            assert not any(s.up for s in d.of(StreamStatus) if s.stream == "private")
            assert (await d.ask(market("bw-a-0-0"))).outcome is Outcome.REJECTED
            assert "simulator-secret" not in str(d.got)

    asyncio.run(run())


def test_a_venue_that_is_not_there_yet_is_waited_for() -> None:
    async def run() -> None:
        first = BybitSimulator(SimulatorSettings(symbols=("BTCUSDT",)))
        await first.start()
        port = first.port
        await first.stop()
        d = Desk(first)
        await d.exchange.connect([BTC], d.got.append)
        answer = await d.ask(market("bw-a-0-0"))
        assert (answer.outcome, answer.code) == (Outcome.NOT_SENT, "NO_CONNECTION")
        await d.until(lambda: {s.up for s in d.of(StreamStatus)} == {False}, "the failure")
        second = BybitSimulator(SimulatorSettings(symbols=("BTCUSDT",), port=port))
        await second.start()
        await d.until(lambda: {s.stream for s in d.of(StreamStatus) if s.up} == {"public", "private"}, "streams")
        await d.exchange.close()
        await second.stop()

    asyncio.run(run())


def test_paused_public_data_waits_and_private_data_goes_on() -> None:
    async def scenario(d: Desk) -> None:
        d.exchange.pause(True)
        await asyncio.sleep(0.05)
        d.got.clear()
        await d.ask(market("bw-a-0-0", quantity="0.001"))
        await d.until(lambda: d.of(FillReport), "the fill")
        await asyncio.sleep(0.3)
        assert d.of(Trade) == []
        d.exchange.pause(False)
        await d.until(lambda: len(d.of(Trade)) > 5, "what had waited")
        ids = [int(t.trade_id.rpartition("-")[2]) for t in d.of(Trade)]
        assert ids == list(range(ids[0], ids[0] + len(ids)))

    play(scenario)


def test_history_comes_oldest_first() -> None:
    async def scenario(d: Desk) -> None:
        await d.until(lambda: len(d.of(Trade)) > 20, "some trades")
        trades = await d.exchange.trades(BTC, 10)
        assert len(trades) == 10
        assert [t.ts_ns for t in trades] == sorted(t.ts_ns for t in trades)
        minute = 60_000_000_000
        end = trades[-1].ts_ns // minute * minute
        bars = await d.exchange.bars(BTC, minute, end - 5 * minute, end)
        assert all(bar.closed and end - 5 * minute <= bar.ts_ns < end for bar in bars)
        assert [b.ts_ns for b in bars] == sorted({b.ts_ns for b in bars})
        with pytest.raises(ValueError, match="expected an interval"):
            await d.exchange.bars(BTC, 7, 0, 1)

    play(scenario)
