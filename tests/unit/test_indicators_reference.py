"""Indicators against TA-Lib, value by value, on seeded series that look like recorded ones.

Where TA-Lib starts a smoothing from another value than we do, the values differ at first and the
difference is multiplied by ``1 - alpha`` with each bar: those are compared once it is below 1e-9. That
concerns EMA and MACD (TA-Lib starts from a simple average), ATR (it leaves the first bar out) and ADX (its
first sums lack one bar). TA-Lib's OBV begins with the first volume, ours with 0. All others are equal
from the first bar on.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import talib

from strategies.indicators import (
    ADX,
    ATR,
    CCI,
    EMA,
    MACD,
    OBV,
    ROC,
    RSI,
    SMA,
    WMA,
    Bollinger,
    Donchian,
    Momentum,
    Slope,
    StandardDeviation,
    Stochastic,
    Wilder,
    ZScore,
)

LENGTH = 900
SETTLED = 600
"""Bars after which a different start has died out: (1 - 2 / 27) ** 500 is 2e-17, (1 - 1 / 14) ** 500 8e-17."""


class Bars(NamedTuple):
    high: Any
    low: Any
    close: Any
    volume: Any

    def rows(self) -> list[tuple[float, float, float, float]]:
        return [tuple(map(float, row)) for row in zip(*self, strict=True)]  # type: ignore[misc]


def bars(seed: int, price: float, tick: float) -> Bars:
    """Minutes of a price on a grid of ticks, with calm spells in which it does not move, and jumps."""
    source = random.Random(seed)
    rows = []
    for minute in range(LENGTH):
        quiet = (minute // 60) % 5 == 3
        scale = 0.0 if quiet and source.random() < 0.6 else price * source.choice((2e-4, 6e-4, 4e-3))
        path = [price := max(round((price + source.gauss(0, 1) * scale) / tick) * tick, tick) for _ in range(4)]
        rows.append((max(path), min(path), path[-1], round(source.expovariate(0.1), 3)))
    return Bars(*(np.array(column) for column in zip(*rows, strict=True)))


SERIES = [bars(1, 64_000.0, 0.1), bars(2, 1.95, 0.0001), bars(3, 0.42, 0.0001)]
Case = tuple[Callable[[], Any], Callable[[Any, tuple[float, ...]], Any], Callable[[Bars], Any], int]


def by_close(indicator: Any, row: tuple[float, ...]) -> float:
    value: float = indicator.update(row[2])
    return value


def by_bar(indicator: Any, row: tuple[float, ...]) -> float:
    value: float = indicator.update_bar(*row[:3])
    return value


def fields(update: Callable[[Any, tuple[float, ...]], float], *names: str) -> Callable[[Any, tuple[float, ...]], Any]:
    def read(indicator: Any, row: tuple[float, ...]) -> tuple[float, ...]:
        update(indicator, row)
        return tuple(getattr(indicator, name) for name in names)

    return read


CASES: dict[str, Case] = {
    "SMA": (lambda: SMA(20), by_close, lambda b: talib.SMA(b.close, 20), 0),
    "WMA": (lambda: WMA(20), by_close, lambda b: talib.WMA(b.close, 20), 0),
    "EMA": (lambda: EMA(20), by_close, lambda b: talib.EMA(b.close, 20), SETTLED),
    "RSI": (lambda: RSI(14), by_close, lambda b: talib.RSI(b.close, 14), 0),
    "MACD": (
        lambda: MACD(12, 26, 9),
        fields(by_close, "value", "signal", "histogram"),
        lambda b: talib.MACD(b.close, 12, 26, 9),
        SETTLED,
    ),
    "Bollinger": (
        lambda: Bollinger(20, 2.0),
        fields(by_close, "upper", "value", "lower"),
        lambda b: talib.BBANDS(b.close, 20, 2.0, 2.0),
        0,
    ),
    "StandardDeviation": (lambda: StandardDeviation(20), by_close, lambda b: talib.STDDEV(b.close, 20, 1.0), 0),
    "ATR": (lambda: ATR(14), by_bar, lambda b: talib.ATR(*b[:3], 14), SETTLED),
    "ADX": (
        lambda: ADX(14),
        fields(by_bar, "value", "plus", "minus"),
        lambda b: (talib.ADX(*b[:3], 14), talib.PLUS_DI(*b[:3], 14), talib.MINUS_DI(*b[:3], 14)),
        SETTLED,
    ),
    "Stochastic": (
        lambda: Stochastic(14, 3, 5),
        fields(by_bar, "value", "signal"),
        lambda b: talib.STOCH(*b[:3], fastk_period=14, slowk_period=3, slowd_period=5),
        0,
    ),
    "ROC": (lambda: ROC(10), lambda i, row: 100 * by_close(i, row), lambda b: talib.ROC(b.close, 10), 0),
    "Momentum": (lambda: Momentum(10), by_close, lambda b: talib.MOM(b.close, 10), 0),
    "CCI": (lambda: CCI(20), by_bar, lambda b: talib.CCI(*b[:3], 20), 0),
    "OBV": (
        OBV,
        lambda i, row: i.update_bar(row[2], row[3]),
        lambda b: talib.OBV(b.close, b.volume) - b.volume[0],
        0,
    ),
    "Donchian": (
        lambda: Donchian(20),
        fields(lambda i, row: float(i.update_bar(row[0], row[1])), "upper", "lower"),
        lambda b: (talib.MAX(b.high, 20), talib.MIN(b.low, 20)),
        0,
    ),
    "Slope": (lambda: Slope(14), by_close, lambda b: talib.LINEARREG_SLOPE(b.close, 14), 0),
    "ZScore": (
        lambda: ZScore(20),
        by_close,
        lambda b: (b.close - talib.SMA(b.close, 20)) / talib.STDDEV(b.close, 20, 1.0),
        0,
    ),
}


def same(name: str, ours: float, theirs: float, price: float) -> bool:
    # TA-Lib's running sums of squares cancel: its deviations are good to about 1e-7 of the price.
    slack = {"StandardDeviation": 1e-7 * price, "Bollinger": 1e-7 * price, "ZScore": 1e-3, "CCI": 1e-5}
    return math.isclose(ours, theirs, rel_tol=1e-8, abs_tol=slack.get(name, 1e-8 * max(price, 1.0)))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("series", range(len(SERIES)))
def test_it_agrees_with_ta_lib(name: str, series: int) -> None:
    make, read, reference, settled = CASES[name]
    data = SERIES[series]
    made = reference(data)
    expected = np.atleast_2d(np.array(made)).T
    indicator, compared = make(), 0
    for number, row in enumerate(data.rows()):
        ours = np.atleast_1d(read(indicator, row))
        theirs = expected[number]
        if np.isnan(theirs).any() or number < settled:
            continue
        if name != "OBV":
            assert indicator.ready, f"{name} is not ready at bar {number}, where TA-Lib is"
        for one, other in zip(ours, theirs, strict=True):
            assert same(name, one, other, row[2]), f"{name} at bar {number}: {one} against {other}"
        compared += 1
    assert compared > 200


@pytest.mark.parametrize("name", ["SMA", "WMA", "RSI", "Stochastic", "ROC", "Momentum", "CCI", "Donchian", "Slope"])
def test_it_is_ready_exactly_when_ta_lib_is(name: str) -> None:
    make, read, reference, _ = CASES[name]
    data = SERIES[0]
    first = int(np.argmax(~np.isnan(np.atleast_2d(np.array(reference(data)))[0])))
    indicator, ready = make(), -1
    for number, row in enumerate(data.rows()[: first + 5]):
        read(indicator, row)
        if indicator.ready and ready < 0:
            ready = number
    assert ready == first


def test_adx_needs_two_periods_of_bars() -> None:
    indicator = ADX(5)
    ready = [bool(indicator.update_bar(*row[:3]) + 1) and indicator.ready for row in SERIES[0].rows()[:12]]
    assert ready.index(True) == 2 * 5 - 1


def test_wilders_smoothing_is_what_ta_libs_atr_does_with_its_ranges() -> None:
    """From the same ranges the values are equal from the first on, without waiting for a start to die out."""
    data = SERIES[0]
    ranges = talib.TRANGE(*data[:3])[1:]
    expected = talib.ATR(*data[:3], 14)[1:]
    smooth = Wilder(14)
    ours = [smooth.update(float(value)) for value in ranges]
    assert ours[13:] == pytest.approx(list(expected[13:]), rel=1e-12)
