"""What keeps the Bybit adapter safe, and spot, funding, leverage and position mode, against the simulator."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter

import pytest

from exchanges.bybit import BybitExchange, BybitMode
from exchanges.model.instrument import ContractKind
from exchanges.model.market import Quote, Ticker, Trade
from exchanges.model.order import OrderStatus, OrderType, Side
from exchanges.model.venue import (
    BalanceReport,
    CancelAll,
    CancelOrder,
    CommandResult,
    FillReport,
    InstrumentsReport,
    OrderReport,
    Outcome,
    PaymentReport,
    PlaceOrder,
    QueryOrder,
    StreamStatus,
    VenueState,
)
from exchanges.simulators.faults import FaultOrder, KeyState, RequestFault, StreamFault, StreamRule
from tests.integration.bybit_adapter_desk import BTC, D, Desk, desk, market, play, resting

SPOT = "bybit:BTCUSDT.SPOT"

# -- what keeps it safe ----------------------------------------------------------------------


def test_an_endpoint_that_keeps_failing_is_left_alone_and_cancels_still_pass() -> None:
    async def scenario(d: Desk) -> None:
        await d.ask(resting("bw-a-0-0"))
        d.fault("/v5/order/create", RequestFault.HTTP_STATUS, count=99)
        codes = [(await d.ask(resting(f"bw-{number}-0-0"))).code for number in range(7)]
        assert codes == ["HTTP_503"] * 5 + ["CIRCUIT_OPEN"] * 2
        answer = d.of(CommandResult)[-1]
        assert answer.outcome is Outcome.NOT_SENT
        assert 0 < answer.retry_after_ns <= 30_000_000_000
        assert (await d.ask(CancelOrder("bw-a-0-0", BTC))).outcome is Outcome.ACCEPTED
        stats = d.exchange.stats()
        assert (stats["breaker_opens"], stats["breaker_state_place_order"], stats["calls_place_order"]) == (1, 2, 6)

    play(scenario)


def test_a_reconciliation_is_never_answered_from_the_cache_and_asks_for_the_wallet_once() -> None:
    async def scenario(d: Desk) -> None:
        for _ in range(3):
            await d.ask(market(f"bw-{len(d.of(CommandResult))}-0-0"))
            assert (await d.state(time.time_ns() - 3_600_000_000_000)).complete
        stats = d.exchange.stats()
        assert [stats[f"calls_{name}"] for name in ("wallet", "positions", "open_orders", "executions")] == [3] * 4
        held = [p.quantity for p in d.of(VenueState)[-1].positions]
        assert held == [D("0.03")]

    play(scenario)


def test_rules_balances_and_candles_are_asked_for_once_by_however_many() -> None:
    async def scenario(d: Desk) -> None:
        minute = 60_000_000_000
        end = time.time_ns()
        for _ in range(3):
            await asyncio.gather(*(d.exchange.instruments([BTC]) for _ in range(5)))
            await asyncio.gather(*(d.exchange.balances() for _ in range(5)))
            await asyncio.gather(*(d.exchange.bars(BTC, 5 * minute, end - 50 * minute, end) for _ in range(5)))
        stats = d.exchange.stats()
        assert stats["calls_instruments"] == stats["calls_fee_rates"] == 1
        assert stats["calls_balances"] == 1
        assert stats.get("calls_recent_bars", 0) + stats.get("calls_closed_bars", 0) <= 2
        await d.ask(market("bw-a-0-0"))
        await d.until(lambda: d.of(BalanceReport), "the change of the wallet")
        (coin,) = await d.exchange.balances()
        assert coin.available < D(100_000)
        assert d.exchange.stats()["calls_balances"] == 2

    play(scenario)


@pytest.mark.parametrize("skew_ms", [-3_000, 3_000])
def test_a_clock_that_is_off_is_measured_and_made_up_for(skew_ms: int) -> None:
    async def run() -> None:
        async with desk() as d:
            d.simulator.inject(FaultOrder(clock_skew_ms=skew_ms))
            await d.up()
            assert (await d.ask(market("bw-a-0-0"))).outcome is Outcome.ACCEPTED
            stats = d.exchange.stats()
            assert stats["clock_skew_ms"] == pytest.approx(skew_ms, abs=stats["clock_margin_ms"] + 5)
            d.simulator.inject(FaultOrder(clock_skew_ms=-skew_ms))
            # With the clocks 6 s apart the venue refuses; the measurement that follows repairs it.
            for number in range(100):
                answer = await d.ask(resting(f"bw-{number}-1-0"))
                if answer.outcome is Outcome.ACCEPTED:
                    break
                assert (answer.outcome, answer.code) == (Outcome.NOT_SENT, "10002")
                await asyncio.sleep(0.05)
            assert d.exchange.stats()["clock_skew_ms"] == pytest.approx(-skew_ms, abs=1_000)

    asyncio.run(run())


def test_a_clock_that_is_too_far_off_keeps_the_private_stream_down_and_says_what_to_do() -> None:
    async def run() -> None:
        async with desk() as d:
            d.simulator.inject(FaultOrder(clock_skew_ms=60_000))
            await d.exchange.connect([BTC], d.got.append)
            await d.until(lambda: d.of(Trade), "public data all the same")
            await d.until(lambda: any("set the clock" in s.reason for s in d.of(StreamStatus)), "the refusal")
            assert not any(s.up for s in d.of(StreamStatus) if s.stream == "private")
            assert d.exchange.stats()["clock_refused"] >= 1

    asyncio.run(run())


def test_the_leverage_is_set_before_the_first_private_connection() -> None:
    async def scenario(d: Desk) -> None:
        await d.ask(market("bw-a-0-0"))
        await d.until(lambda: d.simulator.control.state()["accounts"]["main"]["positions"], "the position")
        (position,) = d.simulator.control.state()["accounts"]["main"]["positions"]
        assert D(position["leverage"]) == 7
        assert d.exchange.stats()["leverage_set"] == 1

    play(scenario, leverage=D(7))


def test_in_mode_paper_there_are_prices_and_no_private_call_leaves() -> None:
    async def run() -> None:
        async with desk(mode=BybitMode.PAPER, key="", secret="") as d:
            await d.exchange.connect([BTC], d.got.append)
            await d.until(lambda: d.of(Trade), "prices")
            for command in (market("bw-a-0-0"), CancelOrder("bw-a-0-0", BTC), QueryOrder("bw-a-0-0", BTC)):
                answer = await d.ask(command)
                assert (answer.outcome, answer.code) == (Outcome.NOT_SENT, "WRONG_MODE")
            assert {s.stream for s in d.of(StreamStatus)} == {"public"}
            assert d.orders("bw-a-0-0") == []

    asyncio.run(run())


def test_a_symbol_the_venue_does_not_list_is_named() -> None:
    async def run() -> None:
        async with desk() as d:
            await d.exchange.connect(["bybit:NOSUCHUSDT"], d.got.append)
            await d.until(lambda: any("bybit:NOSUCHUSDT" in s.reason for s in d.of(StreamStatus)), "the reason")
            for wrong in ("alpaca:AAPL", "BTCUSDT"):
                with pytest.raises(ValueError, match="expected a symbol such as bybit:BTCUSDT"):
                    await BybitExchange(d.exchange.settings).connect([wrong], d.got.append)

    asyncio.run(run())


# -- spot ------------------------------------------------------------------------------------


def pair(client_id: str, side: Side = Side.BUY, quantity: str = "0.01") -> PlaceOrder:
    return PlaceOrder(client_id, SPOT, side, OrderType.MARKET, D(quantity))


def test_perpetual_and_spot_of_one_name_are_two_instruments_with_their_own_data() -> None:
    async def scenario(d: Desk) -> None:
        await d.until(lambda: {t.symbol for t in d.of(Trade)} == {BTC, SPOT}, "trades of both")
        await d.until(lambda: {t.symbol for t in d.of(Quote)} == {BTC, SPOT}, "quotes of both")
        linear, spot = d.of(InstrumentsReport)[-1].instruments
        assert (linear.kind, spot.kind) == (ContractKind.LINEAR_PERPETUAL, ContractKind.SPOT)
        assert (linear.short, spot.short) == (True, False)
        assert spot.lot < linear.lot

    play(scenario, symbols=(BTC, SPOT))


def test_a_holding_is_bought_sold_and_seen_in_the_state_beside_the_perpetual() -> None:
    async def scenario(d: Desk) -> None:
        await d.until(lambda: {q.symbol for q in d.of(Quote)} == {BTC, SPOT}, "prices of both")
        assert (await d.ask(pair("bw-a-0-0"))).outcome is Outcome.ACCEPTED
        await d.until(lambda: sum(r.fill.quantity for r in d.of(FillReport)) == D("0.01"), "the purchase")
        assert (await d.ask(market("bw-b-0-0", Side.SELL, "0.02"))).outcome is Outcome.ACCEPTED
        assert (await d.ask(pair("bw-c-0-0", Side.SELL, "0.004"))).outcome is Outcome.ACCEPTED
        await d.until(lambda: len({r.order.client_id for r in d.of(OrderReport) if r.order.status.final}) == 3, "ends")
        state = await d.state(time.time_ns() - 60_000_000_000)
        assert state.complete, state.reason
        assert {p.symbol: p.quantity for p in state.positions} == {BTC: D("-0.02"), SPOT: D("0.00599")}
        held = Counter[str]()
        for fill in state.fills:
            held[fill.symbol] += fill.delta  # type: ignore[assignment]
        assert held == {BTC: D("-0.02"), SPOT: D("0.00599")}
        assert {f.execution_id for f in state.fills} == {r.fill.execution_id for r in d.of(FillReport)}
        assert {b.currency for b in state.balances} == {"BTC", "USDT"}

    play(scenario, symbols=(BTC, SPOT))


def test_orders_of_both_categories_are_listed_queried_and_cancelled() -> None:
    async def scenario(d: Desk) -> None:
        low = PlaceOrder("bw-s-0-0", SPOT, Side.BUY, OrderType.LIMIT, D("0.01"), D(30000))
        assert (await d.ask(low)).outcome is Outcome.ACCEPTED
        assert (await d.ask(resting("bw-l-0-0"))).outcome is Outcome.ACCEPTED
        working = {o.client_id: o.symbol for o in (await d.state(time.time_ns())).orders}
        assert working == {"bw-s-0-0": SPOT, "bw-l-0-0": BTC}
        found = await d.ask(QueryOrder("bw-s-0-0", SPOT))
        assert found.order is not None
        assert (found.order.symbol, found.order.status) == (SPOT, OrderStatus.OPEN)
        assert (await d.ask(CancelAll())).outcome is Outcome.ACCEPTED
        assert (await d.state(time.time_ns())).orders == ()

    play(scenario, symbols=(BTC, SPOT))


def test_what_is_not_held_can_not_be_sold() -> None:
    async def scenario(d: Desk) -> None:
        answer = await d.ask(pair("bw-a-0-0", Side.SELL))
        assert (answer.outcome, answer.code) == (Outcome.REJECTED, "170131")
        answer = await d.ask(PlaceOrder("bw-b-0-0", SPOT, Side.BUY, OrderType.MARKET, D(1), reduce_only=True))
        assert (answer.outcome, answer.code) == (Outcome.NOT_SENT, "MALFORMED")

    play(scenario, symbols=(SPOT,))


def test_public_data_is_up_only_while_both_of_its_connections_are() -> None:
    async def scenario(d: Desk) -> None:
        d.got.clear()
        d.simulator.inject(FaultOrder(streams=[StreamRule("public", StreamFault.DROP)]))
        await d.until(lambda: d.of(StreamStatus) and d.of(StreamStatus)[-1].up, "the return")
        downs = [s for s in d.of(StreamStatus) if not s.up]
        assert {s.stream for s in d.of(StreamStatus)} == {"public"}
        assert {s.reason.partition(":")[0] for s in downs} == {"public_linear", "public_spot"}
        assert len([s for s in d.of(StreamStatus) if s.up]) == 1
        d.got.clear()
        await d.until(lambda: {t.symbol for t in d.of(Trade)} == {BTC, SPOT}, "trades of both")

    play(scenario, symbols=(BTC, SPOT))


def test_two_pairs_of_one_coin_are_refused() -> None:
    async def run() -> None:
        async with desk() as d:
            with pytest.raises(ValueError, match="expected one spot pair for each coin"):
                await d.exchange.connect([SPOT, "bybit:BTCUSDC.SPOT"], d.got.append)

    asyncio.run(run())


# -- perpetuals ------------------------------------------------------------------------------


def test_funding_reaches_the_cash_and_is_taken_for_no_trade() -> None:
    async def scenario(d: Desk) -> None:
        await d.ask(market("bw-a-0-0", quantity="0.5"))
        await d.until(lambda: any(message.amount for message in d.of(PaymentReport)), "funding")
        paid = next(message for message in d.of(PaymentReport) if message.amount)
        assert (paid.kind, paid.symbol, paid.currency) == ("funding", BTC, "USDT")
        assert sum(r.fill.quantity for r in d.of(FillReport)) == D("0.5")
        for _ in range(200):
            d.got.clear()
            state = await d.state(time.time_ns() - 60_000_000_000)
            books = d.simulator.control.books("main")
            if state.balances[0].total == D(books["cash"]):
                break
        assert state.balances[0].total == D(books["cash"])
        fees = sum(fill.fee for fill in state.fills)
        funding = {message.payment_id: message.amount for message in d.of(PaymentReport)}
        assert paid.payment_id in funding
        assert sum(fill.quantity for fill in state.fills) == D("0.5")
        assert len(funding) <= len(books["fundings"])
        assert D(books["cash"]) == D(100_000) - fees - sum(D(one["amount"]) for one in books["fundings"])

    play(scenario, funding_s=1.0)


def test_mark_price_and_funding_rate_come_with_the_ticker() -> None:
    async def scenario(d: Desk) -> None:
        await d.until(lambda: d.of(Ticker), "a ticker")
        ticker = d.of(Ticker)[-1]
        assert ticker.symbol == BTC
        assert ticker.mark == pytest.approx(61_800, rel=0.2)
        assert -0.0001 < ticker.funding_rate < 0.0003
        assert ticker.funding_ns > time.time_ns()

    play(scenario, streams=("trade", "ticker"))


def test_an_account_in_hedge_mode_keeps_the_private_stream_down_until_it_is_switched() -> None:
    async def run() -> None:
        async with desk() as d:
            d.simulator.venue.modes["main", "BTCUSDT"] = 3
            await d.exchange.connect([BTC], d.got.append)
            await d.until(lambda: any("one-way mode" in s.reason for s in d.of(StreamStatus)), "the refusal")
            assert (await d.ask(market("bw-a-0-0"))).outcome is Outcome.REJECTED
            d.simulator.venue.modes.clear()
            await d.until(lambda: any(s.up for s in d.of(StreamStatus) if s.stream == "private"), "the stream")

    asyncio.run(run())


@pytest.mark.parametrize(("state", "reason"), [(KeyState.READ_ONLY, "read-only"), (KeyState.REVOKED, "10003")])
def test_a_key_that_may_no_longer_trade_is_said_so_at_the_next_connection(state: KeyState, reason: str) -> None:
    async def scenario(d: Desk) -> None:
        d.simulator.inject(FaultOrder(keys={"simulator-key": state}, streams=[StreamRule("private", StreamFault.DROP)]))
        await d.until(lambda: any(reason in s.reason for s in d.of(StreamStatus)), "the refusal")
        answer = await d.ask(market("bw-a-0-0"))
        assert (answer.outcome, answer.code[:2]) == (Outcome.REJECTED, "10")
        assert d.orders("bw-a-0-0") == []

    play(scenario)


def test_a_clock_that_goes_wrong_later_ends_the_private_stream_until_it_is_right_again() -> None:
    async def scenario(d: Desk) -> None:
        d.got.clear()
        d.simulator.inject(FaultOrder(clock_skew_ms=60_000))
        await d.until(lambda: any("set the clock" in s.reason for s in d.of(StreamStatus) if not s.up), "the end")
        d.simulator.inject(FaultOrder(clock_skew_ms=0))
        await d.until(lambda: [s.up for s in d.of(StreamStatus) if s.stream == "private"][-1], "the return")
        assert d.exchange.stats()["clock_steps"] >= 2

    play(scenario, sync_every_s=0.1)


def names() -> set[str]:
    """Threads, but for those the event loop keeps for blocking calls."""
    return {thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}


def test_closing_while_the_streams_are_being_opened_leaves_nothing_behind() -> None:
    async def run() -> None:
        async with desk() as d:
            before = names()
            for wait_s in (0.0, 0.005, 0.02, 0.05):
                exchange = BybitExchange(d.exchange.settings)
                await exchange.connect([BTC], d.got.append)
                await asyncio.sleep(wait_s)
                await exchange.close()
            ours = [task for task in asyncio.all_tasks() if task.get_name().startswith(("bybit p", "bybit clock"))]
            assert ours == []
            await d.until(lambda: not (names() - before), "the end of the pools' and the sockets' threads")

    asyncio.run(run())
