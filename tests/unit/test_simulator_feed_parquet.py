"""Recorded market data: what is accepted, how it is merged, and what is said about bad files."""

from __future__ import annotations

import os
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exchanges.model.order import Side
from exchanges.simulators.bybit.instruments import observed
from exchanges.simulators.errors import FeedError
from exchanges.simulators.feeds.parquet import ParquetTable
from exchanges.simulators.feeds.replay import Replay
from exchanges.simulators.feeds.row import PRICE, SIDE, SIZE, SYMBOL, TS

MINUTE = 60_000_000_000
DATA = Path(os.environ.get("BIGWHEEL_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))


def write(path: Path, **columns: list[Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def trades(path: Path, times: list[int], **more: list[Any]) -> Path:
    columns: dict[str, list[Any]] = {
        "ts_ns": times,
        "price": [100.0 + i / 10 for i in range(len(times))],
        "size": [1.0] * len(times),
    }
    return write(path, **(columns | more))


def bars(path: Path, times: list[int], **more: list[Any]) -> Path:
    n = len(times)
    columns: dict[str, list[Any]] = {
        "ts_ns": times,
        "open": [100.0] * n,
        "high": [110.0] * n,
        "low": [99.0] * n,
        "close": [105.0] * n,
        "volume": [8.0] * n,
    }
    return write(path, **(columns | more))


def test_the_symbol_comes_from_the_file_name_the_column_or_the_mapping(tmp_path: Path) -> None:
    plain = trades(tmp_path / "ETHUSDT.parquet", [1])
    long = trades(tmp_path / "binance_usdm_BTCUSDT_20240808.parquet", [1])
    column = trades(tmp_path / "many.parquet", [1, 2], symbol=["A1", "B2"])
    other = trades(tmp_path / "recording.parquet", [1])
    assert Replay(plain).symbols == ("ETHUSDT",)
    assert Replay(long).symbols == ("BTCUSDT",)
    assert Replay(column).symbols == ("A1", "B2")
    assert Replay(other, names={"recording": "SOLUSDT"}).symbols == ("SOLUSDT",)


def test_symbols_of_a_folder_are_merged_in_time_order(tmp_path: Path) -> None:
    trades(tmp_path / "ETHUSDT.parquet", [1, 4, 5])
    trades(tmp_path / "BTCUSDT.parquet", [2, 3, 6])
    rows = list(Replay(tmp_path).trades())
    assert [row[TS] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row[SYMBOL][:3] for row in rows] == ["ETH", "BTC", "BTC", "ETH", "ETH", "BTC"]


def test_only_the_configured_symbols_of_a_folder_are_played(tmp_path: Path) -> None:
    trades(tmp_path / "ETHUSDT.parquet", [1, 4, 5])
    trades(tmp_path / "many.parquet", [2, 3], symbol=["BTCUSDT", "XRPUSDT"])
    assert [row[SYMBOL] for row in Replay(tmp_path, ["XRPUSDT"]).trades()] == ["XRPUSDT"]


def test_every_row_of_a_file_of_many_batches_is_played_once(tmp_path: Path) -> None:
    path = trades(tmp_path / "BTCUSDT.parquet", list(range(1, 20_001)))
    assert [row[TS] for row in Replay(path).trades()] == list(range(1, 20_001))


def test_a_bar_becomes_four_trades_that_make_the_same_bar_again(tmp_path: Path) -> None:
    path = bars(tmp_path / "BTCUSDT.parquet", [0, MINUTE])
    replay = Replay(path)
    rows = list(replay.trades())
    assert replay.trades_per_row("BTCUSDT") == 4
    assert [row[PRICE] for row in rows[:4]] == [100.0, 99.0, 110.0, 105.0]
    assert sum(row[SIZE] for row in rows[:4]) == 8.0
    assert all(row[TS] < MINUTE for row in rows[:4]) and all(row[TS] >= MINUTE for row in rows[4:])


def test_without_a_side_column_an_uptick_counts_as_a_buy(tmp_path: Path) -> None:
    path = trades(tmp_path / "BTCUSDT.parquet", [1, 2, 3, 4], price=[10.0, 11.0, 11.0, 9.0])
    assert [row[SIDE] for row in Replay(path).trades()] == [Side.BUY, Side.BUY, Side.BUY, Side.SELL]


@pytest.mark.parametrize(
    ("name", "columns", "expected", "found"),
    [
        ("BTCUSDT", {"ts_ns": [1], "price": [1.0]}, "'size'", "'price'"),
        ("BTCUSDT", {"ts_ns": [1], "open": [1.0], "close": [1.0]}, "'high'", "'open'"),
        ("BTCUSDT", {"ts_ns": ["x"], "price": [1.0], "size": [1.0]}, "int64", "string"),
        ("BTCUSDT", {"ts_ns": [1], "price": ["1"], "size": [1.0]}, "double", "string"),
        ("BTCUSDT", {"ts_ns": [1], "price": [1.0], "size": [1.0], "side": [1]}, "string", "int64"),
        ("recording", {"ts_ns": [1], "price": [1.0], "size": [1.0]}, "replay_symbols", "[]"),
    ],
)
def test_a_file_of_the_wrong_form_is_refused_with_what_was_expected_and_found(
    tmp_path: Path, name: str, columns: dict[str, list[Any]], expected: str, found: str
) -> None:
    path = write(tmp_path / f"{name}.parquet", **columns)
    with pytest.raises(FeedError) as caught:
        Replay(path)
    assert str(path) in str(caught.value)
    assert expected in str(caught.value)
    assert found in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"price": [1.0, -1.0]}, "above 0"),
        ({"price": [1.0, float("nan")]}, "finite"),
        ({"size": [1.0, None]}, "nulls"),
        ({"side": ["buy", "short"]}, "'short'"),
        ({"ts_ns": [2, 1]}, "sorted"),
        ({"size": [1, 0]}, "above 0"),
    ],
)
def test_a_bad_value_stops_the_replay_with_its_rows(
    tmp_path: Path, columns: dict[str, list[Any]], expected: str
) -> None:
    path = trades(tmp_path / "BTCUSDT.parquet", [1, 2], **columns)
    with pytest.raises(FeedError, match=expected):
        list(Replay(path).trades())


def test_a_missing_path_an_empty_folder_and_a_text_file_are_told_apart(tmp_path: Path) -> None:
    text = tmp_path / "BTCUSDT.parquet"
    with pytest.raises(FeedError, match="found nothing there"):
        Replay(text)
    with pytest.raises(FeedError, match="found none"):
        Replay(tmp_path)
    text.write_text("ts,price\n1,2\n")
    with pytest.raises(FeedError, match="expected a Parquet file"):
        Replay(text)


def test_a_configured_symbol_that_is_not_recorded_is_an_error_that_names_what_is(tmp_path: Path) -> None:
    trades(tmp_path / "ETHUSDT.parquet", [1])
    with pytest.raises(FeedError, match=r"BTCUSDT.*ETHUSDT"):
        Replay(tmp_path, ["BTCUSDT"])


def test_trades_and_bars_of_one_symbol_can_not_be_played_together(tmp_path: Path) -> None:
    trades(tmp_path / "a_BTCUSDT.parquet", [1])
    bars(tmp_path / "b_BTCUSDT.parquet", [1])
    with pytest.raises(FeedError, match="found both"):
        Replay(tmp_path)


def test_an_unknown_symbols_steps_come_from_its_decimals() -> None:
    instrument = observed("XRPETH", [0.00141342, 0.0014], [23.0, 54.5], D(0), D(0))
    assert (instrument.tick, instrument.lot) == (D("0.00000001"), D("0.1"))
    assert (instrument.base, instrument.quote) == ("XRP", "ETH")


def test_a_known_symbol_keeps_its_steps_unless_the_recording_is_finer() -> None:
    assert observed("BTCUSDT", [61800.3, 61800.0], [0.006], D(0), D(0)).tick == D("0.10")
    assert observed("BTCUSDT", [61800.35], [0.006], D(0), D(0)).tick == D("0.01")


@pytest.mark.skipif(not DATA.is_dir(), reason="recorded data is not here; set BIGWHEEL_DATA")
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("trades/binance_usdm_BTCUSDT_20240808.parquet", 21_313),
        ("trades/bybit_linear_8symbols_20210417.parquet", 101),
        ("trades/us_equities_open_20160525.parquet", 27),
        ("bars/bybit_linear_1m/BTCUSDT.parquet", 4 * 721),
    ],
)
def test_the_recorded_files_are_played_completely(name: str, rows: int) -> None:
    replay = Replay(DATA / name)
    assert sum(1 for _ in replay.trades()) == rows
    for symbol in replay.symbols:
        instrument = observed(symbol, *replay.sample(symbol), D(0), D(0))
        prices, _ = ParquetTable(DATA / name, {}).sample(symbol)
        assert all(D(repr(price)) % instrument.tick == 0 for price in prices)


def test_bars_of_which_most_are_missing_are_still_as_long_as_the_shortest_gap(tmp_path: Path) -> None:
    minute = 60_000_000_000
    times = [1_700_000_000_000_000_000 + i * minute for i in (0, 3, 6, 7, 10, 13)]
    flat = dict.fromkeys(("open", "high", "low", "close", "volume"), [1.0] * 6)
    pq.write_table(pa.table({"ts_ns": times, **flat}), tmp_path / "AAA.parquet")
    replay = Replay(tmp_path)
    assert replay.step_ns() == minute
    played = [row[TS] for row in replay.trades()]
    assert played == sorted(played)
