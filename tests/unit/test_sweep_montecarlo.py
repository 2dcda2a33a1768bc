"""Monte Carlo against what is known in closed form, and its properties."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigwheel.sweeps import montecarlo
from bigwheel.sweeps.errors import SweepError
from bigwheel.sweeps.montecarlo import MonteCarlo, added, compounded, distribution, resampled, stationary
from tests.unit.report_samples import DAY, START, Sample, rows


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_loss_is_as_probable_as_the_binomial_says() -> None:
    # Of n draws of +2 or -1 the sum is below 0 where fewer than a third are won.
    trades, paths = 30, 40_000
    profits = np.array([2.0, -1.0] * (trades // 2))
    told = distribution(added(rng(), profits, 100.0, paths), 100.0)
    expected = sum(comb(trades, won) for won in range(10)) / 2**trades
    assert told["probability_of_loss"] == pytest.approx(expected, abs=4 * (expected / paths) ** 0.5)
    assert told["final_equity"]["mean"] == pytest.approx(100 + trades * 0.5, abs=4 * 1.5 * (trades / paths) ** 0.5)
    assert told["final_equity"]["deviation"] == pytest.approx(1.5 * trades**0.5, rel=0.02)


def test_a_walk_sinks_below_its_start_as_the_reflection_principle_says() -> None:
    # The highest of a fair walk of n steps reaches m with P = P(S >= m) + P(S > m); by symmetry so does the lowest.
    steps, paths, depth = 16, 40_000, 4
    moved = {2 * won - steps: comb(steps, won) / 2**steps for won in range(steps + 1)}
    expected = sum(p for s, p in moved.items() if s >= depth) + sum(p for s, p in moved.items() if s > depth)
    drawn = montecarlo.stationary(rng(2), steps, paths, 1.0)
    lowest = np.cumsum(np.array([1, -1] * (steps // 2))[drawn], axis=1).min(axis=1)
    assert np.mean(lowest <= -depth) == pytest.approx(expected, abs=0.01)


def test_returns_that_never_vary_have_one_path() -> None:
    paths = compounded(rng(), np.full(10, -0.1), 1_000.0, 50, 3.0)
    assert paths.final == pytest.approx(np.full(50, 1_000 * 0.9**10))
    assert paths.drawdown == pytest.approx(np.full(50, 1 - 0.9**10))


def test_a_day_that_loses_all_ends_a_path_at_nothing() -> None:
    paths = compounded(rng(), np.array([0.5, -1.5]), 100.0, 400, 1.0)
    assert set(np.round(paths.final, 6)) == {0.0, 225.0}
    assert paths.drawdown[paths.final == 0.0] == pytest.approx(1.0)


@given(st.integers(1, 60), st.floats(1.0, 30.0), st.integers(0, 99))
def test_blocks_follow_the_observations_around_the_circle(count: int, block: float, seed: int) -> None:
    drawn = stationary(rng(seed), count, 20, block)
    assert drawn.shape == (20, count) and drawn.min() >= 0 and drawn.max() < count
    if block == 1.0 or count == 1:
        return
    whole = stationary(rng(seed), count, 20, 1e12)
    assert np.all(np.diff(whole, axis=1) % count == 1 % count)


def test_blocks_have_the_mean_length_that_is_asked_for() -> None:
    drawn = stationary(rng(), 5_000, 20, 10.0)
    breaks = np.mean(np.diff(drawn, axis=1) % 5_000 != 1)
    assert 1 / breaks == pytest.approx(10.0, rel=0.03)


def test_every_observation_is_drawn_as_often() -> None:
    counts = np.bincount(stationary(rng(), 20, 20_000, 4.0).ravel(), minlength=20)
    assert counts / counts.mean() == pytest.approx(np.ones(20), abs=0.03)


def test_portions_change_no_distribution_and_seeds_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    returns = rng(3).normal(0.001, 0.02, 50)
    whole = compounded(rng(), returns, 100.0, 3_000, 3.0)
    assert np.array_equal(whole.final, compounded(rng(), returns, 100.0, 3_000, 3.0).final)
    monkeypatch.setattr(montecarlo, "_AT_ONCE", 777)
    parts = compounded(rng(), returns, 100.0, 3_000, 3.0)
    assert len(parts.final) == 3_000
    assert parts.final.mean() == pytest.approx(whole.final.mean(), abs=4 * whole.final.std() * (2 / 3_000) ** 0.5)


@given(st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=40), st.integers(0, 9))
def test_drawdowns_are_fractions_and_quantiles_rise(returns: list[float], seed: int) -> None:
    paths = compounded(rng(seed), np.array(returns), 100.0, 64, 2.0)
    assert np.all((paths.drawdown >= 0) & (paths.drawdown <= 1)) and np.all(paths.final >= 0)
    told = distribution(paths, 100.0)
    levels = list(told["final_equity"]["quantiles"].values())
    assert levels == sorted(levels)
    assert 0 <= told["probability_of_loss"] <= 1


def test_days_are_drawn_in_blocks_and_round_trips_one_by_one() -> None:
    days = [START + (number + 1) * DAY for number in range(27)]
    curve = [{"ts_ns": at, "equity": 101.0 + number, "drawdown": 0.0} for number, at in enumerate(days)]
    trades = [{"pnl": float(number), "entry_ns": START, "exit_ns": days[0]} for number in (1, 2, 3)]
    sample = Sample(equity=rows("equity", *curve), trades=rows("trades", *trades), summary={"starting_cash": 100.0})
    found = resampled(sample, MonteCarlo(10), seed=4)
    assert {name: made for name, (_, made) in found.items()} == {
        "days": {"observations": 27, "block": pytest.approx(3.0)},
        "trades": {"observations": 3, "block": 1.0},
    }
    assert np.all(found["trades"][0].final >= 103) and np.all(found["trades"][0].drawdown == 0)
    assert resampled(Sample(summary={"starting_cash": 100.0}), MonteCarlo(10), 0) == {}


def test_runs_have_seeds_of_their_own_and_latencies_around_the_told_one() -> None:
    told = MonteCarlo(100, runs=50, jitter=0.5).seeds(7, 10.0)
    assert [seed for seed, _ in told] == list(range(8, 58))
    assert all(5.0 <= latency <= 15.0 for _, latency in told) and len({latency for _, latency in told}) == 50
    assert [latency for _, latency in MonteCarlo(3).seeds(0, 10.0)] == [10.0] * 3
    assert len(MonteCarlo(10_000).seeds(0, 1.0)) == montecarlo.RUNS


@pytest.mark.parametrize(
    "text",
    ["", "x", "0", "-1", "10,runs=-1", "10,jitter=2", "10,block=0.5", "10,runs", "10,of=days", "10,runs=1,runs=2"],
)
def test_what_can_not_be_drawn_is_told(text: str) -> None:
    with pytest.raises(SweepError, match="expected"):
        MonteCarlo.parse(text)


def test_what_is_asked_for_is_read() -> None:
    assert MonteCarlo.parse("500, runs=4,jitter=0.25,block=6") == MonteCarlo(500, 4, 0.25, 6.0)
