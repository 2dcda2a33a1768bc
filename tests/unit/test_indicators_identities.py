"""What must hold of indicators whatever comes in, and those no reference library has."""

from __future__ import annotations

import pickle
import random
import statistics
from collections.abc import Callable
from itertools import pairwise
from math import log, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.errors import StrategyError
from strategies.indicators import (
    ADX,
    CCI,
    OBV,
    ROC,
    SMA,
    VWAP,
    WMA,
    Bollinger,
    EfficiencyRatio,
    MeanDeviation,
    MicroPrice,
    Momentum,
    OrderFlowImbalance,
    RealisedVolatility,
    Slope,
    StandardDeviation,
    Stochastic,
    TradeImbalance,
)

few = settings(max_examples=60, deadline=None)
prices = st.lists(st.floats(min_value=0.01, max_value=1e6), min_size=1, max_size=80)
grid = st.lists(st.integers(min_value=1, max_value=40).map(float), min_size=1, max_size=80)
periods = st.integers(min_value=2, max_value=20)
sizes = st.integers(min_value=0, max_value=50).map(float)
quotes = st.lists(
    st.tuples(st.integers(50, 60), sizes, st.integers(1, 3), sizes).map(
        lambda q: (float(q[0]), q[1], float(q[0] + q[2]), q[3])
    ),
    min_size=1,
    max_size=60,
)


@few
@given(prices | grid, periods)
def test_the_mean_deviation_is_that_of_its_window(values: list[float], period: int) -> None:
    deviation = MeanDeviation(period)
    for end in range(1, len(values) + 1):
        last = values[max(0, end - period) : end]
        mean = statistics.fmean(last)
        expected = statistics.fmean(abs(value - mean) for value in last)
        assert deviation.update(values[end - 1]) == pytest.approx(expected, rel=1e-6, abs=1e-9 * max(values))
        assert deviation.ready == (end >= period)


@few
@given(prices | grid, periods)
def test_the_weighted_average_and_the_slope_are_those_of_their_window(values: list[float], period: int) -> None:
    weighted, slope = WMA(period), Slope(period)
    for end in range(1, len(values) + 1):
        last = values[max(0, end - period) : end]
        expected = sum(w * x for w, x in enumerate(last, 1)) / (len(last) * (len(last) + 1) / 2)
        assert weighted.update(values[end - 1]) == pytest.approx(expected, rel=1e-9)
        line = float(np.polyfit(range(len(last)), last, 1)[0]) if len(last) > 1 else 0.0
        assert slope.update(values[end - 1]) == pytest.approx(line, rel=1e-6, abs=1e-8 * max(values))


@few
@given(st.floats(-1e3, 1e3), st.floats(-10, 10), periods)
def test_the_slope_of_a_line_is_its_own_and_its_weighted_average_leads_the_simple_one(
    start: float, step: float, period: int
) -> None:
    slope, weighted, simple = Slope(period), WMA(period), SMA(period)
    for number in range(3 * period):
        for indicator in (slope, weighted, simple):
            indicator.update(start + step * number)
    assert slope.value == pytest.approx(step, abs=1e-9)
    assert weighted.value - simple.value == pytest.approx(step * (period - 1) / 6, abs=1e-8)


@few
@given(prices, periods, st.floats(min_value=0.5, max_value=4))
def test_bollinger_bands_lie_evenly_around_the_mean(values: list[float], period: int, width: float) -> None:
    bands, spread = Bollinger(period, width), StandardDeviation(period)
    for value in values:
        bands.update(value)
        spread.update(value)
        assert bands.upper - bands.value == pytest.approx(width * spread.value, abs=1e-9 * max(values))
        assert bands.value - bands.lower == pytest.approx(width * spread.value, abs=1e-9 * max(values))


@few
@given(prices, periods)
def test_oscillators_stay_in_their_range(values: list[float], period: int) -> None:
    bounded = [Stochastic(period), EfficiencyRatio(period), ADX(period)]
    for value in values:
        for indicator in bounded:
            top = 1.0 if isinstance(indicator, EfficiencyRatio) else 100.0
            assert -1e-9 <= indicator.update(value) <= top * (1 + 1e-9)


@few
@given(prices | grid, periods)
def test_the_efficiency_ratio_is_distance_over_path(values: list[float], period: int) -> None:
    ratio = EfficiencyRatio(period)
    for end in range(1, len(values) + 1):
        last = values[max(0, end - period - 1) : end]
        path = sum(abs(after - before) for before, after in pairwise(last))
        value = ratio.update(values[end - 1])
        if path > 1e-6 * max(values):
            assert value == pytest.approx(abs(last[-1] - last[0]) / path, abs=1e-6)
        assert ratio.ready == (end > period)


@few
@given(prices, periods)
def test_realised_volatility_is_the_root_of_the_mean_squared_return(values: list[float], period: int) -> None:
    volatility = RealisedVolatility(period, 100.0)
    for value in values:
        volatility.update(value)
    returns = [log(after / before) for before, after in pairwise(values)][-period:]
    expected = sqrt(statistics.fmean(r * r for r in returns) * 100.0) if returns else 0.0
    assert volatility.value == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert volatility.ready == (len(values) > period)


def test_a_price_that_is_none_does_not_end_a_volatility() -> None:
    volatility = RealisedVolatility(2)
    values = [volatility.update(price) for price in (100.0, 0.0, 101.0, -1.0, 100.0)]
    assert values[-1] == pytest.approx(log(1.01))


@few
@given(quotes, periods)
def test_order_flow_imbalance_adds_up_the_events_of_the_paper(
    rows: list[tuple[float, float, float, float]], period: int
) -> None:
    flow = OrderFlowImbalance(period)
    events = []
    for number, (bid, bid_size, ask, ask_size) in enumerate(rows):
        flow.update_quote(bid, bid_size, ask, ask_size)
        if number:
            before = rows[number - 1]
            if bid > before[0]:
                bids = bid_size
            elif bid == before[0]:
                bids = bid_size - before[1]
            else:
                bids = -before[1]
            if ask < before[2]:
                asks = ask_size
            elif ask == before[2]:
                asks = ask_size - before[3]
            else:
                asks = -before[3]
            events.append(bids - asks)
            assert flow.change == events[-1]
    assert flow.value == pytest.approx(sum(events[-period:]), abs=1e-9)


@few
@given(quotes, periods)
def test_mirroring_the_book_turns_the_flow_around(rows: list[tuple[float, float, float, float]], period: int) -> None:
    one, mirrored = OrderFlowImbalance(period), OrderFlowImbalance(period)
    for bid, bid_size, ask, ask_size in rows:
        one.update_quote(bid, bid_size, ask, ask_size)
        mirrored.update_quote(-ask, ask_size, -bid, bid_size)
    assert one.value == pytest.approx(-mirrored.value, abs=1e-9)


@few
@given(quotes)
def test_the_micro_price_lies_between_bid_and_ask(rows: list[tuple[float, float, float, float]]) -> None:
    micro = MicroPrice()
    for bid, bid_size, ask, ask_size in rows:
        value = micro.update_quote(bid, bid_size, ask, ask_size)
        assert bid <= value <= ask
        if bid_size + ask_size:
            assert value == pytest.approx((bid * ask_size + ask * bid_size) / (bid_size + ask_size))
        assert -1 <= micro.imbalance <= 1


@few
@given(st.lists(st.tuples(sizes, st.sampled_from(["buy", "sell", ""])), min_size=1, max_size=60), periods)
def test_the_trades_imbalance_is_signed_volume_over_volume(rows: list[tuple[float, str]], period: int) -> None:
    imbalance = TradeImbalance(period)
    for size, side in rows:
        imbalance.update_trade(size, side)
    last = rows[-period:]
    volume = sum(size for size, _ in last)
    signed = sum({"buy": size, "sell": -size}.get(side, 0.0) for size, side in last)
    assert imbalance.value == pytest.approx(signed / volume if volume else 0.0)


def test_vwap_is_turnover_over_volume_and_begins_anew_with_each_session() -> None:
    source = random.Random(4)
    hour = 3_600_000_000_000
    vwap = VWAP(session_ns=hour, offset_ns=hour // 2)
    trades = [(100 + source.gauss(0, 1), source.random(), source.randrange(10 * hour)) for _ in range(500)]
    trades.sort(key=lambda trade: trade[2])
    for number, (price, size, ts_ns) in enumerate(trades):
        session = (ts_ns - hour // 2) // hour
        same = [t for t in trades[: number + 1] if (t[2] - hour // 2) // hour == session]
        expected = sum(p * s for p, s, _ in same) / sum(s for _, s, _ in same)
        assert vwap.update_trade(price, size, ts_ns) == pytest.approx(expected)
    before = vwap.value
    assert vwap.update_trade(1e9, 5.0, trades[-1][2] - 2 * hour) == before


def test_on_balance_volume_stands_still_with_the_price() -> None:
    volume = OBV()
    steps = [(10.0, 5.0), (11.0, 2.0), (11.0, 9.0), (10.5, 1.0)]
    assert [volume.update_bar(*step) for step in steps] == [0.0, 2.0, 2.0, 1.0]


def test_momentum_and_its_rate_are_of_the_same_older_value() -> None:
    momentum, rate = Momentum(2), ROC(2)
    for value in (100.0, 50.0, 110.0):
        momentum.update(value)
        rate.update(value)
    assert (momentum.value, momentum.rate, rate.value) == (10.0, pytest.approx(0.1), pytest.approx(0.1))


@pytest.mark.parametrize(
    ("make", "update"),
    [
        (lambda: WMA(7), lambda i, v: i.update(v)),
        (lambda: Momentum(7), lambda i, v: i.update(v)),
        (lambda: ROC(7), lambda i, v: i.update(v)),
        (lambda: Bollinger(7), lambda i, v: i.update(v)),
        (lambda: MeanDeviation(7), lambda i, v: i.update(v)),
        (lambda: StandardDeviation(7), lambda i, v: i.update(v)),
        (lambda: Stochastic(7), lambda i, v: i.update_bar(v + 1, v - 1, v)),
        (lambda: CCI(7), lambda i, v: i.update_bar(v + 1, v - 1, v)),
        (lambda: ADX(7), lambda i, v: i.update_bar(v + 1, v - 1, v)),
        (lambda: EfficiencyRatio(7), lambda i, v: i.update(v)),
        (lambda: Slope(7), lambda i, v: i.update(v)),
        (lambda: RealisedVolatility(7), lambda i, v: i.update(v)),
        (OBV, lambda i, v: i.update_bar(v, 1.0)),
        (VWAP, lambda i, v: i.update_trade(v, 1.0, int(v * 1e12))),
        (lambda: OrderFlowImbalance(7), lambda i, v: i.update_quote(v, v, v + 1, 2.0)),
        (lambda: TradeImbalance(7), lambda i, v: i.update_trade(v, "buy" if v > 100 else "sell")),
        (MicroPrice, lambda i, v: i.update_quote(v, v, v + 1, 2.0)),
    ],
)
def test_a_pickled_indicator_goes_on_exactly_where_it_was(
    make: Callable[[], Any], update: Callable[[Any, float], float]
) -> None:
    source = random.Random(5)
    one = make()
    for _ in range(23):
        update(one, 100 + source.gauss(0, 1))
    two = pickle.loads(pickle.dumps(one))
    for _ in range(50):
        value = 100 + source.gauss(0, 1)
        assert update(one, value) == update(two, value)
    assert one.ready and two.ready


@pytest.mark.parametrize("make", [lambda: Bollinger(20, 0.0), lambda: RealisedVolatility(20, -1.0)])
def test_a_width_or_a_factor_that_makes_no_sense_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(StrategyError, match="above 0"):
        make()
