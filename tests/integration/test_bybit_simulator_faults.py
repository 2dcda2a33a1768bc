"""The faults that a plan brings, as the real pybit meets them at the Bybit simulator."""

from __future__ import annotations

import asyncio
import queue
import time
from decimal import Decimal as D
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from pybit.exceptions import FailedRequestError, InvalidRequestError

from exchanges.simulators.rates import FaultPlanError
from tests.integration.bybit_bench import BTC, Socket, code_of, order, rest, running
from tests.integration.venue_bench import eventually

MARKET = {"orderType": "Market", "qty": "0.01"}


@pytest.mark.parametrize(("kind", "told"), [("rate_limit", True), ("rate_limit_bare", False)])
def test_a_rate_limit_comes_with_or_without_the_headers_that_say_how_long(kind: str, told: bool) -> None:
    with running() as bench:
        bench.faults(requests=[{"path": "", "calls": ["query"], "kind": kind}])
        session = rest(bench)
        assert session.get_server_time()["retCode"] == 0
        with pytest.raises(InvalidRequestError) as caught:
            session.get_open_orders(**BTC)
        assert caught.value.status_code == 10006
        assert ("X-Bapi-Limit-Reset-Timestamp" in caught.value.resp_headers) is told
        session.get_open_orders(**BTC)


def test_an_order_status_nobody_knows_over_rest_and_on_the_stream() -> None:
    with running() as bench:
        session, private = rest(bench), Socket(bench, "private")
        private.subscribe("order")
        bench.faults(executions={"unknown": 1})
        session.place_order(**order(orderLinkId="one"))
        assert private.topic("order")[0]["orderStatus"] == "something_new"
        bench.faults(requests=[{"path": "/v5/order/realtime", "kind": "unknown_value_after"}])
        statuses = [session.get_open_orders(**BTC)["result"]["list"][0]["orderStatus"] for _ in range(2)]
        assert statuses == ["something_new", "New"]
        private.close()


def test_a_message_type_nobody_knows_and_a_socket_closed_properly() -> None:
    with running() as bench:
        private = Socket(bench, "private", restart_on_error=False)
        private.subscribe("order")
        bench.faults(streams=[{"stream": "all", "kind": "unknown_type"}])
        assert private.until(lambda m: m.get("topic") == "novelty")["data"] == []
        bench.faults(streams=[{"stream": "private", "kind": "close"}])
        eventually(lambda: not bench.simulator.streams.clients)
        assert bench.state()["faults"] == {"stream_unknown_type": 1, "stream_close": 1}
        private.close()


def test_a_muted_socket_answers_no_ping_either() -> None:
    with running() as bench:
        public = Socket(bench, "linear")
        public.subscribe("publicTrade.{symbol}", "BTCUSDT")
        bench.faults(streams=[{"stream": "public", "kind": "mute", "seconds": 600}])
        public.socket.ws.send('{"op":"ping"}')
        with pytest.raises(queue.Empty):
            public.until(lambda m: m.get("op") == "ping", 0.5)
        public.close()


def test_a_fill_comes_after_the_next_one_or_late_if_there_is_none() -> None:
    with running() as bench:
        session, private = rest(bench), Socket(bench, "private")
        private.subscribe("execution")
        bench.trade("BTCUSDT", 61_800.0, 1.0, "buy")
        bench.faults(executions={"reorder": 1, "seconds": 60})
        for name in ("first", "second"):
            session.place_order(**order(**MARKET, orderLinkId=name))
        assert [private.topic("execution")[0]["orderLinkId"] for _ in range(2)] == ["second", "first"]
        bench.faults(executions={"reorder": 1, "seconds": 0.2})
        session.place_order(**order(**MARKET, orderLinkId="alone"))
        assert private.topic("execution")[0]["orderLinkId"] == "alone"
        private.close()


def test_thin_liquidity_fills_an_order_in_many_parts_or_in_part() -> None:
    with running() as bench:
        session = rest(bench)
        bench.trade("BTCUSDT", 61_800.0, 1.0, "buy")
        bench.faults(liquidity=0.01)
        session.place_order(**order(**MARKET | {"qty": "0.1"}, orderLinkId="m"))
        session.place_order(**order(price="61810", qty="5", timeInForce="IOC", orderLinkId="l"))
        done = session.get_executions(category="linear")["result"]["list"]
        assert len([row for row in done if row["orderLinkId"] == "m"]) > 5
        partial = session.get_order_history(**BTC, orderLinkId="l")["result"]["list"][0]
        assert partial["orderStatus"] == "Cancelled"
        assert 0 < D(partial["cumExecQty"]) < 5
        bench.faults(liquidity=1.0)
        bench.trade("BTCUSDT", 61_800.0, 1.0, "buy")
        session.place_order(**order(**MARKET | {"qty": "0.1"}, orderLinkId="again"))
        done = session.get_executions(category="linear", limit=100)["result"]["list"]
        assert len([row for row in done if row["orderLinkId"] == "again"]) == 1


def test_a_plan_over_http_injects_and_counts_and_clear_ends_it() -> None:
    plan: dict[str, Any] = {
        "requests": [{"kind": "http_status", "probability": 1.0, "status": 502, "calls": ["place"]}],
        "streams": [{"kind": "drop", "stream": "private", "mean_s": 0.3}],
        "conditions": [{"kind": "clock_skew", "mean_s": 0.2, "seconds": 0.2, "skew_ms": 5000}],
        "executions": [{"kind": "lose", "probability": 1.0}],
    }
    with running() as bench:
        session, private = rest(bench), Socket(bench, "private")
        bench.faults(plan=plan)
        with pytest.raises(FailedRequestError) as caught:
            session.place_order(**order())
        assert caught.value.status_code == 502
        wanted = {"http_status", "stream_drop", "clock_skew"}
        eventually(lambda: wanted <= bench.state()["faults"].keys())
        eventually(lambda: bench.simulator.venue.faults.clock_skew_ms == 5_000)
        bench.faults(clear=True)
        assert bench.simulator.venue.faults.clock_skew_ms == 0
        session.place_order(**order())
        private.close()


def test_a_condition_ends_by_itself() -> None:
    plan = {"conditions": [{"kind": "thin_liquidity", "mean_s": 60, "seconds": 0.3, "share": 0.01}]}
    with running() as bench:
        bench.faults(plan=plan)
        venue = bench.simulator.venue
        external = venue.engine.markets["bybit:BTCUSDT"].external
        venue.faults.dice._conditions[0]._due = 0.0
        eventually(lambda: external._share < 1)
        eventually(lambda: external._share == 1)


def test_a_plan_file_is_in_force_from_the_start_and_a_wrong_one_stops_it(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("requests: [{kind: html, probability: 1.0}]")
    with running(faults=path) as bench:
        answer = requests.get(f"{bench.simulator.url}/v5/market/time", timeout=10)
        assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (200, "text/html")
        assert bench.state()["faults"] == {"html": 1}
        assert bench.simulator.stats()["faults"] == 1
    path.write_text("requests: [{kind: htlm, probability: 1.0}]")
    with pytest.raises(FaultPlanError, match="htlm"), running(faults=path):
        pass


def test_a_plan_that_is_not_understood_is_refused_over_http_with_its_reason() -> None:
    with running() as bench:
        body = '{"plan": {"streams": [{"kind": "drop", "mean_s": -1}]}}'
        answer = requests.post(f"{bench.simulator.url}/control/faults", data=body, timeout=10)
        assert answer.status_code == 400
        assert "mean_s" in answer.json()["error"]


def test_the_date_header_is_the_venues_clock() -> None:
    with running() as bench:
        bench.faults(clock_skew_ms=3_600_000 * 24 * 400)
        answer = requests.get(f"{bench.simulator.url}/v5/market/time", timeout=10)
        told = parsedate_to_datetime(answer.headers["Date"]).timestamp()
        assert abs(int(answer.json()["time"]) / 1_000 - told) < 2
        assert told > time.time() + 300 * 86_400


def test_the_neutral_books_hold_orders_fills_positions_and_cash() -> None:
    with running() as bench:
        session = rest(bench)
        bench.trade("BTCUSDT", 61_800.0, 1.0, "buy")
        assert code_of(session.place_order, **order(qty="0")) == 10001
        session.place_order(**order(**MARKET, orderLinkId="m"))
        session.place_order(**order(price="20000", orderLinkId="l"))
        books = bench.state()["books"]["main"]
        assert [(row["client_id"], row["status"], row["filled"]) for row in books["orders"]] == [
            ("m", "filled", "0.01"),
            ("l", "open", "0"),
        ]
        fee = D(books["fills"][0]["fee"])
        assert [(row["client_id"], D(row["price"]), row["symbol"]) for row in books["fills"]] == [
            ("m", D(61_800), "bybit:BTCUSDT")
        ]
        assert (books["positions"], D(books["cash"])) == ({"bybit:BTCUSDT": "0.01"}, D(100_000) - fee)


def test_a_request_that_is_being_held_does_not_hold_up_the_end() -> None:
    with running() as bench:
        bench.faults(requests=[{"path": "/v5/market/time", "kind": "timeout_before", "seconds": 3_600}])
        with pytest.raises(requests.exceptions.ReadTimeout):
            requests.get(f"{bench.simulator.url}/v5/market/time", timeout=0.3)
        bench.run(bench.simulator.stop)
        left = [task for task in asyncio.all_tasks(bench.loop) if not task.done()]
        assert eventually(lambda: not [task for task in left if not task.done()])
