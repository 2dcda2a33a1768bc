"""The recorder between the event loop and its thread: nothing waits, and what is dropped is counted."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.exchange.recorder import start_recorder
from exchanges.model.market import Bar
from exchanges.model.order import OrderStatus, OrderType, Side
from exchanges.model.venue import (
    CommandResult,
    FillReport,
    InstrumentsReport,
    OrderReport,
    Outcome,
    PlaceOrder,
    StreamStatus,
)
from exchanges.recording import store as stores
from exchanges.recording.errors import RecordingError
from exchanges.recording.recorder import Recorder
from exchanges.recording.settings import RecorderSettings
from tests.unit.recording_bench import BTC, bar, fill, names, order, quote, rows, trade, until


class Gate:
    """Holds the recorder's thread up when it wants to write, as a slow disk does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open, self.reached = threading.Event(), threading.Event()
        made = stores.make_folder

        def slow(folder: Path) -> None:
            self.reached.set()
            self.open.wait(60)
            made(folder)

        monkeypatch.setattr(stores, "make_folder", slow)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    held = Gate(monkeypatch)
    yield held
    held.open.set()


def recorder(folder: Path, **settings: Any) -> Recorder:
    made = Recorder(RecorderSettings(folder=folder, venue="bybit", turn_s=0.01, **settings))
    made.start()
    return made


def test_everything_that_was_taken_is_on_the_disk_after_the_close(tmp_path: Path) -> None:
    recording = recorder(tmp_path)
    messages = [
        trade(0),
        quote(0),
        bar(0),
        bar(1, closed=False),
        PlaceOrder("bw-1", BTC, Side.BUY, OrderType.MARKET, Decimal("0.01")),
        CommandResult("PlaceOrder", "bw-1", BTC, Outcome.ACCEPTED, venue_id="v1"),
        OrderReport(order(status=OrderStatus.FILLED)),
        FillReport(fill()),
        StreamStatus("public", True),
        InstrumentsReport(()),
    ]
    for message in messages:
        recording.take(message)
    asyncio.run(recording.close())
    assert rows(tmp_path) == ["t0"]
    assert rows(tmp_path, "quotes", "bid_price") == [60_000.0]
    assert rows(tmp_path, "bars_60s", "close") == [100.0]
    assert rows(tmp_path, "fills", "execution_id") == ["e1"]
    assert sorted(rows(tmp_path, "orders", "status")) == ["filled", "sent", "sent"]
    said = recording.stats()
    assert (said["rows_trades"], said["rows_orders"], said["dropped"], said["unwritten"]) == (1, 3, 0, 0)


def test_a_full_queue_drops_market_data_and_counts_it_but_no_order_and_no_fill(
    tmp_path: Path, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    recording = recorder(tmp_path, queue_rows=100, flush_rows=1)
    recording.take(trade(0))
    assert gate.reached.wait(30)
    with caplog.at_level(logging.WARNING):
        for number in range(1, 500):
            recording.take(trade(number))
            recording.take(FillReport(fill(f"e{number}")))
        assert recording.stats()["dropped"] > 0
        gate.open.set()
        asyncio.run(recording.close())
    kept, said = rows(tmp_path), recording.stats()
    assert len(kept) + said["dropped"] == 500
    assert kept == [f"t{n}" for n in range(len(kept))]
    assert rows(tmp_path, "fills", "execution_id") == [f"e{n}" for n in range(1, 500)]
    assert f"{int(said['dropped'])} pieces of market data dropped" in caplog.text


def test_taking_never_waits_for_the_disk(tmp_path: Path, gate: Gate) -> None:
    recording = recorder(tmp_path, queue_rows=50_000, flush_rows=1)
    recording.take(trade(0))
    assert gate.reached.wait(30)
    data = [trade(number) for number in range(10_000)]
    began = time.thread_time()
    for piece in data:
        recording.take(piece)
    each_s = (time.thread_time() - began) / len(data)
    assert recording.unwritten >= 10_000
    assert each_s < 50e-6, f"{each_s * 1e6:.1f} us of the event loop's time for one piece of data"
    gate.open.set()
    recording.end()
    assert len(rows(tmp_path)) == 10_001


def test_what_a_crash_would_lose_is_bounded_by_time(tmp_path: Path) -> None:
    recording = recorder(tmp_path, flush_s=0.05)
    recording.take(trade(0))
    until(lambda: rows(tmp_path) == ["t0"], "the first trade on the disk")
    until(lambda: recording.stats()["unwritten"] == 0, "nothing left to lose")
    recording.end()


def test_an_error_in_one_message_leaves_the_recorder_at_work(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recording = recorder(tmp_path)
    odd: Bar = msgspec.structs.replace(bar(0), ts_ns="noon")
    recording.take(odd)
    until(lambda: recording.stats()["failures"] == 1 if "failures" in recording.stats() else False, "the failure")
    recording.take(trade(1))
    recording.end()
    assert rows(tmp_path) == ["t1"]
    assert "goes on after an error" in caplog.text


def test_rows_that_could_not_be_written_at_the_end_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    recording = recorder(tmp_path)
    monkeypatch.setattr(stores, "make_folder", full)
    recording.take(trade(0))
    recording.end()
    assert (recording.stats()["lost"], recording.stats()["unwritten"]) == (1, 1)
    assert "found 1 rows that could not be" in caplog.text


def test_a_close_that_takes_too_long_gives_up_and_says_how_much_is_unwritten(
    tmp_path: Path, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    recording = recorder(tmp_path, flush_rows=1)
    recording.take(trade(0))
    assert gate.reached.wait(30)
    recording.end(timeout_s=0.05)
    assert "within 0.05 s" in caplog.text
    gate.open.set()
    recording.end()
    assert rows(tmp_path) == ["t0"]


def test_a_recorder_that_never_began_ends_at_once(tmp_path: Path) -> None:
    made = Recorder(RecorderSettings(folder=tmp_path, venue="bybit"))
    made.end()
    assert made.stats()["unwritten"] == 0


def test_a_folder_that_can_not_be_used_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecordingError, match=r"expected a folder that can be written.*file"):
        recorder(tmp_path / "file")


def test_a_connection_records_where_its_settings_name_a_folder(tmp_path: Path) -> None:
    assert start_recorder("", "bybit", 3) is None
    made = start_recorder(str(tmp_path / "new"), "bybit", 3)
    assert made is not None
    made.take(trade(0))
    made.end()
    assert names(tmp_path / "new") == ["trades-3-1.parquet"]


def test_recorders_of_two_venues_share_a_folder(tmp_path: Path) -> None:
    one = recorder(tmp_path)
    other = Recorder(RecorderSettings(folder=tmp_path, venue="alpaca"))
    other.start()
    one.take(trade(0))
    other.take(trade(1, symbol="alpaca:BTC/USD"))
    one.end()
    other.end()
    assert names(tmp_path) == ["trades-1-1.parquet"]
    assert rows(tmp_path / "venue=alpaca") == ["t1"]
