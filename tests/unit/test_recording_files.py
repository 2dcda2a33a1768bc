"""Files that are whole or not there, and their mergers, whatever the process is killed in the midst of."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchanges.recording.compaction import LOCK, compact
from exchanges.recording.files import Draft, make_folder, ordered, sweep
from exchanges.recording.layout import Note, name_of, note_of, parts, with_note
from exchanges.recording.lock import only_one
from exchanges.recording.merge import BATCH_ROWS, merged
from exchanges.recording.schemas import table_of
from exchanges.recording.settings import RecorderSettings
from exchanges.recording.store import RecordingStore
from tests.unit.recording_bench import BTC, NOON_NS, TODAY, Clock, bar, everything, names, quote, rows, trade

TRADES = table_of("trades")
ROOT = Path(__file__).resolve().parents[2]


def part(folder: Path, number: int, numbers: list[int], note: Note | None = None, table: str = "trades") -> Path:
    """A part with the trades ``numbers``, in time order."""
    make_folder(folder)
    made = pa.Table.from_batches([table_of(table).batch([trade(n) for n in numbers])])
    with Draft(folder / name_of(table, 1, number), with_note(made.schema, note or Note())) as draft:
        draft.add(ordered(made))
        draft.keep()
    return draft.target


def crashed(tmp_path: Path, work: str, base: Path) -> list[Path]:
    """What is left when ``work`` is killed before each of its file operations, and at last when it is not."""
    copies = tmp_path / "copies"
    copies.mkdir()
    command = [sys.executable, "-m", "tests.unit.recording_crash", work, str(base), str(copies)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=110)
    return sorted(copies.iterdir(), key=lambda path: int(path.name))


# -- one file ----------------------------------------------------------------------------


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    with Draft(tmp_path / "a.parquet", TRADES.schema) as draft:
        draft.add(pa.Table.from_batches([TRADES.batch([trade(1)])]))
        assert [name for name in everything(tmp_path) if not name.startswith(".")] == []
        size = draft.keep()
    assert everything(tmp_path) == ["a.parquet"]
    assert size == (tmp_path / "a.parquet").stat().st_size
    assert pq.read_metadata(tmp_path / "a.parquet").row_group(0).column(0).compression == "ZSTD"


def test_a_file_that_is_not_kept_leaves_nothing_and_the_one_before_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("before")
    with pytest.raises(RuntimeError), Draft(tmp_path / "a.parquet", TRADES.schema) as draft:
        draft.add(pa.Table.from_batches([TRADES.batch([trade(1)])]))
        raise RuntimeError("in the midst")
    assert everything(tmp_path) == ["a.parquet"]
    assert (tmp_path / "a.parquet").read_text() == "before"


def test_unfinished_files_are_swept_unless_another_process_is_writing_them(tmp_path: Path) -> None:
    mine = tmp_path / f".trades-1-1.parquet.{os.getpid()}.tmp"
    dead = tmp_path / ".trades-1-2.parquet.999999999.tmp"
    alive = tmp_path / f".trades-1-3.parquet.{os.getppid()}.tmp"
    for path in (mine, dead, alive):
        path.write_bytes(b"half a file")
    assert sweep(tmp_path) == 2
    assert everything(tmp_path) == [alive.name]


def test_a_writer_killed_at_any_step_leaves_the_old_files_and_a_whole_new_one_or_none(tmp_path: Path) -> None:
    base = tmp_path / "base"
    part(TODAY.folder(base), 1, [0, 1, 2])
    left = crashed(tmp_path, "write", base)
    assert len(left) > 4
    old, new = [f"t{n}" for n in range(3)], [f"t{n}" for n in range(100, 110)]
    found = [rows(copy) for copy in left]
    assert all(read in (old, old + new) for read in found)
    assert found[0] == old and found[-1] == old + new
    for copy in left:
        compact(TODAY.folder(copy))
        assert not [name for name in everything(copy) if name.endswith(".tmp")]


def test_a_merger_killed_at_any_step_neither_loses_nor_doubles_a_row(tmp_path: Path) -> None:
    base = tmp_path / "base"
    for number in range(4):
        part(TODAY.folder(base), number + 1, list(range(number * 10, number * 10 + 10)))
    left = crashed(tmp_path, "compact", base)
    assert len(left) > 8
    wanted = [f"t{n}" for n in range(40)]
    for copy in left:
        assert rows(copy) == wanted
        compact(TODAY.folder(copy))
        assert rows(copy) == wanted
        assert names(copy) == ["trades-1-4-m1.parquet"]
        assert [name for name in everything(copy) if "day=" in name] == [
            f"venue=bybit/symbol=BTCUSDT/day={TODAY.period}/trades-1-4-m1.parquet"
        ]


# -- merging -----------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 30), max_size=12), min_size=1, max_size=6))
def test_merged_files_give_each_row_once_in_time_order(
    tmp_path_factory: pytest.TempPathFactory, portions: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    paths = [part(folder, number, numbers) for number, numbers in enumerate(portions, start=1)]
    read = [identity for table in merged(paths, TRADES) for identity in table["trade_id"].to_pylist()]
    assert read == [f"t{n}" for n in sorted({n for numbers in portions for n in numbers})]


def test_files_of_many_portions_overlap_and_are_merged_in_order(tmp_path: Path) -> None:
    many = 3 * BATCH_ROWS
    paths = [part(tmp_path, 1, list(range(0, many, 2))), part(tmp_path, 2, list(range(1, many, 2)))]
    portions = list(merged(paths, TRADES))
    assert len(portions) > 2
    read = [number for table in portions for number in table["ts_ns"].to_pylist()]
    assert read == [trade(n).ts_ns for n in range(many)]


def test_rows_of_one_time_keep_the_order_of_the_files_even_over_portions(tmp_path: Path) -> None:
    table = table_of("quotes")
    paths = []
    for number in range(2):
        made = [quote(0, NOON_NS) for _ in range(BATCH_ROWS + 10)]
        batch = table.batch(made).to_pydict() | {"bid_price": [float(number)] * len(made)}
        target = tmp_path / name_of("quotes", 1, number + 1)
        with Draft(target, table.schema) as draft:
            draft.add(pa.Table.from_pydict(batch, schema=table.schema))
            draft.keep()
        paths.append(target)
    read = [price for portion in merged(paths, table) for price in portion["bid_price"].to_pylist()]
    assert read == [0.0] * (BATCH_ROWS + 10) + [1.0] * (BATCH_ROWS + 10)


def test_trades_without_an_id_are_never_taken_for_the_same(tmp_path: Path) -> None:
    nameless = [msgspec.structs.replace(trade(1), trade_id="") for _ in range(3)]
    with Draft(tmp_path / name_of("trades", 1, 1), TRADES.schema) as draft:
        draft.add(pa.Table.from_batches([TRADES.batch([*nameless, trade(2), trade(2)])]))
        draft.keep()
    assert [i for table in merged([draft.target], TRADES) for i in table["trade_id"].to_pylist()] == ["", "", "", "t2"]


def test_of_two_bars_of_one_minute_the_later_one_counts(tmp_path: Path) -> None:
    table = table_of("bars_60s")
    paths = []
    for number, close in enumerate((99.0, 101.0), start=1):
        with Draft(tmp_path / name_of("bars_60s", 1, number), table.schema) as draft:
            draft.add(pa.Table.from_batches([table.batch([bar(0, close=close), bar(number, close=close)])]))
            draft.keep()
        paths.append(draft.target)
    assert [c for portion in merged(paths, table) for c in portion["close"].to_pylist()] == [101.0, 99.0, 101.0]


# -- compaction --------------------------------------------------------------------------


def test_what_downloads_cover_is_kept_by_a_merger(tmp_path: Path) -> None:
    folder = TODAY.folder(tmp_path)
    part(folder, 1, [1], Note(covers=((0, 10),)))
    part(folder, 2, [2], Note(covers=((10, 20), (30, 40))))
    part(folder, 3, [])
    done = compact(folder)
    assert (done.files, done.made, done.duplicates) == (3, 1, 0)
    assert note_of(folder / "trades-1-3-m1.parquet").covers == ((0, 20), (30, 40))


def test_a_merger_of_mergers_has_a_name_of_its_own_and_numbers_go_on(tmp_path: Path) -> None:
    folder = TODAY.folder(tmp_path)
    for number in (1, 2):
        part(folder, number, [number])
    compact(folder, small_only=True)
    part(folder, 3, [3])
    assert compact(folder, small_only=True).made == 0
    part(folder, 4, [2, 4])
    compact(folder, small_only=True)
    assert names(tmp_path) == ["trades-1-2-m1.parquet", "trades-1-4-m1.parquet"]
    assert compact(folder).duplicates == 1
    assert names(tmp_path) == ["trades-1-4-m2.parquet"]
    assert rows(tmp_path) == ["t1", "t2", "t3", "t4"]


def test_only_one_process_merges_at_a_time(tmp_path: Path) -> None:
    folder = TODAY.folder(tmp_path)
    part(folder, 1, [1])
    part(folder, 2, [2])
    with only_one(folder.parent.parent / LOCK) as mine:
        assert mine
        assert compact(folder).made == 0
    assert compact(folder).made == 1


def test_tables_of_one_day_are_merged_each_for_itself(tmp_path: Path) -> None:
    clock = Clock()
    for minute in range(2):
        store = RecordingStore(RecorderSettings(folder=tmp_path, venue="bybit"), Counter(), clock)
        store.add(BTC, "trades", trade(minute).ts_ns, trade(minute))
        store.add(BTC, "bars_60s", bar(minute).ts_ns, bar(minute))
        store.finish()
    assert compact(TODAY.folder(tmp_path)).made == 2
    assert names(tmp_path) == ["bars_60s-1-2-m1.parquet", "trades-1-2-m1.parquet"]


def test_a_file_of_another_program_in_the_way_is_said_to_be_and_nothing_is_lost(tmp_path: Path) -> None:
    folder = TODAY.folder(tmp_path)
    part(folder, 1, [1])
    (folder / "trades-1-2.parquet").write_bytes(b"no parquet")
    with pytest.raises((pa.ArrowException, OSError)):
        compact(folder)
    assert len(parts(folder)) == 2
    assert not [name for name in everything(tmp_path) if name.endswith(".tmp")]
