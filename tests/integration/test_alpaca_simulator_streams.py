"""The real TradingStream and data streams against the Alpaca simulator over real sockets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
import pytest
from alpaca.data.models.trades import Trade
from msgspec.msgpack import Ext

from tests.integration.alpaca_bench import (
    DEADLINE,
    KEY,
    SECRET,
    Prices,
    Running,
    Updates,
    eventually,
    market,
    order,
    running,
    trading,
)


def told(updates: Updates, count: int) -> list[tuple[str, str]]:
    """The next events with the status of the order in them."""
    return [(event, data["order"]["status"]) for event, data in updates.events(count)]


class TestTradeUpdates:
    def test_a_market_order_is_told_from_its_arrival_to_its_last_fill(self) -> None:
        with running() as bench:
            updates = Updates(bench)
            bench.trade("AAPL", 229.40, 10.0, "buy")
            placed = trading(bench).post("/orders", market(qty="2", client_order_id="one"))
            events = updates.events(3)
            assert [event for event, _ in events] == ["pending_new", "new", "fill"]
            assert {data["order"]["id"] for _, data in events} == {placed["id"]}
            fill = events[-1][1]
            assert (fill["price"], fill["qty"], fill["position_qty"]) == ("229.4", "2", "2")
            assert (fill["order"]["status"], fill["order"]["filled_qty"]) == ("filled", "2")
            stream_id = fill["execution_id"]
            activity = trading(bench).get("/account/activities/FILL")[0]
            assert activity["id"].endswith(f"::{stream_id}")
            assert (activity["cum_qty"], activity["leaves_qty"]) == ("2", "0")

    def test_partial_fills_say_what_the_order_and_the_position_were_right_after_each(self) -> None:
        with running() as bench:
            updates, client = Updates(bench), trading(bench)
            bench.trade("AAPL", 229.40, 10.0, "buy")
            client.post("/orders", market(qty="250"))
            seen = []
            while not seen or seen[-1]["event"] != "fill":
                data = updates.next()["data"]
                if data["event"] in ("fill", "partial_fill"):
                    seen.append(data)
            assert len(seen) > 1
            done = 0.0
            for data in seen:
                done += float(data["qty"])
                assert float(data["order"]["filled_qty"]) == pytest.approx(done)
                assert float(data["position_qty"]) == pytest.approx(done)
            assert {data["order"]["status"] for data in seen[:-1]} == {"partially_filled"}
            average = sum(float(d["qty"]) * float(d["price"]) for d in seen) / 250
            assert float(seen[-1]["order"]["filled_avg_price"]) == pytest.approx(average)

    def test_cancelling_and_replacing_are_told_in_their_order(self) -> None:
        with running() as bench:
            updates, client = Updates(bench), trading(bench)
            old = client.post("/orders", order(qty="2", time_in_force="gtc"))
            assert told(updates, 2) == [("pending_new", "pending_new"), ("new", "new")]
            new = client.patch(f"/orders/{old['id']}", {"limit_price": "201"})
            events = updates.events(4)
            assert [(event, data["order"]["id"]) for event, data in events] == [
                ("pending_replace", old["id"]),
                ("replaced", old["id"]),
                ("pending_new", new["id"]),
                ("new", new["id"]),
            ]
            assert events[1][1]["order"]["replaced_by"] == new["id"]
            client.cancel_order_by_id(new["id"])
            assert told(updates, 2) == [("pending_cancel", "pending_cancel"), ("canceled", "canceled")]

    def test_a_market_order_that_meets_nobody_is_told_as_rejected(self) -> None:
        with running() as bench:
            updates = Updates(bench)
            trading(bench).post("/orders", market())
            assert told(updates, 3)[-1] == ("rejected", "rejected")

    def test_the_typed_model_of_the_sdk_reads_an_update(self) -> None:
        with running() as bench:
            updates = Updates(bench, raw=False)
            bench.trade("AAPL", 229.40, 10.0, "buy")
            trading(bench).post("/orders", market(qty="1.5"))
            fill = updates.next(lambda update: update.event == "fill")
            assert (fill.price, fill.position_qty, fill.order.filled_qty) == (229.4, 1.5, "1.5")

    def test_only_the_account_of_the_key_is_told(self) -> None:
        with running(more_keys={"second": "hidden"}) as bench:
            mine, other = Updates(bench), Updates(bench, "second", "hidden")
            trading(bench).post("/orders", order(client_order_id="mine"))
            trading(bench, "second", "hidden").post("/orders", order(client_order_id="other"))
            assert mine.next()["data"]["order"]["client_order_id"] == "mine"
            assert other.next()["data"]["order"]["client_order_id"] == "other"

    def test_lost_duplicate_and_late_fills_are_as_asked_for_and_rest_tells_the_truth(self) -> None:
        with running() as bench:
            updates, client = Updates(bench), trading(bench)
            bench.trade("AAPL", 229.40, 10.0, "buy")
            bench.faults(executions={"lose": 1, "duplicate": 1})
            for name in ("lost", "doubled", "plain"):
                client.post("/orders", market(client_order_id=name))
            fills: list[str] = []
            while fills.count("plain") == 0:
                data = updates.next()["data"]
                fills += [data["order"]["client_order_id"]] if data["event"] == "fill" else []
            assert fills == ["doubled", "doubled", "plain"]
            bench.faults(executions={"delay": 1, "seconds": 0.05})

            async def both() -> None:
                for name in ("late", "after"):
                    bench.simulator.desk.place("main", market(client_order_id=name))

            bench.run(both)
            names = [updates.next(lambda m: m["data"]["event"] == "fill")["data"]["order"]["client_order_id"]]
            names += [updates.next(lambda m: m["data"]["event"] == "fill")["data"]["order"]["client_order_id"]]
            assert names == ["after", "late"]
            assert len(client.get("/account/activities/FILL")) == 5

    def test_an_event_and_status_nobody_knows_can_be_asked_for(self) -> None:
        with running() as bench:
            updates = Updates(bench)
            bench.faults(executions={"unknown": 1})
            trading(bench).post("/orders", order())
            event, data = updates.events(1)[0]
            assert (event, data["order"]["status"]) == ("something_new", "something_new")

    @pytest.mark.parametrize("kind", ["drop", "close"])
    def test_the_sdk_comes_back_after_the_stream_broke_off(self, kind: str) -> None:
        with running() as bench:
            updates = Updates(bench)
            first = bench.simulator.streams.subscribers("trade_updates")[0]
            bench.faults(streams=[{"stream": "private", "kind": kind}])
            eventually(lambda: [c for c in bench.simulator.streams.subscribers("trade_updates") if c is not first])
            trading(bench).post("/orders", order(client_order_id="again"))
            assert updates.next()["data"]["order"]["client_order_id"] == "again"
            assert bench.state()["faults"][f"stream_{kind}"] == 1

    def test_what_a_mute_stream_was_to_send_is_lost(self) -> None:
        with running() as bench:
            updates, client = Updates(bench), trading(bench)
            socket = bench.simulator.streams.subscribers("trade_updates")[0]
            bench.faults(streams=[{"stream": "private", "kind": "mute", "seconds": 3_600.0}])
            client.post("/orders", order(client_order_id="unheard"))
            bench.run(socket.flushed)
            socket.mute(0.0)
            client.post("/orders", order(client_order_id="heard"))
            assert updates.next()["data"]["order"]["client_order_id"] == "heard"


class TestPrices:
    def test_trades_and_quotes_are_told_as_they_happen(self) -> None:
        with running() as bench:
            prices = Prices(bench, {"trades": ["AAPL"], "quotes": ["AAPL"]})
            bench.trade("AAPL", 229.40, 120.0, "buy")
            bench.trade("AAPL", 229.41, 5.0, "buy")
            first, second = prices.of("t", "AAPL"), prices.of("t", "AAPL")
            assert (first["p"], first["s"], first["c"]) == (229.40, 120, ["@"])
            assert (second["p"], second["s"], second["c"]) == (229.41, 5, ["@", "I"])
            assert abs(first["t"].to_unix_nano() - time.time_ns()) < DEADLINE * 1e9

    def test_a_quote_lies_around_the_last_trade_and_moves_when_an_order_takes_from_it(self) -> None:
        with running() as bench:
            prices = Prices(bench, {"quotes": ["AAPL"]})
            bench.trade("AAPL", 229.40, 10.0, "buy")
            quote = prices.of("q", "AAPL")
            assert quote["bp"] < quote["ap"] == 229.40
            assert quote["as"] == int(quote["as"])
            trading(bench).post("/orders", market(qty=str(int(quote["as"]) + 1)))
            assert prices.of("q", "AAPL")["ap"] > 229.40

    def test_the_typed_model_of_the_sdk_reads_a_trade(self) -> None:
        with running() as bench:
            prices = Prices(bench, {"trades": ["AAPL"]}, raw=False)
            bench.trade("AAPL", 229.40, 10.0, "buy")
            seen = prices.next(lambda message: isinstance(message, Trade))
            assert (seen.symbol, seen.price, seen.size) == ("AAPL", 229.40, 10)

    def test_a_star_stands_for_every_stock_but_no_crypto(self) -> None:
        with running() as bench:
            prices = Prices(bench, {"trades": ["*"]})
            eventually(lambda: bench.simulator.streams.subscribers("trades.MSFT"))
            bench.trade("BTC/USD", 60_000.0, 1.0, "buy")
            bench.trade("MSFT", 428.0, 1.0, "buy")
            assert prices.next()["S"] == "MSFT"

    def test_the_crypto_book_rebuilt_from_its_changes_is_the_one_rest_gives(self) -> None:
        with running() as bench:
            bench.trade("BTC/USD", 60_000.0, 1.0, "buy")
            prices = Prices(bench, {"orderbooks": ["BTC/USD"], "trades": ["BTC/USD"]}, coins=True)
            first = prices.of("o", "BTC/USD")
            assert first["r"] is True
            sides = {side: {level["p"]: level["s"] for level in first[side]} for side in "ba"}
            bench.trade("BTC/USD", 59_990.0, 1.0, "sell")
            told = prices.of("t", "BTC/USD")
            assert told["tks"] == "S"
            change = prices.of("o", "BTC/USD")
            assert "r" not in change
            for side in "ba":
                sides[side].update({level["p"]: level["s"] for level in change[side]})
                sides[side] = {price: size for price, size in sides[side].items() if size}
            book = bench.simulator.publisher.book(bench.simulator.venue.markets["BTC/USD"])
            assert sides == {side: {level["p"]: level["s"] for level in book[side]} for side in "ba"}
            assert max(sides["b"]) < min(sides["a"])

    def test_the_sdk_comes_back_and_subscribes_again_after_the_stream_broke_off(self) -> None:
        with running() as bench:
            prices = Prices(bench, {"trades": ["AAPL"]})
            first = bench.simulator.streams.subscribers("trades.AAPL")[0]
            bench.faults(streams=[{"stream": "public", "kind": "drop"}])
            eventually(lambda: [c for c in bench.simulator.streams.subscribers("trades.AAPL") if c is not first])
            bench.trade("AAPL", 229.40, 10.0, "buy")
            assert prices.of("t", "AAPL")["p"] == 229.40


Talk = Callable[[aiohttp.ClientWebSocketResponse], Awaitable[Any]]


def talking(bench: Running, path: str, talk: Talk, headers: dict[str, str] | None = None) -> Any:
    """What ``talk`` makes of a plain WebSocket connection to ``path``."""

    async def run() -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(bench.simulator.ws_url + path, headers=headers) as socket,
        ):
            return await talk(socket)

    return asyncio.run(run())


AUTH = {"action": "auth", "key": KEY, "secret": SECRET}


class TestProtocol:
    def test_a_data_stream_tells_every_error_by_its_code(self) -> None:
        async def talk(socket: aiohttp.ClientWebSocketResponse) -> list[Any]:
            asked = ["{", {"action": "dance"}, {"action": "subscribe", "trades": ["AAPL"]}, AUTH | {"secret": "no"}]
            answers = [await socket.receive_json(timeout=DEADLINE)]
            for message in [*asked, AUTH, AUTH]:
                await socket.send_str(message if isinstance(message, str) else json.dumps(message))
                answers.append(await socket.receive_json(timeout=DEADLINE))
            return answers

        with running() as bench:
            first, *rest = talking(bench, "/v2/iex", talk)
        assert first == [{"T": "success", "msg": "connected"}]
        assert [answer[0].get("code", answer[0]["msg"]) for answer in rest] == [
            400,
            400,
            401,
            402,
            "authenticated",
            403,
        ]

    def test_a_second_connection_to_one_endpoint_is_refused_with_406_and_closed(self) -> None:
        async def second(socket: aiohttp.ClientWebSocketResponse) -> tuple[Any, aiohttp.WSMsgType]:
            await socket.receive_json(timeout=DEADLINE)
            await socket.send_json(AUTH)
            answer = await socket.receive_json(timeout=DEADLINE)
            return answer, (await socket.receive(timeout=DEADLINE)).type

        with running() as bench:
            prices = Prices(bench, {"trades": ["AAPL"]})
            answer, ending = talking(bench, "/v2/iex", second)
            assert answer == [{"T": "error", "code": 406, "msg": "connection limit exceeded"}]
            assert ending is aiohttp.WSMsgType.CLOSE
            Prices(bench, {"trades": ["BTC/USD"]}, coins=True)
            bench.trade("AAPL", 229.40, 10.0, "buy")
            assert prices.of("t", "AAPL")["p"] == 229.40

    def test_json_is_spoken_in_text_and_messagepack_in_binary_with_timestamps(self) -> None:
        async def talk(socket: aiohttp.ClientWebSocketResponse) -> list[aiohttp.WSMessage]:
            await socket.receive(timeout=DEADLINE)
            await socket.send_json(AUTH)
            await socket.receive(timeout=DEADLINE)
            await socket.send_json({"action": "subscribe", "trades": ["AAPL"]})
            acknowledged = await socket.receive(timeout=DEADLINE)
            await asyncio.to_thread(bench.trade, "AAPL", 229.40, 10.0, "buy")
            return [acknowledged, await socket.receive(timeout=DEADLINE)]

        with running() as bench:
            answer, trade = talking(bench, "/v2/iex", talk)
            assert json.loads(answer.data)[0]["trades"] == ["AAPL"]
            assert (trade.type, json.loads(trade.data)[0]["t"][-1]) == (aiohttp.WSMsgType.TEXT, "Z")
            eventually(lambda: not bench.simulator.streams.clients)
            _, packed = talking(bench, "/v2/iex", talk, {"Content-Type": "application/msgpack"})
            assert packed.type is aiohttp.WSMsgType.BINARY
            found = msgspec.msgpack.decode(packed.data, ext_hook=Ext)[0]
            assert abs(found["t"].timestamp() - time.time()) < DEADLINE

    def test_unsubscribing_ends_a_channel_and_the_answer_lists_what_is_left(self) -> None:
        async def talk(socket: aiohttp.ClientWebSocketResponse) -> Any:
            for message in (AUTH, {"action": "subscribe", "trades": ["AAPL", "MSFT"], "bars": ["AAPL"]}):
                await socket.receive(timeout=DEADLINE)
                await socket.send_json(message)
            await socket.receive(timeout=DEADLINE)
            await socket.send_json({"action": "unsubscribe", "trades": ["AAPL"]})
            answer = await socket.receive_json(timeout=DEADLINE)
            left = bench.simulator.streams.subscribers("trades.AAPL")
            return {name: answer[0][name] for name in ("trades", "bars", "quotes")}, len(left)

        with running() as bench:
            assert talking(bench, "/v2/iex", talk) == ({"trades": ["MSFT"], "bars": ["AAPL"], "quotes": []}, 0)

    def test_the_trading_stream_speaks_json_in_binary_frames_and_refuses_wrong_keys(self) -> None:
        async def talk(socket: aiohttp.ClientWebSocketResponse) -> list[Any]:
            listen = {"action": "listen", "data": {"streams": ["trade_updates", "other"]}}
            wrong = {"action": "authenticate", "data": {"key_id": KEY, "secret_key": "no"}}
            right = {"action": "authenticate", "data": {"key_id": KEY, "secret_key": SECRET}}
            answers = []
            for message in (listen, wrong, {"action": "dance"}, right, listen, listen | {"data": {"streams": []}}):
                await socket.send_json(message)
                answers.append(await socket.receive(timeout=DEADLINE))
            return answers

        with running() as bench:
            answers = talking(bench, "/stream", talk)
        assert {answer.type for answer in answers} == {aiohttp.WSMsgType.BINARY}
        told = [json.loads(answer.data) for answer in answers]
        assert told[0] == {"stream": "authorization", "data": {"action": "listen", "status": "unauthorized"}}
        assert told[1] == {"stream": "authorization", "data": {"action": "authenticate", "status": "unauthorized"}}
        assert told[2]["action"] == "error"
        assert told[3]["data"]["status"] == "authorized"
        assert told[4] == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
        assert told[5] == {"stream": "listening", "data": {"streams": []}}

    @pytest.mark.parametrize(("path", "stream"), [("/stream", "private"), ("/v2/iex", "public")])
    def test_garbage_and_unknown_messages_can_be_asked_for(self, path: str, stream: str) -> None:
        async def talk(socket: aiohttp.ClientWebSocketResponse) -> list[Any]:
            faults = [{"stream": stream, "kind": "garbage"}, {"stream": stream, "kind": "unknown_type"}]
            await asyncio.to_thread(bench.faults, streams=faults)
            found = [await socket.receive(timeout=DEADLINE) for _ in range(3 if stream == "public" else 2)]
            return [message.data for message in found[-2:]]

        with running() as bench:
            garbage, strange = talking(bench, path, talk)
        with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
            json.loads(garbage)
        assert "novelty" in str(json.loads(strange))
