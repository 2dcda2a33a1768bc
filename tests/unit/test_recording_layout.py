"""Where recorded data lies, and what the names say."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.recording.errors import RecordingError
from exchanges.recording.layout import (
    Note,
    Partition,
    all_parts,
    day_of,
    escaped,
    name_of,
    next_number,
    note_of,
    part_of,
    partition_of,
    parts,
    period_of,
    plain,
    with_note,
)
from exchanges.recording.reader import playable, recorded
from tests.unit.recording_bench import MIDNIGHT_NS, NOON_NS, SECOND, TODAY

SCHEMA = pa.schema([("ts_ns", pa.int64())])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


def put(folder: Path, name: str, times: list[int], note: Note | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table({"ts_ns": pa.array(times, pa.int64())})
    pq.write_table(table.cast(with_note(SCHEMA, note or Note())), folder / name)
    return folder / name


@given(TEXT)
def test_any_symbol_is_a_safe_name_and_can_be_read_back(symbol: str) -> None:
    name = escaped(symbol)
    assert plain(name) == symbol
    assert all(letter.isascii() and (letter.isalnum() or letter in "%._-~") for letter in name)


@given(TEXT, TEXT)
def test_two_symbols_never_share_a_folder(one: str, other: str) -> None:
    assert (escaped(one) == escaped(other)) == (one == other)


@given(TEXT, TEXT, st.integers(0, 4_000_000_000))
def test_a_partition_is_found_again_by_its_folder(venue: str, symbol: str, seconds: int) -> None:
    partition = Partition(venue, symbol, day_of(seconds * SECOND))
    assert partition_of(partition.folder(Path("/data"))) == partition
    assert partition.start_ns <= seconds * SECOND < partition.end_ns


@settings(deadline=None)
@given(st.integers(0, 4_000_000_000), st.sampled_from(["day", "month", "year"]))
def test_days_months_and_years_hold_each_of_their_moments(seconds: int, unit: str) -> None:
    partition = Partition("bybit", "BTCUSDT", period_of(seconds * SECOND, unit))
    assert partition_of(partition.folder(Path("/data"))) == partition
    assert partition.start_ns <= seconds * SECOND < partition.end_ns
    for edge, inside in ((partition.start_ns, True), (partition.start_ns - 1, False), (partition.end_ns, False)):
        assert (period_of(edge, unit) == partition.period) == inside


@pytest.mark.parametrize("symbol", ["", "\ud800"])
def test_what_is_no_text_is_refused_as_a_symbol(symbol: str) -> None:
    with pytest.raises(RecordingError, match="expected a symbol"):
        escaped(symbol)


@pytest.mark.parametrize(
    "folder",
    [
        "symbol=A/day=2026-11-24",
        "venue=x/symbol=A/day=2026-11-31",
        "venue=x/symbol=A/day=20261124",
        "venue=x/symbol=/day=2026-11-24",
        "venue=%ff/symbol=A/day=2026-11-24",
        "venue=x/A/day=2026-11-24",
        "venue=x/symbol=A/day=2026-11",
        "venue=x/symbol=A/month=2026-13",
        "venue=x/symbol=A/month=2026-1",
        "venue=x/symbol=A/year=2026-11-24",
        "venue=x/symbol=A/year=26",
    ],
)
def test_a_folder_of_another_form_is_no_partition(folder: str) -> None:
    assert partition_of(Path(folder)) is None


def test_midnight_belongs_to_the_day_that_begins() -> None:
    assert day_of(MIDNIGHT_NS - 1) == "2026-11-23"
    assert day_of(MIDNIGHT_NS) == "2026-11-24"
    assert TODAY.start_ns == MIDNIGHT_NS


@pytest.mark.parametrize(("table", "merger"), [("trades", 0), ("bars_60s", 0), ("orders", 3)])
def test_a_file_name_says_table_epoch_number_and_merger(table: str, merger: int) -> None:
    part = part_of(Path("x") / name_of(table, 7, 12, merger))
    assert part is not None
    assert part[1:] == (table, 7, 12, merger)


@pytest.mark.parametrize(
    "name",
    [".trades-1-1.parquet.9.tmp", "trades-1-1.csv", "BTCUSDT.parquet", "trades-1.parquet", "x_BTC-1-1.parquet"],
)
def test_other_files_in_a_folder_are_not_taken_for_parts(name: str) -> None:
    assert part_of(Path(name)) is None


def test_parts_come_by_their_numbers_and_replaced_ones_do_not_count(tmp_path: Path) -> None:
    for number in (10, 9, 2):
        put(tmp_path, name_of("trades", 1, number), [number])
    put(tmp_path, name_of("trades", 1, 9, 1), [2, 9], Note(replaces=("trades-1-2.parquet", "trades-1-9.parquet")))
    assert [part.path.name for part in parts(tmp_path)] == ["trades-1-9-m1.parquet", "trades-1-10.parquet"]
    assert len(all_parts(tmp_path)) == 4


def test_a_number_is_given_once_whatever_the_epoch(tmp_path: Path) -> None:
    assert next_number(tmp_path / "none", "trades") == 1
    put(tmp_path, name_of("trades", 4, 30, 2), [1])
    put(tmp_path, name_of("trades", 1, 7), [1])
    assert next_number(tmp_path, "trades") == 31
    assert next_number(tmp_path, "quotes") == 1


def test_a_note_is_read_from_the_footer_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    note = Note(covers=((1, 5), (7, 9)), replaces=("a",))
    assert note_of(put(tmp_path, "trades-1-1.parquet", [1], note)) == note
    bad = tmp_path / "trades-1-2-m1.parquet"
    bad.write_bytes(b"PAR1 but no more")
    with pytest.raises(RecordingError, match=r"trades-1-2-m1\.parquet.*move it away"):
        parts(tmp_path)


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 4])
def test_a_recording_is_found_from_its_root_down_to_one_file(tmp_path: Path, depth: int) -> None:
    folder = Partition("alpaca", "BTC/USD", "2026-11-24").folder(tmp_path)
    file = put(folder, name_of("trades", 1, 1), [NOON_NS])
    path = [tmp_path, *reversed(file.parents[:3]), file][depth]
    assert [(found.path, found.partition.symbol) for found in recorded(path)] == [(file.resolve(), "BTC/USD")]


def test_trades_are_played_where_there_are_any_and_the_shortest_bars_elsewhere(tmp_path: Path) -> None:
    folder = TODAY.folder(tmp_path)
    for table in ("bars_300s", "bars_60s", "quotes", "orders"):
        put(folder, name_of(table, 1, 1), [NOON_NS])
    assert [file.table for file in playable(tmp_path)] == ["bars_60s"]
    put(folder, name_of("trades", 1, 1), [NOON_NS])
    assert [file.table for file in playable(tmp_path)] == ["trades"]
    assert playable(tmp_path / "elsewhere") == []


def test_other_tools_read_the_folders_as_columns(tmp_path: Path) -> None:
    put(Partition("alpaca", "BTC/USD", "2026-11-24").folder(tmp_path), name_of("trades", 1, 1), [1, 2])
    read = ds.dataset(tmp_path, partitioning="hive").to_table().to_pylist()
    assert [(row["venue"], row["symbol"], str(row["day"])) for row in read] == [("alpaca", "BTC/USD", "2026-11-24")] * 2
