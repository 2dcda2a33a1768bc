"""``bigwheel backtest``: strategies on recorded data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from bigwheel.backtests.result import BacktestResult
from bigwheel.backtests.roster import ALONE, Entry
from bigwheel.backtests.run import backtest as run
from bigwheel.cli import INTERRUPTED, end, rerun
from bigwheel.cli.entries import Names, Symbols, entries
from bigwheel.cli.options import AsJson
from bigwheel.errors import Interruption, UsageError
from bigwheel.reports import write_report
from bigwheel.screen import terminal
from bigwheel.sweeps import syntax
from bigwheel.times import stamp
from exchanges.paper.settings import Depth

Data = Annotated[Path | None, typer.Option("--data", help="A catalog, a recording, or a Parquet or CSV file.")]
Finished = Annotated[
    Path | None, typer.Option("--session", help="Instead: a finished session's folder, run again and compared.")
]


def backtest(
    ctx: typer.Context,
    strategy: Names = None,
    data: Data = None,
    symbols: Symbols = "",
    since: Annotated[str, typer.Option("--from", help="The first moment (2026-11-01, UTC). Default: all.")] = "",
    until: Annotated[str, typer.Option("--to", help="The moment after the last one.")] = "",
    param: Annotated[list[str] | None, typer.Option("--param", help="fast=10, of several LABEL.fast=10.")] = None,
    cash: Annotated[float | None, typer.Option("--cash", help="What each venue's account begins with.")] = None,
    latency_ms: Annotated[float | None, typer.Option("--latency-ms", min=0, help="To the venue, one way.")] = None,
    funding: Annotated[str, typer.Option("--funding", help="A rate such as 0.0001, or a file of rates.")] = "",
    settlements: Annotated[str, typer.Option("--settlements", help="A file of markets with their results.")] = "",
    config: Annotated[str, typer.Option("--config", help="An environment or a YAML file.")] = ALONE,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of depth that is made up.")] = 0,
    depth: Annotated[Depth, typer.Option("--depth", help="What is made up: exact is without a spread.")] = "synthetic",
    out: Annotated[Path | None, typer.Option("--out", help="A folder for the tables and summary.json.")] = None,
    report: Annotated[Path | None, typer.Option("--report", help="A folder for report.html and figures.json.")] = None,
    session: Finished = None,
    as_json: AsJson = False,
) -> None:
    """Run strategies on recorded data, by the brains that trade live, and say what came of it.

    Several run together on one account. Without any, those that --config names are run as a session would run them.

    With --session STORE: run a finished session again on its recorded market data and venue answers, and compare
    signals and orders. Exit status 1 if they differ, or if anything is damaged or missing; 130 after Ctrl-C.
    """
    if session is not None:
        rerun.show(ctx, session, as_json=as_json)
        return
    if data is None:
        raise UsageError("expected --data with STRATEGY or --config, or --session STORE; see bigwheel backtest --help")
    result = _ran(
        entries(strategy or (), config),
        data=data,
        symbols=symbols or None,
        start=since or None,
        end=until or None,
        params=dict(map(_param, param or ())),
        config=config,
        cash=cash,
        latency_ms=latency_ms,
        funding=funding or None,
        settlements=settlements or None,
        seed=seed,
        depth=depth,
    )
    if out is not None:
        result.write(out)
    _say(result, report, as_json=as_json)


def _ran(strategy: Entry | list[Entry] | None, **told: Any) -> BacktestResult:
    try:
        return run(strategy, **told)
    except Interruption as stop:
        end(str(stop), INTERRUPTED)


def _say(result: BacktestResult, report: Path | None, *, as_json: bool) -> None:
    """Write the report, if one is wanted, and print the figures."""
    page = write_report(result, report) if report is not None else None
    if as_json:
        typer.echo(json.dumps({"strategy": result.strategy, "params": result.params, **result.summary}, indent=2))
        return
    _show(result)
    if page is not None:
        terminal().print(f"report: {page}", soft_wrap=True)


def _param(text: str) -> tuple[str, Any]:
    """``fast=10`` as a name and a value."""
    name, equals, told = text.partition("=")
    if not name or not equals:
        raise UsageError(f"expected --param as name=value such as fast=10, found {text!r}")
    return name, syntax.value(told)


def _show(result: BacktestResult) -> None:
    told = result.summary
    profit = told["final_equity"] - told["starting_cash"]
    worst = max(result.equity["drawdown"].to_pylist(), default=0.0)
    rows = {
        "strategy": f"{result.strategy} {json.dumps(result.params)}",
        "symbols": ", ".join(told["symbols"]),
        "from": stamp(told["from"]),
        "to": stamp(told["to"]),
        "data": f"{told['events']:,} ({told['events_per_second']:,.0f} a second)",
        "signals": _counts(told["signals"]),
        "orders": _counts(told["orders"]),
        "fills": f"{told['fills']:,}, {told['round_trips']:,} round trips",
        "cash": f"{told['starting_cash']:,.2f}",
        "equity": f"{told['final_equity']:,.2f} ({profit:+,.2f}, {profit / told['starting_cash']:+.2%})",
        "fees": f"{told['fees']:,.2f}",
        **_by_the_venue(told),
        "drawdown": f"{worst:.2%}",
    }
    table = Table(show_header=False, box=None)
    for name, value in rows.items():
        table.add_row(name, value)
    terminal().print(table)
    if len(told["strategies"]) > 1:
        _by_strategy(told["strategies"])


def _by_strategy(told: dict[str, dict[str, Any]]) -> None:
    """What each of several strategies did."""
    table = Table("strategy", "symbols", "signals", "fills", "trades", "hit rate", "profit", "drawdown", box=None)
    for label, each in told.items():
        counts = (f"{each[name]:,}" for name in ("signals", "fills", "trades"))
        hits = "-" if each["hit_rate"] is None else f"{each['hit_rate']:.1%}"
        profit, sunk = f"{each['profit']:+,.2f}", f"{abs(each['drawdown']):.2%}"
        table.add_row(label, ", ".join(each["symbols"]), *counts, hits, profit, sunk)
    terminal().print(table)


def _by_the_venue(told: dict[str, Any]) -> dict[str, str]:
    """What the venue did by itself, and what it could not do for want of rates."""
    rows = {}
    if told["funding_rates"]:
        none = [symbol for symbol, source in told["funding_rates"].items() if source == "none"]
        rows["funding"] = f"{told['funding']:+,.2f}" + (f" (no rates of {', '.join(none)})" if none else "")
    for name in ("settlements", "liquidations"):
        if told[name]:
            rows[name] = f"{told[name]:,}"
    if told["insurance"]:
        rows["insurance"] = f"{told['insurance']:+,.2f}"
    return rows


def _counts(told: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name.lower()}" for name, count in told.items()) or "none"
