"""The kernel under faults, with the smallest application that can lose or double something."""

from __future__ import annotations

from collections import Counter

import pytest

from runtime.simulation.faults import CRASH_POINTS, MILLISECOND, FaultPlan
from runtime.simulation.world import SimulationFailure
from tests.simulation.ledger import build_ledger, run_ledger

BLOCKS = [(first, first + 4) for first in range(0, 16, 4)]


@pytest.mark.parametrize("calls", [False, True], ids=["streams", "calls"])
@pytest.mark.parametrize(("first", "last"), BLOCKS)
def test_nothing_is_lost_or_booked_twice_whatever_fails(first: int, last: int, calls: bool) -> None:
    for seed in range(first, last):
        world, history = build_ledger(seed, calls=calls, trace=0)
        run_ledger(world, history, 2.0)


@pytest.mark.parametrize("calls", [False, True], ids=["streams", "calls"])
def test_without_faults_every_booking_arrives_and_nobody_dies(calls: bool) -> None:
    world, history = build_ledger(1, FaultPlan(), calls=calls)
    run_ledger(world, history, 1.0)
    assert not world.crashes
    assert sum(history.booked.values()) > 200


def test_the_same_seed_is_the_same_history() -> None:
    histories = []
    for _ in range(2):
        world, history = build_ledger(11, trace=100_000)
        run_ledger(world, history, 1.0)
        histories.append(world.lines())
    assert len(histories[0]) > 1_000
    assert histories[0] == histories[1]


def test_a_host_dies_at_every_crash_point_sooner_or_later() -> None:
    plan = FaultPlan(crashes=dict.fromkeys(CRASH_POINTS, 0.01), restart_ns=(MILLISECOND, 20 * MILLISECOND))
    deaths: Counter[str] = Counter()
    for seed in range(3):
        world, history = build_ledger(seed, plan, trace=0)
        run_ledger(world, history, 2.0)
        deaths.update(world.crashes)
    assert {point for point in CRASH_POINTS if deaths[point]} == set(CRASH_POINTS)


def test_a_successor_takes_over_from_a_zombie() -> None:
    plan = FaultPlan(crash_every_ns=300 * MILLISECOND, zombie=1.0, lease_ns=100 * MILLISECOND)
    for seed in range(3):
        world, history = build_ledger(seed, plan, trace=0)
        run_ledger(world, history, 2.0)
        assert world.crashes["zombie"] > 5


def test_with_no_snapshot_left_a_cell_is_rebuilt_from_the_log() -> None:
    plan = FaultPlan(crash_every_ns=300 * MILLISECOND, snapshot_every_ns=100 * MILLISECOND, snapshot_corrupt=1.0)
    world, history = build_ledger(3, plan, trace=0)
    run_ledger(world, history, 2.0)
    assert world.crashes["crash"] > 5


def test_an_answer_that_does_not_wait_for_the_commit_is_caught() -> None:
    plan = FaultPlan(commit_ns=(20 * MILLISECOND, 30 * MILLISECOND), linger_ns=20 * MILLISECOND)
    world, history = build_ledger(5, plan, hasty=True)
    with pytest.raises(SimulationFailure, match=r"(?s)seed 5, .*before it was committed.*the same seed"):
        run_ledger(world, history, 1.0)
