"""``bigwheel data``: what it takes in, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exchanges.catalog import Catalog
from tests.unit.catalog_bench import (
    BARS,
    BTC,
    TRADES,
    bar_columns,
    column,
    minutes,
    text,
    took,
    trade_columns,
    write,
)
from tests.unit.front_door import bigwheel, refused
from tests.unit.recording_bench import MIDNIGHT_NS, SECOND


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """Trades every twenty seconds and bars with a gap."""
    root = tmp_path / "catalog"
    took(root, trade_columns([MIDNIGHT_NS + n * 20 * SECOND for n in range(9)]))
    took(root, bar_columns([minutes(6)[place] for place in (0, 1, 2, 5)]))
    return root


def test_a_file_is_imported_and_listed(tmp_path: Path) -> None:
    source = text(tmp_path / "prices.csv", "Zeit;Last;Menge", "24.11.2026 01:00;1.5;2", "24.11.2026 01:01;1.6;2")
    names = "ts_ns=Zeit,price=Last,size=Menge"
    how = ("--columns", names, "--time", "%d.%m.%Y %H:%M", "--timezone", "Europe/Berlin", "--symbols", "BTCUSDT")
    answer = bigwheel("data", "import", source, "--into", tmp_path / "c", "--venue", "bybit", *how)
    assert answer.status == 0, answer
    assert "1 series, 2 rows, 2 added, 0 revised" in answer.out
    assert column(tmp_path / "c", TRADES) == minutes(2)
    listed = bigwheel("data", "list", tmp_path / "c")
    assert "bybit:BTCUSDT" in listed.out
    assert "2026-11-24 00:00" in listed.out
    assert "1 series, 2 rows" in listed.out


def test_a_refused_import_ends_with_one_and_says_why(tmp_path: Path) -> None:
    source = write(tmp_path / "BTCUSDT.parquet", bar_columns(minutes(2)[::-1]))
    into = ("--into", tmp_path / "c", "--venue", "bybit")
    answer = bigwheel("data", "import", source, *into)
    assert answer.status == 1
    assert "refused, nothing was written: bybit:BTCUSDT bars_60s: 1 times earlier than a row before it" in answer.out
    repaired = bigwheel("data", "import", source, *into, "--policy", "repair", "--json")
    assert repaired.status == 0
    told = json.loads(repaired.out)
    assert told["series"][0]["findings"]["disorder"]["repaired"] == 1
    assert column(tmp_path / "c", BARS) == minutes(2)


def test_a_list_counts_missing_bars_where_it_is_asked(catalog: Path) -> None:
    rows = json.loads(bigwheel("data", "list", catalog, "--gaps", "--json").out)
    assert [(row["symbol"], row["kind"], row["rows"], row.get("missing")) for row in rows] == [
        (BTC, "bars_60s", 4, 2),
        (BTC, "trades", 9, None),
    ]
    shown = bigwheel("data", "list", catalog, "--gaps", "--kinds", "1m").out
    assert "missing" in shown
    assert "trades" not in shown


def test_a_check_of_a_catalog_or_a_file_tells_and_says_by_its_status(catalog: Path, tmp_path: Path) -> None:
    fine = bigwheel("data", "check", catalog)
    assert fine.status == 0
    assert "1 gap: spans without data; the longest from 2026-11-24 00:03:00 to 2026-11-24 00:05:00 (2 bars)" in fine.out
    part = bigwheel("data", "check", catalog / "venue=bybit" / "symbol=BTCUSDT")
    assert (part.status, "2 series, 13 rows" in part.out) == (0, True)
    path = write(tmp_path / "AAA.parquet", trade_columns([1, 2], price=[1.0, -1.0]))
    bad = bigwheel("data", "check", path)
    assert bad.status == 1
    assert "data:AAA trades: 1 price: no finite price above 0; such as row 2" in bad.out
    assert Catalog(tmp_path).series() == []


def test_bars_are_made_of_trades_and_bars(catalog: Path) -> None:
    made = bigwheel("data", "resample", catalog, "--of", "trades", "--bars", "30s")
    assert (made.status, "6 added" in made.out) == (0, True)
    assert bigwheel("data", "resample", catalog, "--of", "1m", "--bars", "2m", "--to", "2026-11-24T00:02").status == 0
    kinds = [series.kind for series in Catalog(catalog).series()]
    assert kinds == ["bars_120s", "bars_30s", "bars_60s", "trades"]
    assert len(column(catalog, BARS)) == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("import", "x.csv", "--into", "c", "--venue", "by bit"), "expected --venue as a name"),
        (
            ("import", "x.csv", "--into", "c", "--venue", "b", "--policy", "mend"),
            "expected --policy as refuse or repair",
        ),
        (("import", "x.csv", "--into", "c", "--venue", "b", "--columns", "ts_ns"), "expected --columns such as"),
        (("import", "x.csv", "--into", "c", "--venue", "b", "--stamped", "end"), "expected --stamped as open or close"),
        (("import", "x.csv", "--into", "c", "--venue", "b", "--interval", "long"), "expected a duration"),
        (("import", "x.csv", "--into", "c", "--venue", "b"), "expected market data at x.csv, found nothing there"),
        (("check", "x.csv", "--hours", "london"), "expected --hours among always, nyse"),
        (("list", "none"), "expected a catalog, a recording"),
    ],
)
def test_what_cant_be_done_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in refused("data", *arguments)


def test_a_symbol_that_is_not_there_is_told_with_those_that_are(catalog: Path) -> None:
    assert "found bybit:BTCUSDT bars_60s, bybit:BTCUSDT trades" in refused("data", "list", catalog, "--symbols", "ETH")
    assert bigwheel("data", "list", catalog, "--symbols", "BTCUSDT").status == 0
