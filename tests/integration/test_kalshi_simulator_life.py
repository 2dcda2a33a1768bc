"""The life of an event market: pauses, the close, the outcome, the payment."""

from __future__ import annotations

import asyncio
from decimal import Decimal as D

import pytest

from exchanges.simulators.kalshi.keypair import private_pem
from tests.integration.kalshi_bench import FINE, ORDERS, T85, Bench, Rest, connected, conversation, kalshi, order

FULL = D(100_000)


def status(bench: Bench, ticker: str = T85) -> str:
    return str(bench.rest.good("GET", f"/markets/{ticker}")["market"]["status"])


def spent(bench: Bench) -> D:
    """What the balance lacks to its start."""
    return FULL - D(bench.available())


def test_a_market_goes_through_its_life_and_each_filter_finds_it_there() -> None:
    with kalshi() as bench:
        seen: list[tuple[str, list[str]]] = []
        for step, result in (
            ("pause", ""),
            ("activate", ""),
            ("close", ""),
            ("determine", "yes"),
            ("dispute", ""),
            ("amend", "no"),
            ("settle", ""),
        ):
            assert bench.step(T85, step, result).status_code == 200
            words = ("unopened", "open", "paused", "closed", "settled")
            found = [w for w in words if bench.rest.good("GET", "/markets", tickers=T85, status=w)["markets"]]
            seen.append((status(bench), found))
        assert seen == [
            ("inactive", ["paused"]),
            ("active", ["open"]),
            ("closed", ["closed"]),
            ("determined", ["closed"]),
            ("disputed", ["closed"]),
            ("amended", ["closed"]),
            ("finalized", ["settled"]),
        ]
        market = bench.rest.good("GET", f"/markets/{T85}")["market"]
        assert (market["result"], market["settlement_value_dollars"]) == ("no", "0.0000")
        assert market["settlement_ts"] is not None


@pytest.mark.parametrize(
    ("step", "result", "expected"),
    [("settle", "", 409), ("determine", "yes", 409), ("activate", "", 409), ("close", "yes", 400), ("burn", "", 400)],
)
def test_a_step_that_does_not_lead_on_is_refused(step: str, result: str, expected: int) -> None:
    with kalshi() as bench:
        assert bench.step(T85, step, result).status_code == expected
        assert bench.step("NO-SUCH", "close").status_code == 404
        assert status(bench) == "active"


@pytest.mark.parametrize(
    ("side", "price", "result", "profit"),
    [
        ("bid", "0.4000", "yes", "6.0000"),
        ("bid", "0.4000", "no", "-4.0000"),
        ("ask", "0.3900", "yes", "-6.1000"),
        ("ask", "0.3900", "no", "3.9000"),
    ],
)
def test_capital_stays_locked_from_the_close_to_the_payment(side: str, price: str, result: str, profit: str) -> None:
    with kalshi() as bench:
        bench.trade(T85, 0.40, 100, "buy")
        bench.place(side=side, price=price)
        before = spent(bench)
        for step, outcome in (("close", ""), ("determine", result)):
            bench.step(T85, step, outcome)
            assert spent(bench) == before
            assert D(bench.position(T85)["position_fp"]) != 0
        bench.step(T85, "settle")
        held = bench.position(T85)
        assert (held["position_fp"], held["market_exposure_dollars"]) == ("0.00", "0.0000")
        assert held["realized_pnl_dollars"] == profit
        assert FULL - spent(bench) == FULL + D(profit) - D(held["fees_paid_dollars"])
        row = bench.rest.good("GET", "/portfolio/settlements")["settlements"][0]
        won = (side == "bid") == (result == "yes")
        counts = ("10.00", "0.00") if side == "bid" else ("0.00", "10.00")
        assert (row["yes_count_fp"], row["no_count_fp"]) == counts
        assert (row["market_result"], row["revenue"], row["fee_cost"]) == (
            result,
            1000 if won else 0,
            held["fees_paid_dollars"],
        )
        assert row["value"] == (100 if result == "yes" else 0)


def test_a_settlement_is_no_fill_and_is_found_by_market_and_time() -> None:
    with kalshi() as bench:
        bench.trade(T85, 0.40, 100, "buy")
        bench.place()
        for step, outcome in (("close", ""), ("determine", "yes"), ("settle", "")):
            bench.step(T85, step, outcome)
        assert len(bench.rest.good("GET", "/portfolio/fills")["fills"]) == 1
        asked = ({"ticker": T85}, {"event_ticker": "KXHIGHNY-24AUG08"}, {"ticker": FINE}, {"max_ts": 1_000_000_000})
        counts = [len(bench.rest.good("GET", "/portfolio/settlements", **one)["settlements"]) for one in asked]
        assert counts == [1, 1, 0, 0]
        fills = bench.state()["books"]["main"]["fills"]
        assert [row["execution_id"] for row in fills[1:]] == [f"settlement-{T85}"]


def test_a_market_that_is_not_active_takes_no_orders() -> None:
    with kalshi() as bench:
        for step, result in (("pause", ""), ("close", ""), ("determine", "yes"), ("settle", "")):
            bench.step(T85, step, result)
            found, body = bench.rest("POST", ORDERS, order())
            assert (found, body["code"]) == (400, "market_not_active")


def test_orders_rest_through_a_pause_untraded_and_reactivation_cancels_them() -> None:
    with kalshi() as bench:
        bench.trade(T85, 0.40, 100, "buy")
        stays = bench.place(price="0.3500")["order_id"]
        goes = bench.place(price="0.3400", cancel_order_on_pause=True)["order_id"]
        bench.step(T85, "pause")
        bench.trade(T85, 0.30, 100_000, "sell")
        shown = {row["order_id"]: row for row in bench.rest.good("GET", "/portfolio/orders")["orders"]}
        assert (shown[stays]["status"], shown[stays]["fill_count_fp"]) == ("resting", "0.00")
        assert shown[goes]["status"] == "canceled"
        assert bench.rest.good("GET", f"/markets/{T85}/orderbook")["orderbook_fp"]["yes_dollars"] == []
        bench.step(T85, "activate")
        assert bench.rest.good("GET", f"/portfolio/orders/{stays}")["order"]["status"] == "canceled"
        assert bench.place(price="0.3500")["remaining_count"] == "10.00"


def test_the_close_cancels_what_rests_and_frees_its_money() -> None:
    with kalshi() as bench:
        placed = bench.place()
        assert spent(bench) > 0
        bench.step(T85, "close")
        assert bench.rest.good("GET", f"/portfolio/orders/{placed['order_id']}")["order"]["status"] == "canceled"
        assert spent(bench) == 0


def test_every_account_is_paid_and_the_sum_is_what_was_put_up() -> None:
    pem = private_pem(None)
    with kalshi(more_keys={"second": pem}, taker_fee=D(0)) as bench:
        other = Rest(bench.simulator.url, "second", pem)
        other.good("POST", ORDERS, order(side="ask"))
        bench.place()
        for step, outcome in (("close", ""), ("determine", "no"), ("settle", "")):
            bench.step(T85, step, outcome)
        mine, theirs = (
            D(client.good("GET", "/portfolio/balance")["balance_dollars"]) for client in (bench.rest, other)
        )
        assert (mine, theirs) == (FULL - 4, FULL + 4)


def test_the_lifecycle_channel_tells_the_steps() -> None:
    async def talk() -> None:
        async with connected(bench) as socket:
            await socket.ask("subscribe", channels=["market_lifecycle_v2"])
            steps = (("pause", ""), ("activate", ""), ("close", ""), ("determine", "yes"), ("settle", ""))
            told = []
            for step, result in steps:
                await asyncio.to_thread(bench.step, FINE, step, result)
                told.append((await socket.of("market_lifecycle_v2"))["msg"])
            assert [one["event_type"] for one in told] == [
                "deactivated",
                "activated",
                "close_date_updated",
                "determined",
                "settled",
            ]
            assert {one["market_ticker"] for one in told} == {FINE}
            assert told[3]["result"] == "yes"

    with kalshi() as bench:
        conversation(talk)
