"""Indicators against their straightforward definitions."""

from __future__ import annotations

import pickle
import random
import statistics
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.errors import StrategyError
from strategies.indicators import (
    ATR,
    EMA,
    MACD,
    RSI,
    SMA,
    Donchian,
    RollingMax,
    RollingMin,
    RollingStats,
    Wilder,
    ZScore,
)

prices = st.lists(st.floats(min_value=0.01, max_value=1e6), min_size=1, max_size=80)
periods = st.integers(min_value=2, max_value=20)
few = settings(max_examples=60, deadline=None)


def near(expected: float, scale: float = 1.0) -> Any:
    return pytest.approx(expected, rel=1e-9, abs=1e-9 * max(1.0, scale))


def wilder_of(values: list[float], period: int) -> float:
    smooth = sum(values[:period]) / len(values[:period])
    for value in values[period:]:
        smooth = (smooth * (period - 1) + value) / period
    return smooth


def ema_of(values: list[float], period: int) -> float:
    alpha, average = 2 / (period + 1), values[0]
    for value in values[1:]:
        average = alpha * value + (1 - alpha) * average
    return average


@few
@given(prices, periods)
def test_averages_match_their_definitions_at_every_step(values: list[float], period: int) -> None:
    sma, ema, wilder = SMA(period), EMA(period), Wilder(period)
    for end in range(1, len(values) + 1):
        seen, last = values[:end], values[max(0, end - period) : end]
        assert sma.update(values[end - 1]) == near(statistics.fmean(last), max(seen))
        assert ema.update(values[end - 1]) == near(ema_of(seen, period), max(seen))
        assert wilder.update(values[end - 1]) == near(wilder_of(seen, period), max(seen))
        assert sma.ready == ema.ready == wilder.ready == (end >= period)


@few
@given(prices, periods)
def test_rolling_statistics_match_their_definitions(values: list[float], period: int) -> None:
    stats, score = RollingStats(period), ZScore(period)
    for end in range(1, len(values) + 1):
        last = values[max(0, end - period) : end]
        stats.update(values[end - 1])
        score.update(values[end - 1])
        std = statistics.pstdev(last)
        assert stats.value == near(statistics.fmean(last), max(values))
        assert stats.std == pytest.approx(std, rel=1e-6, abs=1e-5 * max(values))
        assert stats.ready == score.ready == (end >= period)
        if std > 1e-3 * max(values):
            assert score.value == pytest.approx((values[end - 1] - statistics.fmean(last)) / std, abs=1e-3)


@few
@given(prices, periods)
def test_extremes_match_max_and_min_of_the_window(values: list[float], period: int) -> None:
    high, low, channel = RollingMax(period), RollingMin(period), Donchian(period)
    for end in range(1, len(values) + 1):
        last = values[max(0, end - period) : end]
        assert high.update(values[end - 1]) == max(last)
        assert low.update(values[end - 1]) == min(last)
        assert channel.update(values[end - 1]) == (max(last) + min(last)) / 2
        assert (channel.upper, channel.lower) == (max(last), min(last))
        assert high.ready == low.ready == channel.ready == (end >= period)


@few
@given(prices, periods)
def test_rsi_matches_wilders_table(values: list[float], period: int) -> None:
    rsi = RSI(period)
    for value in values:
        rsi.update(value)
    changes = [after - before for before, after in pairwise(values)]
    if not any(changes):
        assert rsi.value == 50.0
        return
    gains = wilder_of([max(change, 0.0) for change in changes], period)
    losses = wilder_of([max(-change, 0.0) for change in changes], period)
    expected = 100.0 if losses == 0 else 100 - 100 / (1 + gains / losses)
    assert rsi.value == pytest.approx(expected, abs=1e-6)
    assert rsi.ready == (len(changes) >= period)


@few
@given(st.lists(st.tuples(*[st.floats(min_value=1, max_value=1e5)] * 3), min_size=1, max_size=60), periods)
def test_atr_matches_wilders_true_range(triples: list[tuple[float, float, float]], period: int) -> None:
    bars = [(max(triple), min(triple), sorted(triple)[1]) for triple in triples]
    atr = ATR(period)
    ranges = []
    for number, (high, low, close) in enumerate(bars):
        atr.update_bar(high, low, close)
        before = bars[number - 1][2] if number else None
        ranges.append(high - low if before is None else max(high - low, abs(high - before), abs(low - before)))
    assert atr.value == near(wilder_of(ranges, period), 1e5)
    assert atr.ready == (len(bars) >= period)


def test_macd_is_the_difference_of_two_averages_and_its_own_average() -> None:
    source = random.Random(3)
    values = [100 + source.gauss(0, 1) for _ in range(200)]
    macd = MACD(5, 12, 4)
    lines = []
    for end in range(1, len(values) + 1):
        line = ema_of(values[:end], 5) - ema_of(values[:end], 12)
        assert macd.update(values[end - 1]) == near(line, 100)
        if end >= 12:
            lines.append(line)
            assert macd.signal == near(ema_of(lines, 4), 100)
            assert macd.histogram == near(line - ema_of(lines, 4), 100)
        assert macd.ready == (end >= 15)


def test_the_spread_of_large_close_values_does_not_cancel() -> None:
    stats = RollingStats(50)
    source = random.Random(1)
    values = [1e9 + source.random() * 1e-2 for _ in range(5_000)]
    for value in values:
        stats.update(value)
    assert stats.std == pytest.approx(statistics.pstdev(values[-50:]), rel=1e-3)


def test_one_huge_value_leaves_no_trace_once_it_left_the_window() -> None:
    stats, sma = RollingStats(10), SMA(10)
    for value in [1.0, 1e15, *[2.0, 3.0] * 30]:
        stats.update(value)
        sma.update(value)
    assert stats.std == pytest.approx(0.5)
    assert sma.value == pytest.approx(2.5)


def test_the_z_score_of_a_price_that_does_not_move_is_zero() -> None:
    score = ZScore(5)
    assert [score.update(64_000.1) for _ in range(20)] == [0.0] * 20


@pytest.mark.parametrize(
    "make",
    [
        lambda: SMA(7),
        lambda: EMA(7),
        lambda: Wilder(7),
        lambda: RollingStats(7),
        lambda: ZScore(7),
        lambda: RSI(7),
        lambda: ATR(7),
        lambda: Donchian(7),
        lambda: MACD(3, 7, 4),
    ],
)
def test_a_pickled_indicator_goes_on_exactly_where_it_was(make: Callable[[], Any]) -> None:
    source = random.Random(5)
    one = make()
    for _ in range(23):
        one.update(100 + source.gauss(0, 1))
    two = pickle.loads(pickle.dumps(one))
    for _ in range(50):
        value = 100 + source.gauss(0, 1)
        assert one.update(value) == two.update(value)


@pytest.mark.parametrize("period", [0, -1, 2.5, True, "3"])
def test_a_period_that_makes_no_sense_is_refused(period: Any) -> None:
    with pytest.raises(StrategyError, match="whole number"):
        SMA(period)


def test_macd_refuses_a_fast_average_that_is_not_faster() -> None:
    with pytest.raises(StrategyError, match="fast < slow"):
        MACD(26, 12)
