"""Spot, funding, mark prices, position modes and keys of the Bybit simulator, through the real pybit."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from exchanges.simulators.bybit import BybitSimulator
from tests.integration.bybit_bench import BTC, Socket, code_of, order, rest, running
from tests.integration.venue_bench import Running, eventually, quiet

SPOT = {"category": "spot", "symbol": "BTCUSDT"}
BOTH = ("BTCUSDT", "BTCUSDT.SPOT")


@pytest.fixture
def bench() -> Iterator[Running]:
    with running(symbols=BOTH) as found:
        found.trade("BTCUSDT", 61_800.0, 1.0, "buy")
        found.trade("BTCUSDT.SPOT", 61_700.0, 1.0, "buy")
        yield found


def spot(**changes: Any) -> dict[str, Any]:
    return SPOT | {"side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "60000"} | changes


def coins(session: Any) -> dict[str, dict[str, Any]]:
    wallet = session.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]
    return {row["coin"]: row for row in wallet["coin"]}


class TestSpot:
    def test_the_two_instruments_of_one_name_are_listed_apart_with_their_own_steps(self, bench: Running) -> None:
        session = rest(bench)
        linear = session.get_instruments_info(**BTC)["result"]["list"][0]
        pair = session.get_instruments_info(**SPOT)["result"]["list"]
        assert (linear["contractType"], linear["lotSizeFilter"]["qtyStep"]) == ("LinearPerpetual", "0.001")
        assert [(row["symbol"], row["lotSizeFilter"]["basePrecision"]) for row in pair] == [("BTCUSDT", "0.000001")]
        assert [session.get_tickers(**one)["result"]["list"][0]["lastPrice"] for one in (BTC, SPOT)] == [
            "61800.0",
            "61700.0",
        ]

    def test_buying_turns_cash_into_a_coin_and_selling_back_into_cash(self, bench: Running) -> None:
        session = rest(bench)
        session.place_order(**spot(orderType="Market", marketUnit="baseCoin", orderLinkId="in"))
        held = coins(session)
        assert held["BTC"]["walletBalance"] == "0.00999"  # the fee of a purchase is taken from the coins
        assert D(held["USDT"]["walletBalance"]) == D(100_000) - D("617")
        session.place_order(**spot(side="Sell", price="61000", qty="0.004", orderLinkId="out"))
        assert coins(session)["BTC"]["walletBalance"] == "0.00599"
        done = session.get_executions(category="spot")["result"]["list"]
        assert [row["feeCurrency"] for row in done] == ["USDT", "BTC"]
        assert [D(row["execFee"]) for row in done] == [D(done[0]["execValue"]) / 1000, D("0.00001")]
        assert [(row["orderLinkId"], row["category"], row["side"]) for row in done] == [
            ("out", "spot", "Sell"),
            ("in", "spot", "Buy"),
        ]
        assert session.get_executions(category="linear")["result"]["list"] == []
        assert session.get_positions(category="linear", settleCoin="USDT")["result"]["list"] == []

    def test_a_market_purchase_means_an_amount_of_money_unless_it_says_otherwise(self, bench: Running) -> None:
        session = rest(bench)
        session.place_order(**spot(orderType="Market", qty="617"))
        assert coins(session)["BTC"]["walletBalance"] == "0.00999"

    def test_working_orders_lock_cash_and_coins(self, bench: Running) -> None:
        session = rest(bench)
        session.place_order(**spot(orderType="Market", marketUnit="baseCoin"))
        session.place_order(**spot(price="50000"))
        session.place_order(**spot(side="Sell", price="70000", qty="0.003"))
        held = coins(session)
        assert (D(held["USDT"]["locked"]), held["BTC"]["locked"]) == (D(500), "0.003")
        open_orders = session.get_open_orders(category="spot")["result"]["list"]
        assert [row["category"] for row in open_orders] == ["spot", "spot"]
        assert session.get_open_orders(**BTC)["result"]["list"] == []
        session.cancel_all_orders(category="spot")
        held = coins(session)
        assert (held["USDT"]["locked"], held["BTC"]["locked"]) == ("0", "0")

    def test_what_is_not_there_can_be_neither_spent_nor_sold(self, bench: Running) -> None:
        session = rest(bench)
        assert code_of(session.place_order, **spot(side="Sell", price="61000")) == 170131
        assert code_of(session.place_order, **spot(qty="2")) == 110007
        assert code_of(session.get_positions, **SPOT) == 10001
        assert code_of(session.set_leverage, **SPOT, buyLeverage="2", sellLeverage="2") == 10001
        assert code_of(session.place_order, **spot(symbol="ETHUSDT")) == 10001

    def test_each_category_has_its_own_public_stream(self, bench: Running) -> None:
        pair, perpetual = Socket(bench, "spot"), Socket(bench, "linear")
        for socket in (pair, perpetual):
            socket.subscribe("publicTrade.{symbol}", "BTCUSDT")
        bench.trade("BTCUSDT", 61_801.0, 1.0, "buy")
        bench.trade("BTCUSDT.SPOT", 61_701.0, 1.0, "buy")
        assert [row["p"] for row in pair.topic("publicTrade.BTCUSDT")] == ["61701.0"]
        assert [row["p"] for row in perpetual.topic("publicTrade.BTCUSDT")] == ["61801.0"]
        pair.close()
        perpetual.close()

    def test_a_spot_ticker_is_sent_whole_and_has_no_mark_price(self, bench: Running) -> None:
        socket = Socket(bench, "spot")
        socket.subscribe("tickers.{symbol}", "BTCUSDT")
        bench.trade("BTCUSDT.SPOT", 61_750.0, 1.0, "buy")
        found = socket.until(lambda m: m.get("data", {}).get("lastPrice") == "61750.0")
        assert (found["type"], found["topic"], "markPrice" in found["data"]) == ("snapshot", "tickers.BTCUSDT", False)
        assert found["data"]["highPrice24h"] == "61750.0"
        socket.close()

    def test_a_spot_candle_and_book_are_the_pairs_own(self, bench: Running) -> None:
        session = rest(bench)
        assert session.get_kline(**SPOT, interval="D")["result"]["list"][0][4] == "61700.0"
        assert D(session.get_orderbook(**SPOT)["result"]["a"][0][0]) < 61_750
        assert session.get_fee_rates(**SPOT)["result"]["list"][0]["takerFeeRate"] == "0.001"


class TestFunding:
    def test_it_is_paid_once_a_boundary_told_on_the_stream_and_found_over_rest(self, tmp_path: Path) -> None:
        bench = Running(BybitSimulator(quiet(folder=tmp_path), funding_s=2.0))
        try:
            session, private = rest(bench), Socket(bench, "private")
            private.subscribe("execution")
            bench.trade("BTCUSDT", 61_800.0, 1.0, "buy")
            session.place_order(**order(orderType="Market", qty="0.5"))
            told = private.until(lambda m: m.get("data") and m["data"][0]["execType"] == "Funding", 60)["data"][0]
            paid = eventually(lambda: session.get_executions(**BTC, execType="Funding")["result"]["list"])
            row = next(row for row in paid if row["execId"] == told["execId"])
            assert D(row["execFee"]) == D(row["execQty"]) * D(row["markPrice"]) * D(row["feeRate"])
            times = [int(row["execTime"]) // 2_000 for row in paid]
            assert len(set(times)) == len(times)
            private.close()
        finally:
            bench.stop()
        books = bench.simulator.control.books("main")
        fees = sum(D(fill["fee"]) for fill in books["fills"])
        funding = sum(D(one["amount"]) for one in books["fundings"])
        assert D(books["cash"]) == D(100_000) - fees - funding
        again = Running(BybitSimulator(quiet(folder=tmp_path)))
        try:
            assert again.state()["books"]["main"]["fundings"] == books["fundings"]
        finally:
            again.stop()

    def test_a_flat_account_pays_nothing_and_a_spot_holding_neither(self) -> None:
        bench = Running(BybitSimulator(quiet(symbols=BOTH), funding_s=1.0))
        try:
            bench.trade("BTCUSDT.SPOT", 61_700.0, 1.0, "buy")
            rest(bench).place_order(**spot(orderType="Market", marketUnit="baseCoin"))
            before = bench.simulator.venue.boundary(bench.simulator.venue.now_ns())
            eventually(lambda: bench.simulator.venue._paid > before + 1)
            assert bench.state()["books"]["main"]["fundings"] == []
        finally:
            bench.stop()

    def test_the_ticker_tells_the_next_rate_and_time_and_the_history_the_past_ones(self, bench: Running) -> None:
        session = rest(bench)
        ticker = session.get_tickers(**BTC)["result"]["list"][0]
        history = session.get_funding_rate_history(**BTC, limit=3)["result"]["list"]
        times = [int(row["fundingRateTimestamp"]) for row in history]
        assert int(ticker["nextFundingTime"]) - times[0] == 8 * 3_600_000
        assert times == sorted(times, reverse=True)
        assert all(-0.0001 < float(row["fundingRate"]) < 0.0003 for row in history)

    def test_the_mark_price_follows_the_last_price(self, bench: Running) -> None:
        session = rest(bench)
        bench.trade("BTCUSDT", 62_000.0, 1.0, "buy")
        eventually(lambda: session.get_tickers(**BTC)["result"]["list"][0]["markPrice"] == "62000.0")


class TestAccount:
    def test_hedge_mode_is_reported_and_refuses_one_way_orders_until_it_is_switched_back(self, bench: Running) -> None:
        session = rest(bench)
        assert code_of(session.switch_position_mode, **BTC, mode=0) == 110025
        session.switch_position_mode(**BTC, mode=3)
        rows = session.get_positions(**BTC)["result"]["list"]
        assert [row["positionIdx"] for row in rows] == [1, 2]
        assert code_of(session.place_order, **order()) == 10001
        session.switch_position_mode(category="linear", coin="USDT", mode=0)
        session.place_order(**order(price="20000"))
        assert code_of(session.switch_position_mode, **BTC, mode=3) == 110028
        session.cancel_all_orders(**BTC)
        session.place_order(**order(orderType="Market"))
        assert code_of(session.switch_position_mode, **BTC, mode=3) == 110024

    def test_a_revoked_key_is_refused_and_a_read_only_one_may_look_but_not_trade(self, bench: Running) -> None:
        session = rest(bench)
        bench.faults(keys={"simulator-key": "read_only"})
        assert session.get_api_key_information()["result"]["readOnly"] == 1
        assert session.get_open_orders(**BTC)["result"]["list"] == []
        assert code_of(session.place_order, **order()) == 10005
        bench.faults(keys={"simulator-key": "revoked"})
        assert code_of(session.get_open_orders, **BTC) == 10003
        bench.faults(clear=True)
        assert session.get_api_key_information()["result"]["readOnly"] == 0
