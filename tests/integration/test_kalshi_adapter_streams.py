"""The Kalshi adapter's keys, streams and markets' lives, against the simulator over real sockets."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from exchanges.kalshi.signer import KeyFormatError
from exchanges.model.market import Trade
from exchanges.model.order import OrderStatus, Side
from exchanges.model.venue import FillReport, Outcome, QueryOrder, StreamStatus
from exchanges.simulators.faults import FaultOrder, KeyState, StreamFault
from exchanges.simulators.kalshi.lifecycle import Step
from exchanges.simulators.kalshi.listing import Result
from runtime.lifecycle import DeadLetter
from tests.integration.kalshi_floor import STAND, SYMBOL, TICKER, Floor, exchange, floor, play

D = Decimal


def stranger() -> str:
    """A key that the venue has never seen."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.private_bytes(*form).decode()


# -- keys ------------------------------------------------------------------------------------


def test_a_wrong_key_keeps_both_streams_down_says_why_and_takes_no_order() -> None:
    async def scenario(f: Floor) -> None:
        await f.exchange.connect([SYMBOL], f.sink)
        await f.until(
            lambda: any("authentication_error" in s.reason for s in f.of(StreamStatus) if s.stream == "private"),
            "the refusal",
        )
        await f.until(lambda: any("refuses the key" in s.reason for s in f.of(StreamStatus)), "the handshake's")
        assert not any(status.up for status in f.of(StreamStatus))
        assert (await f.ask(f.limit(Side.BUY, "0.10"))).outcome is Outcome.REJECTED
        assert "PRIVATE KEY" not in str(f.got)

    play(scenario, connected=False, private_key=stranger())


def test_a_revoked_key_takes_the_streams_down_when_they_are_next_opened() -> None:
    async def scenario(f: Floor) -> None:
        f.simulator.inject(FaultOrder(keys={f.simulator.key_id: KeyState.REVOKED}))
        f.stream_fault("all", StreamFault.DROP)
        await f.until(lambda: any("401" in s.reason for s in f.of(StreamStatus)), "the refusal")
        assert (await f.ask(f.limit(Side.BUY, "0.10"))).outcome is Outcome.REJECTED
        f.simulator.inject(FaultOrder(clear=True, keys={f.simulator.key_id: KeyState.VALID}))
        await f.until(lambda: f.streams("private")[-1] and f.streams("public")[-1], "the return")

    play(scenario)


def test_a_key_that_may_only_read_places_no_order() -> None:
    async def scenario(f: Floor) -> None:
        f.simulator.inject(FaultOrder(keys={f.simulator.key_id: KeyState.READ_ONLY}))
        answer = await f.ask(f.limit(Side.BUY, "0.10"))
        assert (answer.outcome, answer.code) == (Outcome.REJECTED, "permission_denied")

    play(scenario)


@pytest.mark.parametrize("change", [{"private_key": "no key at all"}, {"key_id": ""}])
def test_a_malformed_key_is_an_error_at_the_start(change: dict[str, Any]) -> None:
    async def scenario(f: Floor) -> None:
        with pytest.raises(KeyFormatError, match="expected"):
            await f.exchange.connect([SYMBOL], f.sink)

    play(scenario, connected=False, **change)


def test_a_venue_whose_clock_is_off_is_spoken_to_in_its_own_time() -> None:
    """The simulator takes timestamps within ten seconds of its clock, which is a minute ahead here."""

    async def scenario(f: Floor) -> None:
        f.simulator.inject(FaultOrder(clock_skew_ms=60_000))
        await f.exchange.connect([SYMBOL], f.sink)
        await f.until(lambda: f.streams("private")[-1:] == [True], "the private stream")
        await f.until(lambda: f.streams("public")[-1:] == [True], "the public stream")
        assert abs(f.stat("clock_skew_ms") - 60_000) < 2_000
        await f.placed(f.limit(Side.BUY, "0.10"))

    play(scenario, connected=False)


# -- streams ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [StreamFault.DROP, StreamFault.CLOSE])
def test_dropped_streams_are_reported_come_back_and_lose_no_trade(kind: StreamFault) -> None:
    async def scenario(f: Floor) -> None:
        f.got.clear()
        f.stream_fault("all", kind)
        await f.until(lambda: f.streams("public")[:1] == [False] == f.streams("private")[:1], "the loss")
        await f.trade(0.43, 5)
        await f.until(lambda: f.streams("public")[-1] and f.streams("private")[-1], "the return")
        await f.until(lambda: any(trade.price == 0.43 for trade in f.of(Trade)), "the trade in between")
        order = await f.placed(f.market(Side.BUY, D(3)))
        await f.until(lambda: f.filled(order.client_id) == 3, "the fill on the new stream")

    play(scenario)


def test_a_stream_that_falls_silent_is_replaced() -> None:
    async def scenario(f: Floor) -> None:
        f.got.clear()
        f.stream_fault("all", StreamFault.MUTE, 60.0)
        await f.until(lambda: any("silent" in status.reason for status in f.of(StreamStatus)), "the silence noticed")
        await f.until(lambda: f.streams("private")[-1:] == [True], "the return")

    play(scenario, stale_after_s=1.5)


def test_a_quiet_stream_is_kept_alive() -> None:
    async def scenario(f: Floor) -> None:
        f.got.clear()
        began = f.stat("messages_private")
        await f.until(lambda: f.stat("messages_private") >= began + 3, "answers to probes")
        assert f.of(StreamStatus) == []

    play(scenario, stale_after_s=3.0)


@pytest.mark.parametrize("kind", [StreamFault.GARBAGE, StreamFault.UNKNOWN_TYPE])
def test_what_cannot_be_read_is_reported_and_the_stream_goes_on(kind: StreamFault) -> None:
    async def scenario(f: Floor) -> None:
        f.got.clear()
        f.stream_fault("all", kind)
        await f.until(lambda: f.of(DeadLetter), "the report")
        await f.trade(0.44)
        await f.until(lambda: any(trade.price == 0.44 for trade in f.of(Trade)), "trades after it")
        assert f.of(StreamStatus) == []
        assert f.stat("malformed") >= 1

    play(scenario)


def test_a_gap_in_the_sequence_is_answered_with_a_snapshot_and_the_book_is_right_again() -> None:
    async def scenario(f: Floor) -> None:
        assert f.disturb("orderbook_delta", skip=2) >= 1
        await f.trade(0.61)
        await f.until(lambda: f.stat("gaps_orderbook") >= 1 and f.stat("snapshots_asked") >= 1, "the gap noticed")
        await f.until(lambda: (f.exchange.best(TICKER, Side.BUY) or D(0)) > D("0.55"), "the new book")
        assert f.streams("public")[-1] is True

    play(scenario)


@pytest.mark.parametrize("code", [10, 25])
def test_a_subscription_the_venue_ends_is_taken_out_anew(code: int) -> None:
    async def scenario(f: Floor) -> None:
        f.got.clear()
        assert f.disturb("trade", code=code) >= 1
        await f.until(lambda: any(f"{code}" in status.reason for status in f.of(StreamStatus)), "the reason")
        await f.until(lambda: f.streams("public")[-1:] == [True], "the return")
        await f.trade(0.47)
        await f.until(lambda: any(trade.price == 0.47 for trade in f.of(Trade)), "trades again")

    play(scenario)


def test_paused_public_data_waits_and_private_data_goes_on() -> None:
    async def scenario(f: Floor) -> None:
        f.exchange.pause(True)
        await f.trade(0.42)
        order = await f.placed(f.market(Side.BUY, D(3)))
        await f.until(lambda: f.filled(order.client_id) == 3, "the fill")
        assert not any(trade.price == 0.42 for trade in f.of(Trade))
        f.exchange.pause(False)
        await f.until(lambda: any(trade.price == 0.42 for trade in f.of(Trade)), "what had waited")

    play(scenario)


# -- the life of a market --------------------------------------------------------------------


@pytest.mark.parametrize("lifecycle", [True, False], ids=["channel", "polling"])
def test_a_pause_stops_trading_and_reactivation_ends_resting_orders(lifecycle: bool) -> None:
    async def scenario(f: Floor) -> None:
        order = await f.placed(f.limit(Side.BUY, "0.10"))
        await f.step(Step.PAUSE)
        await f.until(lambda: not f.trading(), "the pause")
        refused = await f.ask(f.limit(Side.BUY, "0.10"))
        assert refused.outcome is Outcome.REJECTED
        assert (await f.state()).orders[0].client_id == order.client_id
        await f.step(Step.ACTIVATE)
        await f.until(f.trading, "the reactivation")
        await f.until(lambda: f.statuses(order.client_id)[-1] is OrderStatus.CANCELLED, "the end of the order")

    play(scenario, lifecycle=lifecycle, market_poll_s=60.0 if lifecycle else 0.2)


@pytest.mark.parametrize(
    ("side", "result", "price", "held"),
    [
        (Side.BUY, Result.YES, 1, 10),
        (Side.BUY, Result.NO, 0, 10),
        (Side.SELL, Result.YES, 1, -10),
        (Side.SELL, Result.NO, 0, -10),
    ],
)
def test_a_settled_market_closes_the_position_by_one_fill(side: Side, result: Result, price: int, held: int) -> None:
    async def scenario(f: Floor) -> None:
        order = await f.placed(f.market(side, D(10)))
        await f.until(lambda: f.filled(order.client_id) == 10, "the fills")
        await f.step(Step.CLOSE)
        await f.until(lambda: not f.trading(), "the close")
        assert await f.held() == held, "between close and payment the position is locked"
        assert (await f.ask(f.limit(side.opposite, "0.10"))).outcome is Outcome.REJECTED
        await f.step(Step.DETERMINE, result)
        await f.step(Step.SETTLE)
        paid = f"settlement-{TICKER}"
        await f.until(lambda: any(r.fill.execution_id == paid for r in f.of(FillReport)), "the payment")
        state = await f.state()
        (settled,) = [fill for fill in state.fills if fill.execution_id == paid]
        assert settled in [report.fill for report in f.of(FillReport)]
        assert (settled.client_id, settled.side, settled.quantity) == ("", side.opposite, D(10))
        assert (settled.price, settled.fee) == (D(price), D(0))
        assert not [position for position in state.positions if position.quantity]
        assert sum(report.fill.execution_id == paid for report in f.of(FillReport)) == 1

    play(scenario)


def test_a_disputed_and_amended_result_stays_locked_until_it_is_paid() -> None:
    async def scenario(f: Floor) -> None:
        await f.placed(f.market(Side.BUY, D(10)))
        await f.step(Step.CLOSE)
        await f.step(Step.DETERMINE, Result.YES)
        await f.step(Step.DISPUTE)
        await f.step(Step.AMEND, Result.NO)
        await f.until(lambda: not f.trading(), "the close")
        assert await f.held() == 10
        assert not any(r.fill.execution_id.startswith("settlement") for r in f.of(FillReport))
        await f.step(Step.SETTLE)
        await f.until(lambda: f.of(FillReport)[-1].fill.execution_id == f"settlement-{TICKER}", "the payment")
        assert f.of(FillReport)[-1].fill.price == 0

    play(scenario)


def test_a_market_settled_while_nobody_listened_is_in_the_state() -> None:
    async def run() -> None:
        async with floor() as f:
            await f.up(priced=False)
            await f.trade(0.40)
            await f.until(lambda: f.exchange.best(TICKER, Side.BUY), "a book")
            await f.placed(f.market(Side.BUY, D(10)))
            await f.exchange.close()
            for step, result in (
                (Step.CLOSE, Result.NONE),
                (Step.DETERMINE, Result.YES),
                (Step.SETTLE, Result.NONE),
            ):
                await f.step(step, result)
            successor = exchange(f.simulator)
            second = Floor(STAND, f.simulator, successor)
            try:
                await second.up(priced=False)
                assert not second.trading()
                ids = [fill.execution_id for fill in (await second.state()).fills]
                assert f"settlement-{TICKER}" in ids
                assert second.of(FillReport) == [], "what is long past is not news"
            finally:
                await successor.close()

    asyncio.run(run())


# -- the end ---------------------------------------------------------------------------------


def test_closing_ends_every_task_and_socket() -> None:
    async def run() -> None:
        async with floor() as f:
            await f.up(priced=False)
            f.exchange.submit(QueryOrder("bw-none-0-0", SYMBOL))
            await f.exchange.close()
            await asyncio.sleep(0)
            names = {task.get_name() for task in asyncio.all_tasks()}
            assert not {name for name in names if name.startswith("kalshi") and "simulator" not in name}
            assert len(f.of(StreamStatus)) >= 4

    asyncio.run(run())
