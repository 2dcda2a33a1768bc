"""The backtest beside other engines: the same crossover on the same bars, trades and quotes, its memory, and a grid.

    python -m scripts.benchmarks.field [--part bars] [--engine bigwheel] [--rows 20000] [--rounds 1]

Each run has a process of its own, in which the engine has been imported and run once before the clock starts. Rates are
by processor time, which other work on the machine disturbs less than the wall's, though caches are shared. Rounds
alternate between the engines.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from scripts.benchmarks.engines.made import write
from scripts.benchmarks.engines.rounds import Found, alternating
from scripts.benchmarks.engines.tables import tables
from scripts.benchmarks.engines.task import Task

OURS = "bigwheel"
ENGINES = (OURS, "nautilus", "backtrader", "backtesting", "vectorbt")
SHORT = 3_000
"""Rows of the run before the clock."""
LENGTHS = (50_000, 200_000, 400_000)
GRID_BARS = 20_000
PAIRS = tuple(itertools.product(range(4, 20, 2), range(20, 100, 10)))


class Plan(NamedTuple):
    """What is asked for; ``rows`` of bars, trades and quotes."""

    engines: tuple[str, ...] = ENGINES
    rows: int = 200_000
    rounds: int = 3

    def among(self, *able: str) -> list[str]:
        return [engine for engine in self.engines if engine in able]


def run(plan: Plan | None = None, parts: Sequence[str] = ()) -> list[dict[str, Any]]:
    """A row for each engine and figure, with Bigwheel's as the baseline."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for part in parts or PARTS:
            print(f"   {part} ...", file=sys.stderr)
            rows += PARTS[part](plan or Plan(), Path(folder))
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """A table for each part."""
    for table in tables(rows):
        Console(width=150).print(table)


def _bars(plan: Plan, folder: Path) -> list[dict[str, Any]]:
    return rates("bars", alternating(plan.engines, _task(folder, "bars", plan.rows), plan.rounds))


def _trades(plan: Plan, folder: Path) -> list[dict[str, Any]]:
    engines = plan.among(OURS, "nautilus")
    return rates("trades", alternating(engines, _task(folder, "trades", plan.rows), plan.rounds))


def _quotes(plan: Plan, folder: Path) -> list[dict[str, Any]]:
    engines = plan.among(OURS, "nautilus")
    return rates("quotes", alternating(engines, _task(folder, "quotes", plan.rows), plan.rounds))


def _memory(plan: Plan, folder: Path) -> list[dict[str, Any]]:
    """Once each: memory hardly differs from run to run."""
    rows = []
    for length in LENGTHS:
        for found in alternating(plan.engines, _task(folder, "bars", length), 1):
            named = {"part": "memory", "engine": found.engine, "rows": length, "unit": "MiB"}
            name = f"field: peak memory of {length:,} bars, {found.engine}"
            peak = {"absent": found.absent} if found.absent else {"figure": found.peak_mib}
            rows.append({"name": name, **named, **peak})
    return rows


def _grid(plan: Plan, folder: Path) -> list[dict[str, Any]]:
    """All pairs, on as many processes as the engine takes, so on no core of its own."""
    bars = min(plan.rows, GRID_BARS)
    task = Task("grid", write(folder, "bars", bars), write(folder, "bars", SHORT), pairs=PAIRS)
    return rates("grid", alternating(plan.among(OURS, "vectorbt"), task, plan.rounds, pinned=False))


PARTS: dict[str, Callable[[Plan, Path], list[dict[str, Any]]]] = {
    "bars": _bars,
    "trades": _trades,
    "quotes": _quotes,
    "memory": _memory,
    "grid": _grid,
}


def _task(folder: Path, kind: str, rows: int) -> Task:
    return Task(kind, write(folder, kind, rows), write(folder, kind, SHORT))


def rates(part: str, field: list[Found]) -> list[dict[str, Any]]:
    """A row for each engine; ``ratio`` says how many times Bigwheel's rate its own is, best to best."""
    ours = next((found.best for found in field if found.engine == OURS and found.runs), None)
    return [_rate(part, found, ours) for found in field]


def _rate(part: str, found: Found, ours: float | None) -> dict[str, Any]:
    named = {"name": f"field: {part}, {found.engine}", "part": part, "engine": found.engine, "unit": "rows/s"}
    if found.absent:
        named["absent"] = found.absent
    if not found.runs:
        return named
    last = found.runs[-1]
    return {
        **named,
        "version": last.version,
        "figure": found.best,
        "median": found.median,
        "alone": found.alone,
        "baseline": ours,
        "baseline_name": OURS,
        "ratio": found.best / ours if ours else None,
        "rows": last.outcome.rows,
        "trips": last.outcome.trips,
        "equity": last.outcome.equity,
        "peak_mib": found.peak_mib,
        "start_s": found.start_s,
        "wall_s": found.wall_s,
        "rounds": len(found.runs),
    }


def main() -> int:
    """A part alone, or with fewer rows, while something is being made faster."""
    parser = argparse.ArgumentParser(prog="python -m scripts.benchmarks.field")
    parser.add_argument("--part", choices=list(PARTS), action="append", help="this one (may be given again)")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="this one (may be given again)")
    parser.add_argument("--rows", type=int, default=Plan().rows)
    parser.add_argument("--rounds", type=int, default=Plan().rounds)
    options = parser.parse_args()
    plan = Plan(tuple(options.engine or ENGINES), options.rows, options.rounds)
    show(run(plan, options.part or ()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
