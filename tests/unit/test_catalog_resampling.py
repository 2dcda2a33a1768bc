"""Bars made of trades, quotes and shorter bars: exact to the last digit, whatever the portions."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.catalog import Catalog, DataError, Series
from exchanges.catalog.loading import load
from exchanges.catalog.resampling import exact_sums, resample, resampled
from exchanges.catalog.shaping import Told
from tests.unit.catalog_bench import (
    BARS,
    BTC,
    DATA,
    MINUTE,
    QUOTES,
    TRADES,
    bar_columns,
    column,
    minutes,
    quote_columns,
    recorded_data,
    took,
    trade_columns,
)
from tests.unit.recording_bench import MIDNIGHT_NS, SECOND

VALUES = ["open", "high", "low", "close", "volume"]


def portioned(rows: pa.Table, size: int) -> Iterator[pa.Table]:
    return (rows.slice(start, size) for start in range(0, rows.num_rows, size))


def whole(rows: pa.Table, source: Series, interval_ns: int, size: int = 1_000_000) -> pa.Table:
    return pa.concat_tables(list(resampled(portioned(rows, size), source, interval_ns)))


def read(path: str) -> dict[str, pa.Table]:
    """Recorded rows by symbol."""
    found: dict[str, list[pa.Table]] = {}
    for portion in load(DATA / path, Told(venue="x")):
        found.setdefault(portion.series.native, []).append(portion.rows)
    return {symbol: pa.concat_tables(rows).combine_chunks() for symbol, rows in found.items()}


# -- exactness ---------------------------------------------------------------------------

SIZES = st.integers(1, 10**7).map(lambda units: float(Decimal(units) / 1000))
DRAWN = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 10**6), SIZES), min_size=1, max_size=60)


@settings(deadline=None)
@given(DRAWN, st.integers(1, 9), st.sampled_from([1, 3, 5]))
def test_bars_of_trades_are_what_decimal_arithmetic_gives(
    drawn: list[tuple[int, int, float]], portion: int, length: int
) -> None:
    drawn.sort(key=lambda trade: trade[0])
    rows = pa.table(
        {
            "ts_ns": [MIDNIGHT_NS + minute * MINUTE for minute, _, _ in drawn],
            "price": [price / 100 for _, price, _ in drawn],
            "size": [size for _, _, size in drawn],
        }
    )
    found = whole(rows, TRADES, length * MINUTE, portion).to_pylist()
    expected = []
    for start in sorted({minute // length for minute, _, _ in drawn}):
        own = [(price / 100, size) for minute, price, size in drawn if minute // length == start]
        prices = [price for price, _ in own]
        volume = float(sum(Decimal(repr(size)) for _, size in own))
        at = MIDNIGHT_NS + start * length * MINUTE
        expected.append([at, prices[0], max(prices), min(prices), prices[-1], volume, at + length * MINUTE])
    assert [list(bar.values()) for bar in found] == expected


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e15, allow_subnormal=False), min_size=1, max_size=30), st.data())
def test_sums_do_not_depend_on_order_and_are_the_nearest_float(values: list[float], data: st.DataObject) -> None:
    edges = np.array([0])
    total = exact_sums(np.array(values), edges)[0]
    assert exact_sums(np.array(data.draw(st.permutations(values))), edges)[0] == total
    by_float, by_decimal = sum(map(Fraction, values)), sum(Fraction(repr(value)) for value in values)
    assert total in (float(by_float), float(by_decimal))


def test_tenths_sum_up_to_tenths_and_thirds_as_floats() -> None:
    edges = np.array([0, 3, 6, 7])
    values = np.array([0.1, 0.2, 0.3, 1 / 3, 1 / 3, 1 / 3, 123456.789, 2.0**60, 1.0, 0.5])
    assert exact_sums(values, edges).tolist() == [0.6, 1.0, 123456.789, 2.0**60]


@settings(deadline=None)
@given(st.integers(1, 50), st.sampled_from([2, 5, 15]))
def test_portions_change_nothing(portion: int, length: int) -> None:
    n = 47
    closes = [100.0 + (i * 37 % 19) / 7 for i in range(n)]
    columns = bar_columns(
        minutes(n, first=3), close=closes, high=[200.0] * n, volume=[(i * 31 % 17) / 3 for i in range(n)]
    )
    rows = pa.table(columns)
    assert whole(rows, BARS, length * MINUTE, portion).equals(whole(rows, BARS, length * MINUTE))


def test_bars_of_bars_in_two_steps_are_those_of_one() -> None:
    n = 120
    columns = bar_columns(minutes(n), close=[100.0 + i % 7 for i in range(n)], volume=[i / 10 for i in range(n)])
    rows = pa.table(columns)
    five = whole(rows, BARS, 5 * MINUTE)
    assert whole(five, Series(BTC, "bars_300s"), 15 * MINUTE).equals(whole(rows, BARS, 15 * MINUTE))


def test_quotes_become_bars_of_their_mid_without_a_volume() -> None:
    rows = pa.table(quote_columns([MIDNIGHT_NS, MIDNIGHT_NS + 5 * SECOND, MIDNIGHT_NS + MINUTE]))
    found = whole(rows, QUOTES, MINUTE).to_pydict()
    assert found["ts_ns"] == minutes(2)
    assert [found[name][0] for name in VALUES] == [100.5, 101.5, 100.5, 101.5, 0.0]


# -- recorded data -----------------------------------------------------------------------


@recorded_data
@pytest.mark.parametrize("portion", [997, 1_000_000])
def test_recorded_trades_become_the_bars_of_their_exchange(portion: int) -> None:
    made = whole(read("trades/binance_spot_XRPETH_20191011.parquet")["XRPETH"], TRADES, MINUTE, portion)
    theirs = read("bars/binance_spot_1m")["XRPETH"]
    assert made.num_rows == 2_469
    assert made.select(["ts_ns", *VALUES]).equals(theirs.select(["ts_ns", *VALUES]))


@recorded_data
def test_recorded_minutes_become_the_five_minutes_of_their_exchange() -> None:
    minute_bars, theirs = read("bars/binance_usdm_1m"), read("bars/binance_usdm_5m")
    assert len(minute_bars) == 18
    differing = {}
    for symbol, rows in minute_bars.items():
        made = whole(rows, BARS, 5 * MINUTE).select(["ts_ns", *VALUES])
        own = theirs[symbol].select(["ts_ns", *VALUES]).slice(0, made.num_rows)
        assert made.num_rows == 2_016
        if not made.equals(own):
            differing[symbol] = {
                name: np.flatnonzero(made[name].to_numpy() != own[name].to_numpy()) for name in made.column_names
            }
            for name in ("open", "high", "low"):
                assert np.abs(made[name].to_numpy() - own[name].to_numpy()).max() < 1.1e-5
    # The exchange's own bars of this one disagree by a tick where a bar begins: seven opens of 2,016.
    assert list(differing) == ["USDCUSDT"]
    assert {name: len(places) for name, places in differing["USDCUSDT"].items()} == {
        "ts_ns": 0,
        "open": 7,
        "high": 1,
        "low": 3,
        "close": 0,
        "volume": 0,
    }


# -- in a catalog ------------------------------------------------------------------------


def test_bars_are_kept_in_the_catalog_once(tmp_path: Path) -> None:
    root = tmp_path / "catalog"
    took(root, trade_columns([MIDNIGHT_NS + n * 20 * SECOND for n in range(9)]))
    for added in (3, 0):
        report = resample(Catalog(root), TRADES, "1m")
        assert (report.refused, report.added) == ("", added)
    assert column(root, BARS) == minutes(3)
    assert column(root, BARS, "volume") == [6.0, 6.0, 6.0]
    assert resample(Catalog(root), BARS, "2m", end_ns=MIDNIGHT_NS + 2 * MINUTE).added == 1
    assert column(root, Series(BTC, "bars_120s"), "volume") == [12.0]


@pytest.mark.parametrize(
    ("source", "kind", "said"),
    [
        (BARS, "1m", "expected trades, quotes, or bars that bars_60s are a multiple of"),
        (Series(BTC, "bars_300s"), "2m", "are a multiple of"),
        (Series(BTC, "funding"), "1h", "are a multiple of"),
        (TRADES, "7m", "expected bars that divide a day"),
        (TRADES, "2d", "expected bars that divide a day"),
        (TRADES, "quotes", "expected bars that divide a day"),
    ],
)
def test_bars_that_cant_be_made_are_refused(tmp_path: Path, source: Series, kind: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        resample(Catalog(tmp_path), source, kind)


def test_a_bar_over_the_edge_of_a_longer_one_is_refused() -> None:
    rows = pa.table(bar_columns([MIDNIGHT_NS, MIDNIGHT_NS + 4 * MINUTE + 30 * SECOND]))
    with pytest.raises(DataError, match="reaches over an edge"):
        whole(rows, BARS, 5 * MINUTE)
