"""The real pybit, unchanged, against the Bybit simulator over real sockets."""

from __future__ import annotations

import asyncio
import queue
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from pybit.exceptions import FailedRequestError, InvalidRequestError
from pybit.unified_trading import HTTP

from exchanges.simulators.errors import FeedError, SimulatorError
from tests.integration.bybit_bench import (
    BTC,
    Running,
    Socket,
    code_of,
    order,
    receive,
    recording,
    rest,
    running,
    trading_socket,
)


def test_a_market_order_fills_against_the_synthetic_book_and_every_stream_tells_of_it() -> None:
    with running() as bench:
        session, private = rest(bench), Socket(bench, "private")
        for topic in ("order", "execution", "position", "wallet"):
            private.subscribe(topic)
        bench.trade("BTCUSDT", 61_800.0, 1.0, "buy")
        placed = session.place_order(**order(orderType="Market", orderLinkId="one"))["result"]
        told = private.topic("order")[0]
        done = private.topic("execution")[0]
        position, wallet = private.topic("position")[0], private.topic("wallet")[0]
        assert (told["orderStatus"], told["orderLinkId"], told["orderId"]) == ("Filled", "one", placed["orderId"])
        assert (done["execPrice"], done["execQty"], done["isMaker"]) == ("61800", "0.01", False)
        assert D(done["execFee"]) == D("618") * D("0.00055")
        assert (position["side"], position["size"], position["entryPrice"]) == ("Buy", "0.01", "61800")
        assert D(wallet["coin"][0]["walletBalance"]) == D(100_000) - D(done["execFee"])
        private.close()


def test_a_limit_order_rests_is_amended_and_cancelled_and_stays_in_the_history() -> None:
    with running() as bench:
        session = rest(bench)
        session.place_order(**order(orderLinkId="rest"))
        session.amend_order(**BTC, orderLinkId="rest", qty="0.02", price="59000")
        found = session.get_open_orders(**BTC, orderLinkId="rest")["result"]["list"][0]
        assert (found["orderStatus"], found["qty"], found["price"]) == ("New", "0.02", "59000")
        session.cancel_order(**BTC, orderLinkId="rest")
        assert session.get_open_orders(**BTC)["result"]["list"] == []
        ended = session.get_order_history(**BTC, orderLinkId="rest")["result"]["list"][0]
        assert (ended["orderStatus"], ended["cancelType"]) == ("Cancelled", "CancelByUser")


def test_a_resting_order_fills_from_a_public_trade_at_its_own_price_as_maker() -> None:
    with running() as bench:
        session, private = rest(bench), Socket(bench, "private")
        private.subscribe("execution")
        session.place_order(**order(price="61000"))
        bench.trade("BTCUSDT", 60_990.0, 5.0, "sell")
        done = private.topic("execution")[0]
        assert (done["execPrice"], done["isMaker"], done["feeRate"]) == ("61000", True, "0.0002")
        private.close()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"symbol": "NOPEUSDT"}, 10001),
        ({"side": "Hold"}, 10001),
        ({"qty": "0.0005"}, 10001),
        ({"price": "60000.05"}, 10001),
        ({"orderLinkId": "a" * 37}, 10001),
        ({"category": "spot"}, 10001),
        ({"qty": "0.001", "price": "100"}, 110094),
        ({"qty": "100"}, 110007),
        ({"reduceOnly": True}, 110017),
    ],
)
def test_a_bad_order_gets_the_venues_code(changes: dict[str, Any], code: int) -> None:
    with running() as bench:
        assert code_of(rest(bench).place_order, **order(**changes)) == code


def test_duplicates_unknown_orders_and_unchanged_leverage_get_the_venues_codes() -> None:
    with running() as bench:
        session = rest(bench)
        session.place_order(**order(orderLinkId="twice"))
        assert code_of(session.place_order, **order(orderLinkId="twice")) == 110072
        assert code_of(session.cancel_order, **BTC, orderLinkId="never") == 110001
        assert code_of(session.amend_order, **BTC, orderLinkId="never", qty="1") == 110001
        assert code_of(session.set_leverage, **BTC, buyLeverage="10", sellLeverage="10") == 110043
        session.set_leverage(**BTC, buyLeverage="25", sellLeverage="25")
        assert session.get_positions(**BTC)["result"]["list"][0]["leverage"] == "25"


def test_a_wrong_key_a_wrong_secret_and_a_wrong_clock_are_told_apart() -> None:
    with running() as bench:
        assert code_of(rest(bench, key="other").get_wallet_balance, accountType="UNIFIED") == 10003
        assert code_of(rest(bench, secret="other").get_wallet_balance, accountType="UNIFIED") == 10004
        bench.faults(clock_skew_ms=-3_000)
        assert code_of(rest(bench).get_wallet_balance, accountType="UNIFIED") == 10002
        bench.faults(clock_skew_ms=7_000)
        assert code_of(rest(bench).get_wallet_balance, accountType="UNIFIED") == 10002


def test_pages_follow_the_cursor_and_hold_every_execution_once() -> None:
    with running() as bench:
        session = rest(bench)
        bench.trade("BTCUSDT", 61_800.0, 1.0, "buy")
        for _ in range(7):
            session.place_order(**order(orderType="Market", qty="0.001"))
        found, cursor = [], ""
        while True:
            page = session.get_executions(category="linear", limit=3, **({"cursor": cursor} if cursor else {}))[
                "result"
            ]
            found += [row["execId"] for row in page["list"]]
            cursor = page["nextPageCursor"]
            if not cursor:
                break
        assert len(found) == len(set(found)) == 7


def test_answers_carry_the_limit_headers_and_too_many_requests_get_10006() -> None:
    with running(order_limit=1) as bench:
        session = rest(bench, return_response_headers=True)
        _, _, headers = session.place_order(**order(price="1000"))
        assert headers["X-Bapi-Limit"] == "1"
        assert headers["X-Bapi-Limit-Status"] == "0"
        assert int(headers["X-Bapi-Limit-Reset-Timestamp"]) > 0
        # One a second is allowed: of a dozen at once some are too many, however slow the machine is.
        with ThreadPoolExecutor(12) as pool:
            codes = list(pool.map(lambda _: _placed(rest(bench)), range(12)))
        assert 10006 in codes


def _placed(session: HTTP) -> int:
    """The code that an order is answered with, 0 for one that was taken."""
    try:
        return int(session.place_order(**order(price="1000"))["retCode"])
    except InvalidRequestError as error:
        return int(error.status_code)


def test_market_data_over_rest_tells_what_the_trades_were() -> None:
    with running() as bench:
        session = rest(bench)
        for price, side in ((61_800.0, "buy"), (61_810.0, "buy"), (61_790.0, "sell")):
            bench.trade("BTCUSDT", price, 0.5, side)
        ticker = session.get_tickers(**BTC)["result"]["list"][0]
        book = session.get_orderbook(**BTC, limit=5)["result"]
        newest = session.get_public_trade_history(**BTC, limit=2)["result"]["list"]
        candles = session.get_kline(**BTC, interval="D")["result"]["list"]
        assert (ticker["lastPrice"], ticker["bid1Price"]) == ("61790.0", "61790")
        assert D(book["b"][0][0]) < D(book["a"][0][0])
        assert len(book["b"]) == len(book["a"]) == 5
        assert [row["price"] for row in newest] == ["61790.0", "61810.0"]
        assert candles[0][1:5] == ["61800.0", "61810.0", "61790.0", "61790.0"]
        assert abs(int(session.get_server_time()["result"]["timeNano"]) - time.time_ns()) < 5_000_000_000


def test_the_order_book_rebuilt_from_deltas_is_the_one_rest_gives() -> None:
    with running() as bench:
        public = Socket(bench, "linear")
        bench.trade("BTCUSDT", 61_800.0, 1.0, "buy")
        public.subscribe("orderbook.50.{symbol}", "BTCUSDT")
        first = public.until(lambda m: str(m.get("topic")).startswith("orderbook"))
        assert first["type"] == "snapshot"
        sides = {side: dict(map(tuple, first["data"][side])) for side in "ba"}
        bench.trade("BTCUSDT", 61_795.0, 1.0, "sell")
        delta = public.until(lambda m: m.get("type") == "delta")["data"]
        for side in "ba":
            for price, size in delta[side]:
                sides[side].pop(price, None)
                if D(size):
                    sides[side][price] = size
        book = rest(bench).get_orderbook(**BTC, limit=50)["result"]
        assert sides == {side: dict(map(tuple, book[side])) for side in "ba"}
        assert delta["u"] > first["data"]["u"]
        public.close()


def test_pybits_own_dispatcher_lives_on_our_messages() -> None:
    # pybit dies of an acknowledgement that comes before its subscribe() has returned: give it a network's latency.
    with running(feed="generator", rate=50.0, latency_ms=50) as bench:
        public = Socket(bench, "linear")
        public.close()
        seen: dict[str, int] = {}

        def count(message: dict[str, Any]) -> None:
            seen[message["topic"]] = seen.get(message["topic"], 0) + 1

        socket = type(public.socket)(testnet=False, channel_type="linear")
        socket.orderbook_stream(50, "BTCUSDT", count)
        socket.ticker_stream("BTCUSDT", count)
        socket.trade_stream("BTCUSDT", count)
        socket.kline_stream(1, "BTCUSDT", count)
        end = time.monotonic() + 10
        while time.monotonic() < end and (len(seen) < 4 or min(seen.values()) < 5):
            time.sleep(0.05)
        assert sorted(seen) == ["kline.1.BTCUSDT", "orderbook.50.BTCUSDT", "publicTrade.BTCUSDT", "tickers.BTCUSDT"]
        assert min(seen.values()) >= 5
        socket.exit()


def test_orders_over_the_order_entry_socket() -> None:
    # pybit loses an answer that comes before it has noted the request: give it a network's latency.
    with running(latency_ms=50) as bench:
        socket, answers = trading_socket(bench), queue.Queue[dict[str, Any]]()
        socket.place_order(answers.put, **order(orderLinkId="ws"))
        placed = answers.get(timeout=10)
        assert (placed["retCode"], placed["data"]["orderLinkId"]) == (0, "ws")
        socket.amend_order(answers.put, **BTC, orderLinkId="ws", qty="0.02")
        assert answers.get(timeout=10)["op"] == "order.amend"
        socket.cancel_order(answers.put, **BTC, orderLinkId="ws")
        assert answers.get(timeout=10)["op"] == "order.cancel"
        socket.cancel_order(answers.put, answers.put, **BTC, orderLinkId="ws")
        assert answers.get(timeout=10)["retCode"] == 110001
        socket.exit()
        assert rest(bench).get_open_orders(**BTC)["result"]["list"] == []


def test_two_accounts_trade_with_each_other() -> None:
    with running(more_keys={"second": "secret"}) as bench:
        maker, taker = rest(bench), rest(bench, key="second", secret="secret")
        maker.place_order(**order(orderLinkId="m"))
        taker.place_order(**order(side="Sell", orderLinkId="t"))
        accounts = bench.state()["accounts"]
        sizes = {name: account["positions"][0]["side"] for name, account in accounts.items()}
        assert sizes == {"main": "Buy", "account-2": "Sell"}


class TestFaults:
    """What a request or a stream meets when it was told to go wrong."""

    def test_an_order_whose_answer_timed_out_was_taken_all_the_same(self) -> None:
        with running() as bench:
            bench.faults(requests=[{"path": "/v5/order/create", "kind": "timeout_after", "seconds": 30}])
            with pytest.raises(requests.exceptions.ReadTimeout):
                rest(bench, timeout=0.5).place_order(**order(orderLinkId="unknown"))
            found = rest(bench).get_open_orders(**BTC, orderLinkId="unknown")["result"]["list"]
            assert [row["orderStatus"] for row in found] == ["New"]

    def test_an_order_that_timed_out_before_was_not_taken(self) -> None:
        with running() as bench:
            bench.faults(requests=[{"path": "/v5/order/create", "kind": "timeout_before", "seconds": 30}])
            with pytest.raises(requests.exceptions.ReadTimeout):
                rest(bench, timeout=0.5).place_order(**order(orderLinkId="unknown"))
            assert rest(bench).get_open_orders(**BTC, orderLinkId="unknown")["result"]["list"] == []

    @pytest.mark.parametrize(("kind", "taken"), [("reset_before", 0), ("reset_after", 1)])
    def test_a_reset_connection(self, kind: str, taken: int) -> None:
        with running() as bench:
            bench.faults(requests=[{"path": "/v5/order/create", "kind": kind}])
            with pytest.raises(requests.exceptions.ConnectionError):
                rest(bench).place_order(**order())
            assert len(rest(bench).get_open_orders(**BTC)["result"]["list"]) == taken

    @pytest.mark.parametrize(
        ("fault", "status"),
        [({"kind": "http_status", "status": 503}, 503), ({"kind": "html"}, 409), ({"kind": "status_after"}, 503)],
    )
    def test_an_answer_that_is_no_answer(self, fault: dict[str, Any], status: int) -> None:
        with running() as bench:
            bench.faults(requests=[{"path": "/v5/order/create", **fault}])
            with pytest.raises(FailedRequestError) as caught:
                rest(bench).place_order(**order())
            assert caught.value.status_code == status
            rest(bench).place_order(**order())

    def test_the_rate_limit_hits_the_next_requests_and_then_no_more(self) -> None:
        with running() as bench:
            bench.faults(requests=[{"path": "/v5/order", "kind": "rate_limit", "count": 2, "skip": 1}])
            session = rest(bench)
            session.place_order(**order())
            assert [code_of(session.place_order, **order()) for _ in range(2)] == [10006, 10006]
            session.place_order(**order())

    def test_executions_are_told_twice_late_or_never(self) -> None:
        with running() as bench:
            session, private = rest(bench), Socket(bench, "private")
            private.subscribe("execution")
            bench.trade("BTCUSDT", 61_800.0, 1.0, "buy")
            bench.faults(executions={"duplicate": 1, "lose": 1})
            session.place_order(**order(orderType="Market", orderLinkId="lost"))
            session.place_order(**order(orderType="Market", orderLinkId="twice"))
            told = [private.topic("execution")[0] for _ in range(2)]
            assert [row["orderLinkId"] for row in told] == ["twice", "twice"]
            assert told[0]["execId"] == told[1]["execId"]
            assert len(bench.state()["accounts"]["main"]["executions"]) == 2
            private.close()

    def test_a_dropped_socket_reconnects_and_a_muted_one_gets_nothing(self) -> None:
        with running() as bench:
            public = Socket(bench, "linear")
            public.subscribe("publicTrade.{symbol}", "BTCUSDT")
            bench.faults(streams=[{"stream": "public", "kind": "drop"}])
            assert public.until(lambda m: m.get("op") == "subscribe")["success"] is True
            bench.faults(streams=[{"stream": "public", "kind": "mute", "seconds": 0.5}])
            bench.trade("BTCUSDT", 61_800.0, 1.0, "buy")
            time.sleep(0.6)
            bench.trade("BTCUSDT", 61_801.0, 1.0, "buy")
            assert [row["p"] for row in public.topic("publicTrade.BTCUSDT")] == ["61801.0"]
            public.close()

    def test_a_fault_order_that_is_not_understood_is_refused_with_its_reason(self) -> None:
        with running() as bench:
            answer = requests.post(f"{bench.simulator.url}/control/faults", data='{"requets": []}', timeout=5)
            assert answer.status_code == 400
            assert "requets" in answer.json()["error"]


class TestReplay:
    """Recorded trades over a real socket."""

    def test_every_row_reaches_a_slow_subscriber_exactly_once_and_in_order(self, tmp_path: Path) -> None:
        folder = recording(tmp_path / "data", "AAAUSDT", 30_000)
        recording(folder, "BBBUSDT", 10_000)
        with running(feed="replay", replay_path=folder, speed="max") as bench:
            got = asyncio.run(receive(bench, ["AAAUSDT", "BBBUSDT"], 40_000, pause=0.01))
            assert got["AAAUSDT"] == [f"AAAUSDT{i}" for i in range(30_000)]
            assert got["BBBUSDT"] == [f"BBBUSDT{i}" for i in range(10_000)]
            deadline = time.monotonic() + 5
            while not bench.state()["replay"]["finished"] and time.monotonic() < deadline:
                time.sleep(0.05)
            replay = bench.state()["replay"]
            assert replay["finished"] is True
            assert replay["rows"] == {"AAAUSDT": 30_000, "BBBUSDT": 10_000}

    def test_it_does_not_start_before_there_is_a_subscriber(self, tmp_path: Path) -> None:
        folder = recording(tmp_path / "data", "AAAUSDT", 100)
        with running(feed="replay", replay_path=folder, speed="max") as bench:
            time.sleep(0.3)
            replay = bench.state()["replay"]
            assert (replay["trades"], replay["waiting_for"]) == ({}, "AAAUSDT")
            assert len(asyncio.run(receive(bench, ["AAAUSDT"], 100))["AAAUSDT"]) == 100

    def test_bars_reach_a_subscriber_of_candles_alone_each_confirmed_once(self, tmp_path: Path) -> None:
        minute, start = 60_000_000_000, 1_699_999_980_000_000_000
        table = {"ts_ns": [start + i * minute for i in range(3_000)], "volume": [float(i % 5) for i in range(3_000)]}
        for name, price in (("open", 100.0), ("high", 110.0), ("low", 99.0), ("close", 105.0)):
            table[name] = [price + i / 100 for i in range(3_000)]
        pq.write_table(pa.table(table), tmp_path / "AAAUSDT.parquet")
        with running(feed="replay", replay_path=tmp_path, speed="max") as bench:
            public = Socket(bench, "linear")
            public.socket.subscribe("kline.1.{symbol}", lambda message: None, ["AAAUSDT"])
            found: list[dict[str, Any]] = []
            while len(found) < 3_000:
                found += [row for row in public.topic("kline.1.AAAUSDT") if row["confirm"]]
            public.close()
        assert [row["start"] * 1_000_000 for row in found] == table["ts_ns"]
        assert [float(row["close"]) for row in found] == pytest.approx(table["close"])
        assert [float(row["high"]) for row in found] == pytest.approx(table["high"])

    def test_at_a_multiple_of_real_time_it_takes_the_recordings_time_divided_by_it(self, tmp_path: Path) -> None:
        folder = recording(tmp_path / "data", "AAAUSDT", 2_000)
        with running(feed="replay", replay_path=folder, speed=4.0) as bench:
            started = time.monotonic()
            asyncio.run(receive(bench, ["AAAUSDT"], 2_000))
            assert time.monotonic() - started > 0.45

    def test_an_unfinished_replay_goes_on_where_it_was_and_a_finished_one_starts_anew(self, tmp_path: Path) -> None:
        folder = recording(tmp_path / "data", "AAAUSDT", 9_000)
        settings = {"feed": "replay", "replay_path": folder, "speed": "max", "folder": tmp_path / "venue"}
        with running(**settings) as bench:
            asyncio.run(receive(bench, ["AAAUSDT"], 500))
        with running(**settings) as bench:
            played = bench.state()["replay"]["trades"]["AAAUSDT"]
            assert 0 < played < 9_000
            rest_of = asyncio.run(receive(bench, ["AAAUSDT"], 9_000 - played))["AAAUSDT"]
            assert rest_of == [f"AAAUSDT{i}" for i in range(played, 9_000)]
            time.sleep(0.2)
        with running(**settings) as bench:
            assert len(asyncio.run(receive(bench, ["AAAUSDT"], 9_000))["AAAUSDT"]) == 9_000

    def test_a_recording_that_can_not_be_played_stops_the_start(self, tmp_path: Path) -> None:
        with (
            pytest.raises(FeedError, match="found nothing there"),
            running(feed="replay", replay_path=tmp_path / "none.parquet"),
        ):
            pass


def test_a_taken_port_is_an_error_that_says_what_to_do() -> None:
    with running() as bench, pytest.raises(SimulatorError, match=f"expected port {bench.simulator.port}.*set port=0"):
        Running(bench.simulator.settings.model_copy(update={"port": bench.simulator.port}))
