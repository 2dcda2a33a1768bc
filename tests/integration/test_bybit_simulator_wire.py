"""The simulator's messages have the form of the recorded ones: the same fields, of the same types."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.bybit_bench import Socket, rest, running
from tests.integration.venue_bench import Running

DATA = Path(os.environ.get("BIGWHEEL_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
WIRE = DATA / "wire" / "bybit"
BTC = {"category": "linear", "symbol": "BTCUSDT"}

pytestmark = pytest.mark.skipif(not WIRE.is_dir(), reason="recorded messages are not here; set BIGWHEEL_DATA")

NOT_SIMULATED = {
    "order": {"openTime"},
    "wallet": {"availableToBorrow", "spotHedgingQty"},
    "position": {"sessionAvgPrice", "positionIMByMp", "positionMMByMp"},
    "ticker": {"predictedDeliveryPrice", "basisRate", "deliveryFeeRate", "deliveryTime", "basis"},
}
"""Fields of margin modes, options and futures that a one-way USDT perpetual account doesn't have."""


@pytest.fixture(scope="module")
def bench() -> Iterator[Running]:
    """A venue where something of everything has happened, and what its streams told."""
    with running() as found:
        yield found


@pytest.fixture(scope="module")
def told(bench: Running) -> dict[str, Any]:
    """The first message of each topic."""
    session, private, public = rest(bench), Socket(bench, "private"), Socket(bench, "linear")
    for topic in ("order", "execution", "execution.fast", "position", "wallet"):
        private.subscribe(topic)
    for topic in ("publicTrade.{symbol}", "orderbook.50.{symbol}", "tickers.{symbol}", "kline.1.{symbol}"):
        public.socket.subscribe(topic, lambda message: None, ["BTCUSDT"])
    found: dict[str, Any] = {}
    acknowledged = 0
    while acknowledged < 4:
        message = public.messages.get(timeout=10)
        acknowledged += message.get("op") == "subscribe"
        found.setdefault(message.get("topic", "other"), message)
    bench.trade("BTCUSDT", 61_800.0, 1.0, "buy")
    session.place_order(**BTC, side="Buy", orderType="Market", qty="0.5", orderLinkId="m")
    session.place_order(**BTC, side="Buy", orderType="Limit", price="50000", qty="0.5", orderLinkId="l")
    wanted = {"order", "execution", "execution.fast", "position", "wallet"}
    while not wanted <= found.keys():
        message = private.until(lambda m: "topic" in m)
        found.setdefault(message["topic"].rstrip("."), message)
    while sum(topic.endswith("BTCUSDT") for topic in found) < 4:
        message = public.until(lambda m: "topic" in m)
        found.setdefault(message["topic"], message)
    private.close()
    public.close()
    return found


def sample(name: str) -> Any:
    return json.loads((WIRE / f"{name}.json").read_text())


def differences(expected: Any, found: Any, ignored: frozenset[str], where: str = "") -> list[str]:
    """Fields that are missing or of another type than in the sample."""
    if isinstance(expected, dict) and isinstance(found, dict):
        problems = [f"{where}.{key} missing" for key in expected if key not in found and key not in ignored]
        for key in expected.keys() & found.keys():
            problems += differences(expected[key], found[key], ignored, f"{where}.{key}")
        return sorted(problems)
    if isinstance(expected, list) and isinstance(found, list):
        return differences(expected[0], found[0], ignored, f"{where}[0]") if expected and found else []
    if expected is None or type(expected) is type(found):
        return []
    return [f"{where} is {type(found).__name__}, not {type(expected).__name__}"]


@pytest.mark.parametrize(
    ("name", "topic", "kind"),
    [
        ("ws_account_order_filled", "order", "order"),
        ("ws_private_Order_push", "order", "order"),
        ("ws_account_execution", "execution", "execution"),
        ("ws_private_MinimalUserTrades_push", "execution.fast", "execution"),
        ("ws_account_position", "position", "position"),
        ("ws_account_wallet", "wallet", "wallet"),
        ("ws_linear_Trades_push", "publicTrade.BTCUSDT", "trade"),
        ("ws_orderbook_snapshot", "orderbook.50.BTCUSDT", "book"),
        ("ws_ticker_linear", "tickers.BTCUSDT", "ticker"),
        ("ws_kline", "kline.1.BTCUSDT", "kline"),
    ],
)
def test_a_stream_message_has_the_recorded_form(told: dict[str, Any], name: str, topic: str, kind: str) -> None:
    ignored = frozenset(NOT_SIMULATED.get(kind, ())) | {"totalPerpUpl"}
    assert differences(sample(name), told[topic], ignored) == []


@pytest.mark.parametrize(
    ("name", "call", "params", "kind"),
    [
        ("rest_get_orders_realtime", "get_open_orders", BTC, "order"),
        ("rest_get_orders_history", "get_order_history", BTC, "order"),
        ("rest_get_executions", "get_executions", {"category": "linear"}, "execution"),
        ("rest_get_positions", "get_positions", BTC, "position"),
        ("rest_get_wallet_balance", "get_wallet_balance", {"accountType": "UNIFIED"}, "wallet"),
        ("rest_get_fee_rate", "get_fee_rates", BTC, "fee"),
        ("rest_get_instruments_linear", "get_instruments_info", BTC, "instrument"),
        ("rest_doc_GetLinearInverseTickers", "get_tickers", BTC, "ticker"),
        ("rest_get_trades_recent", "get_public_trade_history", BTC, "trade"),
        ("rest_get_orderbook", "get_orderbook", BTC, "book"),
        ("rest_get_klines_linear", "get_kline", BTC | {"interval": 1}, "kline"),
        ("rest_doc_GetFundingRateHistory", "get_funding_rate_history", BTC, "funding"),
        ("rest_get_account_info", "get_account_info", {}, "account"),
    ],
)
def test_a_rest_answer_has_the_recorded_form(
    bench: Running, told: dict[str, Any], name: str, call: str, params: dict[str, Any], kind: str
) -> None:
    found = getattr(rest(bench), call)(**params)
    assert found["result"], "expected something to compare"
    assert differences(sample(name), found, frozenset(NOT_SIMULATED.get(kind, ()))) == []


def test_the_answers_to_order_operations_have_the_recorded_form(bench: Running, told: dict[str, Any]) -> None:
    session = rest(bench)
    order = {"side": "Buy", "orderType": "Limit", "price": "40000", "qty": "0.1"}
    assert (
        differences(sample("rest_doc_PlaceOrder"), session.place_order(**BTC, **order, orderLinkId="w"), frozenset())
        == []
    )
    amended = session.amend_order(**BTC, orderLinkId="w", qty="0.2")
    assert differences(sample("rest_doc_EditOrder"), amended, frozenset()) == []
    cancelled = session.cancel_order(**BTC, orderLinkId="w")
    assert differences(sample("rest_doc_CancelOrder"), cancelled, frozenset()) == []
    everything = session.cancel_all_orders(**BTC)
    assert everything["result"]["success"] == "1"
    assert differences(sample("rest_doc_CancelAllOrder"), everything, frozenset()) == []


def test_acknowledgements_have_the_recorded_form(bench: Running) -> None:
    private = Socket(bench, "private")
    answer = private.until(lambda m: m.get("op") == "auth")
    assert differences(sample("ws_private_Order_reply1"), answer, frozenset({"req_id"})) == []
    private.socket.subscribe("order", lambda message: None)
    answer = private.until(lambda m: m.get("op") == "subscribe")
    assert differences(sample("ws_private_Order_reply3"), answer, frozenset()) == []
    private.close()
    missing = requests.get(f"{bench.simulator.url}/v5/no/such/path", timeout=5)
    assert missing.status_code == 404
