"""The experiments on what is learned, in small: the direction of what they find, and the same of a seed each time."""

from __future__ import annotations

import functools
import os
import statistics
from pathlib import Path

import pytest

from scripts.experiments import planted, report, walkforward
from scripts.experiments.__main__ import pair
from scripts.experiments.planted import World

SEEDS = (1, 2, 3)
WORLD = World(steps=550, decay=400, block=150, edge=0.6, fee=0.0006)
DATA = Path(os.environ.get("BIGWHEEL_DATA", Path(__file__).parents[3] / "shared/data"))


@functools.cache
def found(seed: int) -> tuple[planted.Outcome, planted.Outcome]:
    return pair(WORLD, seed)


def test_decisions_are_better_with_learning_than_without() -> None:
    gains = [learned.profit - without.profit for without, learned in map(found, SEEDS)]
    assert statistics.fmean(gains) > 0
    assert all(learned.full > 0 and without.full == 0 for without, learned in map(found, SEEDS))


def test_the_source_that_knows_nothing_ends_below_the_one_that_does() -> None:
    for seed in SEEDS:
        before = [weights for step, weights in found(seed)[1].weights if step <= WORLD.decay][-1]
        assert before["b|"] < before["c|"]


def test_a_seed_gives_the_same_twice() -> None:
    again = pair(WORLD, SEEDS[0])
    assert again == found(SEEDS[0])


def test_the_report_holds_the_difference_and_its_interval() -> None:
    text = report.planted(WORLD, [found(seed) for seed in SEEDS])
    gains = [learned.profit - without.profit for without, learned in map(found, SEEDS)]
    assert str(report.estimate(gains)) in text
    assert len(report.weights_csv([found(1)]).splitlines()) > 10


@pytest.mark.skipif(not DATA.exists(), reason=f"no recorded data in {DATA}; set BIGWHEEL_DATA")
def test_a_walk_decides_nothing_on_what_comes_later() -> None:
    """What follows changes nothing of what was done before it."""
    market = walkforward.MARKETS[2]
    short = walkforward.run(DATA, market, "alpha", learning=True, most=110)
    long = walkforward.run(DATA, market, "alpha", learning=True, most=140)
    days = len(short.days) - 1
    assert days > 0 and short.days[:days] == long.days[:days]
    assert short.executed > 0
