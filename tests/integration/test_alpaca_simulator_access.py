"""Who may use the Alpaca simulator, how often, and how it misbehaves on request."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests
from alpaca.common.exceptions import APIError

from tests.integration.alpaca_bench import KEY, SECRET, Running, code_of, crypto, order, running, stocks, trading


class TestKeys:
    def test_a_wrong_secret_an_unknown_key_and_no_key_are_refused(self) -> None:
        with running() as bench:
            assert code_of(trading(bench, secret="other").get_account) == (401, 40110000)
            assert code_of(trading(bench, key="other").get_account) == (401, 40110000)
            bare = requests.get(f"{bench.simulator.url}/v2/account", timeout=10)
            assert (bare.status_code, bare.json()["code"]) == (401, 40110000)

    def test_a_revoked_key_opens_nothing_and_a_read_only_one_looks_but_does_not_trade(self) -> None:
        with running() as bench:
            client = trading(bench)
            bench.faults(keys={KEY: "read_only"})
            assert client.get_account()["status"] == "ACTIVE"
            assert code_of(lambda: client.post("/orders", order())) == (403, 40310000)
            bench.faults(keys={KEY: "revoked"})
            assert code_of(client.get_account) == (401, 40110000)

    def test_accounts_do_not_see_each_others_orders(self) -> None:
        with running(more_keys={"second": "hidden"}) as bench:
            placed = trading(bench).post("/orders", order())
            other = trading(bench, "second", "hidden")
            assert other.get("/orders") == []
            assert code_of(lambda: other.get_order_by_id(placed["id"])) == (404, 40410000)


class TestLimits:
    def test_two_hundred_requests_a_minute_pass_and_the_next_is_told_when_the_minute_ends(self) -> None:
        with running(query_limit=None) as bench:
            url, headers = f"{bench.simulator.url}/v2/clock", {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}
            bench.faults(clock_skew_ms=round((-time.time() % 60) * 1_000))  # the start of a minute
            with requests.Session() as session:
                answers = [session.get(url, headers=headers, timeout=10) for _ in range(201)]
            left = [int(answer.headers["X-RateLimit-Remaining"]) for answer in answers]
            assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {"200"}
            assert left == [*range(199, -1, -1), 0]
            assert [answer.status_code for answer in answers] == [200] * 200 + [429]
            assert answers[-1].json()["code"] == 42910000
            assert int(answers[-1].headers["X-RateLimit-Reset"]) % 60 == 0

    def test_without_a_limit_no_answer_speaks_of_one(self) -> None:
        with running() as bench:
            headers = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}
            answer = requests.get(f"{bench.simulator.url}/v2/clock", headers=headers, timeout=10)
            assert "X-RateLimit-Limit" not in answer.headers


class TestRequestFaults:
    @pytest.mark.parametrize(
        ("rule", "status", "text"),
        [
            ({"kind": "rate_limit"}, 429, "42910000"),
            ({"kind": "rate_limit_bare"}, 429, "42910000"),
            ({"kind": "ret_code", "code": 40310000}, 403, "40310000"),
            ({"kind": "ret_code", "code": 1, "status": 503}, 503, "50010000"),
            ({"kind": "http_status", "status": 502}, 502, "<html>"),
            ({"kind": "html"}, 200, "<html>"),
        ],
    )
    def test_a_refused_request_was_not_carried_out(self, rule: dict[str, Any], status: int, text: str) -> None:
        with running() as bench:
            bench.faults(requests=[{"path": "/v2/orders", "calls": ["place"], **rule}])
            answer = posted(bench, order())
            assert (answer.status_code, text in answer.text) == (status, True)
            assert ("X-RateLimit-Reset" in answer.headers) is (rule["kind"] == "rate_limit")
            assert trading(bench).get("/orders", {"status": "all"}) == []

    @pytest.mark.parametrize("kind", ["reset_after", "timeout_after", "html_after", "status_after"])
    def test_an_order_taken_before_the_fault_is_found_by_its_client_order_id(self, kind: str) -> None:
        with running() as bench:
            bench.faults(requests=[{"path": "/v2/orders", "calls": ["place"], "kind": kind, "seconds": 0.2}])
            with pytest.raises((requests.RequestException, APIError)):
                trading(bench).post("/orders", order(client_order_id="lost"))
            assert trading(bench).get_order_by_client_id("lost")["status"] == "new"

    def test_an_answer_may_have_a_status_nobody_knows(self) -> None:
        with running() as bench:
            bench.faults(requests=[{"path": "/v2/orders", "calls": ["place"], "kind": "unknown_value_after"}])
            assert trading(bench).post("/orders", order())["status"] == "something_new"


def posted(bench: Running, body: dict[str, Any]) -> requests.Response:
    headers = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}
    return requests.post(f"{bench.simulator.url}/v2/orders", json=body, headers=headers, timeout=10)


def test_a_body_that_is_no_object_gets_the_venues_code() -> None:
    with running() as bench:
        headers = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}
        for body in ("{", "[1]", '"text"'):
            answer = requests.post(f"{bench.simulator.url}/v2/orders", data=body, headers=headers, timeout=10)
            assert (answer.status_code, answer.json()["code"]) == (422, 40010001)


def test_the_data_clients_refuse_a_wrong_key_too_but_crypto_needs_none() -> None:
    with running() as bench:
        bench.trade("BTC/USD", 60_000.0, 1.0, "buy")
        params = {"symbols": "BTC/USD"}
        open_answer = requests.get(f"{bench.simulator.url}/v1beta3/crypto/us/latest/trades", params=params, timeout=10)
        assert open_answer.json()["trades"]["BTC/USD"]["p"] == 60_000.0
        assert crypto(bench).get("/crypto/us/latest/trades", params)["trades"] != {}
        client = stocks(bench)
        client._secret_key = "other"
        assert code_of(lambda: client.get("/stocks/trades/latest", {"symbols": "AAPL"})) == (401, 40110000)
