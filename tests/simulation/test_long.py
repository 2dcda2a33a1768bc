"""A hundred thousand seconds with faults in ten seeds; ``BIGWHEEL_SEEDS`` says how many at most (0 leaves it out)."""

from __future__ import annotations

import os

import pytest

from bigwheel.simulations import venue
from bigwheel.simulations.campaign import Tally, campaign
from bigwheel.simulations.scenarios import Outcome
from bigwheel.simulations.script import Script
from runtime.simulation import occurrences

FIRST, SEEDS, SECONDS = 45, 10, 10_000.0
"""Together these seeds draw every kind of fault, and links of both kinds."""
WANTED = min(int(os.environ.get("BIGWHEEL_SEEDS", str(SEEDS))), SEEDS)

LEAST = {"Generated": 200, "Approved": 100, "Filled": 100, "Learned": 200}
"""Records of each run, so that none of them is empty."""
LONGEST_IDLE = SECONDS / 2
"""A run with a longer time without a fill has stopped to trade."""


def quiet(outcome: Outcome) -> list[str]:
    """Of what a run has less than it must."""
    few = [kind for kind, least in LEAST.items() if outcome.records.get(kind, 0) < least]
    return few if outcome.idle < LONGEST_IDLE else [*few, f"no fill for {outcome.idle:,.0f} s"]


@pytest.mark.timeout(1_200)
def test_a_hundred_thousand_seconds_hold_with_trades_faults_and_restarts_all_along() -> None:
    found, empty = Tally(), {}
    for outcome in campaign([Script("long", seed, SECONDS) for seed in range(FIRST, FIRST + WANTED)], 2):
        found.add(outcome)
        if missing := quiet(outcome):
            empty[outcome.script.seed] = missing
    print(*found.lines(0.0), sep="\n")
    assert [outcome.failure for outcome in found.failed] == []
    assert empty == {}
    assert found.faulty == pytest.approx(SECONDS * WANTED)
    if WANTED == SEEDS:
        assert set(found.faults) == {*occurrences.KINDS, *venue.KINDS}
        assert sum(found.faults.values()) > 10_000
        assert found.restarts > 1_000
        assert found.orders > 3_000
