"""Order books out of recorded streams: snapshots, what changed since, and what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from exchanges.catalog import DataError, Series
from exchanges.catalog.booklines import LEVELS, books
from exchanges.catalog.importing import check
from exchanges.catalog.loading import load
from exchanges.catalog.shaping import Told
from exchanges.catalog.validation import Limits
from tests.unit.catalog_bench import DATA, recorded_data, text

MS = 1_000_000
Levels = list[tuple[str, str]]


def bybit(kind: str, update: int, bids: Levels, asks: Levels) -> str:
    data = {"s": "AAA", "b": bids, "a": asks, "u": update}
    return json.dumps({"topic": "orderbook.50.AAA", "type": kind, "ts": 1_000 + update, "data": data})


def change(first: int, last: int, before: int, bids: Levels, asks: Levels) -> str:
    data = {"e": "depthUpdate", "T": last, "s": "AAA", "U": first, "u": last, "pu": before, "b": bids, "a": asks}
    return f"{last * MS + 5} " + json.dumps({"stream": "aaa@depth", "data": data})


def snapshot(update: int, bids: Levels, asks: Levels) -> str:
    return "77 " + json.dumps({"lastUpdateId": update, "bids": bids, "asks": asks})


def read(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pa.concat_tables(list(books(path, "AAA"))).to_pylist()
    return found


def best(row: dict[str, Any]) -> tuple[list[float], list[float]]:
    return row["bid_prices"], row["ask_prices"]


def test_a_snapshot_and_its_changes_become_a_book_after_each(tmp_path: Path) -> None:
    path = text(
        tmp_path / "AAA.jsonl",
        bybit("snapshot", 5, [("9", "1"), ("8", "2")], [("11", "3")]),
        '{"topic":"publicTrade.AAA","type":"snapshot","data":[]}',
        bybit("delta", 6, [("9", "0"), ("8.5", "4")], []),
        bybit("delta", 7, [], [("10", "1")]),
    )
    rows = read(path)
    assert [best(row) for row in rows] == [([9, 8], [11]), ([8.5, 8], [11]), ([8.5, 8], [10, 11])]
    assert rows[1]["bid_sizes"] == [4, 2]
    assert [(row["row"], row["ts_ns"]) for row in rows] == [(1, 1_005 * MS), (3, 1_006 * MS), (4, 1_007 * MS)]


def test_changes_that_came_before_an_older_snapshot_are_in_the_book_after_it(tmp_path: Path) -> None:
    path = text(
        tmp_path / "AAA.jsonl",
        change(1, 10, 0, [("5", "1")], []),
        change(11, 20, 10, [("8.5", "1")], []),
        change(21, 30, 20, [("8.6", "1")], []),
        snapshot(15, [("8", "2")], [("11", "3")]),
        change(31, 40, 30, [("8.7", "1")], []),
    )
    rows = read(path)
    assert [best(row) for row in rows] == [([8.7, 8.6, 8.5, 8], [11])]
    assert (rows[0]["ts_ns"], rows[0]["recv_ns"]) == (40 * MS, 40 * MS + 5)


def test_no_more_than_the_best_levels_are_kept(tmp_path: Path) -> None:
    many = [(str(1_000 - n), "1") for n in range(LEVELS + 9)]
    (row,) = read(text(tmp_path / "AAA.jsonl", bybit("snapshot", 1, many, [])))
    assert row["bid_prices"] == [1_000 - n for n in range(LEVELS)]
    assert row["ask_prices"] == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([bybit("snapshot", 5, [], []), bybit("delta", 7, [], [])], r"line 2.*the update after 5 is missing"),
        ([snapshot(5, [], []), change(9, 12, 8, [], [])], r"line 2.*the update after 5 is missing"),
        ([bybit("snapshot", 5, [("9", "1")], [("8", "1")])], r"line 1.*bids and asks cross"),
        ([bybit("snapshot", 5, [("-9", "1")], [])], r"line 1.*a price above 0"),
        (['{"topic":"orderbook.50.AAA", "type"'], r"line 1"),
    ],
)
def test_what_breaks_a_book_is_named_by_its_line(tmp_path: Path, lines: list[str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(text(tmp_path / "AAA.jsonl", *lines))


def test_a_change_again_is_passed_over(tmp_path: Path) -> None:
    again = bybit("delta", 6, [("9", "1")], [])
    rows = read(text(tmp_path / "AAA.jsonl", bybit("snapshot", 5, [("8", "1")], []), again, again))
    assert len(rows) == 2


@recorded_data
@pytest.mark.parametrize(
    ("name", "symbol", "rows", "bid", "ask"),
    [
        ("bybit_linear_XRPUSDT_ob500_20241201", "XRPUSDT", 50, 1.9537, 1.9538),
        ("binance_spot_BTCUSDT_20240808", "BTCUSDT", 3_448, 61_685.99, 61_686.0),
    ],
)
def test_recorded_streams_make_books_that_never_cross(
    name: str, symbol: str, rows: int, bid: float, ask: float
) -> None:
    portions = list(load(DATA / "book" / f"{name}.jsonl.gz", Told(venue="x")))
    assert {portion.series for portion in portions} == {Series(f"x:{symbol}", "books")}
    report = check(name, portions, Limits())
    assert (report.rows, report.series[0].findings) == (rows, {})
    last = portions[-1].rows.to_pylist()[-1]
    assert (last["bid_prices"][0], last["ask_prices"][0]) == (bid, ask)
