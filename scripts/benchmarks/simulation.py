"""Measures the simulation: simulated events a second, and how much faster than the clock it runs.

Run it from the checkout: ``python -m scripts.benchmarks.simulation [SEEDS]``. The same seeds give the same
runs, so two machines do the same work. Seconds are one core's own, so what else runs on the machine does not
count. The baseline of the rates is the least the project asks for.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

from bigwheel.simulations.scenario import Scenario
from bigwheel.simulations.script import Script
from runtime.simulation.world import START_NS, World
from tests.simulation.ledger import build_ledger, run_ledger

TARGET = 10_000.0
"""Simulated events a second below which thousands of seeds would not fit into a night."""


def run(seeds: int = 10) -> list[dict[str, Any]]:
    """Rows for the kernel's ledger and for the whole trading tree, over ``seeds`` seeds each.

    Raises:
        SimulationFailure: an invariant broke on the way.
    """
    logging.disable(logging.CRITICAL)
    try:
        return [*_measure("simulation kernel", _ledger, seeds), *_measure("simulation trading", _trading, seeds)]
    finally:
        logging.disable(logging.NOTSET)


def _ledger(seed: int) -> World:
    world, history = build_ledger(seed, trace=0)
    run_ledger(world, history)
    return world


def _trading(seed: int) -> World:
    scenario = Scenario(Script("trading", seed), trace=0)
    scenario.run()
    return scenario.world


def _measure(name: str, simulate: Callable[[int], World], seeds: int) -> list[dict[str, Any]]:
    simulate(0)
    began = time.process_time()
    worlds = [simulate(seed) for seed in range(1, seeds + 1)]
    seconds = time.process_time() - began
    events = sum(world.events for world in worlds) / seconds
    messages = sum(world.messages for world in worlds) / seconds
    virtual = sum(world.scheduler.now - START_NS for world in worlds) / 1e9 / seconds
    return [
        _row(f"{name}: events", events, "events/s", "the least asked for", TARGET),
        _row(f"{name}: messages handled by brains", messages, "messages/s", "the least asked for", TARGET),
        _row(f"{name}: virtual time", virtual, "s/s", "the wall clock", 1.0),
    ]


def _row(name: str, figure: float, unit: str, baseline_name: str, baseline: float) -> dict[str, Any]:
    return {
        "name": name,
        "figure": figure,
        "unit": unit,
        "baseline_name": baseline_name,
        "baseline": baseline,
        "ratio": figure / baseline,
    }


def main() -> int:
    """Print the rows; the number of seeds may be given."""
    for row in run(int(sys.argv[1]) if len(sys.argv) > 1 else 10):
        print(f"{row['name']:50} {row['figure']:12,.0f} {row['unit']:10} {row['ratio']:8,.1f} x {row['baseline_name']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
