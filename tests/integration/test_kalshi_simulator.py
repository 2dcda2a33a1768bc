"""kalshi-python's transport, unchanged, against the Kalshi simulator: routes, orders and their errors."""

from __future__ import annotations

import time
from decimal import Decimal as D
from typing import Any

import pytest
import requests

from exchanges.simulators.errors import SimulatorError
from exchanges.simulators.kalshi.keypair import private_pem
from tests.integration.kalshi_bench import FINE, ORDERS, T85, Bench, Rest, kalshi, order
from tests.integration.venue_bench import eventually

SECOND = "second"


def rival(bench: Bench, pem: str) -> Rest:
    """A client of the second account."""
    return Rest(bench.simulator.url, SECOND, pem)


def test_an_order_that_crosses_fills_and_the_answer_has_price_and_fee() -> None:
    with kalshi() as bench:
        bench.trade(T85, 0.40, 100, "buy")
        answer = bench.place(client_order_id="one")
        assert (answer["client_order_id"], answer["fill_count"], answer["remaining_count"]) == ("one", "10.00", "0.00")
        assert (answer["average_fill_price"], answer["average_fee_paid"]) == ("0.4000", "0.0170")
        fill = bench.rest.good("GET", "/portfolio/fills", order_id=answer["order_id"])["fills"][0]
        assert (fill["yes_price_dollars"], fill["count_fp"], fill["is_taker"], fill["fee_cost"]) == (
            "0.4000",
            "10.00",
            True,
            "0.1700",
        )
        assert bench.position(T85)["position_fp"] == "10.00"
        assert D(bench.available()) == D(100_000) - 4 - D("0.17")


def test_an_order_rests_is_amended_decreased_and_cancelled_and_stays_in_the_list() -> None:
    with kalshi() as bench:
        placed = bench.place(client_order_id="rest")
        path = f"{ORDERS}/{placed['order_id']}"
        amended = bench.rest.good("POST", f"{path}/amend", {"price": "0.3500", "count": "8.00", "ticker": T85})
        assert amended["remaining_count"] == "8.00"
        assert bench.rest.good("POST", f"{path}/decrease", {"reduce_by": "1.50"})["remaining_count"] == "6.50"
        assert bench.rest.good("POST", f"{path}/decrease", {"reduce_to": "2"})["remaining_count"] == "2.00"
        shown = bench.rest.good("GET", f"/portfolio/orders/{placed['order_id']}")["order"]
        assert (
            shown["status"],
            shown["yes_price_dollars"],
            shown["remaining_count_fp"],
            shown["initial_count_fp"],
        ) == (
            "resting",
            "0.3500",
            "2.00",
            "10.00",
        )
        cancelled = bench.rest.good("DELETE", path)
        assert (cancelled["reduced_by"], cancelled["client_order_id"]) == ("2.00", "rest")
        assert bench.rest.good("GET", "/portfolio/orders", status="resting")["orders"] == []
        assert bench.rest.good("GET", "/portfolio/orders", status="canceled")["orders"][0]["client_order_id"] == "rest"
        assert bench.available() == "100000.0000"


@pytest.mark.parametrize(
    ("side", "price", "position", "locked", "outcome"),
    [
        ("bid", "0.4000", "10.00", "4.0000", "yes"),
        ("ask", "0.3900", "-10.00", "6.1000", "no"),
    ],
    ids=["buy yes at 40", "buy no at 61"],
)
def test_opening_a_position_locks_its_worst_loss(
    side: str, price: str, position: str, locked: str, outcome: str
) -> None:
    with kalshi() as bench:
        bench.trade(T85, 0.40, 100, "buy")
        bench.place(side=side, price=price)
        held = bench.position(T85)
        assert (held["position_fp"], held["market_exposure_dollars"]) == (position, locked)
        fill = bench.rest.good("GET", "/portfolio/fills")["fills"][0]
        assert (fill["outcome_side"], fill["book_side"]) == (outcome, side)
        assert D(bench.available()) == D(100_000) - D(locked) - D(fill["fee_cost"])


@pytest.mark.parametrize(("opening", "closing"), [("bid", "ask"), ("ask", "bid")], ids=["sell yes", "sell no"])
def test_closing_a_position_frees_what_it_had_locked(opening: str, closing: str) -> None:
    with kalshi() as bench:
        bench.trade(T85, 0.40, 100, "buy")
        prices = {"bid": "0.4000", "ask": "0.3900"}
        bench.place(side=opening, price=prices[opening])
        bench.place(side=closing, price=prices[closing], time_in_force="immediate_or_cancel", reduce_only=True)
        held = bench.position(T85)
        assert (held["position_fp"], held["market_exposure_dollars"]) == ("0.00", "0.0000")
        assert held["realized_pnl_dollars"] == "-0.1000"
        assert D(bench.available()) == D(100_000) - D("0.10") - D(held["fees_paid_dollars"])


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"ticker": "KXHIGHNY-24AUG08-T99"}, 404, "market_not_found"),
        ({"ticker": None}, 400, "invalid_parameters"),
        ({"side": "yes"}, 400, "invalid_parameters"),
        ({"count": "0.00"}, 400, "invalid_count"),
        ({"count": "1.005"}, 400, "invalid_parameters"),
        ({"count": 10}, 400, "invalid_parameters"),
        ({"price": "0.4050"}, 400, "invalid_price"),
        ({"price": "1.0000"}, 400, "invalid_price"),
        ({"price": "0"}, 400, "invalid_price"),
        ({"price": 0.4}, 400, "invalid_parameters"),
        ({"count": "300000"}, 400, "insufficient_balance"),
        ({"count": "2000000"}, 400, "invalid_count"),
        ({"time_in_force": "gtt"}, 400, "invalid_parameters"),
        ({"time_in_force": None}, 400, "invalid_parameters"),
        ({"self_trade_prevention_type": None}, 400, "invalid_parameters"),
        ({"reduce_only": True}, 400, "invalid_parameters"),
        ({"reduce_only": True, "time_in_force": "fill_or_kill"}, 400, "reduce_only_without_position"),
        ({"post_only": True, "time_in_force": "immediate_or_cancel"}, 400, "invalid_parameters"),
        ({"expiration_time": 1_000_000_000}, 400, "invalid_parameters"),
        ({"expiration_time": 4_000_000_000, "time_in_force": "immediate_or_cancel"}, 400, "invalid_parameters"),
        ({"subaccount": 3}, 400, "invalid_parameters"),
        ({"type": "market"}, 400, "invalid_parameters"),
        ({"client_order_id": "a" * 65}, 400, "invalid_parameters"),
    ],
)
def test_a_bad_order_gets_its_status_and_code(changes: dict[str, Any], status: int, code: str) -> None:
    with kalshi() as bench:
        found, body = bench.rest("POST", ORDERS, order(**changes))
        told = body.get("error", body)
        assert (found, told["code"]) == (status, code), body
        assert bench.rest.good("GET", "/portfolio/orders")["orders"] == []


def test_errors_come_in_their_three_shapes() -> None:
    with kalshi(order_limit=10) as bench:
        flat = bench.rest("POST", ORDERS, order(price="0.4050"))
        bare = bench.rest("POST", ORDERS, order())
        nested = bench.rest("GET", "/portfolio/orders/none")
        assert (flat[0], set(flat[1])) == (400, {"code", "message", "details"})
        assert bare == (429, {"error": "too many requests"})
        assert (nested[0], set(nested[1]["error"])) == (404, {"code", "message", "details"})


def test_a_client_order_id_is_taken_once() -> None:
    with kalshi() as bench:
        bench.place(client_order_id="twice")
        assert bench.rest("POST", ORDERS, order(client_order_id="twice"))[0] == 409
        assert bench.rest("POST", ORDERS, order(client_order_id="twice", price="0.1000"))[0] == 409
        assert len(bench.rest.good("GET", "/portfolio/orders")["orders"]) == 1


def test_what_is_gone_can_neither_be_cancelled_nor_amended() -> None:
    with kalshi() as bench:
        placed = bench.place()
        path = f"{ORDERS}/{placed['order_id']}"
        bench.rest.good("DELETE", path)
        for method, where, body in (
            ("DELETE", path, None),
            ("DELETE", f"{ORDERS}/never", None),
            ("POST", f"{path}/amend", {"price": "0.2000"}),
            ("POST", f"{path}/decrease", {"reduce_by": "1.00"}),
        ):
            status, answer = bench.rest(method, where, body)
            assert (status, answer["error"]["code"]) == (404, "not_found")


def test_cancel_all_ends_every_resting_order_and_takes_no_filter() -> None:
    with kalshi() as bench:
        for ticker in (T85, FINE):
            bench.place(ticker=ticker)
        assert bench.rest("DELETE", ORDERS, ticker=T85)[0] == 400
        assert len(bench.rest.good("GET", "/portfolio/orders", status="resting")["orders"]) == 2
        assert bench.rest("DELETE", ORDERS) == (204, None)
        assert bench.rest.good("GET", "/portfolio/orders", status="resting")["orders"] == []


def test_the_order_routes_of_before_are_gone() -> None:
    with kalshi() as bench:
        status, body = bench.rest("POST", "/portfolio/orders", order())
        assert (status, body["error"]["code"]) == (410, "deprecated_v1_order_endpoint")
        assert bench.rest("DELETE", "/portfolio/orders/any")[0] == 410


def test_a_batch_is_answered_order_by_order() -> None:
    with kalshi() as bench:
        good, bad = order(client_order_id="good"), order(client_order_id="bad", price="2.0000")
        made = bench.rest.good("POST", f"{ORDERS}/batched", {"orders": [good, bad]})["orders"]
        assert (made[0]["client_order_id"], made[0]["error"]) == ("good", None)
        assert made[1]["error"]["code"] == "invalid_price"
        gone = bench.rest.good(
            "DELETE", f"{ORDERS}/batched", {"orders": [{"order_id": made[0]["order_id"]}, {"order_id": "never"}]}
        )["orders"]
        assert (gone[0]["reduced_by"], gone[0]["error"]) == ("10.00", None)
        assert gone[1]["error"]["code"] == "not_found"


def test_fill_or_kill_and_immediate_or_cancel_leave_nothing_behind() -> None:
    pem = private_pem(None)
    with kalshi(more_keys={SECOND: pem}) as bench:
        rival(bench, pem).good("POST", ORDERS, order(side="ask", count="4.00"))
        killed = bench.place(time_in_force="fill_or_kill")
        assert (killed["fill_count"], killed["remaining_count"]) == ("0.00", "0.00")
        taken = bench.place(time_in_force="immediate_or_cancel")
        assert (taken["fill_count"], taken["remaining_count"]) == ("4.00", "0.00")
        assert bench.rest.good("GET", "/portfolio/orders", status="resting")["orders"] == []


def test_a_post_only_order_that_would_take_is_cancelled_with_its_reason() -> None:
    with kalshi() as bench:
        bench.trade(T85, 0.40, 100, "buy")
        placed = bench.place(post_only=True)
        shown = bench.rest.good("GET", f"/portfolio/orders/{placed['order_id']}")["order"]
        assert (shown["status"], shown["last_update_reason"]) == ("canceled", "PostOnlyCrossCancel")
        assert bench.place(post_only=True, price="0.3900")["remaining_count"] == "10.00"


def test_an_order_ends_when_its_time_is_over_by_the_venues_clock() -> None:
    with kalshi() as bench:
        placed = bench.place(expiration_time=int(time.time()) + 1_000)
        shown = bench.rest.good("GET", f"/portfolio/orders/{placed['order_id']}")["order"]
        assert (shown["status"], shown["expiration_time"] > shown["created_time"]) == ("resting", True)
        bench.faults(clock_skew_ms=2_000_000)
        eventually(lambda: bench.state()["accounts"]["main"]["orders"][0]["status"] == "canceled")


def test_a_market_closes_at_its_time_by_the_venues_clock() -> None:
    with kalshi() as bench:
        bench.faults(clock_skew_ms=8 * 86_400_000)
        url = f"{bench.simulator.url}/trade-api/v2/markets/{T85}"
        eventually(lambda: requests.get(url, timeout=20).json()["market"]["status"] == "closed")


@pytest.mark.parametrize(
    ("kind", "resting", "coming", "filled"),
    [("taker_at_cross", "resting", "canceled", "3.00"), ("maker", "canceled", "executed", "10.00")],
)
def test_an_order_that_meets_its_own_account_ends_as_asked(kind: str, resting: str, coming: str, filled: str) -> None:
    pem = private_pem(None)
    with kalshi(more_keys={SECOND: pem}) as bench:
        other = rival(bench, pem)
        other.good("POST", ORDERS, order(side="ask", price="0.3800", count="3.00"))
        own = bench.place(side="ask", price="0.3900", count="5.00")
        other.good("POST", ORDERS, order(side="ask", price="0.4000", count="7.00"))
        placed = bench.place(price="0.4000", self_trade_prevention_type=kind)
        orders = {row["order_id"]: row for row in bench.rest.good("GET", "/portfolio/orders")["orders"]}
        assert orders[own["order_id"]]["status"] == resting
        assert (orders[placed["order_id"]]["status"], orders[placed["order_id"]]["fill_count_fp"]) == (coming, filled)
        assert orders[placed["order_id"]]["yes_price_dollars"] == "0.4000"


def test_a_taker_that_can_only_meet_its_own_order_is_cancelled_untraded() -> None:
    with kalshi() as bench:
        own = bench.place(side="ask", price="0.0100")
        placed = bench.place(price="0.0100")
        assert (placed["fill_count"], placed["remaining_count"]) == ("0.00", "0.00")
        shown = bench.rest.good("GET", f"/portfolio/orders/{placed['order_id']}")["order"]
        assert (shown["status"], shown["last_update_reason"]) == ("canceled", "SelfTradeCancel")
        assert bench.rest.good("GET", f"/portfolio/orders/{own['order_id']}")["order"]["status"] == "resting"


def test_finer_markets_take_tenths_of_a_cent_and_say_so() -> None:
    with kalshi() as bench:
        row = bench.rest.good("GET", f"/markets/{FINE}")["market"]
        assert row["price_ranges"] == [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]
        assert row["price_level_structure"] == "deci_cent"
        assert bench.place(ticker=FINE, price="0.4050")["remaining_count"] == "10.00"
        assert bench.rest("POST", ORDERS, order(ticker=FINE, price="0.4055"))[0] == 400


def test_two_accounts_trade_with_each_other_and_only_see_their_own() -> None:
    pem = private_pem(None)
    with kalshi(more_keys={SECOND: pem}) as bench:
        other = rival(bench, pem)
        other.good("POST", ORDERS, order(side="ask", count="25.50"))
        bench.place(count="25.50")
        mine, theirs = bench.position(T85), other.good("GET", "/portfolio/positions")["market_positions"][0]
        assert (mine["position_fp"], theirs["position_fp"]) == ("25.50", "-25.50")
        assert D(mine["market_exposure_dollars"]) + D(theirs["market_exposure_dollars"]) == D("25.50")
        fills = [client.good("GET", "/portfolio/fills")["fills"] for client in (bench.rest, other)]
        assert [[row["is_taker"] for row in rows] for rows in fills] == [[True], [False]]


def test_fees_round_up_over_the_order_and_not_fill_by_fill() -> None:
    pem = private_pem(None)
    with kalshi(more_keys={SECOND: pem}) as bench:
        other = rival(bench, pem)
        for _ in range(3):
            other.good("POST", ORDERS, order(side="ask", price="0.1000", count="1.00"))
        placed = bench.place(price="0.1000", count="3.00")
        fees = [row["fee_cost"] for row in bench.rest.good("GET", "/portfolio/fills")["fills"]]
        assert sorted(fees) == ["0.0000", "0.0100", "0.0100"]
        shown = bench.rest.good("GET", f"/portfolio/orders/{placed['order_id']}")["order"]
        assert (shown["taker_fees_dollars"], shown["maker_fees_dollars"]) == ("0.0200", "0.0000")
        assert {row["fee_cost"] for row in other.good("GET", "/portfolio/fills")["fills"]} == {"0.0000"}


def test_direct_members_pay_to_the_hundredth_of_a_cent_and_makers_where_the_series_says_so() -> None:
    pem = private_pem(None)
    with kalshi(more_keys={SECOND: pem}, fee_step=D("0.0001")) as bench:
        other = rival(bench, pem)
        other.good("POST", ORDERS, order(ticker=FINE, side="ask", price="0.1000", count="1.00"))
        bench.place(ticker=FINE, price="0.1000", count="1.00")
        assert bench.rest.good("GET", "/portfolio/fills")["fills"][0]["fee_cost"] == "0.0063"
        assert other.good("GET", "/portfolio/fills")["fills"][0]["fee_cost"] == "0.0016"
        kinds = [bench.rest.good("GET", f"/series/{s}")["series"]["fee_type"] for s in ("KXHIGHNY", "KXBTCD")]
        assert kinds == ["quadratic", "quadratic_with_maker_fees"]


def test_settings_change_the_fee_multiplier() -> None:
    with kalshi(taker_fee=D("0.035")) as bench:
        assert bench.rest.good("GET", "/series/KXHIGHNY")["series"]["fee_multiplier"] == 0.5
        bench.trade(T85, 0.50, 100, "buy")
        assert bench.place(price="0.5000", count="100.00")["average_fee_paid"] == "0.0088"
    with pytest.raises(SimulatorError, match="expected a maker_fee of 0 or a quarter"), kalshi(maker_fee=D("0.01")):
        pytest.fail("it started")


def test_markets_are_filtered_and_paged() -> None:
    with kalshi() as bench:
        found: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = bench.rest.good("GET", "/markets", limit=2, **cursor)
            found += [row["ticker"] for row in page["markets"]]
            if not page["cursor"]:
                break
            cursor = {"cursor": page["cursor"]}
        assert len(found) == len(set(found)) == 5
        asked = {
            "event_ticker": "KXHIGHNY-24AUG08",
            "series_ticker": "KXBTCD",
            "tickers": f"{T85},{FINE}",
            "status": "settled",
        }
        counts = [len(bench.rest.good("GET", "/markets", **{k: v})["markets"]) for k, v in asked.items()]
        assert counts == [3, 2, 2, 0]
        events = bench.rest.good("GET", "/events", with_nested_markets="true", status="open")["events"]
        assert [len(row["markets"]) for row in events] == [3, 2]
        assert bench.rest.good("GET", "/events/KXBTCD-24AUG0817")["event"]["series_ticker"] == "KXBTCD"
        for path in ("/markets/NO-SUCH", "/series/NOSUCH", "/events/NO-SUCH", "/markets/NO-SUCH/orderbook"):
            assert bench.rest("GET", path)[0] == 404
        assert bench.rest("GET", "/markets", cursor="!!")[0] == 400
        assert bench.rest("GET", "/markets", limit=0)[0] == 400


def test_trades_and_candles_are_made_of_what_was_traded() -> None:
    with kalshi() as bench:
        for price, side in ((0.40, "buy"), (0.44, "buy"), (0.38, "sell")):
            bench.trade(T85, price, 10, side)
        rows = bench.rest.good("GET", "/markets/trades", ticker=T85, limit=2)
        assert [row["yes_price_dollars"] for row in rows["trades"]] == ["0.3800", "0.4400"]
        assert rows["trades"][0]["taker_book_side"] == "ask"
        rest = bench.rest.good("GET", "/markets/trades", ticker=T85, cursor=rows["cursor"])["trades"]
        assert [row["no_price_dollars"] for row in rest] == ["0.6000"]
        now = int(time.time())
        asked = {"start_ts": now - 200_000, "end_ts": now + 200_000, "period_interval": 1440}
        candles = bench.rest.good("GET", f"/series/KXHIGHNY/markets/{T85}/candlesticks", **asked)["candlesticks"]
        assert sum(D(row["volume_fp"]) for row in candles) == 30
        assert max(row["price"]["high_dollars"] for row in candles) == "0.4400"
        assert candles[-1]["price"]["close_dollars"] == "0.3800"
        assert bench.rest("GET", f"/series/KXBTCD/markets/{T85}/candlesticks", **asked)[0] == 404


def test_the_book_shows_bids_of_both_legs_with_the_best_last() -> None:
    with kalshi() as bench:
        bench.place(price="0.3500", count="3.00")
        bench.place(price="0.3700", count="4.00")
        bench.place(side="ask", price="0.4500", count="5.00")
        book = bench.rest.good("GET", f"/markets/{T85}/orderbook")["orderbook_fp"]
        assert book == {
            "yes_dollars": [["0.3500", "3.00"], ["0.3700", "4.00"]],
            "no_dollars": [["0.5500", "5.00"]],
        }
        assert bench.rest.good("GET", f"/markets/{T85}/orderbook", depth=1)["orderbook_fp"]["yes_dollars"] == [
            ["0.3700", "4.00"]
        ]


def test_fills_are_paged_newest_first_and_each_comes_once() -> None:
    with kalshi() as bench:
        bench.trade(T85, 0.40, 100, "buy")
        for _ in range(7):
            bench.place(count="1.00")
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = bench.rest.good("GET", "/portfolio/fills", limit=3, **cursor)
            found += page["fills"]
            bench.place(count="1.00")
            if not page["cursor"]:
                break
            cursor = {"cursor": page["cursor"]}
        assert len({row["fill_id"] for row in found}) == len(found) == 7
        assert [row["ts_ms"] for row in found] == sorted((row["ts_ms"] for row in found), reverse=True)
        assert bench.rest.good("GET", "/portfolio/fills", max_ts=1_000_000_000)["fills"] == []


def test_account_limits_and_balance_tell_the_tokens_and_the_worth() -> None:
    with kalshi(order_limit=None, query_limit=None) as bench:
        limits = bench.rest.good("GET", "/account/limits")
        assert (limits["read_limit"], limits["write_limit"]) == (200, 100)
        bench.trade(T85, 0.40, 100, "buy")
        bench.place()
        bench.trade(T85, 0.50, 100, "buy")
        balance = bench.rest.good("GET", "/portfolio/balance")
        assert (balance["balance_dollars"], balance["portfolio_value"]) == ("99995.8300", 500)


def test_an_unknown_symbol_is_refused_at_the_start_with_a_hint() -> None:
    with (
        pytest.raises(SimulatorError, match="did you mean kalshi:KXHIGHNY-24AUG08-T85"),
        kalshi(symbols=("KXHIGHNX-24AUG08-T85",)),
    ):
        pytest.fail("it started")  # fmt: skip
    with kalshi(symbols=("KXHIGHNY-24AUG09-T90",)) as bench:
        assert [row["ticker"] for row in bench.rest.good("GET", "/markets")["markets"]] == ["KXHIGHNY-24AUG09-T90"]


def test_the_generator_stays_between_nothing_and_a_dollar() -> None:
    with kalshi(feed="generator", rate=500.0, seed=3) as bench:
        eventually(lambda: len(bench.rest.good("GET", "/markets/trades", ticker=T85, limit=1000)["trades"]) > 300)
        for ticker in (T85, FINE):
            rows = bench.rest.good("GET", "/markets/trades", ticker=ticker, limit=1000)["trades"]
            assert all(0 < D(row["yes_price_dollars"]) < 1 and D(row["count_fp"]) > 0 for row in rows)


def test_the_books_of_the_bench_and_of_the_account_agree() -> None:
    with kalshi() as bench:
        bench.trade(T85, 0.40, 100, "buy")
        bench.place(client_order_id="mine")
        state = bench.state()
        assert [row["client_order_id"] for row in state["accounts"]["main"]["orders"]] == ["mine"]
        books = state["books"]["main"]
        assert books["positions"] == {f"kalshi:{T85}": "10.00"}
        assert [row["client_id"] for row in books["fills"]] == ["mine"]
        assert D(books["cash"]) == D(bench.available())
