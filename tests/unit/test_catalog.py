"""A catalog: what it lists, how imports change it, and that they change nothing they need not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.catalog import Catalog, DataError, Series
from exchanges.catalog.importing import import_rows
from exchanges.catalog.series import full_name, kind_named
from exchanges.catalog.shaping import Portion
from exchanges.catalog.validation import ROW, Policy
from exchanges.recording.files import Draft, make_folder
from exchanges.recording.layout import Note, Partition, note_of, parts, with_note
from exchanges.recording.lock import DOWNLOAD, only_one
from exchanges.recording.schemas import table_of
from exchanges.recording.settings import RecorderSettings
from exchanges.recording.store import RecordingStore
from tests.unit.catalog_bench import (
    BARS,
    BTC,
    MINUTE,
    QUOTES,
    TRADES,
    bar_columns,
    column,
    counts,
    minutes,
    quote_columns,
    take,
    took,
    trade_columns,
    write,
)
from tests.unit.recording_bench import MIDNIGHT_NS, SECOND, Clock, bar, everything, trade

DAY = 86_400 * SECOND


def state(root: Path) -> dict[str, bytes]:
    """All files below a folder with their bytes."""
    return {name: (root / name).read_bytes() for name in everything(root)}


def record(root: Path, *data: object) -> None:
    """What a recorder writes of Bybit's data."""
    store = RecordingStore(RecorderSettings(folder=root, venue="bybit", epoch=3), Counter(), Clock())
    for piece in data:
        kind = "bars_60s" if type(piece).__name__ == "Bar" else "trades"
        store.add(BTC, kind, piece.ts_ns, piece)  # type: ignore[attr-defined]
    assert store.finish() == 0


# -- names -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("trades", "trades"),
        ("1m", "bars_60s"),
        ("bars_1h", "bars_3600s"),
        ("bars_60s", "bars_60s"),
        ("1d", "bars_86400s"),
    ],
)
def test_kinds_are_called_as_people_call_them(name: str, kind: str) -> None:
    assert kind_named(name) == kind


@pytest.mark.parametrize("name", ["candles", "0m", "1w", "orders", ""])
def test_an_unknown_kind_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(DataError, match="expected a kind of data among funding"):
        kind_named(name)


def test_a_symbol_gets_its_venue_once_and_no_other() -> None:
    assert full_name("bybit", "BTCUSDT") == full_name("bybit", BTC) == BTC
    for venue, symbol in (("alpaca", BTC), ("", "A"), ("a:b", "A"), ("bybit", "")):
        with pytest.raises(DataError, match="expected a venue and a symbol"):
            full_name(venue, symbol)


def test_what_is_known_at_one_moment_comes_by_kind_and_then_by_symbol() -> None:
    kinds = ["bars_60s", "bars_300s", "funding", "tickers", "books", "quotes", "trades"]
    wanted = [Series(f"bybit:{symbol}", kind) for kind in kinds for symbol in ("A", "B")]
    assert sorted(set(wanted), key=lambda series: series.rank) == wanted


# -- listing -----------------------------------------------------------------------------


def test_no_folder_is_no_catalog(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found no folder.*bigwheel data import"):
        Catalog(tmp_path / "none")


def test_a_part_of_a_catalog_is_none(tmp_path: Path) -> None:
    took(tmp_path / "catalog", trade_columns([MIDNIGHT_NS]))
    for part in ("venue=bybit", "venue=bybit/symbol=BTCUSDT"):
        with pytest.raises(DataError, match=r"found a part of one at .*; give .*catalog$"):
            Catalog(tmp_path / "catalog" / part)


def test_a_catalog_says_what_it_holds(tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    took(root, bar_columns(minutes(3)))
    took(root, trade_columns([MIDNIGHT_NS + 5, MIDNIGHT_NS + DAY]))
    catalog = Catalog(root)
    assert catalog.series() == [BARS, TRADES]
    assert catalog.series(kinds=["trades"]) == [TRADES]
    assert catalog.series(symbols=["bybit:ETHUSDT"]) == []
    held = catalog.holding(TRADES)
    assert held[1:5] == (2, MIDNIGHT_NS + 5, MIDNIGHT_NS + DAY, 2)
    assert held.bytes == sum(path.stat().st_size for path in root.rglob("trades-*.parquet"))


def test_bars_lie_by_month_or_year_and_events_by_day(tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    took(root, bar_columns(minutes(2)))
    took(root, bar_columns([MIDNIGHT_NS, MIDNIGHT_NS + 60 * MINUTE]))
    took(root, quote_columns([MIDNIGHT_NS]))
    folders = sorted(path.parent.name + "/" + path.name for path in root.rglob("*.parquet"))
    assert folders == [
        "day=2026-11-24/quotes-0-1.parquet",
        "month=2026-11/bars_60s-0-1.parquet",
        "year=2026/bars_3600s-0-1.parquet",
    ]


def test_a_recording_is_a_catalog_as_it_lies(tmp_path: Path) -> None:
    record(tmp_path, trade(2), trade(1), bar(0), bar(1))
    assert Catalog(tmp_path).series() == [BARS, TRADES]
    assert column(tmp_path, TRADES, "trade_id") == ["t1", "t2"]
    assert column(tmp_path, BARS, "close") == [100.0, 100.0]


def test_a_dataset_asks_all_symbols_at_once(tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    for symbol in ("AAA", "BBB"):
        take(root, write(tmp_path / f"{symbol}.parquet", trade_columns([MIDNIGHT_NS + 1, MIDNIGHT_NS + 2])))
    dataset = Catalog(root).dataset("trades")
    assert dataset.count_rows() == 4
    found = dataset.to_table(columns=["symbol", "price"], filter=pa.dataset.field("symbol") == "BBB")
    assert found.to_pydict() == {"symbol": ["BBB", "BBB"], "price": [100.0, 101.0]}
    assert Catalog(root).dataset("trades", ["bybit:AAA"]).count_rows() == 2


def test_a_file_that_cant_be_read_is_named_with_its_series(tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    took(root, trade_columns([MIDNIGHT_NS]))
    next(root.rglob("trades-*.parquet")).write_bytes(b"PAR1 and nothing")
    for look in (Catalog(root).holding, Catalog(root).table):
        with pytest.raises(DataError, match="files of bybit:BTCUSDT trades"):
            look(TRADES)


# -- imports -----------------------------------------------------------------------------


def test_the_same_rows_again_change_nothing(tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    for columns in (
        trade_columns([MIDNIGHT_NS + 1, MIDNIGHT_NS + DAY]),
        bar_columns(minutes(5)),
        quote_columns([5, 5]),
    ):
        first = took(root, columns)
        before = state(root)
        again = took(root, columns)
        assert (first.added, again.added, again.revised) == (len(columns["ts_ns"]), 0, 0)
        assert state(root) == before


def test_rows_that_overlap_are_added_once(tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    took(root, bar_columns(minutes(5)))
    report = took(root, bar_columns(minutes(5, first=3)))
    assert report.added == 3
    assert column(root, BARS) == minutes(8)
    folder = Partition("bybit", "BTCUSDT", "2026-11").folder(root)
    assert [part.path.name for part in parts(folder)] == ["bars_60s-0-2-m1.parquet"]


def test_what_was_recorded_is_not_imported_beside_it(tmp_path: Path) -> None:
    record(tmp_path / "catalog", bar(0), bar(1))
    columns = bar_columns(minutes(4), close=[100.0] * 4, open=[100.0] * 4, volume=[12.5] * 4)
    report = took(tmp_path / "catalog", columns)
    assert report.added == 2
    assert column(tmp_path / "catalog", BARS) == minutes(4)


def test_other_values_under_the_same_time_are_refused_or_revise(tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    record(root, bar(0), bar(1))
    other = bar_columns(minutes(3), close=[99.0, 100.0, 100.0], volume=[12.5] * 3)
    before = state(root)
    refused = took(root, other)
    assert "catalog has other values" in refused.refused
    assert {name: held for name, held in state(root).items() if name.endswith(".parquet")} == {
        name: held for name, held in before.items() if name.endswith(".parquet")
    }
    taken = took(root, other, Policy.REPAIR)
    assert (taken.refused, taken.added, taken.revised) == ("", 1, 1)
    assert column(root, BARS, "close") == [99.0, 100.0, 100.0]
    assert took(root, other, Policy.REPAIR).revised == 0


def test_a_revision_takes_the_place_of_what_was_imported(tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    took(root, trade_columns([1, 2, 3]))
    other = trade_columns([1, 2, 3], price=[100.0, 55.0, 102.0])
    assert took(root, other, Policy.REPAIR).revised == 1
    assert column(root, TRADES, "price") == [100.0, 55.0, 102.0]


def test_equal_quotes_of_one_time_are_counted_not_merged(tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    once = {name: values[:1] for name, values in quote_columns([7]).items()}
    took(root, once)
    thrice = {name: values * 3 for name, values in once.items()}
    report = took(root, thrice)
    assert (report.added, counts(report)) == (2, {"repeat": 2})
    assert column(root, QUOTES) == [7, 7, 7]
    assert took(root, thrice).added == 0


def test_a_refused_import_writes_nothing_of_any_symbol(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write(source / "AAA.parquet", trade_columns([MIDNIGHT_NS]))
    write(source / "BBB.parquet", trade_columns([MIDNIGHT_NS], price=[-1.0]))
    report = take(tmp_path / "catalog", source)
    assert report.refused == "bybit:BBB trades: 1 times no finite price above 0; first in row 1 (price=-1.0)"
    assert Catalog(tmp_path / "catalog").series() == []


def test_what_covers_a_span_still_does_after_an_import(tmp_path: Path) -> None:
    folder = Partition("bybit", "BTCUSDT", "2026-11-24").folder(tmp_path / "catalog")
    make_folder(folder)
    schema = table_of("trades").schema
    with Draft(folder / "trades-0-1.parquet", with_note(schema, Note(covers=((5, 9),)))) as draft:
        draft.add(pa.Table.from_batches([table_of("trades").batch([trade(1, MIDNIGHT_NS)])]))
        draft.keep()
    took(tmp_path / "catalog", trade_columns([MIDNIGHT_NS + DAY - 1]))
    (part,) = parts(folder)
    assert note_of(part.path).covers == ((5, 9),)
    assert column(tmp_path / "catalog", TRADES, "trade_id") == ["t1", "t0"]


def test_what_an_interrupted_import_left_is_cleared(tmp_path: Path) -> None:
    left = tmp_path / "catalog" / ".import-abc"
    write(left / "0-2026-11-0.parquet", {"ts_ns": [1]})
    took(tmp_path / "catalog", trade_columns([1]))
    assert not left.exists()


def test_an_import_that_broke_off_is_done_by_doing_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, times = tmp_path / "catalog", [MIDNIGHT_NS + day * DAY + n for day in range(4) for n in range(3)]
    took(root, trade_columns(times[:4]))
    kept = Draft.keep
    for fails_at in (0, 1, 1):
        left = iter(range(fails_at))

        def failing(draft: Draft, left: Iterator[int] = left) -> int:
            if next(left, None) is None:
                raise OSError(28, "No space left on device")
            return kept(draft)

        monkeypatch.setattr(Draft, "keep", failing)
        with pytest.raises(DataError, match="No space left on device; free the disk"):
            took(root, trade_columns(times))
        monkeypatch.setattr(Draft, "keep", kept)
        there = column(root, TRADES)
        assert there == times[: len(there)]
    took(root, trade_columns(times))
    assert column(root, TRADES) == times
    assert not [name for name in everything(root) if name.endswith(".tmp") or ".import-" in name]


def test_two_imports_do_not_meet(tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    root.mkdir()
    with only_one(root / ".import.lock"), pytest.raises(DataError, match="another one at work"):
        took(root, trade_columns([1]))


def test_an_import_waits_for_no_download_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exchanges.catalog.importing._PATIENCE_S", 0.0)
    venue = tmp_path / "catalog" / "venue=bybit"
    make_folder(venue)
    with only_one(venue / DOWNLOAD), pytest.raises(DataError, match="another process at work"):
        took(tmp_path / "catalog", trade_columns([1]))


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_imports_in_any_order_and_overlap_come_to_all_rows_once(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("any") / "catalog"
    everything_there = st.lists(st.integers(0, 40), min_size=1, max_size=12, unique=True)
    pieces = data.draw(st.lists(everything_there, min_size=1, max_size=4))
    for piece in pieces:
        times = [MIDNIGHT_NS + number * DAY // 10 for number in piece]
        columns = trade_columns(times, trade_id=[f"t{number}" for number in piece], price=[1.0 + n for n in piece])
        rows = pa.table({**columns, "recv_ns": times, "size": [1.0] * len(piece), "side": [""] * len(piece)})
        rows = rows.append_column(ROW, pa.array(range(1, len(piece) + 1)))
        portions = [Portion(TRADES, rows.slice(start, 5)) for start in range(0, len(piece), 5)]
        assert not import_rows(root, "drawn", portions, Policy.REPAIR).refused
    wanted = sorted({number for piece in pieces for number in piece})
    assert column(root, TRADES, "price") == [1.0 + number for number in wanted]
    for path in root.rglob("*.parquet"):
        assert pa.parquet.read_schema(path).names == table_of("trades").schema.names
