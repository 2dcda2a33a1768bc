"""``bigwheel sweep``: many backtests with other parameters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from bigwheel.backtests.roster import ALONE
from bigwheel.cli import INTERRUPTED, end
from bigwheel.cli.entries import Names, Symbols, entries
from bigwheel.cli.options import AsJson
from bigwheel.cli.progress import Meter
from bigwheel.errors import UsageError
from bigwheel.screen import terminal
from bigwheel.sweeps.grid import Value
from bigwheel.sweeps.result import SweepResult
from bigwheel.sweeps.rows import named
from bigwheel.sweeps.run import METRIC
from bigwheel.sweeps.run import sweep as run
from bigwheel.sweeps.syntax import axis
from bigwheel.times import duration_s, stamp

_ROWS = 10
_SHOWN = ("total_return", "sharpe", "max_drawdown", "trades", "final_equity")
_WAYS = {"days": "days drawn in blocks", "trades": "round trips drawn", "venue": "other seeds and latencies"}

Data = Annotated[Path, typer.Option("--data", help="A catalog, a recording, or a Parquet or CSV file.")]
Out = Annotated[Path, typer.Option("--out", help="The sweep's folder: empty, or that of the same sweep.")]
Param = Annotated[
    list[str] | None,
    typer.Option("--param", help="fast=5,10 or slow=20:60:10 (both ends); of several LABEL.fast=5."),
]
Where = Annotated[list[str] | None, typer.Option("--where", help="A condition such as 'fast < slow'.")]
Samples = Annotated[int | None, typer.Option("--samples", min=1, help="So many combinations at random, by --seed.")]
Metric = Annotated[str, typer.Option("--metric", help="What the best is best by; -max_drawdown: the lowest.")]
Forward = Annotated[
    str | None,
    typer.Option("--walk-forward", help="train=30d,test=7d[,step=7d][,anchored]: choose, then test on what follows."),
]
Chance = Annotated[
    str | None,
    typer.Option("--monte-carlo", help="N[,runs=20][,jitter=0.5][,block=5]: N paths of the best, runs with seeds."),
]
Since = Annotated[str, typer.Option("--from", help="The first moment (2026-11-01, UTC). Default: all.")]
Until = Annotated[str, typer.Option("--to", help="The moment after the last one.")]
Cash = Annotated[float | None, typer.Option("--cash", help="What each venue's account begins with.")]
Latency = Annotated[float | None, typer.Option("--latency-ms", min=0, help="To the venue, one way.")]
ConfigName = Annotated[str, typer.Option("--config", help="An environment or a YAML file.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of made-up depth, --samples and --monte-carlo.")]
Report = Annotated[Path | None, typer.Option("--report", help="A folder for report.html and figures.json.")]
Jobs = Annotated[int | None, typer.Option("--jobs", min=0, help="Runs at a time; default: the CPUs. 0: without Ray.")]
Address = Annotated[str, typer.Option("--address", help="Join a Ray cluster: auto or HOST:PORT.")]
Timeout = Annotated[str, typer.Option("--timeout", help="How long a run may take, such as 300s or 2h; 0: no limit.")]


def sweep(
    data: Data,
    out: Out,
    strategy: Names = None,
    symbols: Symbols = "",
    param: Param = None,
    where: Where = None,
    samples: Samples = None,
    metric: Metric = METRIC,
    walk_forward: Forward = None,
    monte_carlo: Chance = None,
    since: Since = "",
    until: Until = "",
    cash: Cash = None,
    latency_ms: Latency = None,
    config: ConfigName = ALONE,
    seed: Seed = 0,
    report: Report = None,
    jobs: Jobs = None,
    address: Address = "",
    timeout: Timeout = "30m",
    as_json: AsJson = False,
) -> None:
    """Run strategies with every combination of parameters, and say which did best.

    Finished runs are kept in --out: after an interruption the same command goes on. Exit status 1: all failed.
    """
    asked: dict[str, Any] = {"where": tuple(where or ()), "samples": samples, "metric": metric, "report": report}
    asked |= {"walk_forward": walk_forward, "monte_carlo": monte_carlo, "jobs": jobs, "address": address or None}
    asked |= {"start": since or None, "end": until or None, "cash": cash, "latency_ms": latency_ms}
    asked["timeout_s"] = duration_s(timeout) if timeout.strip() != "0" else 0.0
    asked |= {"config": config, "seed": seed, "grid": _grid(param or ()), "out": out}
    told = entries(strategy or (), config)
    with Meter() as meter:
        try:
            result = run(told, data=data, symbols=symbols or None, progress=meter, **asked)
        except KeyboardInterrupt:
            end(f"interrupted; the same command goes on with what is missing in {out}", INTERRUPTED)
    if as_json:
        typer.echo(json.dumps({"out": str(out), **result.figures}, indent=2))
    else:
        _show(result, report)
    if result.figures["failed"] == result.figures["runs"]:
        raise typer.Exit(1)


def _grid(texts: Sequence[str]) -> dict[str, list[Value]]:
    found: dict[str, list[Value]] = {}
    for text in texts:
        name, values = axis(text)
        if name in found:
            raise UsageError(f"expected each parameter once, found --param {name} again; put its values into one")
        found[name] = values
    return found


def _show(result: SweepResult, report: Path | None) -> None:
    told, screen = result.figures, terminal()
    failed = f", {told['failed']:,} failed" if told["failed"] else ""
    screen.print(f"{result.strategy}: {told['runs']:,} runs{failed}; the tables are in {result.out}", soft_wrap=True)
    errors = [text for text in result.table[named("error", result.params)].to_pylist() if text]
    if errors:
        screen.print(f"the first that failed: {errors[0]}", soft_wrap=True)
    if result.windows is None:
        _ranked(result)
    else:
        _walked(told["walk_forward"])
    if told.get("monte_carlo"):
        _drawn(told["monte_carlo"])
    if report is not None:
        screen.print(f"report: {report / 'report.html'}", soft_wrap=True)


def _ranked(result: SweepResult) -> None:
    """The best runs, and how they did."""
    bare = result.metric.removeprefix("-")
    rows = result.ranked()
    if not rows:
        terminal().print(f"no run has a {bare}: choose another --metric (all runs are kept)", soft_wrap=True)
        return
    shown = [named(name, result.params) for name in dict.fromkeys((bare, *_SHOWN))]
    varied = [name for name in result.params if len(set(result.table[name].to_pylist())) > 1]
    table = Table(*varied, *shown, box=None)
    for row in rows[:_ROWS]:
        table.add_row(*(_brief(row[name]) for name in (*varied, *shown)))
    terminal().print(table)


def _walked(told: dict[str, Any]) -> None:
    """What was chosen in each window, and how that did in training and test; then all tests together."""
    metric = told["metric"].removeprefix("-")
    table = Table("test from", "to", "chosen", f"{metric} in training", "in test", "return in test", box=None)
    for row in told["rows"]:
        params = row["params"]
        chosen = row["error"] if params is None else ", ".join(f"{name} {params[name]}" for name in told["swept"])
        times = (stamp(row["test_from_ns"])[:16], stamp(row["test_to_ns"])[:16])
        table.add_row(*times, chosen, *(_brief(row[name]) for name in ("inside", "outside", "outside_return")))
    terminal().print(table)
    statistics = told["statistics"]
    if statistics is not None:
        parts = [f"{name} {_brief(statistics[name])}" for name in _SHOWN if name in statistics]
        efficiency = _brief(told["efficiency"])
        terminal().print(f"all tests together: {', '.join(parts)}; efficiency {efficiency}", soft_wrap=True)


def _drawn(told: dict[str, Any]) -> None:
    """The distribution of each method's paths."""
    table = Table("Monte Carlo", "paths", "equity 5%", "50%", "95%", "drawdown 50%", "95%", "loss", box=None)
    for name, words in _WAYS.items():
        each = told[name]
        if each is not None:
            equity, drawdown = each["final_equity"]["quantiles"], each["max_drawdown"]["quantiles"]
            cells = [_brief(equity[part]) for part in ("0.05", "0.5", "0.95")]
            cells += [f"{drawdown[part]:.2%}" for part in ("0.5", "0.95")]
            table.add_row(words, f"{each['paths']:,}", *cells, f"{each['probability_of_loss']:.2%}")
    terminal().print(table)


def _brief(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:,.2f}" if abs(value) >= 1_000 else f"{value:.4g}"
