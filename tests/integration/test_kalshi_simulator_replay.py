"""Recorded Kalshi data played back, and a venue that comes back with its books."""

from __future__ import annotations

import asyncio
import json
import os
import time
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import requests

from exchanges.simulators.errors import FeedError, SimulatorError
from exchanges.simulators.kalshi import KalshiSimulator
from exchanges.simulators.kalshi.annex import FILE as LIVES
from exchanges.simulators.kalshi.keypair import FILE, private_pem
from exchanges.simulators.kalshi.simulator import LIFE_SECONDS
from tests.integration.kalshi_bench import ORDERS, T85, Bench, Json, Rest, connected, kalshi, order, recording
from tests.integration.venue_bench import eventually, quiet
from tests.integration.venue_process import VenueProcess

DATA = Path(os.environ.get("BIGWHEEL_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")) / "kalshi"
RECORDED = pytest.mark.skipif(not DATA.is_dir(), reason="recorded Kalshi data is not here; set BIGWHEEL_DATA")
YES, NO = "KXHIGHNY-25MAR10-B63.5", "KXHIGHNY-25MAR10-T66"


class Process(VenueProcess):
    """The venue in a process; clients take its key from its folder."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        super().__init__(KalshiSimulator, quiet(folder=folder, **settings))
        self.simulator.key_id, self.simulator.private_key = "simulator-key", (folder / FILE).read_text()
        self.rest = Rest(self.simulator.url, self.simulator.key_id, self.simulator.private_key)


async def heard(bench: Any, tickers: list[str], count: int) -> list[Json]:
    """The first ``count`` trades of a subscriber."""
    async with connected(bench) as socket:
        await socket.ask("subscribe", channels=["trade"], market_tickers=tickers)
        return [(await socket.of("trade"))["msg"] for _ in range(count)]


def finished(bench: Bench) -> bool:
    return bool(bench.state()["replay"]["finished"])


def test_a_recording_is_played_whole_and_in_order_and_its_markets_settle(tmp_path: Path) -> None:
    settings = {"feed": "replay", "replay_path": recording(tmp_path / "data"), "speed": "max"}
    with kalshi(**settings) as bench:
        for ticker, side in ((YES, "bid"), (NO, "ask")):
            bench.trade(ticker, 0.30, 1_000.0, "buy")
            price = "0.3000" if side == "bid" else "0.2900"
            assert bench.place(ticker=ticker, side=side, price=price)["fill_count"] == "10.00"
        # A trade of today's moves the price, and not the recording's time.
        time.sleep(3 * LIFE_SECONDS)
        assert {row["status"] for row in bench.rest.good("GET", "/markets")["markets"]} == {"active"}
        trades = asyncio.run(heard(bench, [YES, NO], 2_000))
        for ticker, first in ((YES, 0), (NO, 1)):
            ids = [one["trade_id"] for one in trades if one["market_ticker"] == ticker]
            assert ids == [f"trade-{i}" for i in range(first, 2_000, 2)]
        eventually(lambda: finished(bench))
        eventually(lambda: len(bench.rest.good("GET", "/markets", status="settled")["markets"]) == 2)
        rows = {row["ticker"]: row for row in bench.rest.good("GET", "/portfolio/settlements")["settlements"]}
        assert (rows[YES]["market_result"], rows[YES]["revenue"]) == ("yes", 1000)
        assert (rows[NO]["market_result"], rows[NO]["revenue"]) == ("no", 1000)
        held = [row["position_fp"] for row in bench.rest.good("GET", "/portfolio/positions")["market_positions"]]
        assert held == ["0.00", "0.00"]


def test_an_order_that_answers_the_last_trades_is_filled_however_fast_they_were_played(tmp_path: Path) -> None:
    settings = {"feed": "replay", "replay_path": recording(tmp_path / "data", 50), "speed": "max"}
    with kalshi(**settings) as bench:
        asyncio.run(heard(bench, [YES, NO], 50))
        eventually(lambda: finished(bench))
        time.sleep(3 * LIFE_SECONDS)
        assert bench.place(ticker=YES, side="bid", price="0.9900")["fill_count"] == "10.00"
        eventually(lambda: len(bench.rest.good("GET", "/markets", status="settled")["markets"]) == 2)


def test_recorded_markets_show_their_terms_and_a_close_that_lies_ahead(tmp_path: Path) -> None:
    settings = {"feed": "replay", "replay_path": recording(tmp_path / "data"), "symbols": (NO,), "speed": 2.0}
    with kalshi(**settings) as bench:
        market = bench.rest.good("GET", "/markets")["markets"]
        assert [row["ticker"] for row in market] == [NO]
        assert (market[0]["strike_type"], market[0]["floor_strike"]) == ("greater", 66.0)
        assert market[0]["title"] == "Highest temperature in NYC on Mar 10, 2025?"
        assert (market[0]["status"], market[0]["result"]) == ("active", "")
        assert market[0]["close_time"] > market[0]["open_time"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda t: t.set_column(2, "last", pa.array([0] * t.num_rows)), "cents from 1 to 99"),
        (lambda t: t.set_column(3, "count", pa.array([0] * t.num_rows)), "'count' above 0"),
        (lambda t: t.set_column(4, "taker_side", pa.array(["buy"] * t.num_rows)), "taker_side 'yes' or 'no'"),
        (lambda t: t.set_column(2, "last", pa.array([None] * t.num_rows, pa.int64())), "nulls in 'last'"),
        (lambda t: t.take(list(range(t.num_rows - 1, -1, -1))), "sorted by ts_ns"),
    ],
    ids=["price", "count", "side", "null", "order"],
)
def test_a_recording_that_can_not_be_right_is_refused_at_the_start(tmp_path: Path, change: Any, text: str) -> None:
    folder = recording(tmp_path / "data", 20)
    pq.write_table(change(pq.read_table(folder / "trades.parquet")), folder / "trades.parquet")
    with pytest.raises(FeedError, match=text), kalshi(feed="replay", replay_path=folder):
        pytest.fail("it started")


def test_a_ticker_that_is_not_in_the_recording_is_refused_at_the_start(tmp_path: Path) -> None:
    settings = {"feed": "replay", "replay_path": recording(tmp_path / "data", 20), "symbols": (T85,)}
    with pytest.raises(FeedError, match="found no data of"), kalshi(**settings):
        pytest.fail("it started")


def test_trades_in_common_columns_are_played_too(tmp_path: Path) -> None:
    columns = {
        "ts_ns": [1_700_000_000_000_000_000 + i for i in range(50)],
        "symbol": [T85] * 50,
        "price": [0.40 + (i % 5) / 100 for i in range(50)],
        "size": [1.5] * 50,
        "side": ["buy"] * 50,
        "trade_id": [str(i) for i in range(50)],
    }
    file = tmp_path / "trades.parquet"
    pq.write_table(pa.table(columns), file)
    with kalshi(feed="replay", replay_path=file, speed="max") as bench:
        trades = asyncio.run(heard(bench, [T85], 50))
        assert [one["trade_id"] for one in trades] == [str(i) for i in range(50)]
        eventually(lambda: finished(bench))
        assert bench.rest.good("GET", f"/markets/{T85}")["market"]["status"] == "active"


@RECORDED
def test_a_real_day_is_played_and_pays_what_the_exchange_had_decided() -> None:
    event = "KXHIGHNY-25MAR10"
    table = pq.read_table(DATA / "markets_kxhigh.parquet")
    rows = [row for row in table.to_pylist() if row["event_ticker"] == event and row["volume"]]
    tickers = tuple(row["ticker"] for row in rows)
    results = {row["ticker"]: row["result"] for row in rows}
    everything = pq.read_table(DATA / "trades_kxhigh.parquet")
    wanted = everything.filter(pc.is_in(everything["ticker"], pa.array(tickers)))
    settings = {"feed": "replay", "replay_path": DATA / "trades_kxhigh.parquet", "symbols": tickers, "speed": "max"}
    with kalshi(**settings) as bench:
        trades = asyncio.run(heard(bench, list(tickers), wanted.num_rows))
        for ticker in tickers:
            recorded = wanted.filter(pc.equal(wanted["ticker"], ticker)).to_pylist()
            got = [one for one in trades if one["market_ticker"] == ticker]
            assert [one["trade_id"] for one in got] == [row["trade_id"] for row in recorded]
            assert [D(one["yes_price_dollars"]) * 100 for one in got] == [row["last"] for row in recorded]
            assert sum(D(one["count_fp"]) for one in got) == sum(row["count"] for row in recorded)
        eventually(lambda: len(bench.rest.good("GET", "/markets", status="settled")["markets"]) == len(tickers))
        shown = {row["ticker"]: row["result"] for row in bench.rest.good("GET", "/markets")["markets"]}
        assert shown == results
        assert list(shown.values()).count("yes") == 1


def facts(rest: Rest) -> Json:
    """What must be the same before and after; nothing that moves with the market."""
    return {
        "orders": rest.good("GET", "/portfolio/orders")["orders"],
        "fills": rest.good("GET", "/portfolio/fills")["fills"],
        "settlements": rest.good("GET", "/portfolio/settlements")["settlements"],
        "positions": rest.good("GET", "/portfolio/positions")["market_positions"],
        "balance": rest.good("GET", "/portfolio/balance")["balance_dollars"],
        "lives": {row["ticker"]: [row["status"], row["result"], row["close_time"]]
                  for row in rest.good("GET", "/markets")["markets"]},
    }  # fmt: skip


def control(venue: Process, **step: str) -> None:
    answer = requests.post(f"{venue.simulator.url}/control/markets", data=json.dumps(step), timeout=20)
    assert answer.status_code == 200, answer.text


def test_a_killed_venue_comes_back_with_its_books_its_key_and_its_markets_lives(tmp_path: Path) -> None:
    fine = "KXBTCD-24AUG0817-T61999.99"
    venue = Process(tmp_path, feed="generator", rate=50.0)
    try:
        for ticker in (T85, fine):
            eventually(lambda t=ticker: venue.rest.good("GET", f"/markets/{t}/orderbook")["orderbook_fp"]["no_dollars"])
        for ticker in (T85, fine):
            taking = order(ticker=ticker, price="0.9900", count="3.00", time_in_force="immediate_or_cancel")
            assert venue.rest.good("POST", ORDERS, taking)["fill_count"] == "3.00"
        rests = venue.rest.good("POST", ORDERS, order(price="0.0200", client_order_id="rests"))["order_id"]
        until = {"expiration_time": 4_000_000_000, "cancel_order_on_pause": True}
        venue.rest.good("POST", ORDERS, order(price="0.0200", count="7.00", **until))
        venue.rest.good("POST", f"{ORDERS}/{rests}/decrease", {"reduce_to": "4.00"})
        control(venue, ticker=fine, step="close")
        control(venue, ticker=fine, step="determine", result="yes")
        before = facts(venue.rest)
        venue.kill()
        venue = Process(tmp_path, feed="generator", rate=50.0)
        assert facts(venue.rest) == before
        assert venue.rest("POST", ORDERS, order(client_order_id="rests"))[0] == 409
        assert venue.rest("POST", ORDERS, order(ticker=fine, price="0.0200"))[0] == 400
        control(venue, ticker=fine, step="settle")
        settled = facts(venue.rest)
        assert settled["settlements"][0]["revenue"] == 300
        assert D(settled["balance"]) == D(before["balance"]) + 3
        control(venue, ticker=T85, step="pause")
        assert [row["status"] for row in facts(venue.rest)["orders"]].count("canceled") == 1
        venue.kill()
        venue = Process(tmp_path, feed="generator", rate=50.0)
        assert facts(venue.rest)["settlements"] == settled["settlements"]
        assert facts(venue.rest)["lives"][T85][0] == "inactive"
    finally:
        venue.kill()


def test_a_replay_goes_on_after_a_kill_and_no_trade_is_missing(tmp_path: Path) -> None:
    data = recording(tmp_path / "data", 8_000)
    settings = {"feed": "replay", "replay_path": data, "speed": "max"}
    venue = Process(tmp_path / "venue", **settings)
    try:
        first = asyncio.run(until_killed(venue, 2_500))
        venue = Process(tmp_path / "venue", **settings)
        second = asyncio.run(until_the_end(venue))
        for ticker, start in ((YES, 0), (NO, 1)):
            whole = [f"trade-{i}" for i in range(start, 8_000, 2)]
            before = [one["trade_id"] for one in first if one["market_ticker"] == ticker]
            after = [one["trade_id"] for one in second if one["market_ticker"] == ticker]
            assert before == whole[: len(before)]
            assert after == whole[-len(after) :]
            assert set(before) | set(after) == set(whole)
        eventually(lambda: len(venue.rest.good("GET", "/markets", status="settled")["markets"]) == 2)
    finally:
        venue.kill()


async def until_killed(venue: Process, count: int) -> list[Json]:
    """All trades up to the end of the connection; the venue is killed once there are ``count``."""
    got: list[Json] = []
    async with connected(venue) as socket:
        await socket.ask("subscribe", channels=["trade"], market_tickers=[YES, NO])
        async for message in socket.socket:
            body = json.loads(message.data)
            got += [body["msg"]] if body["type"] == "trade" else []
            if len(got) == count:
                venue.kill()
    return got


async def until_the_end(venue: Process) -> list[Json]:
    """All trades up to the last of both markets."""
    got: list[Json] = []
    left = {"trade-7998", "trade-7999"}
    async with connected(venue) as socket:
        await socket.ask("subscribe", channels=["trade"], market_tickers=[YES, NO])
        while left:
            got.append((await socket.of("trade"))["msg"])
            left.discard(got[-1]["trade_id"])
    return got


def test_a_line_broken_off_by_a_kill_counts_for_nothing_and_a_spoiled_one_is_refused(tmp_path: Path) -> None:
    with kalshi(folder=tmp_path) as bench:
        bench.step(T85, "pause")
    file = tmp_path / LIVES
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"listing":{"ticker":"KXHI')
    with kalshi(folder=tmp_path) as bench:
        assert bench.rest.good("GET", f"/markets/{T85}")["market"]["status"] == "inactive"
    file.write_bytes(b"spoiled\n" + whole)
    with pytest.raises(SimulatorError, match="expected an entry in line 1"), kalshi(folder=tmp_path):
        pytest.fail("it started")


def test_a_key_that_came_from_outside_is_kept_nowhere(tmp_path: Path) -> None:
    pem = private_pem(None)
    with kalshi(folder=tmp_path, api_secret=pem) as bench:
        assert bench.rest("GET", "/portfolio/balance")[0] == 200
    assert not (tmp_path / FILE).exists()
