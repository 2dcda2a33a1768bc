"""What is found wrong in market data, what is repaired, and what is refused either way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.catalog import Catalog, Series
from exchanges.catalog.importing import check, check_catalog
from exchanges.catalog.loading import load
from exchanges.catalog.report import Fault, Weight
from exchanges.catalog.shaping import Portion, Told
from exchanges.catalog.validation import ROW, Checker, Limits, Policy
from tests.unit.catalog_bench import (
    BARS,
    BTC,
    DATA,
    MINUTE,
    QUOTES,
    TRADES,
    bar_columns,
    column,
    counts,
    minutes,
    quote_columns,
    recorded_data,
    took,
    trade_columns,
    write,
)
from tests.unit.recording_bench import MIDNIGHT_NS, SECOND

CALM = Limits(deviations=0)
INF, NAN = float("inf"), float("nan")


def found(series: Series, columns: dict[str, list[Any]], limits: Limits = CALM) -> dict[str, int]:
    """What is wrong with rows of a series."""
    n = len(columns["ts_ns"])
    rows = pa.table({**columns, ROW: list(range(1, n + 1)), "recv_ns": columns["ts_ns"]})
    return counts(check("drawn", [Portion(series, rows)], limits))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"open": 0.0}, "price"),
        ({"close": NAN}, "price"),
        ({"high": INF}, "price"),
        ({"high": 89.0}, "range"),
        ({"open": 111.0}, "range"),
        ({"close": 89.5}, "range"),
        ({"volume": -1.0}, "size"),
        ({"volume": NAN}, "size"),
        ({"volume": 0.0}, None),
        ({"ts_ns": 0}, "time"),
    ],
)
def test_impossible_bars_are_counted_once_by_what_is_wrong(change: dict[str, Any], fault: str | None) -> None:
    columns = bar_columns(minutes(1), **{name: [value] for name, value in change.items()})
    assert found(BARS, columns) == ({fault: 1} if fault else {})


@pytest.mark.parametrize(
    ("change", "fault"),
    [({}, None), ({"price": -1.0}, "price"), ({"size": 0.0}, "size"), ({"side": "up"}, "side"), ({"side": ""}, None)],
)
def test_impossible_trades_are_counted(change: dict[str, Any], fault: str | None) -> None:
    columns = trade_columns([MIDNIGHT_NS], **{name: [value] for name, value in change.items()})
    assert found(TRADES, columns) == ({fault: 1} if fault else {})


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"bid_price": 101.0}, None),
        ({"bid_price": 101.5}, "crossed"),
        ({"ask_price": 0.0}, "price"),
        ({"ask_size": -1.0}, "size"),
        ({"ask_size": 0.0}, None),
    ],
)
def test_crossed_and_impossible_quotes_are_counted_and_locked_ones_are_not(
    change: dict[str, Any], fault: str | None
) -> None:
    columns = quote_columns([MIDNIGHT_NS], **{name: [value] for name, value in change.items()})
    assert found(QUOTES, columns) == ({fault: 1} if fault else {})


@pytest.mark.parametrize(
    ("bids", "asks", "sizes", "faults"),
    [
        ([3.0, 2.0], [4.0, 5.0], None, {}),
        ([], [4.0, 5.0], None, {}),
        ([4.5, 2.0], [4.0, 5.0], None, {"crossed": 1}),
        ([2.0, 3.0], [4.0, 5.0], None, {"levels": 1}),
        ([3.0, 2.0], [5.0, 4.0], None, {"levels": 1}),
        ([3.0, -2.0], [4.0, 5.0], None, {"price": 1}),
        ([3.0, 2.0], [4.0, 5.0], [1.0, 0.0], {"size": 1}),
        ([3.0, 2.0], [4.0, 5.0], [1.0], {"levels": 1}),
    ],
)
def test_impossible_books_are_counted(
    bids: list[float], asks: list[float], sizes: list[float] | None, faults: dict[str, int]
) -> None:
    good = [[3.0, 1.0], [4.0]]
    columns = {
        "ts_ns": [1, 2, 3],
        "bid_prices": [good[0], bids, good[0]],
        "bid_sizes": [[1.0, 1.0], sizes if sizes is not None else [1.0] * len(bids), [1.0, 1.0]],
        "ask_prices": [good[1], asks, good[1]],
        "ask_sizes": [[1.0], [1.0] * len(asks), [1.0]],
    }
    assert found(Series(BTC, "books"), columns) == faults


def test_rates_and_marks_must_be_numbers() -> None:
    assert found(Series(BTC, "funding"), {"ts_ns": [1, 2], "rate": [-0.1, NAN]}) == {"price": 1}
    columns = {
        "ts_ns": [1, 2],
        "mark": [1.0, 0.0],
        "index": [0.0, 1.0],
        "funding_rate": [INF, 0.0],
        "funding_ns": [0, 0],
    }
    assert found(Series(BTC, "tickers"), columns) == {"price": 1, "size": 1}


# -- order, duplicates -------------------------------------------------------------------


def test_disorder_duplicates_and_revisions_are_refused_with_the_first_of_them_named(tmp_path: Path) -> None:
    columns = bar_columns([*minutes(3), minutes(1)[0]], close=[105.0, 105.0, 105.0, 104.0])
    report = took(tmp_path / "catalog", columns)
    assert counts(report) == {"disorder": 1, "revision": 1}
    assert "earlier than a row before it" in report.refused
    assert "first in row 4" in report.refused
    assert not list((tmp_path / "catalog").rglob("*.parquet"))


def test_repair_sorts_drops_what_is_there_twice_and_keeps_the_last(tmp_path: Path) -> None:
    first, second, third = minutes(3)
    columns = bar_columns([third, first, second, first, second], close=[103.0, 101.0, 102.0, 101.0, 109.0])
    report = took(tmp_path / "catalog", columns, Policy.REPAIR)
    assert (report.refused, report.added) == ("", 3)
    assert counts(report) == {"disorder": 4, "duplicate": 1, "revision": 1}
    assert {fault: finding.repaired for fault, finding in report.series[0].findings.items()} == {
        Fault.DISORDER: 4,
        Fault.DUPLICATE: 1,
        Fault.REVISION: 1,
    }
    assert column(tmp_path / "catalog", BARS, "close") == [101.0, 109.0, 103.0]


def test_what_cant_be_right_is_refused_under_either_policy(tmp_path: Path) -> None:
    columns = trade_columns([1, 2], price=[1.0, 0.0])
    for policy in Policy:
        assert "no finite price above 0" in took(tmp_path / "catalog", columns, policy).refused
    assert Catalog(tmp_path / "catalog").series() == []


def test_trades_without_an_id_are_never_taken_for_the_same() -> None:
    twice = {"price": [1.0] * 3, "size": [1.0] * 3, "side": ["buy"] * 3}
    assert found(TRADES, trade_columns([5, 5, 5], trade_id=["", "", ""], **twice)) == {"repeat": 2}
    assert found(TRADES, trade_columns([5, 5, 5], trade_id=["a", "a", "b"], **twice)) == {"duplicate": 1}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 3)), min_size=1, max_size=40), st.integers(1, 7))
def test_repaired_bars_are_those_that_came_last_by_time(drawn: list[tuple[int, int]], size: int) -> None:
    times = [MIDNIGHT_NS + minute * MINUTE for minute, _ in drawn]
    columns = bar_columns(times, close=[100.0 + close for _, close in drawn])
    rows = pa.table({**columns, "recv_ns": times, ROW: list(range(1, len(drawn) + 1))})
    checker = Checker(BARS, CALM)
    for start in range(0, len(drawn), size):
        checker.arrive(rows.slice(start, size))
    kept = checker.keep(rows)
    last = {at: close for at, (_, close) in zip(times, drawn, strict=True)}
    assert kept["ts_ns"].to_pylist() == sorted(last)
    assert kept["close"].to_pylist() == [100.0 + last[at] for at in sorted(last)]
    twice = sum(
        checker.report.findings[fault].count
        for fault in (Fault.DUPLICATE, Fault.REVISION)
        if fault in checker.report.findings
    )
    assert checker.report.rows - checker.report.kept == twice


# -- gaps --------------------------------------------------------------------------------


def test_gaps_of_bars_are_counted_with_what_they_lack_and_the_longest_are_told(tmp_path: Path) -> None:
    times = [minutes(12)[place] for place in (0, 1, 5, 6, 8, 11)]
    report = check("drawn", load(write(tmp_path / "A.parquet", bar_columns(times)), Told(venue="x")), CALM)
    (series,) = report.series
    assert (counts(report), series.missing) == ({"gap": 3}, 6)
    assert [(gap.missing, gap.start_ns) for gap in series.longest_gaps] == [
        (3, minutes(3)[2]),
        (2, minutes(10)[9]),
        (1, minutes(8)[7]),
    ]


def test_a_gap_over_the_edge_of_a_period_is_one(tmp_path: Path) -> None:
    first = MIDNIGHT_NS + 6 * 86_400 * SECOND + 86_340 * SECOND  # the last minute of November
    assert found(BARS, bar_columns([first, first + MINUTE])) == {}
    assert found(BARS, bar_columns([first, first + 3 * MINUTE])) == {"gap": 1}


def test_silence_among_events_is_a_gap_where_a_limit_is_given() -> None:
    columns = trade_columns([1, 2 * SECOND, 9 * SECOND])
    assert found(TRADES, columns) == {}
    assert found(TRADES, columns, Limits(deviations=0, silence_ns=5 * SECOND)) == {"gap": 1}


def test_bars_nearer_than_their_length_overlap() -> None:
    assert found(BARS, bar_columns([MIDNIGHT_NS, MIDNIGHT_NS + MINUTE // 2])) == {"overlap": 1}


HALF_DAY = 1_795_789_800 * SECOND
"""2026-11-27 09:30 in New York: the day after Thanksgiving closes at 13:00."""


def test_bars_are_expected_when_the_market_is_open() -> None:
    nyse = Limits(deviations=0, hours="nyse")
    hourly = Series(BTC, "bars_1800s")
    wednesday = HALF_DAY - 2 * 86_400 * SECOND
    session = [wednesday + n * 30 * MINUTE for n in range(13)]
    friday = [HALF_DAY + n * 30 * MINUTE for n in range(7)]
    assert found(hourly, bar_columns([*session, *friday]), nyse) == {}
    assert found(hourly, bar_columns([*session[:-2], *friday]), nyse) == {"gap": 1}
    assert found(hourly, bar_columns([session[0] - 30 * MINUTE, *session, *friday]), nyse) == {"outside": 1}
    assert found(hourly, bar_columns([*session, *friday]), CALM) == {"gap": 1}


@pytest.mark.parametrize("hour", [0, 5, 14])
def test_daily_bars_are_expected_on_trading_days(hour: int) -> None:
    monday = MIDNIGHT_NS - 86_400 * SECOND
    days = [monday + (n * 24 + hour) * 3_600 * SECOND for n in (0, 1, 2, 4, 7)]  # Thanksgiving and a weekend between
    daily, nyse = Series(BTC, "bars_86400s"), Limits(deviations=0, hours="nyse")
    assert found(daily, bar_columns(days), nyse) == {}
    assert found(daily, bar_columns(days[:1] + days[2:]), nyse) == {"gap": 1}


# -- outliers ----------------------------------------------------------------------------


def test_a_jump_beyond_what_is_usual_is_told_and_kept(tmp_path: Path) -> None:
    prices = [100.0 + (n * 7 % 11) / 10 for n in range(60)]
    prices[40] = 1_000.0
    columns = trade_columns([MIDNIGHT_NS + n for n in range(60)], price=prices)
    report = took(tmp_path / "catalog", columns)
    assert counts(report) == {"outlier": 2}  # there and back
    assert report.series[0].findings[Fault.OUTLIER].examples[0].row == 41
    assert (report.refused, report.added) == ("", 60)
    assert found(TRADES, columns) == {}


# -- reports -----------------------------------------------------------------------------


def test_a_report_is_json_with_all_counts(tmp_path: Path) -> None:
    report = took(tmp_path / "catalog", trade_columns([2, 1]), Policy.REPAIR)
    told = json.loads(report.json())
    assert told["policy"] == "repair"
    (series,) = told["series"]
    assert series["findings"]["disorder"] == {
        "count": 1,
        "repaired": 1,
        "examples": [{"row": 2, "ts_ns": 1, "text": "ts_ns=1"}],
    }
    assert (series["rows"], series["kept"], series["added"]) == (2, 2, 2)


def test_every_fault_has_a_weight_and_a_meaning() -> None:
    assert {fault.weight for fault in Fault} == set(Weight)
    assert len({fault.meaning for fault in Fault}) == len(Fault)


def test_a_catalog_is_checked_as_it_lies(tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    took(root, bar_columns([minutes(9)[place] for place in (0, 1, 8)]))
    report = check_catalog(Catalog(root), Catalog(root).series(), CALM)
    assert (report.rows, counts(report), report.series[0].missing) == (3, {"gap": 1}, 6)


@recorded_data
def test_recorded_data_has_nothing_that_is_refused_and_its_gaps_are_the_known_ones() -> None:
    spot = check("spot", load(DATA / "bars/binance_spot_1m", Told(venue="x")), Limits())
    assert (spot.impossible, spot.repairable, spot.rows) == (0, 0, 2_469)
    assert spot.series[0].missing == 59 * 60 + 20 - 2_469
    perpetuals = check("usdm", load(DATA / "bars/binance_usdm_1m", Told(venue="x")), Limits())
    assert (perpetuals.impossible, perpetuals.repairable, sum(s.missing for s in perpetuals.series)) == (0, 0, 0)
    equities = check("us", load(DATA / "bars/us_equities_1m", Told(venue="x")), Limits(hours="nyse"))
    spy = next(series for series in equities.series if series.symbol == "x:SPY")
    assert (equities.impossible, spy.rows, spy.missing) == (0, 1_560, 0)
    assert "outside" not in counts(equities)
