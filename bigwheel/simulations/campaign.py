"""Runs many scripts, in several processes, and says what came of them."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import signal
from collections import Counter
from collections.abc import Iterator, Sequence

from bigwheel.simulations.scenarios import Outcome, simulate
from bigwheel.simulations.script import Script

_RUNS_OF_ONE_PROCESS = 500
"""After so many a fresh one takes over, so that nothing adds up over thousands."""


def campaign(scripts: Sequence[Script], jobs: int) -> Iterator[Outcome]:
    """The outcomes in the order of the scripts, each run in one of ``jobs`` processes."""
    if jobs == 1:
        yield from map(run, scripts)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, _begin, maxtasksperchild=_RUNS_OF_ONE_PROCESS) as pool:
        yield from pool.imap(run, scripts)


def run(script: Script) -> Outcome:
    """One run, without what the brains have to say of what fails."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        return simulate(script)[0]
    finally:
        logging.disable(disabled)


def _begin() -> None:
    """Ctrl-C is the business of the process that started the others: it ends them.

    What was imported is never garbage, and a run leaves little: looking for it more rarely saves a tenth of the time.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


class Tally:
    """Adds up the outcomes of a campaign. Virtual time, and the processor's."""

    def __init__(self) -> None:
        self.runs = self.events = self.messages = self.orders = self.restarts = 0
        self.busy = self.simulated = self.faulty = self.idle = 0.0
        self.faults: Counter[str] = Counter()
        self.records: Counter[str] = Counter()
        self.failed: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        """Take one more outcome in."""
        self.runs += 1
        self.events += outcome.events
        self.messages += outcome.messages
        self.orders += outcome.orders
        self.restarts += outcome.restarts
        self.idle = max(self.idle, outcome.idle)
        self.busy += outcome.seconds
        self.simulated += outcome.simulated
        self.faulty += outcome.faulty
        self.faults.update(outcome.faults)
        self.records.update(outcome.records)
        if outcome.failure:
            self.failed.append(outcome)

    def figures(self) -> dict[str, object]:
        """Everything, JSON-ready."""
        return {
            "runs": self.runs,
            "failed": len(self.failed),
            "events": self.events,
            "messages": self.messages,
            "orders": self.orders,
            "restarts": self.restarts,
            "longest_seconds_without_a_fill": round(self.idle, 3),
            "simulated_seconds": round(self.simulated, 3),
            "simulated_seconds_with_faults": round(self.faulty, 3),
            "processor_seconds": round(self.busy, 3),
            "faults": dict(sorted(self.faults.items())),
            "records": dict(sorted(self.records.items())),
            "failures": [
                {"seed": each.script.seed, "broken": each.broken, "text": each.failure, "repeat": each.script.command()}
                for each in self.failed
            ],
        }

    def lines(self, seconds: float) -> list[str]:
        """A few lines of figures on all runs, which took ``seconds`` of the wall clock."""
        busy = self.busy or 1.0
        faults, records = (
            ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"
            for counts in (self.faults, self.records)
        )
        return [
            f"runs      {self.runs:,}, {len(self.failed):,} failed, {seconds:,.0f} s",
            f"time      {self.simulated:,.0f} s simulated, {self.faulty:,.0f} s of them with faults, "
            f"{self.simulated / busy:,.1f} s a second of the processor",
            f"events    {self.events:,}, {self.events / busy:,.0f} a second of the processor",
            f"messages  {self.messages:,} handled by brains, {self.messages / busy:,.0f} a second of the processor",
            f"trade     {self.records['Generated']:,} signals, {self.orders:,} orders taken, "
            f"{self.records['Filled']:,} fills, never more than {self.idle:,.0f} s without one; "
            f"{self.restarts:,} restarts",
            f"faults    {faults}",
            f"journal   {records}",
        ]
