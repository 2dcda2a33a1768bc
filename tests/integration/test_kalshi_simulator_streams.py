"""An aiohttp WebSocket against the Kalshi simulator: commands, numbers, books, private channels, faults."""

from __future__ import annotations

import asyncio
from decimal import Decimal as D
from typing import Any

import aiohttp
import pytest

from exchanges.simulators.kalshi.streams import KalshiStreams
from tests.integration.kalshi_bench import (
    DEADLINE,
    FINE,
    ORDERS,
    T85,
    Bench,
    Json,
    Socket,
    connected,
    conversation,
    kalshi,
    order,
)

Levels = dict[tuple[str, str], D]
"""Size by leg and price."""


def followed(messages: list[Json]) -> Levels:
    """The book that the last snapshot and the deltas since make."""
    levels: Levels = {}
    for message in messages:
        body = message.get("msg", {})
        if message["type"] == "orderbook_snapshot":
            legs = (("yes", body["yes_dollars_fp"]), ("no", body["no_dollars_fp"]))
            levels = {(leg, price): D(size) for leg, rows in legs for price, size in rows}
        elif message["type"] == "orderbook_delta":
            level = (body["side"], body["price_dollars"])
            levels[level] = levels.get(level, D(0)) + D(body["delta_fp"])
            assert levels[level] >= 0, "a delta took more than stood there"
    return {level: size for level, size in levels.items() if size}


def shown(bench: Bench, ticker: str = T85) -> Levels:
    """The book as REST gives it."""
    book = bench.rest.good("GET", f"/markets/{ticker}/orderbook")["orderbook_fp"]
    legs = (("yes", book["yes_dollars"]), ("no", book["no_dollars"]))
    return {(leg, price): D(size) for leg, rows in legs for price, size in rows}


async def call(bench: Bench, *arguments: Any) -> Any:
    """A REST call that must be good, off the client's loop."""
    return await asyncio.to_thread(bench.rest.good, *arguments)


async def caught_up(socket: Socket, bench: Bench) -> None:
    """Read until the followed book is the one REST shows."""
    wanted = await asyncio.to_thread(shown, bench)
    while followed(socket.seen) != wanted:
        await socket.next()


def test_a_handshake_must_be_truly_signed() -> None:
    async def talk() -> None:
        url = bench.simulator.ws_url + "/trade-api/ws/v2"
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(url)
            assert caught.value.status == 401
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with connected(bench, **{"KALSHI-ACCESS-TIMESTAMP": "1700000000000"}):
                pytest.fail("it was let in")
        assert caught.value.status == 401
        async with connected(bench) as socket:
            answer = await socket.ask("list_subscriptions")
            assert (answer["type"], answer["msg"]) == ("ok", [])

    with kalshi() as bench:
        conversation(talk)


def test_the_server_pings_with_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KalshiStreams, "heartbeat", (0.05, b"heartbeat"))

    async def talk() -> None:
        async with connected(bench, heartbeat=0.05) as socket:
            message = await socket.socket.receive(timeout=DEADLINE)
            assert (message.type, bytes(message.data)) == (aiohttp.WSMsgType.PING, b"heartbeat")

    with kalshi() as bench:
        conversation(talk)


@pytest.mark.parametrize(
    ("command", "params", "code"),
    [
        ("dance", {}, 5),
        ("subscribe", {}, 3),
        ("subscribe", {"channels": []}, 3),
        ("subscribe", {"channels": ["candles"]}, 8),
        ("subscribe", {"channels": ["orderbook_delta"]}, 14),
        ("subscribe", {"channels": ["trade"], "market_tickers": ["NO-SUCH"]}, 16),
        ("subscribe", {"channels": ["trade"], "market_tickers": "T"}, 11),
        ("unsubscribe", {}, 4),
        ("unsubscribe", {"sids": [99]}, 7),
        ("update_subscription", {"action": "add_markets"}, 12),
        ("update_subscription", {"sids": [1, 2], "action": "add_markets"}, 12),
        ("update_subscription", {"sid": 99, "action": "add_markets"}, 7),
        ("update_subscription", {"sid": 1}, 15),
        ("update_subscription", {"sid": 1, "action": "rename"}, 13),
        ("update_subscription", {"sid": 1, "action": "get_snapshot", "market_tickers": [T85]}, 13),
        ("update_subscription", {"sid": 1, "action": "add_markets"}, 14),
    ],
)
def test_a_wrong_command_gets_its_code(command: str, params: Json, code: int) -> None:
    async def talk() -> None:
        async with connected(bench) as socket:
            await socket.ask("subscribe", channels=["fill"])
            answer = await socket.ask(command, **params)
            assert (answer["type"], answer["msg"]["code"]) == ("error", code)
            assert answer["msg"]["msg"]

    with kalshi() as bench:
        conversation(talk)


def test_what_is_no_command_gets_a_code_and_the_connection_stays() -> None:
    async def talk() -> None:
        async with connected(bench) as socket:
            await socket.socket.send_str("not JSON")
            assert (await socket.next())["msg"]["code"] == 1
            await socket.socket.send_json({"id": 7, "cmd": "subscribe"})
            assert (await socket.next()) == {"id": 7, "type": "error", "msg": {"code": 2, "msg": "Params required"}}
            assert (await socket.ask("list_subscriptions"))["type"] == "ok"

    with kalshi() as bench:
        conversation(talk)


def test_each_channel_has_a_number_of_its_own_and_counts_for_itself() -> None:
    async def talk() -> None:
        async with connected(bench) as socket:
            await socket.ask("subscribe", channels=["orderbook_delta", "trade"], market_tickers=[T85, FINE])
            for ticker in (T85, FINE):
                await asyncio.to_thread(bench.trade, ticker, 0.40, 5.0, "buy")
            trades = [await socket.of("trade") for _ in range(2)]
            listed = (await socket.ask("list_subscriptions"))["msg"]
            assert {row["channel"]: row["sid"] for row in listed} == {"orderbook_delta": 1, "trade": 2}
            assert [(one["sid"], one["seq"]) for one in trades] == [(2, 1), (2, 2)]
            assert trades[0]["msg"]["yes_price_dollars"] == "0.4000"
            books = [one["seq"] for one in socket.seen if one.get("sid") == 1 and "seq" in one]
            assert books == list(range(1, len(books) + 1))
            assert len([one for one in socket.seen if one["type"] == "orderbook_snapshot"]) == 2

    with kalshi() as bench:
        conversation(talk)


def test_snapshot_and_deltas_make_the_book_that_rest_shows() -> None:
    async def talk() -> None:
        async with connected(bench) as socket:
            await socket.ask("subscribe", channels=["orderbook_delta"], market_tickers=[T85])
            await caught_up(socket, bench)
            ids = [
                (await call(bench, "POST", ORDERS, order(side=side, price=price, count=count)))["order_id"]
                for side, price, count in (
                    ("bid", "0.3000", "5.00"),
                    ("bid", "0.3000", "2.50"),
                    ("ask", "0.4400", "1.00"),
                    ("ask", "0.4500", "7.00"),
                )
            ]
            await caught_up(socket, bench)
            await call(bench, "DELETE", f"{ORDERS}/{ids[1]}")
            await call(bench, "POST", f"{ORDERS}/{ids[3]}/amend", {"price": "0.4300", "count": "6.00"})
            await caught_up(socket, bench)
            assert followed(socket.seen) == {
                ("yes", "0.3000"): D(5),
                ("no", "0.5600"): D(1),
                ("no", "0.5700"): D(6),
            }
            numbers = [one["seq"] for one in socket.seen if "seq" in one]
            assert numbers == list(range(1, len(numbers) + 1))

    with kalshi() as bench:
        conversation(talk)


def test_the_book_of_a_moving_market_is_followed_without_a_gap() -> None:
    async def talk() -> None:
        async with connected(bench) as first, connected(bench) as late:
            await first.ask("subscribe", channels=["orderbook_delta"], market_tickers=[T85])
            while len(first.seen) < 200:
                await first.next()
            await late.ask("subscribe", channels=["orderbook_delta"], market_tickers=[T85], use_yes_price=True)
            await late.of("orderbook_snapshot")
            while len(late.seen) < 200:
                await late.next()
            for socket in (first, late):
                assert followed(socket.seen)
                numbers = [one["seq"] for one in socket.seen if "seq" in one]
                assert numbers == list(range(1, len(numbers) + 1))

    with kalshi(feed="generator", rate=50.0) as bench:
        conversation(talk)


def test_the_no_leg_comes_in_the_scale_that_was_asked_for() -> None:
    async def talk() -> None:
        async with connected(bench) as own, connected(bench) as yes:
            for socket, scale in ((own, False), (yes, True)):
                await socket.ask("subscribe", channels=["orderbook_delta"], market_tickers=[T85], use_yes_price=scale)
            await call(bench, "POST", ORDERS, order(side="ask", price="0.4500", count="3.00"))
            seen = [(await socket.of("orderbook_delta"))["msg"] for socket in (own, yes)]
            assert [(one["side"], one["price_dollars"], one["delta_fp"]) for one in seen] == [
                ("no", "0.5500", "3.00"),
                ("no", "0.4500", "3.00"),
            ]

    with kalshi() as bench:
        conversation(talk)


def test_markets_come_and_go_and_a_snapshot_is_given_when_asked() -> None:
    async def talk() -> None:
        async with connected(bench) as socket:
            await socket.ask("subscribe", channels=["orderbook_delta"], market_ticker=T85)
            await socket.of("orderbook_snapshot")
            added = await socket.ask("update_subscription", sids=[1], action="add_markets", market_tickers=[FINE])
            assert (added["type"], added["msg"]["market_tickers"]) == ("ok", [T85, FINE])
            assert (await socket.of("orderbook_snapshot"))["msg"]["market_ticker"] == FINE
            gone = await socket.ask("update_subscription", sid=1, action="delete_markets", market_tickers=[T85])
            assert gone["msg"]["market_tickers"] == [FINE]
            await call(bench, "POST", ORDERS, order(price="0.2000"))
            await call(bench, "POST", ORDERS, order(ticker=FINE, price="0.2000"))
            assert (await socket.of("orderbook_delta"))["msg"]["market_ticker"] == FINE
            asked = await socket.ask("update_subscription", sid=1, action="get_snapshot", market_tickers=[FINE])
            snapshot = await socket.of("orderbook_snapshot")
            assert snapshot["msg"]["yes_dollars_fp"] == [["0.2000", "10.00"]]
            assert snapshot["seq"] == asked["seq"] + 1
            ended = await socket.ask("unsubscribe", sids=[1])
            assert (ended["type"], ended["sid"], ended["seq"]) == ("unsubscribed", 1, snapshot["seq"] + 1)

    with kalshi() as bench:
        conversation(talk)


def test_the_ticker_tells_the_best_prices_and_the_last() -> None:
    async def talk() -> None:
        async with connected(bench) as socket:
            channels = ["ticker"]
            await socket.ask("subscribe", channels=channels, market_tickers=[T85], send_initial_snapshot=True)
            assert (await socket.of("ticker"))["msg"]["yes_ask_dollars"] == "1.0000"
            await asyncio.to_thread(bench.trade, T85, 0.40, 12.0, "buy")
            told = (await socket.until(lambda m: m.get("msg", {}).get("price_dollars") == "0.4000"))["msg"]
            assert (told["yes_bid_dollars"], told["yes_ask_dollars"]) == ("0.3900", "0.4000")
            assert (told["volume_fp"], told["last_trade_size_fp"]) == ("12.00", "12.00")

    with kalshi() as bench:
        conversation(talk)


def test_private_channels_tell_of_orders_fills_and_positions() -> None:
    async def talk() -> None:
        async with connected(bench) as socket:
            await socket.ask("subscribe", channels=["fill", "user_orders", "market_positions"])
            await asyncio.to_thread(bench.trade, T85, 0.40, 100.0, "buy")
            placed = await call(bench, "POST", ORDERS, order(client_order_id="bw-1"))
            told = (await socket.of("user_order"))["msg"]
            assert (told["order_id"], told["client_order_id"], told["status"], told["fill_count_fp"]) == (
                placed["order_id"],
                "bw-1",
                "executed",
                "10.00",
            )
            fill = await socket.of("fill")
            assert "seq" not in fill
            assert (fill["msg"]["client_order_id"], fill["msg"]["fee_cost"], fill["msg"]["post_position_fp"]) == (
                "bw-1",
                "0.1700",
                "10.00",
            )
            listed = (await call(bench, "GET", "/portfolio/fills"))["fills"][0]
            assert listed["fill_id"] == fill["msg"]["trade_id"]
            held = (await socket.of("market_position"))["msg"]
            assert (held["position_fp"], held["position_cost_dollars"]) == ("10.00", "4.0000")

    with kalshi() as bench:
        conversation(talk)


@pytest.mark.parametrize("code", [10, 25])
def test_a_subscription_that_is_ended_says_why_and_can_be_opened_again(code: int) -> None:
    async def talk() -> None:
        async with connected(bench) as socket:
            await socket.ask("subscribe", channels=["orderbook_delta", "trade"], market_tickers=[T85])
            assert await asyncio.to_thread(lambda: bench.disturb("orderbook_delta", code=code)) == 1
            told = await socket.of("error")
            assert (told["sid"], told["msg"]["code"]) == (1, code)
            assert [row["channel"] for row in (await socket.ask("list_subscriptions"))["msg"]] == ["trade"]
            again = await socket.ask("subscribe", channels=["orderbook_delta"], market_tickers=[T85])
            assert again["msg"]["sid"] == 3
            assert (await socket.of("orderbook_snapshot"))["seq"] == 1

    with kalshi() as bench:
        conversation(talk)


def test_left_out_numbers_show_as_a_gap() -> None:
    async def talk() -> None:
        async with connected(bench) as socket:
            await socket.ask("subscribe", channels=["orderbook_delta"], market_tickers=[T85])
            before = (await socket.of("orderbook_snapshot"))["seq"]
            await asyncio.to_thread(lambda: bench.disturb("orderbook_delta", skip=3))
            await call(bench, "POST", ORDERS, order())
            assert (await socket.of("orderbook_delta"))["seq"] == before + 4

    with kalshi() as bench:
        conversation(talk)


@pytest.mark.parametrize(("rule", "seen"), [({"duplicate": 1}, 2), ({"lose": 1}, 0), ({"delay": 1, "seconds": 0.2}, 1)])
def test_fills_come_twice_late_or_never_and_rest_knows_them_all(rule: Json, seen: int) -> None:
    async def talk() -> None:
        async with connected(bench) as socket:
            await socket.ask("subscribe", channels=["fill"])
            await asyncio.to_thread(bench.trade, T85, 0.40, 100.0, "buy")
            await asyncio.to_thread(lambda: bench.faults(executions=rule))
            await call(bench, "POST", ORDERS, order(client_order_id="hurt"))
            if "seconds" not in rule:
                await call(bench, "POST", ORDERS, order(client_order_id="whole"))
                await socket.until(lambda m: m.get("msg", {}).get("client_order_id") == "whole")
            else:
                await socket.of("fill")
            ids = [m["msg"]["client_order_id"] for m in socket.seen if m["type"] == "fill"]
            assert ids.count("hurt") == seen
            assert "hurt" in [row["client_order_id"] for row in (await call(bench, "GET", "/portfolio/fills"))["fills"]]

    with kalshi() as bench:
        conversation(talk)


def test_an_order_message_can_have_a_status_nobody_knows() -> None:
    async def talk() -> None:
        async with connected(bench) as socket:
            await socket.ask("subscribe", channels=["user_orders"])
            await asyncio.to_thread(lambda: bench.faults(executions={"unknown": 1}))
            await call(bench, "POST", ORDERS, order())
            assert (await socket.of("user_order"))["msg"]["status"] == "something_new"

    with kalshi() as bench:
        conversation(talk)


@pytest.mark.parametrize("kind", ["drop", "close"])
def test_a_stream_that_is_dropped_or_closed_ends(kind: str) -> None:
    async def talk() -> None:
        async with connected(bench) as socket:
            await socket.ask("subscribe", channels=["trade"])
            await asyncio.to_thread(lambda: bench.faults(streams=[{"stream": "private", "kind": kind}]))
            ended = await socket.socket.receive(timeout=DEADLINE)
            assert ended.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        async with connected(bench) as socket:
            assert (await socket.ask("list_subscriptions"))["msg"] == []

    with kalshi() as bench:
        conversation(talk)


def test_garbage_and_unknown_types_come_in_between() -> None:
    async def talk() -> None:
        async with connected(bench) as socket:
            await socket.ask("subscribe", channels=["trade"])
            faults = [{"stream": "public", "kind": kind} for kind in ("garbage", "unknown_type")]
            await asyncio.to_thread(lambda: bench.faults(streams=faults))
            assert (await socket.socket.receive(timeout=DEADLINE)).data == "<<this is not JSON>>"
            assert (await socket.next())["type"] == "novelty"
            await asyncio.to_thread(bench.trade, T85, 0.40, 5.0, "buy")
            assert (await socket.of("trade"))["seq"] == 1

    with kalshi() as bench:
        conversation(talk)


def test_what_a_muted_stream_loses_shows_as_a_gap() -> None:
    async def talk() -> None:
        async with connected(bench) as socket:
            await socket.ask("subscribe", channels=["trade"], market_tickers=[T85])
            mute = [{"stream": "all", "kind": "mute", "seconds": 3.0}]
            await asyncio.to_thread(lambda: bench.faults(streams=mute))
            heard = asyncio.create_task(socket.of("trade"))
            sent = 0
            while not heard.done():
                await asyncio.to_thread(bench.trade, T85, 0.40, 5.0, "buy")
                sent += 1
                await asyncio.wait([heard], timeout=0.2)
            assert 1 < heard.result()["seq"] <= sent

    with kalshi() as bench:
        conversation(talk)
