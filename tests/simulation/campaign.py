"""Runs many seeds, in several processes, and says what came of them."""

from __future__ import annotations

import argparse
import functools
import logging
import multiprocessing
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import msgspec

from runtime.simulation.faults import FaultPlan
from runtime.simulation.world import SimulationFailure
from tests.simulation.attack import Attack, brisk
from tests.simulation.scenario import FLOW_TRADERS, Scenario

SCENARIOS: dict[str, tuple[Callable[..., Scenario | Attack], Callable[[int], FaultPlan]]] = {
    "trading": (Scenario, FaultPlan.from_seed),
    "flows": (functools.partial(Scenario, traders=FLOW_TRADERS), FaultPlan.from_seed),
    "attack": (Attack, brisk),
}
"""By name, how a run is made of a seed, and its faults: the whole tree, or a short attack on the limits."""
EVERYTHING = 10_000_000
"""Lines of history kept when one seed is looked at."""


class Outcome(msgspec.Struct):
    """What one seed came to; ``failure`` is empty when every invariant held."""

    seed: int
    failure: str
    events: int
    messages: int
    seconds: float
    crashes: dict[str, int]
    records: dict[str, int]


def run_seed(seed: int, *, trace: int = 0, name: str = "trading") -> tuple[Outcome, Scenario | Attack]:
    """One run of a scenario; a broken invariant is in the outcome, any other exception is raised."""
    scenario, began, failure = SCENARIOS[name][0](seed, trace=trace), time.perf_counter(), ""
    try:
        scenario.run()
    except SimulationFailure as error:
        failure = str(error)
    world = scenario.world
    seconds = time.perf_counter() - began
    faults = {**world.crashes, **{f"wire {name}": count for name, count in world.network.counters.items()}}
    return Outcome(seed, failure, world.events, world.messages, seconds, faults, dict(scenario.audit.kinds)), scenario


def _outcome(seed: int, name: str) -> Outcome:
    logging.disable(logging.CRITICAL)
    try:
        return run_seed(seed, name=name)[0]
    except Exception as error:
        # The campaign goes on: a seed that breaks the simulation itself is a failure like any other.
        again = f"scripts/simulate --scenario {name} --seed {seed} --trace"
        text = f"seed {seed}: the simulation raised {error!r}; replay it with: {again}"
        return Outcome(seed, text, 0, 0, 0.0, {}, {})


def run_seeds(seeds: Sequence[int], jobs: int, *, name: str = "trading") -> Iterator[Outcome]:
    """The outcomes of a scenario in the order of the seeds, each run in one of ``jobs`` processes."""
    run = functools.partial(_outcome, name=name)
    if jobs == 1:
        yield from map(run, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=500) as pool:
        yield from pool.imap(run, seeds, chunksize=4)


def report(outcomes: Sequence[Outcome], seconds: float) -> str:
    """A few lines of figures on all runs."""
    events, messages = sum(each.events for each in outcomes), sum(each.messages for each in outcomes)
    crashes: Counter[str] = Counter()
    records: Counter[str] = Counter()
    for each in outcomes:
        crashes.update(each.crashes)
        records.update(each.records)
    failed = [each for each in outcomes if each.failure]
    busy = sum(each.seconds for each in outcomes) or 1.0
    return "\n".join(
        (
            f"seeds     {len(outcomes):,} run, {len(failed):,} failed, {seconds:.0f} s",
            f"events    {events:,} simulated, {events / busy:,.0f} a second and process",
            f"messages  {messages:,} handled by brains, {messages / busy:,.0f} a second and process",
            "faults    " + ", ".join(f"{name} {count:,}" for name, count in sorted(crashes.items())),
            "journal   " + ", ".join(f"{name} {count:,}" for name, count in sorted(records.items())),
        )
    )


def show(seed: int, *, trace: bool, only: str, name: str = "trading") -> int:
    """Run one seed; with ``trace`` print its history, narrowed to the lines that match ``only``."""
    plan = SCENARIOS[name][1](seed)
    outcome, scenario = run_seed(seed, trace=EVERYTHING if trace else 0, name=name)
    pattern = re.compile(only)
    for line in scenario.world.lines():
        if pattern.search(line):
            print(line)
    print(f"plan      {plan}\nvenue     {scenario.venue.faults}")
    print(report([outcome], outcome.seconds))
    if outcome.failure:
        print(f"\n{outcome.failure}")
    return 1 if outcome.failure else 0


def main(arguments: Sequence[str]) -> int:
    """The command line; 0 when every invariant held in every run."""
    parser = argparse.ArgumentParser(description="Run the trading tree in the seeded simulation.")
    parser.add_argument("--scenario", choices=list(SCENARIOS), default="trading", help="what is run (default trading)")
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to run (default 100)")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--seed", type=int, help="run this one seed")
    parser.add_argument("--trace", action="store_true", help="with --seed: print its history")
    parser.add_argument("--only", default="", help="with --trace: a regular expression its lines must match")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    if options.seed is not None:
        return show(options.seed, trace=options.trace, only=options.only, name=options.scenario)
    began, outcomes = time.monotonic(), []
    seeds = range(options.first, options.first + options.seeds)
    for outcome in run_seeds(seeds, options.jobs, name=options.scenario):
        outcomes.append(outcome)
        if outcome.failure:
            print(outcome.failure, flush=True)
        if len(outcomes) % 100 == 0:
            print(f"{len(outcomes)} seeds, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(report(outcomes, time.monotonic() - began))
    return 1 if any(outcome.failure for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
