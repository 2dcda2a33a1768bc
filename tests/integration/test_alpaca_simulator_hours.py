"""The Alpaca simulator on the hours of the New York Stock Exchange, its clock moved by the test."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.integration.alpaca_bench import (
    OPEN_TUESDAY,
    Updates,
    at,
    code_of,
    eventually,
    market,
    order,
    refusal,
    running,
    trading,
)


def clock(client: Any) -> tuple[bool, str, str]:
    """Open or not, next open and next close in New York."""
    told = client.get_clock()
    times = (dt.datetime.fromisoformat(told[name]).strftime("%m-%d %H:%M") for name in ("next_open", "next_close"))
    return told["is_open"], *times


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2024-11-26 09:29", (False, "11-26 09:30", "11-26 16:00")),
        (OPEN_TUESDAY, (True, "11-27 09:30", "11-26 16:00")),
        ("2024-11-26 16:00", (False, "11-27 09:30", "11-27 16:00")),
        ("2024-11-27 18:00", (False, "11-29 09:30", "11-29 13:00")),  # Thanksgiving, then a half day
        ("2024-11-29 13:00", (False, "12-02 09:30", "12-02 16:00")),
        ("2024-12-01 12:00", (False, "12-02 09:30", "12-02 16:00")),  # a Sunday
        ("2025-01-08 17:00", (False, "01-10 09:30", "01-10 16:00")),  # a day of mourning
        ("2024-03-08 17:00", (False, "03-11 09:30", "03-11 16:00")),  # the clocks change in between
    ],
)
def test_the_clock_knows_weekends_holidays_and_half_days(moment: str, expected: tuple[bool, str, str]) -> None:
    with running("nyse") as bench:
        at(bench, moment)
        assert clock(trading(bench)) == expected


def test_the_calendar_lists_trading_days_with_their_hours() -> None:
    with running("nyse") as bench:
        days = trading(bench).get("/calendar", {"start": "2024-11-25", "end": "2024-12-02"})
        assert [(day["date"], day["open"], day["close"]) for day in days] == [
            ("2024-11-25", "09:30", "16:00"),
            ("2024-11-26", "09:30", "16:00"),
            ("2024-11-27", "09:30", "16:00"),
            ("2024-11-29", "09:30", "13:00"),
            ("2024-12-02", "09:30", "16:00"),
        ]
        assert {(day["session_open"], day["session_close"]) for day in days} == {("0400", "2000"), ("0400", "1700")}


def test_a_market_that_is_always_open_says_so_on_a_sunday_night() -> None:
    with running() as bench:
        at(bench, "2024-12-01 23:30")
        client = trading(bench)
        assert clock(client)[0] is True
        placed = client.post("/orders", order())
        assert (client.get_order_by_id(placed["id"])["status"], placed["expires_at"]) == ("new", None)


def test_an_order_placed_at_night_is_accepted_waits_and_is_routed_at_the_open() -> None:
    with running("nyse") as bench:
        at(bench, OPEN_TUESDAY)
        client, updates = trading(bench), Updates(bench)
        bench.trade("AAPL", 229.40, 10.0, "buy")
        at(bench, "2024-11-26 21:00")
        placed = client.post("/orders", market(qty="2", client_order_id="night"))
        assert placed["status"] == "accepted"
        assert client.get_order_by_client_id("night")["status"] == "accepted"
        assert [row["id"] for row in client.get("/orders")] == [placed["id"]]
        assert code_of(lambda: client.patch(f"/orders/{placed['id']}", {"qty": "1"})) == (422, 40010001)
        at(bench, "2024-11-27 09:30")
        assert eventually(lambda: client.get_order_by_client_id("night")["status"] == "filled")
        assert [event for event, _ in updates.events(3)] == ["accepted", "new", "fill"]


def test_waiting_orders_hold_their_money_and_can_be_cancelled() -> None:
    with running("nyse") as bench:
        at(bench, OPEN_TUESDAY)
        client = trading(bench)
        bench.trade("AAPL", 200.0, 10.0, "buy")
        at(bench, "2024-11-26 21:00")
        placed = client.post("/orders", market(qty="500"))
        assert float(client.get_account()["buying_power"]) == pytest.approx(100_000, rel=0.01)
        assert refusal(lambda: client.post("/orders", market(qty="600")))[0] == 403
        client.cancel_order_by_id(placed["id"])
        assert client.get_account()["buying_power"] == "200000"
        assert client.get_order_by_id(placed["id"])["status"] == "canceled"


def test_a_day_order_expires_at_the_close_and_one_that_is_good_till_cancelled_does_not() -> None:
    with running("nyse") as bench:
        at(bench, OPEN_TUESDAY)
        client, updates = trading(bench), Updates(bench)
        day = client.post("/orders", order(client_order_id="day"))
        gtc = client.post("/orders", order(client_order_id="gtc", time_in_force="gtc"))
        assert day["expires_at"] == "2024-11-26T21:00:00Z"
        at(bench, "2024-11-26 16:00")
        ended = eventually(lambda: updates.next()["data"]["event"] == "expired")
        assert ended
        assert client.get_order_by_id(day["id"])["status"] == "expired"
        assert client.get_order_by_id(day["id"])["expired_at"] is not None
        assert [row["id"] for row in client.get("/orders")] == [gtc["id"]]
        at(bench, "2025-03-01 10:00")
        assert client.get_order_by_id(gtc["id"])["status"] == "expired"


def test_a_day_order_placed_after_the_close_lives_through_the_next_day() -> None:
    with running("nyse") as bench:
        at(bench, "2024-11-27 17:00")
        client = trading(bench)
        placed = client.post("/orders", order())
        assert placed["expires_at"] == "2024-11-29T18:00:00Z"
        at(bench, "2024-11-29 12:59")
        assert client.get_order_by_id(placed["id"])["status"] == "new"
        at(bench, "2024-11-29 13:00")
        assert client.get_order_by_id(placed["id"])["status"] == "expired"


class TestExtendedHours:
    def test_only_orders_that_ask_for_them_trade_before_and_after_the_session(self) -> None:
        with running("nyse") as bench:
            at(bench, OPEN_TUESDAY)
            client = trading(bench)
            bench.trade("AAPL", 229.40, 10.0, "buy")
            resting = client.post("/orders", order(limit_price="229", time_in_force="gtc"))
            at(bench, "2024-11-26 17:00")
            late = client.post("/orders", order(limit_price="229", extended_hours=True))
            plain = client.post("/orders", order(limit_price="229"))
            assert (late["status"], plain["status"]) == ("pending_new", "accepted")
            bench.trade("AAPL", 228.0, 100.0, "sell")
            status = {name: client.get_order_by_id(o["id"])["status"] for name, o in names(resting, late, plain)}
            assert status == {"resting": "new", "late": "filled", "plain": "accepted"}
            at(bench, "2024-11-27 09:31")
            bench.trade("AAPL", 228.0, 100.0, "sell")
            assert client.get_order_by_id(resting["id"])["status"] == "filled"
            assert client.get_order_by_id(plain["id"])["status"] == "filled"

    def test_they_end_at_eight_in_the_evening_and_begin_at_four(self) -> None:
        with running("nyse") as bench:
            at(bench, "2024-11-26 19:59")
            client = trading(bench)
            bench.trade("AAPL", 229.40, 10.0, "buy")
            placed = client.post("/orders", order(limit_price="229", extended_hours=True, time_in_force="gtc"))
            at(bench, "2024-11-26 20:00")
            bench.trade("AAPL", 228.0, 100.0, "sell")
            assert client.get_order_by_id(placed["id"])["status"] == "new"
            at(bench, "2024-11-27 04:00")
            bench.trade("AAPL", 228.0, 100.0, "sell")
            assert client.get_order_by_id(placed["id"])["status"] == "filled"

    def test_a_day_order_for_them_lives_until_they_end(self) -> None:
        with running("nyse") as bench:
            at(bench, OPEN_TUESDAY)
            client = trading(bench)
            placed = client.post("/orders", order(extended_hours=True))
            assert placed["expires_at"] == "2024-11-27T01:00:00Z"

    def test_market_orders_are_not_for_them(self) -> None:
        with running("nyse") as bench:
            at(bench, "2024-11-26 17:00")
            assert code_of(lambda: trading(bench).post("/orders", market(extended_hours=True))) == (422, 42210000)


def names(*orders: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return list(zip(("resting", "late", "plain"), orders, strict=True))


def test_crypto_trades_on_a_sunday() -> None:
    with running("nyse") as bench:
        at(bench, "2024-12-01 12:00")
        client = trading(bench)
        bench.trade("BTC/USD", 60_000.0, 1.0, "buy")
        placed = client.post("/orders", market(symbol="BTC/USD", qty="0.5", time_in_force="gtc"))
        assert client.get_order_by_id(placed["id"])["status"] == "filled"


def test_nothing_is_traded_or_told_of_a_stock_while_the_market_is_closed() -> None:
    with running("nyse") as bench:
        at(bench, OPEN_TUESDAY)
        bench.trade("AAPL", 229.40, 10.0, "buy")
        at(bench, "2024-11-26 22:00")
        bench.trade("AAPL", 300.0, 10.0, "buy")
        assert bench.simulator.venue.markets["AAPL"].last == 229.40
        assert float(bench.simulator.venue.mark("alpaca:AAPL")) == 229.40


def test_an_amount_of_money_buys_at_the_opening_price() -> None:
    with running("nyse") as bench:
        at(bench, OPEN_TUESDAY)
        client = trading(bench)
        bench.trade("AAPL", 200.0, 10.0, "buy")
        at(bench, "2024-11-27 07:00")
        placed = client.post("/orders", market(qty=None, notional="1000"))
        bench.trade("AAPL", 250.0, 10.0, "buy")
        at(bench, "2024-11-27 09:30")
        found = eventually(lambda: filled(client, placed["id"]))
        assert (found["filled_qty"], found["filled_avg_price"]) == ("4", "250")


def filled(client: Any, order_id: str) -> dict[str, Any] | None:
    found = client.get_order_by_id(order_id)
    return found if found["status"] == "filled" else None


def test_an_order_that_can_no_longer_be_paid_for_at_the_open_is_rejected() -> None:
    with running("nyse") as bench:
        at(bench, OPEN_TUESDAY)
        client = trading(bench)
        bench.trade("AAPL", 200.0, 10.0, "buy")
        at(bench, "2024-11-26 21:00")
        placed = client.post("/orders", market(qty="900"))
        bench.simulator.venue.engine.accounts["main"].wallet -= 100_001
        at(bench, "2024-11-27 09:30")
        found = client.get_order_by_id(placed["id"])
        assert (found["status"], found["filled_qty"]) == ("rejected", "0")
        assert client.get_all_positions() == []
