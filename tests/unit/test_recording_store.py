"""When rows are written: by number, by age, at midnight; and what happens when they can't be."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from exchanges.model.market import Trade
from exchanges.recording import store as stores
from exchanges.recording.compaction import compact
from exchanges.recording.layout import Partition
from exchanges.recording.schemas import SeenFill
from exchanges.recording.settings import RecorderSettings
from exchanges.recording.store import RecordingStore
from tests.unit.recording_bench import (
    BTC,
    MIDNIGHT_NS,
    NOON_NS,
    SECOND,
    TODAY,
    Clock,
    everything,
    fill,
    names,
    rows,
    trade,
)

TOMORROW = TODAY._replace(period="2026-11-25")
DAY_NS = TODAY.end_ns - TODAY.start_ns


class Bench:
    """A store with a clock of its own."""

    def __init__(self, folder: Path, clock: Clock | None = None, **settings: Any) -> None:
        self.folder, self.clock = folder, clock or Clock()
        self.counters: Counter[str] = Counter()
        self.settings = RecorderSettings(folder=folder, venue="bybit", **settings)
        self.store = RecordingStore(self.settings, self.counters, self.clock)

    def trades(self, *numbers: int, ts_ns: int = NOON_NS, symbol: str = BTC) -> None:
        for number in numbers:
            made = trade(number, ts_ns, symbol)
            self.store.add(symbol, "trades", made.ts_ns, made)

    def tend(self, times: int = 1) -> None:
        for _ in range(times):
            self.store.tend()


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Breaks the disk, and mends it."""
    working = stores.make_folder

    def make(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    return lambda breaks: monkeypatch.setattr(stores, "make_folder", make if breaks else working)


def test_rows_are_written_when_the_oldest_has_waited_long_enough(tmp_path: Path) -> None:
    bench = Bench(tmp_path, flush_s=60)
    bench.trades(0, 1)
    bench.clock.move(59)
    bench.tend()
    assert names(tmp_path) == [] and len(bench.store) == 2
    bench.clock.move(1)
    bench.tend()
    assert names(tmp_path) == ["trades-1-1.parquet"] and len(bench.store) == 0
    assert rows(tmp_path) == ["t0", "t1"]


def test_rows_are_written_when_there_are_enough_of_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path, flush_rows=1_000)
    bench.trades(*range(999))
    bench.tend()
    assert names(tmp_path) == []
    bench.trades(999)
    bench.tend()
    assert rows(tmp_path) == [f"t{n}" for n in range(1_000)]


def test_a_day_is_closed_at_midnight_and_each_row_lies_in_its_own_day(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Clock(TODAY.end_ns - SECOND))
    bench.trades(0, ts_ns=TODAY.end_ns - SECOND)
    bench.tend()
    assert names(tmp_path) == []
    bench.clock.move(1)
    bench.trades(1, ts_ns=TODAY.end_ns)
    bench.tend()
    assert names(tmp_path, TODAY) == ["trades-1-1.parquet"] and names(tmp_path, TOMORROW) == []
    bench.trades(2, ts_ns=TODAY.end_ns - SECOND)
    assert bench.store.finish() == 0
    assert rows(tmp_path / "venue=bybit" / "symbol=BTCUSDT" / "day=2026-11-24") == ["t0", "t2"]
    assert rows(TOMORROW.folder(tmp_path)) == ["t1"]


def test_recorded_data_of_a_day_long_past_is_not_written_row_by_row(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.trades(0, ts_ns=NOON_NS - 400 * DAY_NS)
    bench.tend(3)
    assert len(bench.store) == 1


def test_a_file_is_in_time_order_though_rows_came_late(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.trades(5, 1, 3)
    bench.store.finish()
    assert rows(tmp_path) == ["t1", "t3", "t5"]


def test_symbols_with_signs_of_folders_in_them_have_folders_of_their_own(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for symbol in ("bybit:BTC/USD", "bybit:BTC%2FUSD", "bybit:../BTC"):
        bench.trades(0, symbol=symbol)
    bench.store.finish()
    for symbol in ("BTC/USD", "BTC%2FUSD", "../BTC"):
        assert names(tmp_path, Partition("bybit", symbol, TODAY.period)) == ["trades-1-1.parquet"]
    assert len(list((tmp_path / "venue=bybit").iterdir())) == 3


def test_a_later_incarnation_never_overwrites_an_earlier_ones_files(tmp_path: Path) -> None:
    for number, epoch in enumerate((3, 3, 4)):
        bench = Bench(tmp_path, epoch=epoch)
        bench.trades(number)
        bench.store.finish()
    assert names(tmp_path) == ["trades-3-1.parquet", "trades-3-2.parquet", "trades-4-3.parquet"]


def test_a_file_another_writer_has_put_there_meanwhile_is_passed_over(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.trades(0)
    bench.store.finish()
    (TODAY.folder(tmp_path) / "trades-1-2.parquet").write_bytes(b"someone else's")
    bench.trades(1)
    bench.store.finish()
    assert (TODAY.folder(tmp_path) / "trades-1-2.parquet").read_bytes() == b"someone else's"
    assert (TODAY.folder(tmp_path) / "trades-1-3.parquet").exists()


# -- a disk that fails -------------------------------------------------------------------


def test_rows_that_can_not_be_written_are_kept_and_written_later(
    tmp_path: Path, broken: Callable[[bool], None], caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path, flush_s=1, retry_s=5)
    broken(True)
    bench.trades(0)
    bench.clock.move(2)
    bench.tend(3)
    assert bench.counters["write_failures"] == 1, "not before the next attempt is due"
    bench.clock.move(5)
    bench.tend()
    assert bench.counters["write_failures"] == 2
    assert [record.levelno for record in caplog.records] == [logging.ERROR], "it is told once"
    assert "No space left" in caplog.text
    broken(False)
    bench.clock.move(5)
    bench.tend()
    assert rows(tmp_path) == ["t0"] and len(bench.store) == 0
    assert "can write again" in caplog.text


def test_a_disk_that_stays_full_costs_the_oldest_market_data_and_no_fill(
    tmp_path: Path, broken: Callable[[bool], None]
) -> None:
    bench = Bench(tmp_path, buffer_rows=2_000, flush_s=1e6)
    broken(True)
    for number in range(50):
        bench.store.add(BTC, "fills", NOON_NS, SeenFill(NOON_NS, NOON_NS, fill(f"e{number}")))
    bench.trades(*range(5_000))
    bench.tend()
    assert len(bench.store) <= 2_000
    assert bench.counters["dropped_disk"] == 5_050 - len(bench.store)
    broken(False)
    assert bench.store.finish() == 0
    assert rows(tmp_path, "fills", "execution_id") == [f"e{n}" for n in range(50)]
    kept = rows(tmp_path)
    assert kept == [f"t{n}" for n in range(5_000 - len(kept), 5_000)]


def test_what_can_not_be_written_at_the_end_is_counted(tmp_path: Path, broken: Callable[[bool], None]) -> None:
    bench = Bench(tmp_path)
    bench.trades(0, 1)
    broken(True)
    assert bench.store.finish() == 2


def test_many_symbols_are_written_early_when_there_is_no_more_room(tmp_path: Path) -> None:
    bench = Bench(tmp_path, buffer_rows=100)
    bench.trades(*range(60))
    bench.trades(*range(50), symbol="bybit:ETHUSDT")
    bench.tend()
    assert len(bench.store) == 50
    assert rows(tmp_path) == [f"t{n}" for n in range(60)]


def test_a_value_that_fits_no_column_costs_its_own_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(tmp_path)
    bench.trades(0)
    broken_trade: Trade = msgspec.structs.replace(trade(1), price="dear")
    bench.store.add(BTC, "trades", broken_trade.ts_ns, broken_trade)
    bench.trades(2)
    bench.store.finish()
    assert rows(tmp_path) == ["t0", "t2"]
    assert bench.counters["unfit"] == 1
    assert "'dear'" in caplog.text


# -- mergers -----------------------------------------------------------------------------


def test_the_files_of_a_day_are_merged_when_it_has_ended_and_settled(tmp_path: Path) -> None:
    bench = Bench(tmp_path, flush_s=1, settle_s=600)
    for number in range(3):
        bench.trades(number)
        bench.clock.move(1)
        bench.tend()
    assert len(names(tmp_path)) == 3
    bench.clock.now_ns = TODAY.end_ns + 60 * SECOND
    bench.trades(3)
    bench.store.finish()
    bench.clock.move(599)
    bench.tend()
    assert len(names(tmp_path)) == 4, "something came ten minutes ago"
    bench.clock.move(2)
    bench.tend()
    assert names(tmp_path) == ["trades-1-4-m1.parquet"]
    assert rows(tmp_path) == ["t0", "t1", "t2", "t3"]
    assert bench.counters["compacted"] == 4


def test_a_running_day_never_has_many_small_files(tmp_path: Path) -> None:
    bench = Bench(tmp_path, flush_s=1, most_parts=4)
    for number in range(10):
        bench.trades(number)
        bench.clock.move(1)
        bench.tend()
    assert names(tmp_path) == [
        "trades-1-4-m1.parquet",
        "trades-1-8-m1.parquet",
        "trades-1-9.parquet",
        "trades-1-10.parquet",
    ]
    assert rows(tmp_path) == [f"t{n}" for n in range(10)]


def test_what_an_earlier_process_left_of_a_past_day_is_merged_after_the_start(tmp_path: Path) -> None:
    for epoch in (1, 2):
        bench = Bench(tmp_path, epoch=epoch)
        bench.trades(0, epoch, ts_ns=MIDNIGHT_NS)
        bench.store.finish()
    leftover = TODAY.folder(tmp_path) / ".trades-1-9.parquet.999999999.tmp"
    leftover.write_bytes(b"half")
    later = Bench(tmp_path, Clock(NOON_NS + DAY_NS), epoch=3)
    later.tend(2)
    assert names(tmp_path) == ["trades-2-2-m1.parquet"]
    assert rows(tmp_path) == ["t0", "t1", "t2"]
    assert (later.counters["duplicates"], later.counters["leftovers"]) == (1, 1)
    assert not [name for name in everything(tmp_path) if name.endswith(".tmp")]


def test_a_merger_that_fails_is_counted_and_recording_goes_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.trades(0)
    bench.store.finish()
    (TODAY.folder(tmp_path) / "trades-1-2.parquet").write_bytes(b"no parquet")
    later = Bench(tmp_path, Clock(NOON_NS + DAY_NS), epoch=2)
    later.tend()
    assert later.counters["compaction_failures"] == 1
    later.trades(1, ts_ns=NOON_NS + DAY_NS)
    assert later.store.finish() == 0


def test_data_that_comes_for_a_merged_day_is_merged_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for number in range(2):
        bench.trades(number)
        bench.store.finish()
    compact(TODAY.folder(tmp_path))
    bench.trades(2)
    bench.store.finish()
    assert rows(tmp_path) == ["t0", "t1", "t2"]
    bench.clock.move(86_400)
    bench.tend()
    assert names(tmp_path) == ["trades-1-3-m2.parquet"]
    assert pq.read_metadata(TODAY.folder(tmp_path) / "trades-1-3-m2.parquet").num_rows == 3


@pytest.mark.parametrize("change", [{"flush_s": 0}, {"queue_rows": 0}, {"most_parts": 1}])
def test_a_limit_that_can_not_be_kept_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        RecorderSettings(folder=tmp_path, venue="bybit", **change)
