"""Files read into a catalog: which columns and times are understood, and what is said of those that are not."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.catalog import Catalog, DataError, Series
from exchanges.catalog.loading import capitals, load
from exchanges.catalog.moments import nanoseconds, sniffed
from exchanges.catalog.shaping import Told
from tests.unit.catalog_bench import (
    BTC,
    DATA,
    MINUTE,
    TRADES,
    bar_columns,
    minutes,
    recorded_data,
    text,
    took,
    trade_columns,
    write,
)
from tests.unit.recording_bench import MIDNIGHT_NS, SECOND

ISO = "2026-11-24T00:00:00"


def read(path: Path, **told: Any) -> dict[Series, dict[str, list[Any]]]:
    """All columns of all rows by series."""
    found: dict[Series, list[pa.Table]] = {}
    for portion in load(path, Told(**{"venue": "bybit", **told})):
        found.setdefault(portion.series, []).append(portion.rows)
    return {series: pa.concat_tables(rows).to_pydict() for series, rows in found.items()}


def one(path: Path, **told: Any) -> tuple[Series, dict[str, list[Any]]]:
    ((series, columns),) = read(path, **told).items()
    return series, columns


# -- CSV: columns ------------------------------------------------------------------------


def test_bars_with_the_usual_header_are_read(tmp_path: Path) -> None:
    path = text(
        tmp_path / "BTCUSDT.csv",
        "Date,Open,High,Low,Close,Adj Close,Volume",
        f"{ISO},1,3,0.5,2,2,10",
        "2026-11-24 00:01,2,2,2,2,2,0",
    )
    series, columns = one(path)
    assert series == Series(BTC, "bars_60s")
    assert columns["ts_ns"] == minutes(2)
    assert [columns[name][0] for name in ("open", "high", "low", "close", "volume")] == [1, 3, 0.5, 2, 10]
    assert columns["recv_ns"] == [at + MINUTE for at in minutes(2)]
    assert columns["row"] == [1, 2]


def test_a_remark_before_the_header_and_a_volume_by_currency_are_understood(tmp_path: Path) -> None:
    header = "unix,date,symbol,open,high,low,close,Volume BTC,Volume USD"
    row = f"{MIDNIGHT_NS // 10**6},x,BTC/USD,1,3,0.5,2,10,20"
    series, columns = one(text(tmp_path / "any.csv", "https://data.example", header, row))
    assert series.symbol == "bybit:BTC/USD"
    assert (columns["ts_ns"], columns["volume"]) == ([MIDNIGHT_NS], [10.0])


def test_an_archive_without_a_header_is_known_by_its_columns(tmp_path: Path) -> None:
    start = MIDNIGHT_NS // 10**6
    bars = text(
        tmp_path / "BTCUSDT-1m-2026-11.csv", *(f"{start + n * 60_000},1,3,0.5,2,10,0,0,0,0,0,0" for n in (0, 1))
    )
    trades = text(tmp_path / "BTCUSDT-aggTrades-2026-11-24.csv", f"77,1.5,2,1,1,{start},True,True")
    assert one(bars)[0] == Series(BTC, "bars_60s")
    series, columns = one(trades)
    assert series == TRADES
    assert [columns[name] for name in ("price", "size", "side", "trade_id")] == [[1.5], [2.0], ["sell"], ["77"]]


def test_trades_by_symbol_with_the_takers_side_are_told_apart(tmp_path: Path) -> None:
    path = text(
        tmp_path / "trades.csv",
        "timestamp,symbol,side,size,price,trdMatchID",
        "1795478400.5,AAA,Sell,1,10,x",
        "1795478400.25,BBB,Buy,2,20,y",
        "1795478401,AAA,Buy,3,11,z",
    )
    found = read(path)
    assert found[Series("bybit:AAA", "trades")]["side"] == ["sell", "buy"]
    assert found[Series("bybit:AAA", "trades")]["row"] == [1, 3]
    assert found[Series("bybit:BBB", "trades")]["ts_ns"] == [MIDNIGHT_NS + SECOND // 4]
    assert list(read(path, symbols=("BBB",))) == [Series("bybit:BBB", "trades")]


@pytest.mark.parametrize(
    ("header", "written", "side"),
    [
        ("side", ["Buy", "S", "no", "1"], ["buy", "sell", "sell", "buy"]),
        ("side", ["ask", "bid", "", "?"], ["ask", "bid", "", "?"]),
        ("is_buyer_maker", ["true", "False", "1", "0"], ["sell", "buy", "sell", "buy"]),
    ],
)
def test_the_takers_side_is_understood_where_it_is_plain(
    tmp_path: Path, header: str, written: list[str], side: list[str]
) -> None:
    path = text(
        tmp_path / "AAA.csv", f"ts_ns,price,size,{header}", *(f"{n},1,1,{each}" for n, each in enumerate(written))
    )
    assert one(path)[1]["side"] == side


def test_quotes_other_delimiters_and_compression_are_read(tmp_path: Path) -> None:
    path = tmp_path / "ETHUSDT.csv.gz"
    path.write_bytes(gzip.compress(b"time;bid;ask;bid_qty;ask_qty\n2026-11-24T01:00:00Z;1.5;1.6;7;8\n"))
    series, columns = one(path)
    assert series == Series("bybit:ETHUSDT", "quotes")
    assert [columns[name][0] for name in ("bid_price", "bid_size", "ask_price", "ask_size")] == [1.5, 7, 1.6, 8]
    assert columns["ts_ns"] == [MIDNIGHT_NS + 60 * MINUTE]


def test_a_column_map_names_what_no_one_could_guess_by_name_or_number(tmp_path: Path) -> None:
    named = text(tmp_path / "named.csv", "when,what,much", f"{ISO},5,6")
    bare = text(tmp_path / "bare.csv", f"6,{ISO},5")
    by_name = {"ts_ns": "when", "price": "what", "size": "much"}
    by_number = {"ts_ns": "1", "price": "2", "size": "0"}
    for path, columns in ((named, by_name), (bare, by_number)):
        series, found = one(path, columns=columns, symbols=("BTCUSDT",))
        assert series == TRADES
        assert [found[name] for name in ("ts_ns", "price", "size", "side")] == [[MIDNIGHT_NS], [5.0], [6.0], [""]]


def test_bars_that_are_stamped_with_their_close_are_put_to_their_open(tmp_path: Path) -> None:
    path = text(tmp_path / "A.csv", "time,open,high,low,close", "2026-11-24 09:45,1,1,1,1", "2026-11-24 10:00,1,1,1,1")
    series, columns = one(path, stamped="close", timezone="America/New_York")
    assert series.kind == "bars_900s"
    assert columns["ts_ns"][0] == MIDNIGHT_NS + (9 + 5) * 60 * MINUTE + 30 * MINUTE


# -- CSV: what can't be read -------------------------------------------------------------


def test_a_wrong_value_is_named_by_file_row_column_and_what_was_expected(tmp_path: Path) -> None:
    rows = [f"{MIDNIGHT_NS + n},{n + 1},1" for n in range(50)]
    rows[33] = f"{MIDNIGHT_NS + 33},abc,1"
    path = text(tmp_path / "BTCUSDT.csv", "ts_ns,price,size", *rows)
    with pytest.raises(DataError, match=r"BTCUSDT\.csv: expected a number in row 34, column 'price', found 'abc'"):
        read(path)
    rows[33], rows[40] = f"{MIDNIGHT_NS + 33},1,1", "yesterday,1,1"
    text(path, "ts_ns,price,size", *rows)
    with pytest.raises(DataError, match=r"expected a time as ns in row 41, column 'ts_ns', found 'yesterday'"):
        read(path)


@pytest.mark.parametrize(
    ("lines", "told", "said"),
    [
        ([], {}, "found an empty file"),
        (["time,open,high", "1,2,3"], {}, r"expected a time and open, high, low, close \(bars\) or"),
        (["time,price", "1,2"], {"kind": "candles"}, "expected a kind of file among"),
        (["time,last,size,side", "1,2,3,buy"], {}, "expected a time and"),
        (["time,price", "1,2"], {"kind": "trades"}, "expected a time and price, size for trades"),
        (["1,2,3", "1,2,3"], {}, "expected a header or rows as exchanges publish them, found 3 columns"),
        (["ts_ns,price,size", "1,2,3"], {"columns": {"price": "cost"}}, r"expected the columns \['cost'\]"),
        (["ts_ns,price,size", "1,2,3"], {"columns": {"cost": "price"}}, "expected a column map of our columns"),
        (["ts_ns,price,size", "1,2,3"], {"timezone": "Mars/Base"}, "expected a time zone such as UTC"),
        (["ts_ns,price,size", "1,2"], {}, "expected rows of 3 columns after 1 lines"),
        (["time,open,high,low,close", "1,2,2,2,2", "1.5,2,2,2,2"], {}, "expected bars of whole seconds"),
        (["ts_ns,price,size,symbol", "1,2,3,"], {}, "expected a symbol in row 1"),
        (["time,price,size", "24.11.2026,2,3"], {}, "expected a time as iso in row 1"),
    ],
)
def test_what_cant_be_read_says_what_was_expected(
    tmp_path: Path, lines: list[str], told: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        read(text(tmp_path / "BTCUSDT.csv", *lines), **told)


def test_a_file_without_a_symbol_asks_for_one(tmp_path: Path) -> None:
    path = text(tmp_path / "prices.csv", "ts_ns,price,size", "1,2,3")
    with pytest.raises(DataError, match="one symbol in capitals in the file's name"):
        read(path)
    assert one(path, symbols=("AAA",))[0].symbol == "bybit:AAA"


def test_a_path_without_market_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found nothing there"):
        read(tmp_path / "none")
    with pytest.raises(DataError, match=r"expected \*\.parquet, \*\.csv or \*\.jsonl files"):
        read(tmp_path)
    (tmp_path / "X.parquet").write_bytes(b"no")
    with pytest.raises(DataError, match="expected a Parquet file"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("BTCUSDT.csv", ["BTCUSDT"]),
        ("binance_usdm_BTCUSDT_20240808.parquet", ["BTCUSDT"]),
        ("1INCHUSDT-5m-2024-01.csv.gz", ["1INCHUSDT"]),
        ("prices.csv", []),
        ("AAA_BBB.csv", ["AAA", "BBB"]),
    ],
)
def test_symbols_are_found_in_file_names(name: str, found: list[str]) -> None:
    assert capitals(Path(name)) == found


# -- times -------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(1_000_000_000 * 10**9, 2_000_000_000 * 10**9), st.sampled_from(["ns", "us", "ms", "s"]))
def test_numbers_of_any_unit_are_exact_and_tell_their_unit(ts_ns: int, unit: str) -> None:
    factor = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}[unit]
    whole = ts_ns // factor
    for values in (pa.array([whole]), pa.array([str(whole)])):
        assert sniffed(values) == unit
        assert nanoseconds(values, unit, "UTC").to_pylist() == [whole * factor]
    digits = pa.array([f"{ts_ns // 10**9}.{ts_ns % 10**9:09d}"])
    assert nanoseconds(digits, "s", "UTC").to_pylist() == [ts_ns]


@pytest.mark.parametrize(
    ("written", "how", "zone"),
    [
        ("2026-11-24", "iso", "UTC"),
        ("2026-11-24T00:00:00Z", "iso", "America/New_York"),
        ("2026-11-24 05:30:00+05:30", "iso", "UTC"),
        ("2026-11-23 19:00:00.000", "iso", "America/New_York"),
        ("24.11.2026 00:00", "%d.%m.%Y %H:%M", "UTC"),
    ],
)
def test_dates_are_read_with_and_without_their_zone(written: str, how: str, zone: str) -> None:
    assert nanoseconds(pa.array([written, None]), how, zone).to_pylist() == [MIDNIGHT_NS, None]


def test_an_hour_that_is_there_twice_is_not_guessed(tmp_path: Path) -> None:
    path = text(tmp_path / "A.csv", "time,price,size", "2026-11-01 01:30,1,1")
    with pytest.raises(DataError, match="ambiguous"):
        read(path, timezone="America/New_York")


# -- Parquet and recordings --------------------------------------------------------------


def test_a_folder_of_files_is_read_by_their_names(tmp_path: Path) -> None:
    for symbol in ("AAA", "BBB"):
        write(tmp_path / f"{symbol}.parquet", bar_columns(minutes(2)))
    text(tmp_path / "notes.md", "no data")
    assert [series.symbol for series in read(tmp_path)] == ["bybit:AAA", "bybit:BBB"]
    assert [series.symbol for series in read(tmp_path, symbols=("BBB",))] == ["bybit:BBB"]


def test_the_length_of_bars_is_as_told_or_the_shortest_step(tmp_path: Path) -> None:
    path = write(tmp_path / "AAA.parquet", bar_columns([0, 10 * MINUTE, 15 * MINUTE]))
    assert one(path)[0].kind == "bars_300s"
    assert one(path, interval_ns=MINUTE)[0].kind == "bars_60s"


def test_empty_values_are_left_for_validation_to_count(tmp_path: Path) -> None:
    path = write(tmp_path / "AAA.parquet", trade_columns([1, 2], price=[1.0, None], side=["buy", None]))
    _, columns = one(path)
    assert columns["price"][0] == 1.0
    assert columns["price"][1] != columns["price"][1]
    assert columns["side"] == ["buy", ""]


def test_another_catalog_can_be_taken_over_as_a_whole_or_by_symbol(tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    took(root, bar_columns(minutes(2)))
    took(root, trade_columns(minutes(2)))
    assert [series.kind for series in read(root)] == ["bars_60s", "trades"]
    assert list(read(root / "venue=bybit", venue="mine")) == [
        Series("mine:BTCUSDT", kind) for kind in ("bars_60s", "trades")
    ]
    assert read(root, symbols=("ETHUSDT",)) == {}
    took(root, trade_columns([MIDNIGHT_NS + 86_400 * SECOND]))
    day = root / "venue=bybit/symbol=BTCUSDT/day=2026-11-24"
    assert read(day)[TRADES]["ts_ns"] == minutes(2)
    assert read(next(day.glob("*.parquet")))[TRADES]["ts_ns"] == minutes(2)


@recorded_data
@pytest.mark.parametrize(
    ("path", "kinds", "rows"),
    [
        ("bars/us_equities_15m", {"bars_900s"}, 17_894),
        ("trades/bybit_linear_8symbols_20210417.parquet", {"trades"}, 101),
        ("trades/us_equities_open_20160525.parquet", {"trades"}, 27),
        ("quotes/us_equities_open_20160525.parquet", {"quotes"}, 16),
        ("quote_bars/bybit_linear_1m", {"quotes"}, 460),
        ("funding/binance_usdm_8h.parquet", {"funding"}, 1_464),
        ("funding/binance_usdm_8h_mark.parquet", {"bars_28800s"}, 1_464),
        ("kalshi/trades_kxhigh.parquet", {"trades"}, 122_850),
    ],
)
def test_recorded_data_of_every_form_is_read(path: str, kinds: set[str], rows: int) -> None:
    found = list(load(DATA / path, Told(venue="x")))
    assert {portion.series.kind for portion in found} == kinds
    assert sum(portion.rows.num_rows for portion in found) == rows


@recorded_data
def test_cents_of_an_event_contract_become_its_price_and_legs_its_side() -> None:
    portions = load(DATA / "kalshi/trades_kxhigh.parquet", Told(venue="kalshi"))
    rows = next(iter(portions)).rows
    assert min(rows["price"].to_pylist()) > 0 and max(rows["price"].to_pylist()) < 1
    assert set(rows["side"].to_pylist()) <= {"buy", "sell"}


def test_candles_of_prices_that_are_no_trades_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "A.parquet", {"ts_ns": [1], "ticker": ["A"], "yes_bid": [1], "last": [2], "volume": [3]})
    with pytest.raises(DataError, match="expected a time and"):
        read(path)
    assert not Catalog(tmp_path).series()
