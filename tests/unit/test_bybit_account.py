"""What Bybit's account has to be like, what it holds, and what its history says."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import Any

import pytest
from pybit.exceptions import InvalidRequestError

from exchanges.bybit.history import PAGE
from exchanges.model.instrument import ContractKind
from exchanges.model.venue import (
    CancelAll,
    CommandResult,
    FetchState,
    Outcome,
    PaymentReport,
    QueryOrder,
    VenueState,
)
from exchanges.modes import Mode
from exchanges.streams import StreamError
from tests.unit.bybit_desk import Desk, play, wall_ns
from tests.unit.test_bybit_wire import EXECUTION, ORDER

D = Decimal
SPOT = "bybit:BTCUSDT.SPOT"
MINUTE = 60_000_000_000
WALLET = {"coin": [
    {"coin": "USDT", "walletBalance": "100", "locked": "10"},
    {"coin": "BTC", "walletBalance": "0.5", "usdValue": "30000"},
]}  # fmt: skip


def ready(desk: Desk, **changes: Any) -> None:
    """Answers of an account that is as it has to be."""
    desk.session.answers.update(
        get_server_time=lambda request: {"timeNano": str(wall_ns())},
        get_api_key_information={"readOnly": 0, "userID": 42},
        get_positions={"list": [{"symbol": "BTCUSDT", "side": "", "size": "0", "positionIdx": 0}]},
        set_leverage={},
    )
    desk.session.answers.update(changes)


def refused(code: int) -> InvalidRequestError:
    return InvalidRequestError("POST", "no", code, "12:00:00", {})


# -- before the private stream ---------------------------------------------------------------


def test_an_account_that_is_as_it_has_to_be_passes() -> None:
    async def scenario(desk: Desk) -> None:
        ready(desk)
        await desk.account.ready()
        assert [name for name, _ in desk.session.asked] == [
            "get_server_time", "get_api_key_information", "get_positions",
        ]  # fmt: skip

    play(scenario)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"get_api_key_information": {"readOnly": 1}}, "read-only"),
        ({"get_api_key_information": refused(10003)}, "key check: 10003"),
        ({"get_positions": {"list": [{"symbol": "BTCUSDT", "positionIdx": 1}]}}, "in one-way mode"),
        ({"get_positions": refused(10005)}, "position mode: 10005"),
        ({"set_leverage": refused(110013)}, "leverage 7 of BTCUSDT: 110013"),
        ({"get_server_time": lambda request: {"timeNano": str(wall_ns() + 9_000_000_000)}}, "9.00 s behind"),
        ({"get_server_time": refused(10001)}, "clock: 10001"),
    ],
)
def test_what_is_wrong_with_an_account_is_said(changes: dict[str, Any], reason: str) -> None:
    async def scenario(desk: Desk) -> None:
        ready(desk, **changes)
        with pytest.raises(StreamError, match=reason):
            await desk.account.ready()

    play(scenario, leverage=D(7))


def test_the_wrong_account_opens_no_private_stream() -> None:
    async def scenario(desk: Desk) -> None:
        ready(desk)
        with pytest.raises(StreamError, match="expected the key of bybit to belong to account 41"):
            await desk.account.ready()

    play(scenario, mode=Mode.LIVE, live_account="41")


def test_a_leverage_that_is_set_already_is_fine_and_not_set_again() -> None:
    async def scenario(desk: Desk) -> None:
        ready(desk, set_leverage=refused(110043))
        await desk.account.ready()
        await desk.account.ready()
        (asked,) = desk.session.calls("set_leverage")
        assert (asked["buyLeverage"], asked["sellLeverage"]) == ("7.5", "7.5")

    play(scenario, leverage=D("7.5"))


def test_spot_alone_asks_for_no_position_mode() -> None:
    async def scenario(desk: Desk) -> None:
        ready(desk)
        await desk.account.ready()
        assert desk.session.calls("get_positions") == desk.session.calls("set_leverage") == []

    play(scenario, symbols=(SPOT,), leverage=D(7))


def test_balances_are_asked_for_again_when_the_venue_says_they_changed() -> None:
    async def scenario(desk: Desk) -> None:
        desk.session.answers["get_wallet_balance"] = {"list": [WALLET]}
        assert [b.available for b in await desk.account.balances()] == [90, D("0.5")]
        await desk.account.balances()
        assert len(desk.session.asked) == 1
        desk.account.changed()
        await desk.account.balances()
        await asyncio.sleep(11)
        await desk.account.balances()
        assert len(desk.session.asked) == 3

    play(scenario)


# -- the state -------------------------------------------------------------------------------


def test_perpetuals_and_spot_make_one_state() -> None:
    funding = {**EXECUTION, "execType": "Funding", "execId": "f", "execFee": "0.5"}
    rows = {"linear": [EXECUTION, funding], "spot": [{**EXECUTION, "category": "", "execId": "s", "side": "Buy"}]}
    orders = {"linear": [{**ORDER, "orderStatus": "New"}], "spot": [{**ORDER, "category": None, "orderStatus": "New"}]}

    async def scenario(desk: Desk) -> None:
        position = {"symbol": "BTCUSDT", "side": "Sell", "size": "2", "avgPrice": "5", "positionIdx": 0}
        desk.session.answers.update(
            get_positions={"list": [position]},
            get_wallet_balance={"list": [WALLET]},
            get_open_orders=lambda request: {"list": orders[request["category"]]},
            get_executions=lambda request: {"list": rows[request["category"]]},
        )
        await desk.commands.run(FetchState(time.time_ns() - MINUTE))
        state = desk.said[-1]
        assert isinstance(state, VenueState)
        assert state.complete, state.reason
        assert [(p.symbol, p.quantity) for p in state.positions] == [("bybit:BTCUSDT", -2), (SPOT, D("0.5"))]
        assert {order.symbol for order in state.orders} == {"bybit:BTCUSDT", SPOT}
        assert {(fill.execution_id, fill.symbol) for fill in state.fills} == {("e", "bybit:BTCUSDT"), ("s", SPOT)}
        (paid,) = [message for message in desk.said if isinstance(message, PaymentReport)]
        assert (paid.payment_id, paid.amount) == ("f", D("-0.5"))
        assert len(desk.session.calls("get_wallet_balance")) == 1, "balances and holdings are one question"
        assert "settleCoin" not in next(r for r in desk.session.calls("get_open_orders") if r["category"] == "spot")
        await desk.commands.run(FetchState(time.time_ns() - MINUTE))
        assert len(desk.session.calls("get_wallet_balance")) == 2, "the next state is fetched anew"

    play(scenario, symbols=("bybit:BTCUSDT", SPOT))


def test_a_hedged_position_makes_the_state_incomplete() -> None:
    async def scenario(desk: Desk) -> None:
        desk.session.answers.update(
            get_positions={"list": [{"symbol": "BTCUSDT", "side": "Buy", "size": "1", "positionIdx": 1}]},
            get_wallet_balance={"list": []}, get_open_orders={"list": []}, get_executions={"list": []},
        )  # fmt: skip
        await desk.commands.run(FetchState(time.time_ns()))
        state = desk.said[-1]
        assert isinstance(state, VenueState)
        assert not state.complete
        assert "one-way mode" in state.reason

    play(scenario)


def test_everything_is_cancelled_in_each_category_even_if_one_fails() -> None:
    async def scenario(desk: Desk) -> None:
        desk.session.answers["cancel_all_orders"] = lambda request: (
            refused(10016) if request["category"] == "linear" else {}
        )
        await desk.commands.run(CancelAll())
        asked = desk.session.calls("cancel_all_orders")
        assert sorted(request["category"] for request in asked) == ["linear", "spot"]
        (said,) = desk.said
        assert isinstance(said, CommandResult)
        assert (said.outcome, said.code) == (Outcome.UNKNOWN, "10016")
        await desk.commands.run(CancelAll(SPOT))
        assert desk.session.calls("cancel_all_orders")[-1] == {"category": "spot", "symbol": "BTCUSDT"}

    play(scenario, symbols=("bybit:BTCUSDT", SPOT))


def test_an_order_that_ends_between_two_questions_is_found_by_the_second() -> None:
    async def scenario(desk: Desk) -> None:
        desk.session.answers.update(get_open_orders={"list": []}, get_order_history={"list": [ORDER]})
        await desk.commands.run(QueryOrder("L1", "bybit:BTCUSDT"))
        await desk.commands.run(QueryOrder("L2", "bybit:BTCUSDT"))
        found, missing = desk.said
        assert isinstance(found, CommandResult)
        assert isinstance(missing, CommandResult)
        assert found.order is not None
        assert (found.order.client_id, missing.outcome) == ("L1", Outcome.NOT_FOUND)

    play(scenario)


def test_a_list_without_an_end_is_given_up() -> None:
    async def scenario(desk: Desk) -> None:
        pages = iter(range(10**6))
        desk.session.answers["get_open_orders"] = lambda request: {"list": [ORDER], "nextPageCursor": str(next(pages))}
        with pytest.raises(ValueError, match="expected get_open_orders to end within 200 pages"):
            await desk.commands.orders()

    play(scenario)


# -- rules and history -----------------------------------------------------------------------


def test_rules_come_with_the_accounts_fees_or_the_standard_ones() -> None:
    lots = {"qtyStep": "0.001", "minOrderQty": "0.001", "maxOrderQty": "9", "basePrecision": "0.01", "minOrderAmt": "1"}
    row = {"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "status": "Trading", "lotSizeFilter": lots,
           "priceFilter": {"tickSize": "0.1"}}  # fmt: skip

    async def scenario(desk: Desk) -> None:
        desk.session.answers["get_instruments_info"] = lambda request: {
            "list": [{**row, "symbol": "OTHER"}] if request["cursor"] is None else [row],
            "nextPageCursor": "2" if request["cursor"] is None else "",
        }
        desk.session.answers["get_fee_rates"] = lambda request: (
            {"list": [{"symbol": "BTCUSDT", "makerFeeRate": "0.0001", "takerFeeRate": "0.0006"}]}
            if request["category"] == "linear"
            else refused(10005)
        )
        symbols = ("bybit:BTCUSDT", SPOT, "bybit:GONEUSDT")
        found = await desk.catalogue.instruments(symbols)
        assert set(found) == {"bybit:BTCUSDT", SPOT}
        assert (found["bybit:BTCUSDT"].taker_fee, found[SPOT].taker_fee) == (D("0.0006"), D("0.001"))
        assert found[SPOT].kind is ContractKind.SPOT
        assert desk.counters["fees_assumed"] == 1
        asked = len(desk.session.calls("get_instruments_info"))
        await desk.catalogue.instruments(symbols)
        assert len(desk.session.calls("get_instruments_info")) == asked == 4

    play(scenario)


class Candles:
    """A venue with one candle a minute in ``spans`` of minutes since 1970."""

    def __init__(self, *spans: tuple[int, int]) -> None:
        self.starts = [minute for first, last in spans for minute in range(first, last)]

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        first, last = request["start"] / 60_000, request["end"] / 60_000
        found = [minute for minute in self.starts if first <= minute <= last][-request["limit"] :]
        return {"list": [[str(m * 60_000), "1", "2", "0.5", "1.5", "3", "4"] for m in reversed(found)]}


def minutes(desk: Desk, first: int, last: int) -> Any:
    return desk.history.bars("bybit:BTCUSDT", MINUTE, first * MINUTE, last * MINUTE)


def test_whatever_range_is_asked_for_the_candles_are_complete_and_whole_blocks_are_kept() -> None:
    async def scenario(desk: Desk) -> None:
        now = wall_ns() // MINUTE
        desk.session.answers["get_kline"] = Candles((now - 5 * PAGE, now + 1))
        for first, last in ((now - 3_500, now), (now - 3_400, now - 1_500), (now - 3_000, now + 60), (now, now)):
            bars = await minutes(desk, first, last)
            assert [bar.ts_ns // MINUTE for bar in bars] == list(range(first, min(last, now)))
        asked = len(desk.session.asked)
        assert asked <= 5
        await asyncio.sleep(61)
        bars = await minutes(desk, now - 3_500, now + 1)
        assert [bar.ts_ns // MINUTE for bar in bars] == list(range(now - 3_500, now + 1))
        assert len(desk.session.asked) == asked + 1, "only the block that goes on is asked for again"

    play(scenario)


def test_a_candle_that_has_just_ended_is_asked_for_by_itself_and_not_kept() -> None:
    async def scenario(desk: Desk) -> None:
        now = wall_ns() // MINUTE
        desk.session.answers["get_kline"] = Candles((now - 50, now + 2))
        await asyncio.sleep((MINUTE - wall_ns() % MINUTE) / 1e9 + 1.0)
        for _ in range(2):
            assert (await minutes(desk, now - 10, now + 9))[-1].ts_ns // MINUTE == now
        stats = desk.stats()
        assert (stats["calls_fresh_bars"], stats["calls_recent_bars"]) == (2, 1)

    play(scenario)


def test_a_gap_of_years_is_jumped_in_one_call() -> None:
    async def scenario(desk: Desk) -> None:
        now = wall_ns() // MINUTE
        old = now - 2_000 * PAGE
        desk.session.answers["get_kline"] = Candles((old, old + 30), (now - 5, now))
        bars = await minutes(desk, old - 10 * PAGE, now)
        assert len(bars) == 35
        assert len(desk.session.asked) <= 8

    play(scenario)


def test_recent_trades_come_oldest_first_and_no_more_than_asked_for() -> None:
    async def scenario(desk: Desk) -> None:
        rows = [
            {"symbol": "BTCUSDT", "time": str(9 - n), "price": "1", "size": "2", "side": "Buy", "execId": str(n)}
            for n in range(5)
        ]
        desk.session.answers["get_public_trade_history"] = {"list": rows}
        trades = await desk.history.trades(SPOT, 3)
        assert [trade.trade_id for trade in trades] == ["2", "1", "0"]
        assert trades[0].symbol == SPOT
        assert await desk.history.trades(SPOT, 0) == []

    play(scenario)
