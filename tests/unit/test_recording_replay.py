"""The same files replay: whole recordings, over days, in time order, with few files open at once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwheel.recording import recordings_of
from exchanges.model.market import Trade
from exchanges.model.order import Side
from exchanges.recording.compaction import compact
from exchanges.recording.files import Draft, make_folder
from exchanges.recording.layout import Note, Partition, name_of, with_note
from exchanges.recording.reader import venues
from exchanges.recording.schemas import table_of
from exchanges.recording.settings import RecorderSettings
from exchanges.recording.store import RecordingStore
from exchanges.simulators.errors import FeedError
from exchanges.simulators.feeds.merge import Stream, in_time_order
from exchanges.simulators.feeds.replay import Replay
from exchanges.simulators.feeds.row import TRADE_ID, TS, Row
from tests.unit.recording_bench import BTC, MIDNIGHT_NS, NOON_NS, TODAY, Clock, bar, quote, trade

ETH = "bybit:ETHUSDT"
DAY_NS = TODAY.end_ns - TODAY.start_ns
DATA = Path(os.environ.get("BIGWHEEL_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))


def store(folder: Path, venue: str = "bybit", epoch: int = 1) -> RecordingStore:
    return RecordingStore(RecorderSettings(folder=folder, venue=venue, epoch=epoch), Counter(), Clock())


def put(folder: Path, *trades: Trade, venue: str = "bybit", epoch: int = 1) -> None:
    """One part for each symbol and day of ``trades``."""
    made = store(folder, venue, epoch)
    for each in trades:
        made.add(each.symbol, "trades", each.ts_ns, each)
    assert made.finish() == 0


def ids(replay: Replay) -> list[str]:
    return [row[TRADE_ID] for row in replay.trades()]


def test_a_recording_plays_its_symbols_and_days_in_time_order(tmp_path: Path) -> None:
    put(tmp_path, *(trade(n, NOON_NS + n * DAY_NS // 3) for n in range(0, 8, 2)))
    put(tmp_path, *(trade(n, NOON_NS + n * DAY_NS // 3, ETH) for n in range(1, 8, 2)))
    replay = Replay(tmp_path)
    assert set(replay.symbols) == {"BTCUSDT", "ETHUSDT"}
    assert ids(replay) == [f"t{n}" for n in range(8)]
    assert ids(Replay(tmp_path, ["ETHUSDT"])) == ["t1", "t3", "t5", "t7"]
    assert recordings_of(str(tmp_path))["bybit"][1:] == (["bybit:BTCUSDT", "bybit:ETHUSDT"], "trade", 60)


def test_every_value_of_a_trade_comes_back(tmp_path: Path) -> None:
    put(tmp_path, trade(3))
    ((ts_ns, symbol, price, size, side, trade_id),) = Replay(tmp_path).trades()
    made = trade(3)
    assert (ts_ns, symbol, price, size, trade_id) == (made.ts_ns, "BTCUSDT", made.price, made.size, "t3")
    assert side is Side.BUY


def test_a_recording_plays_the_same_before_and_after_its_files_are_merged(tmp_path: Path) -> None:
    for epoch in range(1, 5):
        put(tmp_path, *(trade(n, NOON_NS) for n in range(epoch, 40, 4)), epoch=epoch)
    before = list(Replay(tmp_path).trades())
    assert compact(TODAY.folder(tmp_path)).files == 4
    assert list(Replay(tmp_path).trades()) == before
    assert len(before) == 39


def test_quotes_orders_and_bars_beside_the_trades_are_left_out(tmp_path: Path) -> None:
    made = store(tmp_path)
    made.add(BTC, "quotes", NOON_NS, quote(0))
    made.add(BTC, "bars_60s", MIDNIGHT_NS, bar(0))
    made.add(BTC, "trades", NOON_NS, trade(0))
    made.finish()
    assert ids(Replay(tmp_path)) == ["t0"]


def test_bars_play_with_the_length_their_table_says_though_a_day_has_but_one(tmp_path: Path) -> None:
    made = store(tmp_path)
    for number in range(2):
        made.add(BTC, "bars_3600s", MIDNIGHT_NS + number * DAY_NS, bar(0, MIDNIGHT_NS + number * DAY_NS))
    made.finish()
    replay = Replay(tmp_path)
    assert replay.trades_per_row("BTCUSDT") == 4
    last = [row[TS] for row in replay.trades()][3]
    assert last == MIDNIGHT_NS + 3_600_000_000_000 - 1_000_000
    assert recordings_of(str(tmp_path))["bybit"][1:] == (["bybit:BTCUSDT"], "bar", 3_600)


def test_the_files_of_a_crashed_merger_are_not_played_twice(tmp_path: Path) -> None:
    put(tmp_path, trade(0))
    put(tmp_path, trade(1), epoch=2)
    folder, table = TODAY.folder(tmp_path), table_of("trades")
    note = Note(replaces=("trades-1-1.parquet", "trades-2-2.parquet"))
    with Draft(folder / name_of("trades", 2, 2, 1), with_note(table.schema, note)) as draft:
        draft.add(pa.Table.from_batches([table.batch([trade(0), trade(1)])]))
        draft.keep()
    assert ids(Replay(tmp_path)) == ["t0", "t1"]


def test_what_was_recorded_and_imported_as_well_is_played_once(tmp_path: Path) -> None:
    made = store(tmp_path)
    for number in range(3):
        made.add(BTC, "bars_60s", MIDNIGHT_NS, bar(number))
    made.finish()
    table = table_of("bars_60s")
    folder = Partition("bybit", "BTCUSDT", "2026-11").folder(tmp_path)
    make_folder(folder)
    with Draft(folder / name_of("bars_60s", 0, 1), with_note(table.schema, Note())) as draft:
        draft.add(pa.Table.from_batches([table.batch([bar(number, close=101.0) for number in (2, 3)])]))
        draft.keep()
    replay = Replay(tmp_path)
    closes = [(row[TS], row[2]) for row in list(replay.trades())[3::4]]
    assert [price for _, price in closes] == [100.0, 100.0, 101.0, 101.0]
    assert [at for at, _ in closes] == sorted(at for at, _ in closes)
    assert recordings_of(str(tmp_path))["bybit"][1:] == (["bybit:BTCUSDT"], "bar", 60)


def test_symbols_with_a_slash_are_played_under_their_own_name(tmp_path: Path) -> None:
    put(tmp_path, trade(0, symbol="alpaca:BTC/USD"), venue="alpaca")
    assert Replay(tmp_path / "venue=alpaca").symbols == ("BTC/USD",)


def test_one_venue_is_played_at_a_time(tmp_path: Path) -> None:
    put(tmp_path, trade(0))
    put(tmp_path, trade(1, symbol="alpaca:AAPL"), venue="alpaca")
    with pytest.raises(FeedError, match=r"expected one venue's data, found alpaca, bybit; give .*venue=alpaca"):
        Replay(tmp_path)
    folders = venues(tmp_path)
    assert list(folders) == ["alpaca", "bybit"]
    assert ids(Replay(folders["bybit"])) == ["t0"] and ids(Replay(folders["alpaca"])) == ["t1"]
    assert venues(folders["bybit"]) == {}


def test_days_without_a_row_do_not_stand_in_the_way(tmp_path: Path) -> None:
    folder, schema = Partition("bybit", "BTCUSDT", "2026-11-23").folder(tmp_path), table_of("trades").schema
    make_folder(folder)
    pq.write_table(schema.empty_table(), folder / name_of("trades", 0, 1))
    put(tmp_path, trade(0))
    replay = Replay(tmp_path)
    assert ids(replay) == ["t0"]
    assert replay.sample("BTCUSDT") == ([60_000.0], [0.001])


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc, which is not here")
def test_only_the_files_that_overlap_are_open(tmp_path: Path) -> None:
    days = 30
    put(tmp_path, *(trade(n, MIDNIGHT_NS + n * DAY_NS) for n in range(days)))
    put(tmp_path, *(trade(n, MIDNIGHT_NS + n * DAY_NS, ETH) for n in range(days)))
    before, most, played = len(os.listdir("/proc/self/fd")), 0, 0
    for _ in Replay(tmp_path).trades():
        played += 1
        most = max(most, len(os.listdir("/proc/self/fd")) - before)
    assert played == 2 * days
    assert most <= 6


@given(st.lists(st.lists(st.integers(0, 20), max_size=6).map(sorted), max_size=5))
def test_streams_are_merged_in_time_order_and_those_of_one_time_in_their_own(times: list[list[int]]) -> None:
    begun: list[int] = []

    def stream(number: int, at: list[int]) -> Iterator[Row]:
        begun.append(number)
        for ts_ns in at:
            yield ts_ns, str(number), 1.0, 1.0, Side.BUY, ""

    streams = [Stream(min(at, default=0), stream(number, at)) for number, at in enumerate(times)]
    found = [(row[0], int(row[1])) for row in in_time_order(streams)]
    assert found == sorted((ts_ns, number) for number, at in enumerate(times) for ts_ns in at)
    assert sorted(begun) == list(range(len(times)))


def test_a_stream_is_begun_when_its_first_row_is_due() -> None:
    begun: list[int] = []

    def stream(first_ns: int) -> Iterator[Row]:
        begun.append(first_ns)
        yield first_ns, "A", 1.0, 1.0, Side.BUY, ""

    merged = in_time_order([Stream(at, stream(at)) for at in (30, 10, 20)])
    assert next(merged)[0] == 10
    assert begun == [10]
    assert [row[0] for row in merged] == [20, 30]


@pytest.mark.skipif(not DATA.is_dir(), reason="recorded data is not here; set BIGWHEEL_DATA")
@pytest.mark.parametrize(
    "name", ["trades/binance_usdm_BTCUSDT_20240808.parquet", "trades/bybit_linear_8symbols_20210417.parquet"]
)
def test_real_trades_that_are_recorded_play_as_they_did(tmp_path: Path, name: str) -> None:
    played = list(Replay(DATA / name).trades())
    made = store(tmp_path)
    for number, (ts_ns, key, price, size, side, trade_id) in enumerate(played):
        made.add(
            f"bybit:{key}", "trades", ts_ns, Trade(f"bybit:{key}", 1, number, ts_ns, 0, price, size, side, trade_id)
        )
        if number % 5_000 == 4_999:
            made.finish()
    assert made.finish() == 0
    for folder in tmp_path.glob("venue=*/symbol=*/day=*"):
        compact(folder)
    again = list(Replay(tmp_path).trades())
    assert {row[1] for row in again} == {row[1] for row in played}
    for key in {row[1] for row in played}:
        assert [row for row in again if row[1] == key] == [row for row in played if row[1] == key]
