"""Bars of several lengths out of shorter bars or trades: exact, and none that was not wholly seen."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.model.market import Bar, Quote, Trade
from strategies.errors import StrategyError
from strategies.timeframes import UNKNOWN, Frames, Series, SeriesState, interval_ns, wanted

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
SYMBOL = "bybit:BTCUSDT"
DATA = Path(os.environ.get("BIGWHEEL_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")) / "bars"
SHORT, LONG = DATA / "binance_usdm_1m", DATA / "binance_usdm_5m"


def bar(start_ns: int, price: float = 100.0, *, length_ns: int = MINUTE, closed: bool = True, seq: int = 0) -> Bar:
    values = (price, price + 2, price - 2, price + 1, 10.0)
    return Bar(SYMBOL, 1, seq, start_ns, start_ns + length_ns, *values, length_ns, closed)


def trade(ts_ns: int, price: float, size: float = 1.0) -> Trade:
    return Trade(SYMBOL, 1, 0, ts_ns, ts_ns, price, size, "buy")


def made(series: Series, data: Iterable[Trade | Bar]) -> list[Bar]:
    return [bar for piece in data for bar in series.take(piece)]


def figures(bar: Bar) -> tuple[float, ...]:
    return (bar.ts_ns, bar.open, bar.high, bar.low, bar.close, bar.volume)


# -- names -------------------------------------------------------------------------


def test_a_timeframe_is_read_by_its_name() -> None:
    assert [interval_ns(name) for name in ("30s", "1m", "4h", "1d")] == [
        30 * SECOND, MINUTE, 240 * MINUTE, 1440 * MINUTE,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["", "m", "0m", "1w", "1.5m", "60", 60])
def test_a_name_that_is_no_timeframe_is_refused(name: str) -> None:
    with pytest.raises(StrategyError, match="such as 30s, 1m, 4h or 1d"):
        interval_ns(name)


def test_what_is_wanted_is_told_by_length_and_a_history_is_a_timeframe_too() -> None:
    found = wanted(("5m", "1m"), {"1h": 20}, 100)
    assert found.frames == (MINUTE, 5 * MINUTE, 60 * MINUTE)
    assert found.history == {60 * MINUTE: 20}


@pytest.mark.parametrize("count", [0, -1, 101, 2.5, True])
def test_a_history_of_no_sensible_length_is_refused(count: int) -> None:
    with pytest.raises(StrategyError, match="history of 1 to 100 bars of 1m"):
        wanted((), {"1m": count}, 100)


# -- from bars ---------------------------------------------------------------------


@pytest.mark.skipif(not SHORT.is_dir() or not LONG.is_dir(), reason="recorded bars are not here; set BIGWHEEL_DATA")
def test_recorded_minutes_become_exactly_the_recorded_five_minutes() -> None:
    names = [path.name for path in sorted(SHORT.glob("*.parquet")) if "USDCUSDT" not in path.name]
    compared = 0
    for name in names[:6]:
        rows = pq.read_table(SHORT / name).to_pylist()[:4_000]
        recorded = {row["ts_ns"]: row for row in pq.read_table(LONG / name).to_pylist()}
        series = Series(5 * MINUTE, MINUTE)
        for row in rows:
            values = (row["open"], row["high"], row["low"], row["close"], row["volume"])
            for found in series.take(Bar(SYMBOL, 1, 0, row["ts_ns"], row["ts_ns"], *values, MINUTE, True)):
                expected = recorded[found.ts_ns]
                assert found.open == expected["open"] and found.close == expected["close"]
                assert found.high == expected["high"] and found.low == expected["low"]
                assert found.volume == pytest.approx(expected["volume"], rel=1e-9)
                compared += 1
        assert series.state.late == 0 and series.state.incomplete <= 1
    assert compared > 2_000


def test_a_bar_is_given_with_its_last_part_and_not_before() -> None:
    series = Series(3 * MINUTE, MINUTE)
    given = [len(made(series, [bar(number * MINUTE)])) for number in range(7)]
    assert given == [0, 0, 1, 0, 0, 1, 0]


def test_the_interval_in_which_watching_began_gives_no_bar() -> None:
    series = Series(3 * MINUTE, MINUTE)
    found = made(series, [bar(number * MINUTE, 100.0 + number) for number in range(1, 7)])
    assert [piece.ts_ns for piece in found] == [3 * MINUTE]
    assert series.state.incomplete == 1


def test_minutes_without_a_trade_are_left_out_and_whole_intervals_without_one_give_no_bar() -> None:
    series = Series(3 * MINUTE, MINUTE)
    found = made(series, [bar(number * MINUTE, 100.0 + number) for number in (0, 2, 3, 12, 13, 15)])
    assert [figures(piece) for piece in found] == [
        (0, 100.0, 104.0, 98.0, 103.0, 20.0),
        (3 * MINUTE, 103.0, 105.0, 101.0, 104.0, 10.0),
        (12 * MINUTE, 112.0, 115.0, 110.0, 114.0, 20.0),
    ]


def test_a_bar_that_comes_twice_or_too_late_changes_nothing() -> None:
    series = Series(3 * MINUTE, MINUTE)
    stream = [bar(0), bar(0), bar(MINUTE), bar(0), bar(2 * MINUTE), bar(MINUTE), bar(2 * MINUTE)]
    assert [figures(piece) for piece in made(series, stream)] == [(0, 100.0, 102.0, 98.0, 101.0, 30.0)]
    assert series.state.late == 4


def test_what_was_missed_costs_the_bar_it_belongs_to_and_no_other() -> None:
    series = Series(3 * MINUTE, MINUTE)
    made(series, [bar(0), bar(MINUTE), bar(2 * MINUTE), bar(3 * MINUTE)])
    series.missed()
    found = made(series, [bar(number * MINUTE) for number in range(5, 12)])
    assert [piece.ts_ns for piece in found] == [6 * MINUTE, 9 * MINUTE]


def test_a_series_goes_on_from_bars_that_came_from_elsewhere() -> None:
    series = Series(3 * MINUTE, MINUTE)
    series.known(6 * MINUTE)
    found = made(series, [bar(number * MINUTE) for number in range(3, 9)])
    assert [piece.ts_ns for piece in found] == [6 * MINUTE]


# -- from trades -------------------------------------------------------------------


trades = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 500).map(float), st.integers(1, 9).map(float)), min_size=1, max_size=80
)


@settings(max_examples=150, deadline=None)
@given(trades)
def test_trades_become_the_bars_that_grouping_them_gives(rows: list[tuple[int, float, float]]) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    series, length = Series(5 * SECOND), 5
    found = made(series, [trade(at * SECOND, price, size) for at, price, size in rows])
    first, last = rows[0][0] // length, rows[-1][0] // length
    expected = []
    for number in sorted({row[0] // length for row in rows} - {first, last}):
        group = [row for row in rows if row[0] // length == number]
        prices = [row[1] for row in group]
        volume = sum(row[2] for row in group)
        expected.append((number * 5 * SECOND, prices[0], max(prices), min(prices), prices[-1], volume))
    assert [figures(piece) for piece in found] == expected


@settings(max_examples=60, deadline=None)
@given(trades, st.integers(0, 80))
def test_a_series_that_was_saved_and_restored_gives_the_same_bars(
    rows: list[tuple[int, float, float]], cut: int
) -> None:
    data = [trade(at * SECOND, price, size) for at, price, size in sorted(rows, key=lambda row: row[0])]
    whole = made(Series(5 * SECOND), data)
    series = Series(5 * SECOND)
    before = made(series, data[:cut])
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(series.state), type=SeriesState)
    assert before + made(Series(5 * SECOND, 0, state), data[cut:]) == whole


def test_a_late_trade_is_counted_and_changes_no_bar() -> None:
    series = Series(5 * SECOND)
    data = [trade(at * SECOND, float(100 + at)) for at in (1, 6, 11, 7, 16)]
    assert [piece.ts_ns for piece in made(series, data)] == [5 * SECOND, 10 * SECOND]
    assert series.state.late == 1


# -- several -----------------------------------------------------------------------


def test_each_length_is_made_of_what_fits_it() -> None:
    frames = Frames((30 * SECOND, MINUTE, 5 * MINUTE), {SYMBOL: MINUTE, "alpaca:AAPL": 0})
    assert [series.step_ns for series in frames.series[SYMBOL]] == [0, MINUTE, MINUTE]
    assert frames.kinds == ("Trade", "Bar")
    assert (frames.step_ns(SYMBOL), frames.step_ns("alpaca:AAPL")) == (MINUTE, 0)


def test_the_shorter_bar_comes_before_the_longer_one_it_ends() -> None:
    frames = Frames((MINUTE, 2 * MINUTE), {SYMBOL: MINUTE})
    given = [[piece.interval_ns // MINUTE for piece in frames.take(bar(number * MINUTE))] for number in range(4)]
    assert given == [[1], [1, 2], [1], [1, 2]]


def test_quotes_bars_under_way_and_bars_of_other_lengths_make_nothing() -> None:
    frames = Frames((MINUTE,), {SYMBOL: MINUTE})
    assert frames.take(Quote(SYMBOL, 1, 1, 1, 1, 99.0, 1.0, 101.0, 1.0)) == []
    assert frames.take(bar(0, closed=False)) == []
    assert frames.take(bar(0, length_ns=5 * MINUTE)) == []
    assert frames.take(trade(1, 100.0)) == []
    assert frames.counts()["bars_late"] == 0


def test_a_hole_in_one_symbol_leaves_the_others_whole() -> None:
    frames = Frames((MINUTE,), {SYMBOL: 0, "bybit:ETHUSDT": 0})
    for symbol in frames.series:
        frames.of(symbol, MINUTE).state.since_ns = 0
    frames.missed(SYMBOL)
    assert frames.of(SYMBOL, MINUTE).state.since_ns == UNKNOWN
    assert frames.of("bybit:ETHUSDT", MINUTE).state.since_ns == 0


def test_states_are_found_again_by_symbol_and_length() -> None:
    source = random.Random(3)
    frames = Frames((SECOND, 5 * SECOND), {SYMBOL: 0})
    data = [trade(number * SECOND // 3, 100 + source.random()) for number in range(40)]
    for piece in data[:20]:
        frames.take(piece)
    copy = msgspec.msgpack.decode(msgspec.msgpack.encode(frames.states()), type=dict[str, SeriesState])
    again = Frames((SECOND, 5 * SECOND), {SYMBOL: 0}, copy)
    assert [frames.take(piece) for piece in data[20:]] == [again.take(piece) for piece in data[20:]]
