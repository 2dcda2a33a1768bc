"""The real alpaca-py, unchanged, against the Alpaca simulator over real sockets: orders and account."""

from __future__ import annotations

import time
import uuid
from decimal import Decimal as D
from typing import Any

import pytest
from alpaca.trading.enums import OrderStatus
from alpaca.trading.requests import GetOrdersRequest, LimitOrderRequest, MarketOrderRequest, ReplaceOrderRequest

from exchanges.simulators.errors import SimulatorError
from tests.integration.alpaca_bench import (
    code_of,
    market,
    order,
    refusal,
    running,
    trading,
)


def test_a_market_order_fills_against_the_synthetic_book_and_becomes_a_position() -> None:
    with running() as bench:
        client = trading(bench)
        bench.trade("AAPL", 229.40, 10.0, "buy")
        placed = client.post("/orders", market(qty="2", client_order_id="one"))
        assert (placed["status"], placed["filled_qty"]) == ("pending_new", "0")
        found = client.get_order_by_client_id("one")
        assert (found["status"], found["filled_qty"], found["filled_avg_price"]) == ("filled", "2", "229.4")
        assert found["id"] == placed["id"]
        held = client.get_open_position("AAPL")
        assert (held["qty"], held["side"], held["avg_entry_price"]) == ("2", "long", "229.4")
        account = client.get_account()
        assert D(account["cash"]) == D(100_000) - 2 * D("229.4")
        assert (account["equity"], account["multiplier"]) == ("100000", "2")


def test_the_typed_models_of_the_sdk_read_every_answer() -> None:
    with running() as bench:
        client = trading(bench, raw=False)
        bench.trade("AAPL", 229.40, 10.0, "buy")
        bought = client.submit_order(MarketOrderRequest(symbol="AAPL", qty=1.5, side="buy", time_in_force="day"))
        limit = client.submit_order(
            LimitOrderRequest(symbol="AAPL", qty=3, side="buy", time_in_force="gtc", limit_price=200.25)
        )
        assert client.get_order_by_id(bought.id).status is OrderStatus.FILLED
        replaced = client.replace_order_by_id(limit.id, ReplaceOrderRequest(qty=2, limit_price=201.5))
        assert client.get_order_by_id(limit.id).replaced_by == replaced.id
        assert [o.id for o in client.get_orders(GetOrdersRequest(symbols=["AAPL"]))] == [replaced.id]
        assert client.get_all_positions()[0].qty == "1.5"
        assert client.get_asset("SEB").fractionable is False
        assert {a.symbol for a in client.get_all_assets()} >= {"AAPL", "BTC/USD"}
        assert client.get_clock().is_open is True
        assert client.get_calendar()[0].open < client.get_calendar()[0].close
        assert [c.status for c in client.cancel_orders()] == [200]
        closed = client.close_position("AAPL")
        assert client.get_order_by_id(closed.id).status is OrderStatus.FILLED
        assert client.get_account().account_number.startswith("PA")


def test_a_limit_order_rests_and_is_cancelled_and_is_listed_as_what_it_is() -> None:
    with running() as bench:
        client = trading(bench)
        placed = client.post("/orders", order(client_order_id="rest"))
        assert [row["status"] for row in client.get("/orders")] == ["new"]
        client.cancel_order_by_id(placed["id"])
        ended = client.get_order_by_id(placed["id"])
        assert (ended["status"], bool(ended["canceled_at"]), ended["filled_at"]) == ("canceled", True, None)
        assert client.get("/orders") == []
        assert [row["id"] for row in client.get("/orders", {"status": "closed"})] == [placed["id"]]
        assert code_of(lambda: client.cancel_order_by_id(placed["id"])) == (422, 42210000)


def test_a_resting_order_fills_from_a_public_trade_at_its_own_price() -> None:
    with running() as bench:
        client = trading(bench)
        bench.trade("AAPL", 229.40, 10.0, "buy")
        placed = client.post("/orders", order(qty="5", limit_price="229"))
        bench.trade("AAPL", 228.90, 2.0, "sell")
        assert client.get_order_by_id(placed["id"])["status"] == "partially_filled"
        bench.trade("AAPL", 228.90, 50.0, "sell")
        found = client.get_order_by_id(placed["id"])
        assert (found["status"], found["filled_avg_price"]) == ("filled", "229")


class TestReplacing:
    def test_a_replacement_has_a_new_id_and_the_old_order_points_to_it(self) -> None:
        with running() as bench:
            client = trading(bench)
            old = client.post("/orders", order(qty="3", client_order_id="old", time_in_force="gtc"))
            new = client.patch(f"/orders/{old['id']}", {"limit_price": "201.5", "client_order_id": "new"})
            assert (new["replaces"], new["client_order_id"], new["qty"]) == (old["id"], "new", "3")
            before = client.get_order_by_id(old["id"])
            assert (before["status"], before["replaced_by"], before["limit_price"]) == ("replaced", new["id"], "200")
            assert [row["id"] for row in client.get("/orders")] == [new["id"]]
            assert code_of(lambda: client.cancel_order_by_id(old["id"])) == (422, 42210000)
            assert code_of(lambda: client.patch(f"/orders/{old['id']}", {"qty": "1"})) == (422, 42210000)

    def test_a_replacement_of_a_partly_filled_order_starts_unfilled(self) -> None:
        with running() as bench:
            client = trading(bench)
            bench.trade("AAPL", 229.40, 10.0, "buy")
            old = client.post("/orders", order(qty="5", limit_price="229", time_in_force="gtc"))
            bench.trade("AAPL", 228.50, 2.0, "sell")
            new = client.patch(f"/orders/{old['id']}", {"qty": "3", "limit_price": "228"})
            bench.trade("AAPL", 227.50, 100.0, "sell")
            first, second = client.get_order_by_id(old["id"]), client.get_order_by_id(new["id"])
            assert (first["status"], first["filled_qty"], first["filled_avg_price"]) == ("replaced", "2", "229")
            assert (second["status"], second["filled_qty"], second["filled_avg_price"]) == ("filled", "3", "228")
            assert client.get_open_position("AAPL")["qty"] == "5"
            fills = client.get("/account/activities/FILL")
            told = [(row["order_id"], row["qty"], row["cum_qty"]) for row in reversed(fills)]
            assert told == [(old["id"], "2", "2"), (new["id"], "3", "3")]

    def test_what_can_not_be_replaced_is_refused_and_stays(self) -> None:
        with running() as bench:
            client = trading(bench)
            bench.trade("AAPL", 229.40, 10.0, "buy")
            part = client.post("/orders", order(qty="1.5"))
            money = client.post("/orders", order(qty=None, notional="100"))
            whole = client.post("/orders", order(qty="1", client_order_id="whole"))
            assert code_of(lambda: client.patch(f"/orders/{part['id']}", {"qty": "2"})) == (422, 42210000)
            assert code_of(lambda: client.patch(f"/orders/{money['id']}", {"limit_price": "201"})) == (422, 42210000)
            taken = {"limit_price": "201", "client_order_id": "whole"}
            assert code_of(lambda: client.patch(f"/orders/{whole['id']}", taken)) == (422, 40010001)
            assert code_of(lambda: client.patch(f"/orders/{whole['id']}", {"qty": "100000"})) == (403, 40310000)
            assert code_of(lambda: client.patch(f"/orders/{uuid.uuid4()}", {"qty": "2"})) == (404, 40410000)
            assert {row["status"] for row in client.get("/orders")} == {"new"}
            assert client.get_order_by_id(whole["id"])["qty"] == "1"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"symbol": "NOPE"}, (422, 42210000)),
        ({"symbol": None}, (422, 40010001)),
        ({"side": "hold"}, (422, 42210000)),
        ({"side": None}, (422, 40010001)),
        ({"type": "stop", "stop_price": "210"}, (422, 42210000)),
        ({"time_in_force": "opg"}, (422, 42210000)),
        ({"order_class": "bracket"}, (422, 42210000)),
        ({"qty": None}, (422, 42210000)),
        ({"notional": "100"}, (422, 42210000)),
        ({"qty": "0"}, (422, 42210000)),
        ({"qty": "many"}, (422, 40010001)),
        ({"qty": "0.1234567891"}, (422, 42210000)),
        ({"limit_price": None}, (422, 42210000)),
        ({"limit_price": "200.001"}, (422, 42210000)),
        ({"limit_price": "-1"}, (422, 42210000)),
        ({"symbol": "MULN", "limit_price": "0.41235"}, (422, 42210000)),
        ({"type": "market"}, (422, 42210000)),
        ({"qty": "1.5", "time_in_force": "gtc"}, (422, 42210000)),
        ({"qty": None, "notional": "100.001"}, (422, 42210000)),
        ({"qty": None, "notional": "0.5"}, (403, 40310000)),
        ({"symbol": "SEB", "qty": "0.5"}, (403, 40310000)),
        ({"client_order_id": "a" * 129}, (422, 42210000)),
        ({"extended_hours": True, "time_in_force": "ioc"}, (422, 42210000)),
        ({"symbol": "BTC/USD", "limit_price": "50000"}, (422, 42210000)),
        ({"symbol": "BTC/USD", "time_in_force": "gtc", "limit_price": "5", "qty": "0.1"}, (403, 40310000)),
        ({"qty": "2000"}, (403, 40310000)),
        ({"side": "sell", "symbol": "HKD", "limit_price": "5"}, (403, 40310000)),
        ({"side": "sell", "qty": "1.5", "limit_price": "300"}, (422, 42210000)),
        ({"side": "sell", "symbol": "BTC/USD", "time_in_force": "gtc", "limit_price": "90000"}, (403, 40310000)),
        ({"position_intent": "sell_to_close"}, (422, 42210000)),
    ],
)
def test_a_bad_order_gets_the_venues_status_and_code(changes: dict[str, Any], expected: tuple[int, int]) -> None:
    with running() as bench:
        client = trading(bench)
        assert code_of(lambda: client.post("/orders", order(**changes))) == expected
        assert client.get("/orders", {"status": "all"}) == []


def test_a_price_below_a_dollar_moves_in_hundredths_of_a_cent_and_one_above_in_cents() -> None:
    with running() as bench:
        client = trading(bench)
        placed = client.post("/orders", order(symbol="MULN", qty="100", limit_price="0.4123"))
        assert placed["limit_price"] == "0.4123"
        assert code_of(lambda: client.post("/orders", order(symbol="MULN", limit_price="1.0001"))) == (422, 42210000)


def test_a_client_order_id_is_never_taken_twice_not_even_after_the_order_has_ended() -> None:
    with running() as bench:
        client = trading(bench)
        placed = client.post("/orders", order(client_order_id="twice"))
        client.cancel_order_by_id(placed["id"])
        status, body = refusal(lambda: client.post("/orders", order(client_order_id="twice")))
        assert (status, body["message"]) == (422, "client_order_id must be unique")


class TestPositions:
    def test_a_short_sale_is_a_negative_position_that_a_purchase_covers(self) -> None:
        with running() as bench:
            client = trading(bench)
            bench.trade("AAPL", 229.40, 10.0, "buy")
            sold = client.post("/orders", market(side="sell", qty="3"))
            assert sold["position_intent"] == "sell_to_open"
            held = client.get_open_position("AAPL")
            assert (held["qty"], held["side"]) == ("-3", "short")
            assert D(client.get_account()["short_market_value"]) < 0
            client.close_position("AAPL")
            assert client.get_all_positions() == []

    def test_one_order_does_not_turn_a_position_over(self) -> None:
        with running() as bench:
            client = trading(bench)
            bench.trade("AAPL", 229.40, 10.0, "buy")
            client.post("/orders", market(qty="3"))
            status, body = refusal(lambda: client.post("/orders", market(side="sell", qty="5")))
            assert (status, body["code"], body["available"], body["existing_qty"]) == (403, 40310000, "3", "3")

    def test_what_other_orders_are_selling_is_not_sold_again(self) -> None:
        with running() as bench:
            client = trading(bench)
            bench.trade("AAPL", 229.40, 10.0, "buy")
            client.post("/orders", market(qty="3"))
            waiting = client.post("/orders", order(side="sell", qty="2", limit_price="300"))
            assert client.get_open_position("AAPL")["qty_available"] == "1"
            status, body = refusal(lambda: client.close_position("AAPL"))
            assert (status, body["held_for_orders"], body["related_orders"]) == (403, "2", [waiting["id"]])
            told = client.close_all_positions(cancel_orders=True)
            assert [row["status"] for row in told] == [200]
            assert client.get_all_positions() == []

    def test_an_order_against_ones_own_is_refused_as_a_wash_trade(self) -> None:
        with running() as bench:
            client = trading(bench)
            bench.trade("AAPL", 229.40, 10.0, "buy")
            client.post("/orders", market(qty="3"))
            waiting = client.post("/orders", order(side="sell", qty="1", limit_price="230"))
            status, body = refusal(lambda: client.post("/orders", order(limit_price="230")))
            assert (status, body["existing_order_id"]) == (403, waiting["id"])
            assert client.post("/orders", order(limit_price="229.99"))["status"] == "pending_new"

    def test_a_part_of_a_position_is_closed_by_quantity_or_percentage(self) -> None:
        with running() as bench:
            client = trading(bench)
            bench.trade("AAPL", 229.40, 10.0, "buy")
            client.post("/orders", market(qty="10"))
            client.delete("/positions/AAPL", {"percentage": "30"})
            client.delete("/positions/AAPL", {"qty": "2.5"})
            assert client.get_open_position("AAPL")["qty"] == "4.5"
            assert code_of(lambda: client.delete("/positions/AAPL", {"percentage": "0"})) == (422, 42210000)
            assert code_of(lambda: client.get_open_position("MSFT")) == (404, 40410000)

    def test_a_crypto_position_is_told_without_the_slash_and_found_either_way(self) -> None:
        with running() as bench:
            client = trading(bench)
            bench.trade("BTC/USD", 60_000.0, 1.0, "buy")
            bought = client.post("/orders", market(symbol="BTC/USD", qty="0.5", time_in_force="gtc"))
            assert bought["symbol"] == "BTC/USD"
            assert [row["symbol"] for row in client.get_all_positions()] == ["BTCUSD"]
            held = client.get("/positions/BTCUSD")
            assert client.get("/positions/BTC%2FUSD") == held == client.get(f"/positions/{held['asset_id']}")
            assert D(client.get_account()["cash"]) < D(70_000)
            client.close_position("BTCUSD")
            assert client.get_all_positions() == []


class TestFunds:
    def test_stocks_may_cost_twice_the_equity_and_crypto_only_the_cash(self) -> None:
        with running() as bench:
            client = trading(bench)
            bench.trade("AAPL", 200.0, 10.0, "buy")
            bench.trade("BTC/USD", 50_000.0, 1.0, "buy")
            assert client.get_account()["buying_power"] == "200000"
            status, body = refusal(lambda: client.post("/orders", order(qty="1006", limit_price="199")))
            assert (status, body["code"], body["buying_power"]) == (403, 40310000, "200000")
            client.cancel_order_by_id(client.post("/orders", order(qty="1005", limit_price="199"))["id"])
            coins = order(symbol="BTC/USD", qty="2", limit_price="50001", time_in_force="gtc")
            assert refusal(lambda: client.post("/orders", coins))[1]["symbol"] == "USD"
            client.post("/orders", order(symbol="BTC/USD", qty="1", limit_price="49000", time_in_force="gtc"))
            account = client.get_account()
            assert D(account["non_marginable_buying_power"]) == D(51_000)
            assert D(account["buying_power"]) == D(102_000)

    def test_cash_of_a_sale_is_there_at_once_and_orders_hold_what_they_need(self) -> None:
        with running() as bench:
            client = trading(bench)
            bench.trade("AAPL", 200.0, 10.0, "buy")
            client.post("/orders", order(qty="100", limit_price="150"))
            assert client.get_account()["buying_power"] == "185000"
            client.cancel_orders()
            assert client.get_account()["buying_power"] == "200000"


class TestNotional:
    def test_an_amount_of_money_buys_a_fraction_and_keeps_its_amount(self) -> None:
        with running() as bench:
            client = trading(bench)
            bench.trade("AAPL", 200.0, 10.0, "buy")
            placed = client.post("/orders", market(qty=None, notional="500"))
            assert (placed["qty"], placed["notional"]) == (None, "500")
            found = client.get_order_by_id(placed["id"])
            assert (found["status"], found["filled_qty"]) == ("filled", "2.5")

    def test_it_can_not_be_placed_where_nothing_says_what_it_buys(self) -> None:
        with running() as bench:
            client = trading(bench)
            assert code_of(lambda: client.post("/orders", market(qty=None, notional="500"))) == (422, 42210000)


def test_a_market_order_that_meets_nobody_is_rejected_and_an_ioc_one_cancelled() -> None:
    with running() as bench:
        client = trading(bench)
        first = client.post("/orders", market())
        second = client.post("/orders", market(time_in_force="ioc"))
        assert client.get_order_by_id(first["id"])["status"] == "rejected"
        assert client.get_order_by_id(first["id"])["failed_at"] is not None
        assert client.get_order_by_id(second["id"])["status"] == "canceled"


class TestListing:
    def test_orders_are_listed_by_status_time_side_and_symbol_newest_first(self) -> None:
        with running() as bench:
            client = trading(bench)
            ids = [client.post("/orders", order(limit_price=str(100 + n)))["id"] for n in range(4)]
            other = client.post("/orders", order(symbol="MSFT"))
            client.cancel_order_by_id(ids[0])
            assert [row["id"] for row in client.get("/orders")] == [other["id"], *ids[:0:-1]]
            assert [row["id"] for row in client.get("/orders", {"symbols": "AAPL", "limit": 2})] == ids[3:1:-1]
            ascending = client.get("/orders", {"status": "all", "direction": "asc", "symbols": "AAPL"})
            assert [row["id"] for row in ascending] == ids
            after = client.get("/orders", {"status": "all", "after": ascending[2]["submitted_at"]})
            assert [row["id"] for row in after] == [other["id"], ids[3]]
            until = client.get("/orders", {"status": "all", "until": ascending[1]["submitted_at"]})
            assert [row["id"] for row in until] == [ids[0]]
            assert client.get("/orders", {"side": "sell"}) == []
            assert code_of(lambda: client.get("/orders", {"status": "some"})) == (422, 42210000)
            assert code_of(lambda: client.get("/orders", {"after": "yesterday"})) == (422, 42210000)

    def test_pages_of_fills_hold_every_execution_once_in_either_direction(self) -> None:
        with running() as bench:
            client = trading(bench)
            bench.trade("AAPL", 229.40, 10.0, "buy")
            for _ in range(7):
                client.post("/orders", market())
            newest = pages(client, direction="desc")
            oldest = pages(client, direction="asc")
            assert len(newest) == len({row["id"] for row in newest}) == 7
            assert newest == oldest[::-1]
            stamp = oldest[3]["transaction_time"]
            assert client.get("/account/activities/FILL", {"after": stamp}) == newest[:3]
            assert client.get("/account/activities/FILL", {"until": stamp}) == newest[4:]
            day = {"date": time.strftime("%Y-%m-%d", time.localtime(time.time() - 2 * 86_400))}
            assert client.get("/account/activities/FILL", day) == []
            assert len(client.get("/account/activities", {"activity_types": "FILL,DIV"})) == 7
            assert client.get("/account/activities/DIV") == []


def pages(client: Any, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        token = {"page_token": found[-1]["id"]} if found else {}
        page = client.get("/account/activities/FILL", {"page_size": 3, **params, **token})
        found += page
        if len(page) < 3:
            return found


def test_the_books_name_orders_and_fills_as_the_venues_clients_know_them() -> None:
    with running() as bench:
        client = trading(bench)
        bench.trade("AAPL", 229.40, 10.0, "buy")
        old = client.post("/orders", order(qty="5", limit_price="229", time_in_force="gtc", client_order_id="mine"))
        bench.trade("AAPL", 228.50, 2.0, "sell")
        new = client.patch(f"/orders/{old['id']}", {"qty": "3", "limit_price": "228"})
        bench.trade("AAPL", 227.50, 100.0, "sell")
        state = bench.state()
        books = state["books"]["main"]
        assert [(o["client_id"], o["venue_id"], o["status"]) for o in books["orders"]] == [
            ("mine", new["id"], "filled")
        ]
        assert [(f["client_id"], f["execution_id"]) for f in books["fills"]] == [
            ("mine", f"{old['id']}:2"),
            ("mine", f"{new['id']}:3"),
        ]
        assert {symbol: D(held) for symbol, held in books["positions"].items()} == {"alpaca:AAPL": D(5)}
        assert D(books["cash"]) == D(client.get_account()["cash"])
        own = state["accounts"]["main"]
        assert [row["status"] for row in own["orders"]] == ["replaced", "filled"]
        assert (len(own["activities"]), own["positions"][0]["qty"]) == (2, "5")


def test_an_unknown_symbol_stops_the_start_and_names_the_nearest() -> None:
    with pytest.raises(SimulatorError, match=r"did you mean alpaca:AAPL"), running(symbols=("AAPLE",)):
        pass
