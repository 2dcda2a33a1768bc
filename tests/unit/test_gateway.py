"""The gateway: overview, verdict, metrics, token, HTTP."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from actors.gateway import http
from actors.gateway.health import judge
from actors.gateway.http import ACTIONS, Api
from actors.gateway.metrics import render
from actors.gateway.overview import overview
from actors.gateway.token import TokenError, ensure_token, read_token, token_path
from actors.messages.signals import Emit, Withdraw
from conf import load
from exchanges.model.flow import Twap
from exchanges.model.order import Side
from runtime.message import Message
from tests.unit.brain_samples import BTC, ETH
from tests.unit.gateway_tree import child, connection, host, tree

SETTINGS = load("sim", {"symbols": [BTC, ETH]}, {})


def seen(**changes: Any) -> dict[str, Any]:
    return overview(tree(**changes), SETTINGS)


def healthy() -> dict[str, Any]:
    """The same without the strategy that was given up."""
    found = tree()
    del found["children"][3]["detail"]["children"][1]
    return overview(found, SETTINGS)


# -- overview --------------------------------------------------------------------------


def test_the_overview_counts_market_data_without_bars_still_forming() -> None:
    found = seen()
    assert found["ticks"] == 43
    assert found["symbols"][BTC]["ticks"] == 43
    assert found["symbols"][ETH]["ticks"] == 0


def test_the_overview_values_positions_net_of_fees() -> None:
    facts = seen()["symbols"][BTC]
    assert (facts["position"], facts["entry"], facts["realized"], facts["unrealized"]) == ("2", "100", "5.5", "3.0")
    assert seen()["symbols"][ETH]["unrealized"] == "0", "without a price there is no value"


def test_the_overview_adds_up_what_the_hosts_say() -> None:
    found = seen()
    assert (found["cash"], found["equity"]) == ("99000.50", "99010.25")
    assert found["counters"] == {"dead_letters": 8}
    assert found["waiting"] == 12
    assert found["market_data_dropped"] == 20
    assert found["latency_ms"]["tick_to_signal"]["n"] == 4
    assert found["latency_ms"]["tick_to_order"]["n"] == 0
    assert (found["signals"], found["open_signals"], found["stuck_signals"]) == (
        {"GENERATED": 9, "EXECUTED": 4},
        1,
        ["s1"],
    )
    assert (found["journal"], found["replay"]) == ({"records": 55}, {"rows": 43, "finished": True})
    assert found["gateway"] == "http://127.0.0.1:8780"


def test_the_overview_lists_every_actor_with_the_root_first() -> None:
    actors = seen()["actors"]
    assert [actor["name"] for actor in actors][:3] == ["root", "venue/bybit", "bus"]
    assert len(actors) == 9
    by_name = {actor["name"]: actor for actor in actors}
    assert by_name[f"strategy/trend/{BTC}"]["restarts"] == 1
    failed = by_name[f"strategy/trend/{ETH}"]
    assert (failed["state"], failed["restarts"]) == ("failed", 20)
    assert failed["reason"] == "HookError: Trend.on_trade raised ValueError"


def test_the_overview_shows_each_strategy_under_its_symbol() -> None:
    facts = seen()["symbols"][BTC]["strategies"]
    assert facts == {"trend": {"paused": False, "position": "2", "threshold": 0.1, "size_multiplier": 1.2}}


def test_the_overview_is_json() -> None:
    assert json.loads(json.dumps(seen()))["mode"] == "sim"


@pytest.mark.parametrize("detail", [{}, {"error": "no status: TimeoutError"}, None, "starting"])
def test_an_actor_that_did_not_answer_in_time_leaves_zeros_not_a_crash(detail: Any) -> None:
    silent = [child(name, "any", state="restarting", detail={}) for name in ("bus", "exchange/bybit", "gateway")]
    for row in silent:
        row["detail"] = detail
    found = seen(children=silent)
    assert (found["trading_state"], found["ticks"], found["cash"]) == ("unknown", 0, "0")
    assert not judge(found)["healthy"]
    assert b"bigwheel_up 1.0" in render(found)


def test_a_position_outside_the_sessions_symbols_is_shown_too() -> None:
    stray = {"bybit:XRPUSDT": {"quantity": "5", "average_price": "1", "realized": "0", "fees": "0"}}
    row = child("exchange/bybit", "exchange", detail=host("exchange/bybit", connection(positions=stray)))
    assert seen(children=[row])["symbols"]["bybit:XRPUSDT"]["position"] == "5"


# -- health ----------------------------------------------------------------------------


def test_a_session_with_everything_up_is_healthy() -> None:
    verdict = judge(healthy())
    assert verdict["healthy"]
    assert verdict["components"]["bybit public stream"] == {"state": "running"}
    assert verdict["components"]["bus"] == {"state": "running", "epoch": 4, "restarts": 0}


def test_an_actor_that_is_down_makes_it_unhealthy_and_says_why() -> None:
    verdict = judge(seen())
    part = verdict["components"][f"strategy/trend/{ETH}"]
    assert not verdict["healthy"]
    assert (part["state"], part["why"]) == ("failed", "HookError: Trend.on_trade raised ValueError")


@pytest.mark.parametrize(
    ("fact", "component", "state"),
    [
        ("public_up", "bybit public stream", "down"),
        ("private_up", "bybit private stream", "down"),
        ("reconciled", "bybit books", "unreconciled"),
    ],
)
def test_a_venue_that_is_not_all_there_makes_it_unhealthy(fact: str, component: str, state: str) -> None:
    found = healthy()
    found["venues"]["bybit"][fact] = False
    verdict = judge(found)
    assert not verdict["healthy"]
    assert verdict["components"][component]["state"] == state


def test_without_an_overview_the_root_is_what_is_wrong() -> None:
    verdict = judge({"error": "the root supervisor does not answer: TimeoutError"})
    assert verdict == {
        "healthy": False,
        "components": {"root": {"state": "unreachable", "why": "the root supervisor does not answer: TimeoutError"}},
    }


def test_nobody_there_is_not_healthy() -> None:
    assert not judge({**healthy(), "actors": []})["healthy"]


# -- metrics ---------------------------------------------------------------------------


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_the_metrics_say_what_the_overview_says() -> None:
    found = samples(render(seen()))
    assert found["bigwheel_up", ()] == 1
    assert found["bigwheel_signals_total", (("state", "EXECUTED"),)] == 4
    assert found["bigwheel_events_total", (("name", "dead_letters"),)] == 8
    assert found["bigwheel_actor_up", (("actor", "bus"), ("kind", "bus"))] == 1
    failed = (("actor", f"strategy/trend/{ETH}"), ("kind", "strategy"))
    assert (found["bigwheel_actor_up", failed], found["bigwheel_actor_restarts_total", failed]) == (0, 20)
    assert found["bigwheel_position", (("symbol", BTC),)] == 2
    assert found["bigwheel_realized_pnl", (("symbol", BTC),)] == 5.5
    assert found["bigwheel_cash", ()] == 99000.5
    assert found["bigwheel_tick_to_signal_seconds_count", ()] == 4
    assert found["bigwheel_tick_to_signal_seconds_sum", ()] == pytest.approx(0.004)


def test_metrics_without_an_overview_say_that_it_is_down() -> None:
    assert samples(render({"error": "gone"})) == {("bigwheel_up", ()): 0}


# -- token -----------------------------------------------------------------------------


def test_a_token_is_made_once_and_its_owner_alone_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "token"
    token = ensure_token(path)
    assert len(token) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ensure_token(path) == read_token(path) == token


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_token_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    ensure_token(path)
    path.chmod(mode)
    with pytest.raises(TokenError, match=rf"mode 600\), found {mode:o}; `chmod 600"):
        ensure_token(path)


def test_a_token_that_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="found No such file or directory"):
        read_token(tmp_path / "token")
    (tmp_path / "token").touch(mode=0o600)
    with pytest.raises(TokenError, match="found an empty file"):
        read_token(tmp_path / "token")


def test_a_token_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").touch(mode=0o600)
    (tmp_path / "token").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TokenError, match="expected a token"):
        read_token(tmp_path / "token")


def test_a_token_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TokenError, match="expected to make a token"):
        ensure_token(tmp_path / "file" / "token")


def test_the_token_is_where_the_configuration_says_or_in_the_store(tmp_path: Path) -> None:
    assert token_path(tmp_path, "") == tmp_path / "token"
    assert token_path(tmp_path, str(tmp_path / "mine")) == tmp_path / "mine"
    assert token_path(tmp_path, "~/mine") == Path.home() / "mine"


# -- http ------------------------------------------------------------------------------

BEARER = {"Authorization": "Bearer right"}
Client = TestClient[Any, Any]


class Backend:
    """What stands behind the API."""

    def __init__(self, found: dict[str, Any] | None = None) -> None:
        self.found = found if found is not None else healthy()
        self.asked = 0
        self.acts: list[tuple[str, str, str]] = []
        self.delivered: list[Message] = []
        self.failure: Exception | None = None

    async def overview(self) -> dict[str, Any]:
        self.asked += 1
        return self.found

    async def act(self, action: str, target: str, reason: str) -> str:
        if self.failure is not None:
            raise self.failure
        self.acts.append((action, target, reason))
        return "id1"


def serve(backend: Backend, talk: Callable[[Client], Awaitable[None]]) -> None:
    async def session() -> None:
        api = Api(backend.overview, backend.act, "right", backend.delivered.append)
        async with TestClient(TestServer(api.application())) as client:
            await talk(client)

    asyncio.run(session())


def test_health_is_200_when_healthy_and_503_when_not() -> None:
    for found, status in ((healthy(), 200), (seen(), 503), ({"error": "gone"}, 503)):

        async def talk(client: Client, status: int = status) -> None:
            answer = await client.get("/health")
            assert answer.status == status
            assert (await answer.json())["healthy"] is (status == 200)

        serve(Backend(found), talk)


def test_status_and_metrics_are_open_to_read() -> None:
    async def talk(client: Client) -> None:
        assert (await (await client.get("/status")).json())["cash"] == "99000.50"
        answer = await client.get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert ("bigwheel_up", ()) in samples(await answer.read())
        assert (await (await client.get("/")).json())["act"]["/control"] == list(ACTIONS)
        assert (await client.get("/nowhere")).status == 404
        assert (await client.get("/control")).status == 405

    serve(Backend(), talk)


def test_the_root_is_not_asked_for_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Backend()

    async def talk(client: Client) -> None:
        for _ in range(5):
            await client.get("/health")
        assert backend.asked == 1
        monkeypatch.setattr(http, "FRESH_S", 0.0)
        await client.get("/health")
        assert backend.asked == 2

    serve(backend, talk)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "right"},
        {"Authorization": "Basic right"},
        {"Authorization": "Bearer"},
    ],
)
def test_without_the_token_nothing_is_done(headers: dict[str, str]) -> None:
    backend = Backend()

    async def talk(client: Client) -> None:
        answer = await client.post("/control", json={"action": "panic"}, headers=headers)
        assert answer.status == 401
        assert "expected the token of this session" in (await answer.json())["error"]

    serve(backend, talk)
    assert backend.acts == []


def test_with_the_token_an_action_is_passed_on() -> None:
    backend = Backend()

    async def talk(client: Client) -> None:
        body = {"action": "pause", "target": "strategy/trend/x", "reason": "noise"}
        answer = await client.post("/control", json=body, headers=BEARER)
        assert (answer.status, await answer.json()) == (202, {"accepted": "pause", "id": "id1"})

    serve(backend, talk)
    assert backend.acts == [("pause", "strategy/trend/x", "noise")]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{torn", "expected a JSON object"),
        (b"\xff\xfe", "expected a JSON object"),
        (b"[1]", "expected an action"),
        (b'"panic"', "expected an action"),
        (b"{}", "found None"),
        (b'{"action": "explode"}', "found 'explode'"),
        (b'{"action": ["halt"]}', "expected an action"),
        (b'{"action": {"a": 1}}', "expected an action"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(body: bytes, said: str) -> None:
    backend = Backend()

    async def talk(client: Client) -> None:
        answer = await client.post("/control", data=body, headers=BEARER)
        assert answer.status == 400
        assert said in (await answer.json())["error"]

    serve(backend, talk)
    assert backend.acts == []


@pytest.mark.parametrize(
    ("action", "target", "asked"),
    [
        ("halt", "", ["exchange/bybit", "exchange/kalshi", "risk"]),
        ("pause", "strategy/trend/x", ["strategy/trend/x"]),
        ("adopt", "v7", ["exchange/bybit", "exchange/kalshi"]),
    ],
)
def test_an_action_goes_to_everyone_it_concerns(action: str, target: str, asked: list[str]) -> None:
    assert http.receivers(action, target, ("bybit", "kalshi")) == asked


def test_adopting_needs_to_be_told_what() -> None:
    backend = Backend()

    async def talk(client: Client) -> None:
        assert (await client.post("/control", json={"action": "adopt"}, headers=BEARER)).status == 400
        body = {"action": "adopt", "target": "v7", "reason": "mine"}
        assert (await client.post("/control", json=body)).status == 401
        assert (await client.post("/control", json=body, headers=BEARER)).status == 202

    serve(backend, talk)
    assert backend.acts == [("adopt", "v7", "mine")]


def test_an_action_nobody_carried_out_is_no_success() -> None:
    backend = Backend()
    backend.failure = TimeoutError("the root does not answer")

    async def talk(client: Client) -> None:
        answer = await client.post("/control", json={"action": "stop"}, headers=BEARER)
        assert answer.status == 503
        assert "stop was not carried out: TimeoutError: the root does not answer" in (await answer.json())["error"]

    serve(backend, talk)


@pytest.mark.parametrize(("action", "target"), [("pause", ""), ("rollback", ""), ("halt", "bybit:BTCUSDT")])
def test_an_action_that_would_reach_nobody_or_too_many_is_refused(action: str, target: str) -> None:
    done: list[str] = []

    async def act(what: str, whom: str, why: str) -> str:
        done.append(what)
        return "id"

    async def source() -> dict[str, object]:
        return {}

    async def scenario() -> int:
        app = Api(source, act, "secret", [].append).application()
        async with TestClient(TestServer(app)) as client:
            headers = {"Authorization": "Bearer secret"}
            answer = await client.post("/control", json={"action": action, "target": target}, headers=headers)
            assert "expected a target" in (await answer.json())["error"]
            return answer.status

    assert asyncio.run(scenario()) == 400
    assert done == []


# -- signals by hand -------------------------------------------------------------------


def asking(**changes: Any) -> bytes:
    wanted = {"id": "r1", "symbol": BTC, "side": "buy", "quantity": "0.5", **changes}
    return json.dumps(wanted).encode()


def post(path: str, body: bytes, token: str = "right") -> tuple[int, Any, Backend]:
    backend, answers = Backend(), []

    async def talk(client: Client) -> None:
        answer = await client.post(path, data=body, headers={"Authorization": f"Bearer {token}"})
        answers.append((answer.status, await answer.json()))

    serve(backend, talk)
    return answers[0][0], answers[0][1], backend


def test_a_signal_by_hand_goes_to_the_bus_with_its_flow_and_the_price_of_the_moment() -> None:
    flow = {"kind": "twap", "duration_ns": 60_000_000_000, "slices": 6}
    status, said, backend = post("/execute", asking(flow=flow, reason="rebalance"))
    emitted = backend.delivered[0]
    assert isinstance(emitted, Emit)
    signal = emitted.signal
    assert (status, said) == (202, {"signal": signal.id})
    assert (signal.symbol, signal.side, signal.quantity) == (BTC, Side.BUY, Decimal("0.5"))
    assert signal.flow == Twap(60_000_000_000, 6)
    assert (signal.strategy, signal.reason, signal.price > 0) == ("manual", "rebalance", True)


def test_the_same_request_is_the_same_signal() -> None:
    first, again, other = (post("/execute", asking(id=name))[1]["signal"] for name in ("a", "a", "b"))
    assert first == again != other


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"side": "up"}, "OrderRequest as JSON"),
        ({"quantity": "-1"}, "expected quantity above 0"),
        ({"size": "1"}, "OrderRequest as JSON"),
        ({"symbol": "bybit:NONE"}, "expected a symbol of the session"),
        ({"flow": {"kind": "rest"}}, "expected a limit_price"),
        ({"flow": {"kind": "oco", "take_profit": "3", "stop_loss": "2"}}, "expected reduce_only"),
        ({"ttl_s": 0}, "ttl_s up to"),
        ({"id": ""}, "expected an id"),
    ],
)
def test_a_faulty_request_is_refused_and_reaches_nobody(changes: dict[str, Any], text: str) -> None:
    status, said, backend = post("/execute", asking(**changes))
    assert (status, backend.delivered) == (400, [])
    assert text in said["error"]


@pytest.mark.parametrize("path", ["/execute", "/withdraw"])
def test_nobody_trades_without_the_token(path: str) -> None:
    status, _, backend = post(path, asking(), token="wrong")
    assert (status, backend.delivered) == (401, [])


def test_nothing_is_sent_without_a_price() -> None:
    status, said, backend = post("/execute", asking(symbol=ETH))
    assert (status, backend.delivered) == (503, [])
    assert "no price of" in said["error"]


def test_a_signal_is_taken_back_through_the_bus() -> None:
    status, _, backend = post("/withdraw", json.dumps({"signal": "S", "symbol": BTC, "reason": "no"}).encode())
    assert (status, backend.delivered) == (202, [Withdraw("S", BTC, "api", "no")])
