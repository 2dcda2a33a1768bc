"""Recordings of several symbols, and of several venues, in step."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exchanges.simulators.feeds.replay import Replay
from exchanges.simulators.feeds.row import SYMBOL, TS
from tests.integration.bybit_bench import recording, running
from tests.integration.venue_bench import Running, eventually

SECOND = 1_000_000_000
RECORDED = 1_700_000_000 * SECOND
DATA = Path(os.environ.get("BIGWHEEL_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
EQUITIES = DATA / "bars" / "us_equities_1m"


class Seen(NamedTuple):
    """A trade as it came: the recorded time in milliseconds and our clock's."""

    symbol: str
    recorded_ms: int
    arrived_ns: int


async def watch(bench: Running, symbols: list[str], count: int) -> list[Seen]:
    """All trades in the order in which they came."""
    seen: list[Seen] = []
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(bench.simulator.ws_url + "/v5/public/linear", max_msg_size=0) as socket,
    ):
        await socket.send_json({"op": "subscribe", "args": [f"publicTrade.{symbol}" for symbol in symbols]})
        while len(seen) < count:
            message = await socket.receive_json(timeout=60)
            seen += [Seen(row["s"], row["T"], time.time_ns()) for row in message.get("data", ())]
    return seen


def trades(folder: Path, symbol: str, times: list[int]) -> Path:
    folder.mkdir(exist_ok=True)
    columns: dict[str, Any] = {"ts_ns": times, "price": [100.0] * len(times), "size": [1.0] * len(times)}
    pq.write_table(pa.table(columns), folder / f"{symbol}.parquet")
    return folder


def test_symbols_keep_step_within_a_second_however_fast_they_are_played(tmp_path: Path) -> None:
    for symbol, shift in (("AAAUSDT", 0), ("BBBUSDT", 250), ("CCCUSDT", 500)):
        trades(tmp_path, symbol, [RECORDED + (i * 1_000 + shift) * 1_000_000 for i in range(1_500)])
    symbols = ["AAAUSDT", "BBBUSDT", "CCCUSDT"]
    with running(feed="replay", replay_path=tmp_path, speed="max") as bench:
        seen = asyncio.run(watch(bench, symbols, 4_500))
    assert Counter(row.symbol for row in seen) == dict.fromkeys(symbols, 1_500)
    steps = [row.recorded_ms // 1_000 for row in seen]
    assert steps == sorted(steps)


def test_bars_of_several_symbols_keep_step_bar_by_bar(tmp_path: Path) -> None:
    times = [RECORDED // (60 * SECOND) * 60 * SECOND + i * 60 * SECOND for i in range(300)]
    for symbol in ("AAAUSDT", "BBBUSDT"):
        flat: dict[str, Any] = dict.fromkeys(("open", "high", "low", "close", "volume"), [100.0] * 300)
        pq.write_table(pa.table({"ts_ns": times, **flat}), tmp_path / f"{symbol}.parquet")
    with running(feed="replay", replay_path=tmp_path, speed="max") as bench:
        seen = asyncio.run(watch(bench, ["AAAUSDT", "BBBUSDT"], 2_400))
    minutes = [row.recorded_ms // 60_000 for row in seen]
    assert minutes == sorted(minutes)
    assert {len(list(rows)) for _, rows in itertools.groupby(seen, key=lambda row: row.symbol)} == {4}


def test_a_recording_with_a_start_time_is_never_early(tmp_path: Path) -> None:
    folder = trades(tmp_path, "AAAUSDT", [RECORDED + i * SECOND // 10 for i in range(30)])
    start = time.time_ns() + SECOND
    with running(feed="replay", replay_path=folder, speed=2.0, start_ns=start) as bench:
        seen = asyncio.run(watch(bench, ["AAAUSDT"], 30))
    due = [start + (row.recorded_ms * 1_000_000 - RECORDED) // 2 for row in seen]
    assert all(row.arrived_ns >= at - 2_000_000 for row, at in zip(seen, due, strict=True))


def test_venues_with_one_start_time_are_in_step_and_who_had_to_wait_catches_up(tmp_path: Path) -> None:
    # At this pace the recordings take an hour. That began an hour ago: all of it is due, at both venues.
    early = trades(tmp_path / "one", "AAAUSDT", [RECORDED + i * 36 * SECOND for i in range(100)])
    later = trades(tmp_path / "two", "BBBUSDT", [RECORDED + (i + 50) * 36 * SECOND for i in range(100)])
    shared = {"feed": "replay", "start_ns": time.time_ns() - 3_600 * SECOND, "epoch_ns": RECORDED}
    with running(replay_path=early, **shared) as one, running(replay_path=later, **shared) as two:
        assert len(asyncio.run(watch(one, ["AAAUSDT"], 100))) == 100
        eventually(lambda: one.state()["replay"]["finished"])
        # Of the second one half lies in the hour to come.
        seen = asyncio.run(watch(two, ["BBBUSDT"], 50))
        assert [row.recorded_ms for row in seen] == [
            (RECORDED + (i + 50) * 36 * SECOND) // 1_000_000 for i in range(50)
        ]
        assert two.state()["replay"]["finished"] is False


def test_a_resumed_recording_with_a_start_time_keeps_to_it(tmp_path: Path) -> None:
    folder = recording(tmp_path / "data", "AAAUSDT", 4_000)
    start = time.time_ns() - 60 * SECOND
    settings = {"feed": "replay", "replay_path": folder, "folder": tmp_path / "venue", "start_ns": start}
    with running(**settings) as bench:
        asyncio.run(watch(bench, ["AAAUSDT"], 500))
    with running(**settings) as bench:
        played = bench.state()["replay"]["trades"]["AAAUSDT"]
        assert 0 < played <= 4_000
        asyncio.run(watch(bench, ["AAAUSDT"], 4_000 - played))
        eventually(lambda: bench.state()["replay"]["finished"])


@pytest.mark.skipif(not EQUITIES.is_dir(), reason="recorded bars of US equities are not here; set BIGWHEEL_DATA")
def test_recorded_bars_of_us_equities_are_one_stream_in_time_order() -> None:
    replay = Replay(EQUITIES)
    assert len(replay.symbols) == 24
    assert replay.step_ns() == 60 * SECOND
    rows = list(replay.trades())
    times = [row[TS] for row in rows]
    assert times == sorted(times)
    assert len(rows) == 4 * 34_443
    assert Counter(row[SYMBOL] for row in rows)["AAPL"] == 4 * 1_558
