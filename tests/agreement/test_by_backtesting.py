"""The same bars and rules by ``bigwheel.backtest`` and by backtesting.py: the same round trips, money to the cent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agreement import brackets, by_backtesting, ours
from tests.agreement.outcome import assert_same
from tests.agreement.rules import RULES
from tests.agreement.series import RECORDED, made_up, recorded

FEE = 0.0006
pytestmark = pytest.mark.filterwarnings("ignore:Some trades remain open", "ignore:DatetimeIndex.dayofweek")


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("rule", RULES)
def test_made_up_bars(tmp_path: Path, rule: str, seed: int) -> None:
    series, terms = made_up(600, seed), {"size": 100, "cash": 1_000_000, "fee": FEE}
    mine, theirs = ours.run(series, rule, tmp_path, **terms), by_backtesting.run(series, rule, **terms)
    found = ours.outcome(mine)
    assert_same(found, theirs)
    assert len(found.trips) > 10 and len(found.curve) == 600


@pytest.mark.parametrize("rule", RULES)
def test_recorded_bars(tmp_path: Path, rule: str) -> None:
    series = recorded(1_500)
    if series is None:
        pytest.skip(f"no recorded bars at {RECORDED}; set BIGWHEEL_DATA")
    terms = {"size": 2, "cash": 1_000_000, "fee": FEE}
    found = ours.outcome(ours.run(series, rule, tmp_path, **terms))
    assert_same(found, by_backtesting.run(series, rule, **terms))
    assert len(found.trips) > 25


def test_made_up_bars_with_stops_and_targets(tmp_path: Path) -> None:
    found = brackets.same(made_up(500, 11), tmp_path)
    assert found.stops > 5 and found.targets > 5 and found.both > 0


def test_recorded_bars_with_stops_and_targets(tmp_path: Path) -> None:
    series = recorded(600)
    if series is None:
        pytest.skip(f"no recorded bars at {RECORDED}; set BIGWHEEL_DATA")
    found = brackets.same(series, tmp_path)
    assert found.stops + found.targets > 5


def test_a_difference_would_be_seen(tmp_path: Path) -> None:
    series, terms = made_up(200, 3), {"size": 100, "cash": 1_000_000}
    found = ours.outcome(ours.run(series, "reversion", tmp_path, fee=FEE, **terms))
    with pytest.raises(AssertionError):
        assert_same(found, by_backtesting.run(series, "reversion", fee=FEE + 1e-6, **terms))
    with pytest.raises(AssertionError):
        assert_same(found, by_backtesting.run(series, "crossover", fee=FEE, **terms))
