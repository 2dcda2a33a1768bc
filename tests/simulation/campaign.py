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
from collections.abc import Iterator, Sequence

import msgspec

from runtime.simulation.faults import FaultPlan
from runtime.simulation.world import SimulationFailure
from tests.simulation.scenario import FLOW_TRADERS, TRADERS, Scenario

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


def run_seed(seed: int, *, trace: int = 0, flows: bool = False) -> tuple[Outcome, Scenario]:
    """One run; a broken invariant is in the outcome, any other exception is raised.

    With ``flows`` everybody trades through flows.
    """
    traders = FLOW_TRADERS if flows else TRADERS
    scenario, began, failure = Scenario(seed, traders=traders, trace=trace), time.perf_counter(), ""
    try:
        scenario.run()
    except SimulationFailure as error:
        failure = str(error)
    world = scenario.world
    seconds = time.perf_counter() - began
    faults = {**world.crashes, **{f"wire {name}": count for name, count in world.network.counters.items()}}
    return Outcome(seed, failure, world.events, world.messages, seconds, faults, dict(scenario.audit.kinds)), scenario


def _outcome(seed: int, *, flows: bool = False) -> Outcome:
    logging.disable(logging.CRITICAL)
    try:
        return run_seed(seed, flows=flows)[0]
    except Exception as error:
        # The campaign goes on: a seed that breaks the simulation itself is a failure like any other.
        text = f"seed {seed}: the simulation raised {error!r}; replay it with: scripts/simulate --seed {seed} --trace"
        return Outcome(seed, text, 0, 0, 0.0, {}, {})


def run_seeds(seeds: Sequence[int], jobs: int, *, flows: bool = False) -> Iterator[Outcome]:
    """The outcomes in the order of the seeds, each run in one of ``jobs`` processes."""
    run = functools.partial(_outcome, flows=flows)
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


def show(seed: int, *, trace: bool, only: str, flows: bool = False) -> int:
    """Run one seed; with ``trace`` print its history, narrowed to the lines that match ``only``."""
    plan = FaultPlan.from_seed(seed)
    outcome, scenario = run_seed(seed, trace=EVERYTHING if trace else 0, flows=flows)
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
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to run (default 100)")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--seed", type=int, help="run this one seed")
    parser.add_argument("--trace", action="store_true", help="with --seed: print its history")
    parser.add_argument("--only", default="", help="with --trace: a regular expression its lines must match")
    parser.add_argument("--flows", action="store_true", help="everybody trades through flows")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    if options.seed is not None:
        return show(options.seed, trace=options.trace, only=options.only, flows=options.flows)
    began, outcomes = time.monotonic(), []
    for outcome in run_seeds(range(options.first, options.first + options.seeds), options.jobs, flows=options.flows):
        outcomes.append(outcome)
        if outcome.failure:
            print(outcome.failure, flush=True)
        if len(outcomes) % 100 == 0:
            print(f"{len(outcomes)} seeds, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(report(outcomes, time.monotonic() - began))
    return 1 if any(outcome.failure for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
