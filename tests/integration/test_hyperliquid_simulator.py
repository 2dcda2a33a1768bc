"""The simulator speaks the venue's protocol to the official SDK, unchanged, and believes no signature unseen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from eth_account import Account
from hyperliquid.info import Info
from hyperliquid.utils.error import ClientError
from hyperliquid.utils.signing import order_request_to_order_wire, order_wires_to_order_action, sign_l1_action
from hyperliquid.utils.types import Cloid

from exchanges.simulators.faults import FaultOrder, KeyState
from exchanges.simulators.hyperliquid import HyperliquidSimulator
from exchanges.simulators.hyperliquid.limits import Limits
from tests.integration.hyperliquid_bench import D, run, running, sdk

CLOID = Cloid.from_str("0x" + "0f" * 16)
GTC: Any = {"limit": {"tif": "Gtc"}}
STRANGER = "0x" + "17" * 32


def signed(simulator: HyperliquidSimulator, **changes: Any) -> dict[str, Any]:
    """The body of a good order, signed for the testnet; ``mainnet``, ``key``, ``nonce`` and ``expires`` change that."""
    request: Any = {"is_buy": True, "sz": 0.01, "limit_px": 30_000, "order_type": GTC, "reduce_only": False}
    action = order_wires_to_order_action([order_request_to_order_wire(request, 0)])
    nonce, expires = changes.get("nonce", int(time.time() * 1_000)), changes.get("expires")
    wallet = Account.from_key(changes.get("key", simulator.private_key))
    signature = sign_l1_action(wallet, action, None, nonce, expires, changes.get("mainnet", False))
    return {"action": action, "nonce": nonce, "signature": signature, "vaultAddress": None, "expiresAfter": expires}


async def posted(simulator: HyperliquidSimulator, body: dict[str, Any]) -> Any:
    client = await asyncio.to_thread(sdk, simulator)
    return await asyncio.to_thread(client.post, "/exchange", body)


def statuses(answer: Any) -> list[Any]:
    found: list[Any] = answer["response"]["data"]["statuses"]
    return found


# -- the SDK -----------------------------------------------------------------------------------


def test_the_sdk_as_it_is_trades_asks_and_cancels() -> None:
    async def work() -> None:
        async with running() as simulator:
            client = await asyncio.to_thread(sdk, simulator)
            user = simulator.account

            def trade() -> None:
                info = client.info
                resting = statuses(client.order("BTC", True, 0.01, 30_000, GTC, cloid=CLOID))[0]["resting"]
                assert [row["oid"] for row in info.open_orders(user)] == [resting["oid"]]
                assert info.query_order_by_cloid(user, CLOID)["order"]["order"]["oid"] == resting["oid"]
                assert info.query_order_by_oid(user, resting["oid"])["order"]["status"] == "open"
                assert statuses(client.cancel_by_cloid("BTC", CLOID)) == ["success"]
                assert "never placed" in statuses(client.cancel("BTC", resting["oid"]))[0]["error"]
                assert info.query_order_by_cloid(user, CLOID)["order"]["status"] == "canceled"
                assert info.query_order_by_oid(user, 1) == {"status": "unknownOid"}
                filled = statuses(client.market_open("ETH", True, 0.5))[0]["filled"]
                assert D(filled["totalSz"]) == D("0.5")
                (position,) = info.user_state(user)["assetPositions"]
                assert (position["position"]["coin"], D(position["position"]["szi"])) == ("ETH", D("0.5"))
                fills = info.user_fills(user)
                assert {row["oid"] for row in fills} == {filled["oid"]}
                assert sorted(row["tid"] for row in info.user_fills_by_time(user, 0)) == sorted(r["tid"] for r in fills)
                closed = client.market_close("ETH")
                assert "filled" in statuses(closed)[0]
                assert info.user_state(user)["assetPositions"] == []
                assert client.update_leverage(5, "BTC") == {"status": "ok", "response": {"type": "default"}}

            await asyncio.to_thread(trade)
            assert simulator.venue.engine.accounts["main"].leverage["hyperliquid:BTC"] == 5

    run(work)


def test_the_sdks_own_websocket_hears_the_market_and_the_account() -> None:
    async def work() -> None:
        async with running() as simulator:
            heard: list[str] = []

            def listen() -> Info:
                info = Info(simulator.url)
                for wanted in (
                    {"type": "trades", "coin": "BTC"}, {"type": "l2Book", "coin": "BTC"},
                    {"type": "bbo", "coin": "BTC"}, {"type": "candle", "coin": "BTC", "interval": "1m"},
                    {"type": "activeAssetCtx", "coin": "BTC"},
                    {"type": "orderUpdates", "user": simulator.account},
                    {"type": "userFills", "user": simulator.account},
                ):  # fmt: skip
                    info.subscribe(wanted, lambda message: heard.append(message["channel"]))
                return info

            info = await asyncio.to_thread(listen)
            client = await asyncio.to_thread(sdk, simulator)
            await asyncio.to_thread(client.market_open, "BTC", True, 0.01)
            wanted = {"trades", "l2Book", "bbo", "candle", "activeAssetCtx", "orderUpdates", "userFills"}
            while set(heard) != wanted or heard.count("userFills") < 2:
                await asyncio.sleep(0.02)
            await asyncio.to_thread(info.disconnect_websocket)

    run(work)


def test_a_subscription_the_venue_does_not_have_is_refused_and_one_that_was_ended_is_silent() -> None:
    async def work() -> None:
        async with (
            running() as simulator,
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{simulator.ws_url}/ws") as socket,
        ):

            async def said(channel: str) -> Any:
                while (frame := await socket.receive_json())["channel"] != channel:
                    assert frame["channel"] in ("trades", "bbo")
                return frame["data"]

            for wanted in ({"type": "trades", "coin": "NOPE"}, {"type": "candle", "coin": "BTC", "interval": "7m"}):
                await socket.send_json({"method": "subscribe", "subscription": wanted})
                assert "Invalid subscription" in await said("error")
            for text in ("no json", '{"method": "dance"}'):
                await socket.send_str(text)
                assert "Error parsing JSON" in await said("error")
            trades = {"type": "trades", "coin": "BTC"}
            for method in ("subscribe", "unsubscribe"):
                await socket.send_json({"method": method, "subscription": trades})
                assert await said("subscriptionResponse") == {"method": method, "subscription": trades}
            assert not simulator.streams.subscribers("trades:BTC")

    run(work)


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ({"sz": 0.01, "limit_px": 30_000.5}, "Price must be divisible by tick size. asset=0"),
        ({"sz": 0.0001, "limit_px": 30_000}, "Order must have minimum value of $10. asset=0"),
        ({"sz": 0.0000001, "limit_px": 30_000}, "Order has invalid size. asset=0"),
        ({"sz": 5_000.0, "limit_px": 61_000}, "Insufficient margin to place order. asset=0"),
        ({"sz": 0.01, "limit_px": 30_000, "reduce_only": True}, "Reduce only order would increase position. asset=0"),
        ({"sz": 0.01, "limit_px": 90_000, "order_type": {"limit": {"tif": "Alo"}}}, "Post only order would have"),
        ({"sz": 0.01, "limit_px": 30_000, "order_type": {"limit": {"tif": "Ioc"}}}, "could not immediately match"),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused_in_the_venues_words(order: dict[str, Any], text: str) -> None:
    async def work() -> None:
        async with running() as simulator:
            client = await asyncio.to_thread(sdk, simulator)
            told = {"name": "BTC", "is_buy": True, "order_type": GTC, "cloid": CLOID, **order}
            (status,) = statuses(await asyncio.to_thread(lambda: client.order(**told)))
            assert text in status["error"]
            assert not simulator.venue.engine.working("main")

    run(work)


# -- who signed --------------------------------------------------------------------------------


def changed(body: dict[str, Any]) -> None:
    body["action"]["orders"][0]["s"] = "0.02"


def damaged(body: dict[str, Any]) -> None:
    body["signature"]["r"] = "0x" + "f" * 64


@pytest.mark.parametrize(
    ("told", "damage", "text"),
    [
        ({"mainnet": True}, None, "does not exist"),
        ({"key": STRANGER}, None, "does not exist"),
        ({}, changed, "does not exist"),
        ({}, damaged, "recover signer"),
        ({"nonce": 5}, None, "Invalid nonce: 5 is too far"),
        ({"expires": 5}, None, "Action expired"),
    ],
)
def test_an_action_that_was_not_signed_for_this_venue_now_is_refused(
    told: dict[str, Any], damage: Callable[[dict[str, Any]], None] | None, text: str
) -> None:
    async def work() -> None:
        async with running(feed="none") as simulator:
            body = signed(simulator, **told)
            if damage is not None:
                damage(body)
            answer = await posted(simulator, body)
            assert answer["status"] == "err"
            assert text in answer["response"]
            assert not simulator.venue.engine.orders("main")

    run(work)


def test_a_nonce_is_good_once() -> None:
    async def work() -> None:
        async with running(feed="none") as simulator:
            body = signed(simulator)
            assert (await posted(simulator, body))["status"] == "ok"
            again = await posted(simulator, body)
            assert again == {"status": "err", "response": f"Invalid nonce: duplicate nonce {body['nonce']}"}
            assert len(simulator.venue.engine.orders("main")) == 1

    run(work)


def test_a_wallet_that_was_revoked_signs_for_nobody() -> None:
    async def work() -> None:
        async with running(feed="none") as simulator:
            client = await asyncio.to_thread(sdk, simulator)
            signer = client.wallet.address
            assert await asyncio.to_thread(client.info.user_role, signer) == {
                "role": "agent",
                "data": {"user": simulator.account},
            }
            simulator.inject(FaultOrder(keys={simulator.settings.api_key: KeyState.REVOKED}))
            assert await asyncio.to_thread(client.info.user_role, signer) == {"role": "missing"}
            assert "does not exist" in (await posted(simulator, signed(simulator)))["response"]

    run(work)


def test_what_is_asked_about_the_agents_own_address_is_empty() -> None:
    async def work() -> None:
        async with running() as simulator:
            client = await asyncio.to_thread(sdk, simulator)
            await asyncio.to_thread(client.market_open, "BTC", True, 0.01)
            agent = client.wallet.address
            assert await asyncio.to_thread(client.info.user_fills, agent) == []
            assert (await asyncio.to_thread(client.info.user_state, agent))["assetPositions"] == []

    run(work)


# -- limits and books --------------------------------------------------------------------------


def test_more_weight_than_a_minute_has_is_refused_until_it_is_over() -> None:
    now = 0.0
    limits = Limits(100, clock=lambda: now)
    assert [limits.take(60.0), limits.take(60.0), limits.take(40.0)] == [True, False, True]
    now = 59.9
    assert not limits.take(1.0)
    now = 60.0
    assert limits.take(100.0)


def test_too_many_questions_get_status_429() -> None:
    async def work() -> None:
        async with running(feed="none", query_limit=None) as simulator:
            client = await asyncio.to_thread(sdk, simulator)

            def ask() -> int:
                for number in range(100):
                    try:
                        client.info.meta()
                    except ClientError as error:
                        assert error.status_code == 429
                        return number
                return -1

            # The SDK itself has asked twice, for 40.
            assert await asyncio.to_thread(ask) == 58

    run(work)


def test_a_body_that_can_not_be_read_gets_status_422() -> None:
    async def work() -> None:
        async with running(feed="none") as simulator:
            client = await asyncio.to_thread(sdk, simulator)
            for path, body in (
                ("/info", {"type": "nothing"}),
                ("/exchange", {"action": {"type": "order"}}),
                ("/info", {}),
            ):
                with pytest.raises(ClientError) as told:
                    await asyncio.to_thread(client.post, path, body)
                assert told.value.status_code == 422

    run(work)


def test_orders_keep_their_numbers_over_a_restart(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(folder=tmp_path) as simulator:
            client = await asyncio.to_thread(sdk, simulator)
            placed = await asyncio.to_thread(lambda: client.order("BTC", True, 0.01, 30_000, GTC, cloid=CLOID))
            oid = statuses(placed)[0]["resting"]["oid"]
        async with running(folder=tmp_path) as simulator:
            client = await asyncio.to_thread(sdk, simulator)
            (row,) = await asyncio.to_thread(client.info.frontend_open_orders, simulator.account)
            assert (row["oid"], row["cloid"]) == (oid, CLOID.to_raw())
            (record,) = simulator.venue.engine.working("main")
            assert msgspec.to_builtins(record.order())["client_id"] == CLOID.to_raw()
            assert statuses(await asyncio.to_thread(client.cancel, "BTC", oid)) == ["success"]

    run(work)
