"""``bigwheel simulate``: the trading tree in the seeded simulation, seed by seed."""

from __future__ import annotations

import json
import logging
import re
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import MofNCompleteColumn
from rich.table import Table

from bigwheel.cli import INTERRUPTED
from bigwheel.cli.options import AsJson
from bigwheel.cli.progress import bar
from bigwheel.errors import UsageError
from bigwheel.screen import terminal
from bigwheel.simulations import script as scripts
from bigwheel.simulations import venue
from bigwheel.simulations.campaign import Tally, campaign
from bigwheel.simulations.invariants import INVARIANTS
from bigwheel.simulations.scenarios import SCENARIOS, Outcome, simulate
from bigwheel.simulations.script import Script
from bigwheel.simulations.shrink import Shrunk, shrink
from runtime.simulation import occurrences

EVERYTHING = 10_000_000
"""Lines of history kept when one run is looked at."""
MOST_SHRUNK = 3
"""Failures of one campaign that are made smaller, each of another invariant."""
_NEWS = 500
"""Runs between two lines of progress where there is no terminal for a bar."""


def simulate_command(
    scenario: Annotated[str, typer.Option("--scenario", help=f"What is run: {', '.join(SCENARIOS)}.")] = "trading",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many seeds to run.")] = 100,
    first: Annotated[int, typer.Option("--from", min=0, help="The first of them.")] = 0,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="How many processes run them.")] = 2,
    duration: Annotated[
        float, typer.Option("--duration", min=0, help="Virtual seconds with faults; 0 for the scenario's own.")
    ] = 0.0,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Run this one seed, in this process.")] = None,
    file: Annotated[Path | None, typer.Option("--script", help="Run what a shrunk failure's file says.")] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Print the history; with --seed or --script.")] = False,
    only: Annotated[str, typer.Option("--only", help="With --trace: a pattern its lines must match.")] = "",
    shrinking: Annotated[
        bool, typer.Option("--shrink/--no-shrink", help="Make failures smaller and write their scripts.")
    ] = True,
    stop: Annotated[bool, typer.Option("--stop", help="End with the first seed that fails.")] = False,
    out: Annotated[Path, typer.Option("--out", help="The folder that scripts of failures go to.")] = Path(
        ".bigwheel-simulate"
    ),
    listing: Annotated[bool, typer.Option("--list", help="List scenarios, faults and invariants, and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run bus, risk, learner, venues and strategies through faults of every kind, and check every invariant.

    The same seed is the same run. A seed that fails is made smaller, down to the faults and traders it takes, and
    written to a script. Exit status 1 if anything failed; Ctrl-C ends with a report on what has been run.
    """
    if listing:
        _list(as_json=as_json)
        return
    if scenario not in SCENARIOS:
        raise UsageError(f"expected --scenario as one of {', '.join(SCENARIOS)}, found {scenario!r}")
    if seed is not None and file is not None:
        raise UsageError("expected --seed or --script, found both; a script says its seed")
    if trace and seed is None and file is None:
        raise UsageError("expected --seed or --script with --trace, found neither; say which run to look at")
    if file is not None:
        failed = _one(scripts.read(file, SCENARIOS), trace=trace, only=only, out=None, as_json=as_json)
    elif seed is not None:
        wanted = Script(scenario, seed, duration)
        failed = _one(wanted, trace=trace, only=only, out=out if shrinking and not trace else None, as_json=as_json)
    else:
        wanted_all = [Script(scenario, number, duration) for number in range(first, first + seeds)]
        failed = _many(wanted_all, jobs, out=out if shrinking else None, as_json=as_json, stop=stop)
    if failed:
        raise typer.Exit(1)


def _many(wanted: list[Script], jobs: int, *, out: Path | None, as_json: bool, stop: bool) -> bool:
    """Run them all, or with ``stop`` up to the first that fails; whether any failed."""
    began, tally, interrupted = time.monotonic(), Tally(), False
    with bar(MofNCompleteColumn(), "{task.fields[failed]}") as shown:
        task = shown.add_task(wanted[0].scenario, total=len(wanted), failed="")
        try:
            for outcome in campaign(wanted, jobs):
                tally.add(outcome)
                shown.update(task, advance=1, failed=f"{len(tally.failed)} failed" if tally.failed else "")
                if outcome.failure and not as_json:
                    typer.echo(outcome.failure) if shown.disable else shown.console.print(outcome.failure)
                if outcome.failure and stop:
                    break
                if tally.runs % _NEWS == 0 and shown.disable:
                    typer.echo(f"{tally.runs:,} runs, {time.monotonic() - began:,.0f} s", err=True)
        except KeyboardInterrupt:
            interrupted = True
    seconds = time.monotonic() - began
    shrunk = _shrink_all(_smallest(tally.failed), out) if out is not None and not interrupted else []
    if as_json:
        told = {"scenario": wanted[0].scenario, "wanted": len(wanted), "seconds": round(seconds, 3), **tally.figures()}
        typer.echo(json.dumps({**told, "scripts": [str(path) for path, _ in shrunk]}, indent=2))
    else:
        _report(tally, seconds, shrunk)
        if interrupted:
            typer.echo(f"interrupted after {tally.runs:,} of {len(wanted):,} runs")
    if interrupted and not tally.failed:
        raise typer.Exit(INTERRUPTED)
    return bool(tally.failed)


def _one(wanted: Script, *, trace: bool, only: str, out: Path | None, as_json: bool) -> bool:
    """Run one; with ``trace`` print its history, narrowed to the lines that match ``only``. Whether it failed."""
    try:
        pattern = re.compile(only)
    except re.error as error:
        raise UsageError(f"expected --only as a regular expression, found {only!r}: {error}") from None
    logging.disable(logging.CRITICAL)
    try:
        outcome, simulation = simulate(wanted, trace=EVERYTHING if trace else 0)
    finally:
        logging.disable(logging.NOTSET)
    for line in filter(pattern.search, simulation.world.lines()):
        typer.echo(line, err=as_json)
    tally = Tally()
    tally.add(outcome)
    shrunk = _shrink_all(tally.failed, out) if out is not None else []
    if as_json:
        told = {"scenario": wanted.scenario, "seed": wanted.seed, **tally.figures()}
        typer.echo(json.dumps({**told, "scripts": [str(path) for path, _ in shrunk]}, indent=2))
        return bool(outcome.failure)
    for name, plan in simulation.drawn.items():
        typer.echo(f"{name:10}{plan}")
    if wanted.only is not None:
        typer.echo(f"happened  {', '.join(simulation.world.occurrences.happened) or 'none of its faults'}")
    if outcome.failure:
        typer.echo(outcome.failure)
    _report(tally, outcome.seconds, shrunk)
    return bool(outcome.failure)


def _smallest(failed: list[Outcome]) -> list[Outcome]:
    """Of the failures that break the same invariant the one with the fewest faults: it is made smaller fastest."""
    best: dict[str, Outcome] = {}
    for outcome in sorted(failed, key=lambda each: sum(each.faults.values())):
        best.setdefault(outcome.broken, outcome)
    return list(best.values())[:MOST_SHRUNK]


def _shrink_all(failed: list[Outcome], out: Path | None) -> list[tuple[Path, Shrunk]]:
    """The scripts of what failed, made smaller, in files of ``out``."""
    written = []
    for outcome in failed:
        typer.echo(f"shrinking seed {outcome.script.seed} ({outcome.broken}) ...", err=True)
        found = shrink(outcome.script)
        if found is not None and out is not None:
            out.mkdir(parents=True, exist_ok=True)
            path = out / found.script.file_name()
            path.write_text(found.script.text())
            written.append((path, found))
    return written


def _report(tally: Tally, seconds: float, shrunk: list[tuple[Path, Shrunk]]) -> None:
    for path, found in shrunk:
        typer.echo(f"shrunk    seed {found.script.seed}, {found.script.broken}: {found.line()}")
        typer.echo(f"          {found.script.command(str(path))}")
    for line in tally.lines(seconds):
        typer.echo(line)
    if tally.failed:
        typer.echo(f"failed    {', '.join(str(each.script.seed) for each in tally.failed)}")


def _list(*, as_json: bool) -> None:
    faults = {**occurrences.KINDS, **venue.KINDS}
    if as_json:
        named = {name: kind.text for name, kind in SCENARIOS.items()}
        invariants = {name: each._asdict() for name, each in INVARIANTS.items()}
        typer.echo(json.dumps({"scenarios": named, "faults": faults, "invariants": invariants}, indent=2))
        return
    told = {
        "scenario": {name: f"{kind.text} ({kind.seconds:g} s with faults)" for name, kind in SCENARIOS.items()},
        "fault": faults,
        "invariant": {name: f"{each.text} ({each.when})" for name, each in INVARIANTS.items()},
    }
    for title, rows in told.items():
        table = Table(title, "", box=None)
        for name, text in rows.items():
            table.add_row(name, text)
        terminal().print(table)
