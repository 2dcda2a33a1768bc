"""Keys, signatures, limits, and faults in the exchange's own shapes."""

from __future__ import annotations

import stat
import time
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3.exceptions
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from exchanges.simulators.errors import SimulatorError
from exchanges.simulators.kalshi import KalshiSimulator
from exchanges.simulators.kalshi.errors import ApiError
from exchanges.simulators.kalshi.keypair import private_pem, public_key
from exchanges.simulators.kalshi.limits import Limits
from tests.integration.kalshi_bench import ORDERS, T85, Bench, Rest, kalshi, order, signed
from tests.integration.venue_bench import quiet

BALANCE = "/trade-api/v2/portfolio/balance"


def get(bench: Bench, headers: dict[str, str], query: str = "") -> tuple[int, Any]:
    answer = requests.get(f"{bench.simulator.url}{BALANCE}{query}", headers=headers, timeout=20)
    return answer.status_code, answer.json()


def test_a_true_signature_is_taken_whatever_the_query_is() -> None:
    with kalshi() as bench:
        headers = signed(bench.simulator.key_id, bench.simulator.private_key, "GET", BALANCE)
        assert get(bench, headers)[0] == 200
        assert get(bench, headers, "?subaccount=0")[0] == 200


@pytest.mark.parametrize(
    "spoil",
    [
        lambda id, pem: {},
        lambda id, pem: signed("other", pem, "GET", BALANCE),
        lambda id, pem: signed(id, private_pem(None), "GET", BALANCE),
        lambda id, pem: signed(id, pem, "POST", BALANCE),
        lambda id, pem: signed(id, pem, "GET", "/portfolio/balance"),
        lambda id, pem: signed(id, pem, "GET", BALANCE + "?subaccount=0"),
        lambda id, pem: signed(id, pem, "GET", BALANCE, at_ms=int(time.time() * 1_000) - 60_000),
        lambda id, pem: signed(id, pem, "GET", BALANCE, at_ms=int(time.time() * 1_000) + 60_000),
        lambda id, pem: signed(id, pem, "GET", BALANCE, at_ms=int(time.time())),
        lambda id, pem: signed(id, pem, "GET", BALANCE, salt=20),
        lambda id, pem: signed(id, pem, "GET", BALANCE) | {"KALSHI-ACCESS-SIGNATURE": "not base64!"},
        lambda id, pem: signed(id, pem, "GET", BALANCE) | {"KALSHI-ACCESS-TIMESTAMP": "soon"},
    ],
    ids=[
        "unsigned",
        "unknown key",
        "another private key",
        "another method",
        "a path without its prefix",
        "a path with its query",
        "too old",
        "too new",
        "seconds",
        "another salt length",
        "no base64",
        "no time",
    ],
)
def test_what_is_not_truly_signed_gets_401(spoil: Any) -> None:
    with kalshi() as bench:
        status, body = get(bench, spoil(bench.simulator.key_id, bench.simulator.private_key), "?subaccount=0")
        assert (status, body["error"]["code"]) == (401, "authentication_error")


def test_public_market_data_needs_no_key_but_the_book_does() -> None:
    with kalshi() as bench:
        base = f"{bench.simulator.url}/trade-api/v2"
        paths = ("/exchange/status", "/markets", f"/markets/{T85}", f"/markets/{T85}/orderbook", "/portfolio/orders")
        assert [requests.get(base + path, timeout=20).status_code for path in paths] == [200, 200, 200, 401, 401]


def test_a_revoked_key_gets_401_and_a_read_only_one_403_for_orders() -> None:
    with kalshi() as bench:
        placed = bench.place()
        bench.faults(keys={bench.simulator.key_id: "read_only"})
        assert bench.rest("POST", ORDERS, order())[0] == 403
        assert bench.rest("DELETE", f"{ORDERS}/{placed['order_id']}")[0] == 403
        assert bench.rest("GET", "/portfolio/orders")[0] == 200
        bench.faults(keys={bench.simulator.key_id: "revoked"})
        assert bench.rest("GET", "/portfolio/orders")[0] == 401
        bench.faults(keys={bench.simulator.key_id: "valid"})
        assert bench.rest("DELETE", f"{ORDERS}/{placed['order_id']}")[0] == 200


def test_the_date_header_is_the_clock_and_a_skewed_one_refuses_what_is_signed_by_another() -> None:
    with kalshi() as bench:
        bench.faults(clock_skew_ms=3_600_000)
        answer = requests.get(f"{bench.simulator.url}/trade-api/v2/exchange/status", timeout=20)
        told = time.mktime(time.strptime(answer.headers["Date"], "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone
        assert 3_500 < told - time.time() < 3_700
        assert bench.rest("GET", "/portfolio/balance")[0] == 401
        pem = bench.simulator.private_key
        headers = signed(bench.simulator.key_id, pem, "GET", BALANCE, at_ms=int(time.time() * 1_000) + 3_600_000)
        assert get(bench, headers)[0] == 200


def test_a_key_pair_in_a_folder_outlives_the_simulator_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    first = KalshiSimulator(quiet(folder=tmp_path))
    second = KalshiSimulator(quiet(folder=tmp_path))
    assert first.private_key == second.private_key
    file = tmp_path / "kalshi-key.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert KalshiSimulator(quiet()).private_key != first.private_key
    assert "PRIVATE" not in repr(first.settings) + repr(first.__dict__.get("_annex"))


def test_a_given_public_key_is_the_one_that_counts() -> None:
    pem = private_pem(None)
    public = public_key(pem, "a test").public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    simulator = KalshiSimulator(quiet(api_key="mine", public_key=public.decode()))
    assert simulator.private_key == ""
    given = KalshiSimulator(quiet(api_key="mine", api_secret=pem))
    assert given.private_key == pem


@pytest.mark.parametrize("pem", ["hunter2", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "elliptic"])
def test_a_key_that_is_none_is_refused_at_the_start(pem: str) -> None:
    if pem == "elliptic":
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
    with pytest.raises(SimulatorError, match="the API key 'second'") as caught, kalshi(more_keys={"second": pem}):
        pytest.fail("it started")
    assert pem not in str(caught.value)


def test_reads_and_writes_draw_on_buckets_of_their_own() -> None:
    with kalshi(order_limit=20, query_limit=10) as bench:
        codes = [bench.rest("POST", ORDERS, order())[0] for _ in range(3)]
        assert codes == [201, 201, 429]
        assert bench.rest("GET", "/portfolio/balance")[0] == 200
        assert bench.rest("GET", "/portfolio/balance") == (429, {"error": "too many requests"})
        _, _, headers = bench.rest.full("GET", "/portfolio/balance")
        assert "retry-after" not in {name.lower() for name in headers}


def test_a_bucket_refills_and_never_gives_more_than_its_rate() -> None:
    now = 0.0
    limits = Limits({"write": 100}, clock=lambda: now)

    def taken(cost: float) -> int:
        count = 0
        while True:
            try:
                limits.take("main", "write", cost)
            except ApiError:
                return count
            count += 1

    assert taken(10.0) == 10
    now += 0.5
    assert taken(10.0) == 5
    now += 100.0
    assert taken(2.0) == 50
    now += 1.0
    limits.take("main", "write", 250.0)
    now += 1.0
    assert taken(10.0) == 0, "a batch that was dearer than the bucket has to be worked off"


@pytest.mark.parametrize(
    ("rule", "status", "carried_out"),
    [
        ({"kind": "rate_limit"}, 429, False),
        ({"kind": "rate_limit_bare"}, 429, False),
        ({"kind": "http_status", "status": 503}, 503, False),
        ({"kind": "status_after", "status": 502}, 502, True),
        ({"kind": "html"}, 200, False),
        ({"kind": "html_after"}, 200, True),
        ({"kind": "ret_code", "code": 409}, 409, False),
        ({"kind": "ret_code", "code": 10016, "status": 503}, 503, False),
        ({"kind": "unknown_value_after"}, 201, True),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_a_faulty_answer_has_the_exchanges_shape(rule: dict[str, Any], status: int, carried_out: bool) -> None:
    with kalshi() as bench:
        bench.faults(requests=[rule | {"path": "/trade-api", "calls": ["place"]}])
        found, body = bench.rest("POST", ORDERS, order(client_order_id="faulty"))
        assert found == status
        if rule["kind"].startswith("rate"):
            assert body == {"error": "too many requests"}
        if rule["kind"].startswith("html"):
            assert body.startswith("<html>")
        assert bool(bench.rest.good("GET", "/portfolio/orders")["orders"]) is carried_out


@pytest.mark.parametrize(("kind", "carried_out"), [("reset_before", False), ("reset_after", True)])
def test_a_reset_tears_the_connection_before_or_after(kind: str, carried_out: bool) -> None:
    with kalshi() as bench:
        bench.faults(requests=[{"kind": kind, "path": "/trade-api/v2/portfolio/events/orders"}])
        with pytest.raises(urllib3.exceptions.HTTPError):
            bench.rest("POST", ORDERS, order())
        assert bool(bench.rest.good("GET", "/portfolio/orders")["orders"]) is carried_out


def test_a_status_nobody_knows_comes_in_the_list_of_orders() -> None:
    with kalshi() as bench:
        bench.place()
        bench.faults(requests=[{"kind": "unknown_value_after", "path": "/trade-api", "calls": ["query"]}])
        assert bench.rest.good("GET", "/portfolio/orders")["orders"][0]["status"] == "something_new"
        assert bench.rest.good("GET", "/portfolio/orders")["orders"][0]["status"] == "resting"


def test_a_second_key_opens_an_account_of_its_own() -> None:
    pem = private_pem(None)
    with kalshi(more_keys={"second": pem}) as bench:
        bench.place()
        other = Rest(bench.simulator.url, "second", pem)
        assert other.good("GET", "/portfolio/orders")["orders"] == []
        mine = bench.rest.good("GET", "/portfolio/orders")["orders"][0]["order_id"]
        assert other("DELETE", f"{ORDERS}/{mine}")[0] == 404
