"""The Alpaca adapter: the official SDK, unchanged, against the simulator over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from exchanges.alpaca import lookup
from exchanges.model.instrument import ContractKind
from exchanges.model.market import Quote, Trade
from exchanges.model.order import OrderStatus, Side, TimeInForce
from exchanges.model.venue import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    FillReport,
    InstrumentsReport,
    Outcome,
    PlaceOrder,
    QueryOrder,
    StreamStatus,
)
from exchanges.modes import Mode
from exchanges.simulators.faults import FaultOrder, KeyState, RequestFault, RequestRule, StreamFault
from runtime.lifecycle import DeadLetter
from tests.conformance.desk import Desk, desk
from tests.integration.alpaca_desk import (
    AAPL,
    BTC,
    SECOND,
    STAND,
    D,
    exchange,
    held,
    last,
    limit,
    market,
    play,
    taken,
)

# -- connecting --------------------------------------------------------------------------------


def test_instruments_of_both_kinds_have_their_own_steps() -> None:
    async def scenario(d: Desk) -> None:
        instruments = {i.symbol: i for i in d.of(InstrumentsReport)[0].instruments}
        stock, pair = instruments[AAPL], instruments[BTC]
        assert (stock.kind, stock.lot, stock.short, stock.trading) == (ContractKind.EQUITY, D("1e-9"), True, True)
        assert (stock.tick_at(D("0.5")), stock.tick_at(D(1))) == (D("0.0001"), D("0.01"))
        assert (pair.kind, pair.short, pair.quote) == (ContractKind.SPOT, False, "USD")
        assert instruments["alpaca:SEB"].lot == 1
        assert not instruments["alpaca:HKD"].short

    symbols = (AAPL, BTC, "alpaca:SEB", "alpaca:HKD")
    play(scenario, {"symbols": tuple(s.partition(":")[2] for s in symbols)}, symbols=symbols, prices=False)


def test_trades_of_stocks_have_no_side_and_those_of_pairs_do() -> None:
    async def scenario(d: Desk) -> None:
        await d.until(lambda: {trade.symbol for trade in d.of(Trade)} == {AAPL, BTC}, "trades of both")
        assert {trade.side for trade in d.of(Trade) if trade.symbol == AAPL} == {""}
        assert {trade.side for trade in d.of(Trade) if trade.symbol == BTC} <= {"buy", "sell"}

    play(scenario)


def test_more_symbols_than_one_request_takes_are_all_subscribed_to() -> None:
    symbols = tuple(f"alpaca:S{number}" for number in range(205))

    async def scenario(d: Desk) -> None:
        assert [i.symbol for i in d.of(InstrumentsReport)[0].instruments] == list(symbols)
        assert d.streams("public")[-1]
        await d.until(lambda: "alpaca:S204" in {trade.symbol for trade in d.of(Trade)}, "a trade of the last one")

    names = tuple(symbol.partition(":")[2] for symbol in symbols)
    play(scenario, {"symbols": names, "rate": 1.0}, symbols=symbols, prices=False)


def test_a_key_that_is_revoked_ends_the_stream_with_the_reason_and_none_comes_up() -> None:
    async def scenario(d: Desk) -> None:
        d.simulator.inject(FaultOrder(keys={"simulator-key": KeyState.REVOKED}))
        d.stream_fault("private", StreamFault.DROP)
        reasons: Callable[[], list[str]] = lambda: [s.reason for s in d.of(StreamStatus) if s.stream == "private"]  # noqa: E731
        await d.until(lambda: len([r for r in reasons() if "unauthorised" in r]) > 1, "the reason, again and again")
        assert d.streams("private")[-1] is False
        assert (await d.ask(limit("bw-a-0-0", "1", "100"))).outcome is Outcome.REJECTED

    play(scenario)


def test_a_second_connection_to_the_data_stream_is_told_why_it_is_refused() -> None:
    async def scenario(d: Desk) -> None:
        second = exchange(d.simulator)
        got: list[Any] = []
        await second.connect([AAPL], got.append)
        try:
            refused: Callable[[], Any] = lambda: [m for m in got if isinstance(m, StreamStatus) and "406" in m.reason]  # noqa: E731
            await d.until(refused, "the refusal")
        finally:
            await second.close()

    play(scenario)


def test_one_dropped_socket_takes_both_markets_down_and_both_come_back() -> None:
    async def scenario(d: Desk) -> None:
        d.stream_fault("public", StreamFault.DROP)
        await d.until(lambda: d.streams("public")[-2:] == [False, True], "down and up")
        d.got.clear()
        await d.until(lambda: {trade.symbol for trade in d.of(Trade)} == {AAPL, BTC}, "trades of both")

    play(scenario)


def test_both_streams_come_back_while_the_limit_of_the_minute_is_used_up() -> None:
    async def scenario(d: Desk) -> None:
        d.simulator.inject(FaultOrder(requests=[RequestRule("", RequestFault.RATE_LIMIT, count=1_000_000)]))
        refused = await d.ask(limit("bw-a-0-0", "1", "100"))
        assert refused.retry_after_ns > 0
        for stream in ("public", "private"):
            d.stream_fault(stream, StreamFault.DROP)
            await d.until(lambda stream=stream: d.streams(stream)[-2:] == [False, True], f"the {stream} stream")
        d.got.clear()
        await d.until(lambda: {trade.symbol for trade in d.of(Trade)} == {AAPL, BTC}, "trades of both")
        assert (await d.ask(limit("bw-b-0-0", "1", "100"))).outcome is Outcome.NOT_SENT
        assert not (await d.state()).complete

    play(scenario)


def test_in_paper_there_are_prices_alone_and_no_call_for_the_account() -> None:
    async def run() -> None:
        async with desk(STAND, None, {"mode": Mode.PAPER}) as d:
            await d.exchange.connect([AAPL], d.sink)
            await d.until(lambda: d.of(Quote) and d.of(InstrumentsReport), "prices")
            answer = await d.ask(limit("bw-a-0-0", "1", "100"))
            assert (answer.outcome, answer.code) == (Outcome.NOT_SENT, "WRONG_MODE")
            assert {status.stream for status in d.of(StreamStatus)} == {"public"}
            called = {name for name in d.simulator.stats() if name.startswith("requests/")}
            assert not [name for name in called if "account" in name or "orders" in name or "positions" in name]

    asyncio.run(run())


# -- orders ------------------------------------------------------------------------------------


def test_a_fraction_of_a_share_is_bought_exactly_and_told_alike_by_stream_and_state() -> None:
    async def scenario(d: Desk) -> None:
        order = market("bw-a-0-0", "1.234567891")
        await taken(d, order)
        await d.until(lambda: d.filled("bw-a-0-0") == order.quantity, "the executions")
        state = await d.state()
        assert state.complete, state.reason
        assert {fill.execution_id for fill in state.fills} == {fill.execution_id for fill in d.fills("bw-a-0-0")}
        assert [(p.symbol, p.quantity) for p in state.positions] == [(AAPL, order.quantity)]
        assert {fill.fee for fill in state.fills} == {D(0)}

    play(scenario)


def test_a_crypto_pair_is_bought_with_the_fee_the_settings_declare() -> None:
    async def scenario(d: Desk) -> None:
        await held(d, "0.01", BTC)
        (fill,) = {fill.execution_id: fill for fill in d.fills("bw-held0_01-0-0")}.values()
        assert (fill.fee, fill.fee_currency) == (D("0.0025") * fill.quantity, "BTC")
        assert [(p.symbol, p.quantity) for p in (await d.state()).positions] == [(BTC, D("0.009975"))]

    play(scenario)


def test_the_same_client_order_id_twice_has_the_code_the_connection_knows() -> None:
    async def scenario(d: Desk) -> None:
        await taken(d, limit("bw-a-0-0", "1", "100"))
        answer = await d.ask(limit("bw-a-0-0", "1", "100"))
        assert (answer.outcome, answer.code) == (Outcome.REJECTED, "DUPLICATE_CLIENT_ID")
        assert len(d.orders("bw-a-0-0")) == 1

    play(scenario)


def test_an_order_whose_answer_never_came_is_found_by_its_client_order_id() -> None:
    async def scenario(d: Desk) -> None:
        d.fault(RequestFault.TIMEOUT_AFTER)
        assert (await d.ask(limit("bw-a-0-0", "1", "100"))).outcome is Outcome.UNKNOWN
        found = (await d.ask(QueryOrder("bw-a-0-0", AAPL))).order
        assert found is not None and found.status is OrderStatus.OPEN
        assert len(d.orders("bw-a-0-0")) == 1

    play(scenario)


def test_a_rate_limited_order_was_not_sent_and_says_how_long_to_wait() -> None:
    async def scenario(d: Desk) -> None:
        d.fault(RequestFault.RATE_LIMIT)
        answer = await d.ask(limit("bw-a-0-0", "1", "100"))
        assert answer.outcome is Outcome.NOT_SENT
        assert 0 < answer.retry_after_ns <= 61 * SECOND
        assert not d.orders("bw-a-0-0")

    play(scenario)


def test_a_closing_order_may_close_what_is_held_and_no_more() -> None:
    async def scenario(d: Desk) -> None:
        early = await d.ask(market("bw-a-0-0", "1", Side.SELL, reduce_only=True))
        assert (early.outcome, early.code) == (Outcome.REJECTED, "REDUCE_ONLY")
        await held(d, "2")
        for client_id, quantity, side in (("bw-b-0-0", "2.5", Side.SELL), ("bw-c-0-0", "1", Side.BUY)):
            answer = await d.ask(market(client_id, quantity, side, reduce_only=True))
            assert (answer.outcome, answer.code) == (Outcome.REJECTED, "REDUCE_ONLY")
        await taken(d, market("bw-d-0-0", "2", Side.SELL, reduce_only=True))
        await d.until(lambda: d.filled("bw-d-0-0") == 2, "the executions")
        assert (await d.state()).positions == ()
        assert {o["client_id"] for o in d.books()["orders"]} == {"bw-held2-0-0", "bw-d-0-0"}

    play(scenario)


def test_what_a_working_order_is_going_to_close_is_not_closed_twice() -> None:
    async def scenario(d: Desk) -> None:
        await held(d, "2")
        await taken(d, limit("bw-a-0-0", "2", "1000", Side.SELL))
        answer = await d.ask(market("bw-b-0-0", "2", Side.SELL, reduce_only=True))
        assert (answer.outcome, answer.code) == (Outcome.REJECTED, "REDUCE_ONLY")

    play(scenario)


def test_a_position_that_cannot_be_read_leaves_a_closing_order_unsent() -> None:
    async def scenario(d: Desk) -> None:
        await held(d, "2")
        d.fault(RequestFault.HTTP_STATUS, ("query",))
        answer = await d.ask(market("bw-b-0-0", "2", Side.SELL, reduce_only=True))
        assert answer.outcome is Outcome.NOT_SENT, answer

    play(scenario)


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (msgspec.structs.replace(limit("bw-a-0-0", "1", "100"), time_in_force=TimeInForce.POST_ONLY), "UNSUPPORTED"),
        (msgspec.structs.replace(limit("bw-a-0-0", "1.5", "100"), time_in_force=TimeInForce.IOC), "UNSUPPORTED"),
        (market("bw-a-0-0", "0.01", symbol=BTC, time_in_force=TimeInForce.FOK), "UNSUPPORTED"),
        (limit("bw-a-0-0", "1", "100.001"), "42210000"),
        (limit("bw-a-0-0", "1000000", "100"), "40310000"),
        (market("bw-a-0-0", "1", Side.SELL, BTC), "40310000"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_code(order: PlaceOrder, code: str) -> None:
    async def scenario(d: Desk) -> None:
        answer = await d.ask(order)
        assert (answer.outcome, answer.code) == (Outcome.REJECTED, code), answer
        assert not d.orders(order.client_id)

    play(scenario)


def test_cancelling_one_symbol_leaves_the_other_alone() -> None:
    async def scenario(d: Desk) -> None:
        await taken(d, limit("bw-a-0-0", "1", "100"))
        await taken(d, limit("bw-b-0-0", "1", "101"))
        await taken(d, limit("bw-c-0-0", "0.01", "30000", symbol=BTC))
        assert (await d.ask(CancelAll(AAPL))).outcome is Outcome.ACCEPTED
        assert [order.client_id for order in (await d.state()).orders] == ["bw-c-0-0"]

    play(scenario)


def test_lists_longer_than_a_page_come_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "ORDERS_A_PAGE", 3)
    monkeypatch.setattr(lookup, "FILLS_A_PAGE", 2)

    async def scenario(d: Desk) -> None:
        names = [f"bw-{number}-0-0" for number in range(8)]
        for name in names:
            await taken(d, limit(name, "1", "100"))
        for quantity in range(1, 6):
            await held(d, str(quantity))
        state = await d.state()
        assert state.complete, state.reason
        assert sorted(order.client_id for order in state.orders) == names
        assert {fill.execution_id for fill in state.fills} == {report.fill.execution_id for report in d.of(FillReport)}

    play(scenario)


# -- amending ----------------------------------------------------------------------------------


def test_an_amended_order_stays_one_order_for_a_process_that_remembers_and_for_one_that_does_not() -> None:
    async def scenario(d: Desk) -> None:
        await taken(d, limit("bw-a-0-0", "2", "100"))
        ids = set()
        for price, quantity in ((D("101"), D(3)), (D("102"), None)):
            answer = await d.ask(AmendOrder("bw-a-0-0", AAPL, quantity, price))
            assert answer.outcome is Outcome.ACCEPTED, answer
            ids.add(answer.venue_id)
            await d.until(lambda price=price: last(d, "bw-a-0-0").price == price, "the amended order")
        assert len(ids) == 2
        assert not any(status.final for status in d.statuses("bw-a-0-0"))
        fresh = exchange(d.simulator)
        stranger = Desk(STAND, d.simulator, fresh)
        await d.exchange.close()
        await stranger.up((AAPL, BTC))
        try:
            listed = (await stranger.state()).orders
            assert [(o.client_id, o.quantity, o.price) for o in listed] == [("bw-a-0-0", D(3), D("102"))]
            found = (await stranger.ask(QueryOrder("bw-a-0-0", AAPL))).order
            assert found is not None and (found.venue_id, found.status) == (answer.venue_id, OrderStatus.OPEN)
            assert (await stranger.ask(CancelOrder("bw-a-0-0", AAPL))).outcome is Outcome.ACCEPTED
            await stranger.until(lambda: last(stranger, "bw-a-0-0").status is OrderStatus.CANCELLED, "its end")
        finally:
            await fresh.close()

    play(scenario)


def test_executions_of_an_amended_order_are_the_first_ones_in_stream_and_state() -> None:
    async def scenario(d: Desk) -> None:
        await taken(d, limit("bw-a-0-0", "2", "100"))
        assert (await d.ask(AmendOrder("bw-a-0-0", AAPL, price=D("900")))).outcome is Outcome.ACCEPTED
        await d.until(lambda: d.filled("bw-a-0-0") == 2, "the executions")
        await d.until(lambda: last(d, "bw-a-0-0").status is OrderStatus.FILLED, "its end")
        stranger = exchange(d.simulator)
        other = Desk(STAND, d.simulator, stranger)
        await d.exchange.close()
        await other.up((AAPL, BTC))
        try:
            fills = (await other.state()).fills
            assert {fill.client_id for fill in fills} == {"bw-a-0-0"}
            assert {fill.execution_id for fill in fills} == {fill.execution_id for fill in d.fills("bw-a-0-0")}
        finally:
            await stranger.close()

    play(scenario)


def test_a_partly_filled_order_is_not_amended() -> None:
    async def scenario(d: Desk) -> None:
        ask = next(quote.ask for quote in reversed(d.of(Quote)) if quote.symbol == AAPL)
        await taken(d, limit("bw-a-0-0", "100000", str(ask)))
        await d.until(lambda: d.filled("bw-a-0-0") > 0, "a part of it")
        answer = await d.ask(AmendOrder("bw-a-0-0", AAPL, price=D("100")))
        assert (answer.outcome, answer.code) == (Outcome.REJECTED, "AMEND_PARTIALLY_FILLED")

    play(scenario, {"balance": D(10**9)})


def test_amending_what_nobody_sent_is_not_found() -> None:
    async def scenario(d: Desk) -> None:
        assert (await d.ask(AmendOrder("bw-never-0-0", AAPL, price=D(1)))).outcome is Outcome.NOT_FOUND
        assert (await d.ask(CancelOrder("bw-never-0-0", AAPL))).outcome is Outcome.NOT_FOUND

    play(scenario)


# -- what the stream gets wrong ----------------------------------------------------------------


def test_an_execution_the_stream_lost_is_looked_up_when_the_next_one_shows_the_gap() -> None:
    async def scenario(d: Desk) -> None:
        d.execution_fault(lose=1)
        await taken(d, market("bw-a-0-0", "400"))
        await d.until(lambda: d.filled("bw-a-0-0") == 400, "all executions")
        state = await d.state()
        mine = {fill.execution_id: fill.quantity for fill in state.fills}
        assert sum(mine.values()) == 400
        assert set(mine) == {fill.execution_id for fill in d.fills("bw-a-0-0")}
        assert d.exchange.stats()["executions_deferred"] > 0

    play(scenario, {"balance": D(10**7)})


def test_a_status_nobody_knows_is_reported_counted_and_ends_nothing() -> None:
    async def scenario(d: Desk) -> None:
        d.execution_fault(unknown=1)
        await taken(d, limit("bw-a-0-0", "1", "100"))
        await d.until(lambda: [m for m in d.of(DeadLetter) if m.kind == "unknown"], "the letter")
        assert d.exchange.stats()["unknown_statuses"] == 1
        assert not any(status.final for status in d.statuses("bw-a-0-0"))
        assert d.streams("private")[-1]

    play(scenario)


def test_no_figure_of_the_adapter_shows_the_secret() -> None:
    async def scenario(d: Desk) -> None:
        assert "simulator-secret" not in f"{d.exchange.stats()}{d.got}{d.exchange.settings!r}"  # type: ignore[attr-defined]

    play(scenario)
