"""The label of a market's regime: incremental, the same for the same prices, empty before it is known."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from actors.risk import state
from actors.risk.regime import NAMES, UNKNOWN, Regime
from actors.risk.series import Series
from actors.risk.settings import RegimeSettings
from tests.unit.brain_context import SECOND
from tests.unit.brain_samples import BTC, EXCHANGE, make_trade
from tests.unit.risk_desk import Desk

SETTINGS = RegimeSettings(grid_ns=SECOND, window=20, long=200)


def walk(steps: int, deviation: float, drift: float = 0.0, seed: int = 1, start: float = 100.0) -> list[float]:
    rng, price, prices = random.Random(seed), start, []
    for _ in range(steps):
        price *= math.exp(drift + rng.gauss(0, deviation))
        prices.append(price)
    return prices


def labels(prices: list[float], regime: Regime | None = None, first: int = 0) -> list[str]:
    regime = regime or Regime()
    found = []
    for step, price in enumerate(prices, first):
        regime.take(step * SECOND, price, SETTINGS)
        found.append(regime.label(SETTINGS))
    return found


def test_there_is_no_label_before_there_is_enough_data() -> None:
    found = labels(walk(100, 0.001))
    ready = 2 * SETTINGS.window
    assert set(found[:ready]) == {UNKNOWN}
    assert set(found[ready + 1 :]) <= set(NAMES)


def test_volatility_is_measured_against_its_own_long_average() -> None:
    calm = walk(400, 0.0005)
    stormy = walk(60, 0.005, start=calm[-1])
    found = labels([*calm, *stormy])
    assert all(label.startswith("volatile") for label in found[-30:])
    assert labels([*stormy, *walk(400, 0.0005, start=stormy[-1])])[-1].startswith("quiet")


def test_a_market_that_goes_somewhere_trends_and_one_that_goes_to_and_fro_ranges() -> None:
    assert labels(walk(100, 0.0001, drift=0.001))[-1].endswith("trending")
    assert labels([100 + step % 2 for step in range(100)])[-1].endswith("ranging")


def test_a_market_without_a_change_has_a_label_as_well() -> None:
    assert labels([100.0] * 100)[-1] == "quiet-ranging"


def test_prices_within_a_step_and_from_before_it_make_no_difference() -> None:
    prices = walk(80, 0.001)
    plain, noisy = Regime(), Regime()
    for step, price in enumerate(prices):
        plain.take(step * SECOND, price, SETTINGS)
        noisy.take(step * SECOND, price * 1.5, SETTINGS)
        noisy.take(step * SECOND + 1, price, SETTINGS)
        noisy.take((step - 1) * SECOND, price * 9, SETTINGS)
    assert plain == noisy


def test_a_long_silence_begins_anew() -> None:
    regime = Regime()
    assert labels(walk(100, 0.001), regime)[-1] != UNKNOWN
    assert labels([101.0], regime, 1_000) == [UNKNOWN]
    assert labels(walk(30, 0.001), regime, 1_001)[-1] != UNKNOWN


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(1.0, 1e6)), max_size=60))
def test_a_series_has_the_last_price_of_every_step(told: list[tuple[int, float]]) -> None:
    series, last, at = Series(), {}, 0
    for gap, price in told:
        at += gap
        series.take(at * SECOND + 5, price, SECOND, 500)
        last[at] = price
    expected, price = [], 0.0
    for bucket in range(min(last, default=0), at):
        price = last.get(bucket, price)
        expected.append(price)
    assert series.closes == expected


def test_a_verdict_bears_the_regime_and_a_restart_goes_on_from_where_it_was() -> None:
    desk = Desk(regime=SETTINGS)
    for step, price in enumerate(walk(100, 0.001)):
        desk.ctx.now += SECOND
        desk.ctx.deliver(desk.brain, make_trade(price, ts=desk.ctx.now, seq=step), EXCHANGE)
    regime = state.decode(desk.brain.snapshot()).markets[BTC].regime
    assert regime.label(SETTINGS) in NAMES
    desk.refresh()
    assert desk.ask(desk.signal()).regime == regime.label(SETTINGS)
    desk.restart(desk.brain.snapshot())
    assert state.decode(desk.brain.snapshot()).markets[BTC].regime.label(SETTINGS) == regime.label(SETTINGS)
