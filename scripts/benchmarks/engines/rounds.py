"""Runs of several engines in alternating rounds, each in a process of its own, and what they come to."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from scripts.benchmarks.engines.environments import ROOT, Absent, last_line, python_of
from scripts.benchmarks.engines.task import Task, Told

TIMEOUT_S = 3_600.0


@dataclass
class Found:
    """What the rounds of one engine have given; ``absent`` says why there are none, or no more.

    Rates are rows a second of processor time, from the file to the outcome.
    """

    engine: str
    runs: list[Told] = field(default_factory=list)
    absent: str = ""

    @property
    def best(self) -> float:
        """Of the round that took the least."""
        return max(self._rates())

    @property
    def median(self) -> float:
        return statistics.median(self._rates())

    @property
    def alone(self) -> float:
        """The best without reading the file, where the engine does not read it itself."""
        return max(run.outcome.rows / run.run_s for run in self.runs)

    @property
    def wall_s(self) -> float:
        """The median by the wall, which is that of a machine that others may use."""
        return statistics.median(run.wall_s for run in self.runs)

    @property
    def start_s(self) -> float:
        """Least processor time of importing it and a short run."""
        return min(run.start_s for run in self.runs)

    @property
    def peak_mib(self) -> float:
        return max(run.peak_kib for run in self.runs) / 1_024

    def _rates(self) -> list[float]:
        return [run.outcome.rows / (run.read_s + run.run_s) for run in self.runs]


def alternating(engines: Sequence[str], task: Task, rounds: int, *, pinned: bool = True) -> list[Found]:
    """Each engine once a round, one after the other; what is absent once is not asked again.

    Args:
        pinned: on one core, another one each round.
    """
    found = [Found(engine) for engine in engines]
    for number in range(rounds):
        for each in (engine for engine in found if not engine.absent):
            try:
                run = told(each.engine, task, _core(number) if pinned else -1)
            except Absent as error:
                each.absent = str(error)
                print(f"   round {number + 1}, {each.engine} is absent: {error}", file=sys.stderr)
                continue
            each.runs.append(run)
            spent = run.read_s + run.run_s
            about = f"{spent:.2f} s of {run.wall_s:.2f} s, {run.peak_kib / 1_024:.0f} MiB"
            print(f"   round {number + 1}, {each.engine}: {about}", file=sys.stderr)
    return found


def told(engine: str, task: Task, core: int) -> Told:
    """One run in a process of its own; ``Absent`` if it can't be had or fails."""
    command = [str(python_of(engine)), "-m", "scripts.benchmarks.engines.child", engine, str(core), task.encode()]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise Absent(f"it took more than {TIMEOUT_S:,.0f} s") from None
    if done.returncode:
        raise Absent(f"its process ended with {done.returncode}: {last_line(done.stderr)}")
    return Told.decode(last_line(done.stdout))


def _core(number: int) -> int:
    if not hasattr(os, "sched_getaffinity"):
        return -1
    cores = sorted(os.sched_getaffinity(0))
    return cores[number % len(cores)]
