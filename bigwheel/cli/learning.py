"""Commands about what was learned."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bigwheel.cli.options import AsJson, Config, Store, settings_of
from bigwheel.client import GatewayClient
from bigwheel.errors import UsageError
from bigwheel.learned import show as learned
from bigwheel.queries import open_journal
from bigwheel.screen import terminal
from bigwheel.times import stamp

app = typer.Typer(help="Look at what was learned, and go back.", no_args_is_help=True, add_completion=False)

Wanted = Annotated[int | None, typer.Option("--version", min=0, help="The policy to show; default: the one in force.")]
_DIMENSIONS = ("source", "strategy", "symbol", "regime")


@app.command()
def show(version: Wanted = None, config: Config = "sim", store: Store = "", as_json: AsJson = False) -> None:
    """Policies with their stages, weights, bans and patterns; what each gate saved; from the journal.

    Works while a session runs and after it.
    """
    settings = settings_of(config, store)
    with open_journal(settings.store) as journal:
        found = learned(journal, settings, version)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        terminal().print(render(found))


@app.command()
def rollback(
    version: Annotated[int, typer.Argument(help="The version to go back to; 0: before anything was learned.")],
    reason: Annotated[str, typer.Option("--reason", help="Why: it is journaled.")] = "",
    config: Config = "sim",
    store: Store = "",
) -> None:
    """Put an earlier policy in force again, as a new version; learning goes on from there."""
    if version < 0:
        raise UsageError(f"expected a version, 0 or more, found {version}; `bigwheel learning show` lists them")
    settings = settings_of(config, store)
    client = GatewayClient(settings.store, settings.gateway.token_file)
    given = client.control("rollback", target=str(version), reason=reason)
    typer.echo(f"rollback: accepted as {given}; `bigwheel learning show` shows when it is done")


def render(found: dict[str, Any]) -> RenderableType:
    """Everything as tables; those without rows are left out."""
    head = Text(
        f"policy {found['policy']} in force, candidate {found['candidate'] or 'none'}, {found['lessons']} lessons, "
        f"{found['records']} records"
    )
    detail = found["detail"]
    tables = (
        _versions(found["versions"]),
        _trial(found),
        _weights(detail, found["sources"]),
        _terms(detail),
        _bans(detail),
        _patterns(found["patterns"]),
        _gates(found["gates"]),
        *(_outcomes(dimension, found["tables"].get(dimension, {})) for dimension in _DIMENSIONS),
    )
    return Group(head, *(table for table in tables if table.row_count))


def _versions(versions: list[dict[str, Any]]) -> Table:
    table = Table("version", "made from", "stage", "since (UTC)", "grounds", title="versions", title_justify="left")
    for each in versions:
        step = each["steps"][-1]
        row = (str(each["version"]), str(each["base"]), each["stage"], stamp(step["ns"])[:19], step["reason"])
        table.add_row(*row)
    return table


def _trial(found: dict[str, Any]) -> Table:
    """What is measured of the candidate by now, in money for each signal."""
    table = Table("", "signals", "against", "difference", "95% interval", title="candidate", title_justify="left")
    shadow, trial = found["evaluation"]["shadow"], found["evaluation"]["trial"]
    if shadow["signals"]:
        table.add_row("shadow", str(shadow["signals"]), "", _money(shadow["difference"]), _interval(shadow))
    if trial["signals"] or trial["control_signals"]:
        counts = (str(trial["signals"]), str(trial["control_signals"]))
        table.add_row("trial", *counts, _money(trial["difference"]), _interval(trial))
    return table


def _weights(detail: dict[str, Any], sources: dict[str, dict[str, float]]) -> Table:
    title = f"weights of sources, policy {detail['version']}"
    names = ("source", "regime", "weight", "asked for", "outcomes", "decays")
    table = Table(*names, title=title, title_justify="left")
    for key in sorted({*detail["weights"], *sources}):
        source, _, regime = key.rpartition("|")
        known = sources.get(key, {})
        weight, asked = detail["weights"].get(key), known.get("weight")
        counts = (f"{known.get('outcomes', 0):g}", f"{known.get('decays', 0):g}")
        table.add_row(source, regime or "any", _ratio(weight), _ratio(asked), *counts)
    return table


def _terms(detail: dict[str, Any]) -> Table:
    title = f"terms, policy {detail['version']}"
    names = ("strategy", "symbol", "threshold", "size", "probability of a win, by conviction")
    table = Table(*names, title=title, title_justify="left")
    for key in sorted({*detail["thresholds"], *detail["sizes"], *detail["calibration"]}):
        strategy, _, symbol = key.partition("|")
        curve = " ".join(f"{x:.2f}:{p:.0%}" for x, p in detail["calibration"].get(key, ()))
        values = (_ratio(detail["thresholds"].get(key)), _ratio(detail["sizes"].get(key)))
        table.add_row(strategy, symbol, *values, curve)
    return table


def _bans(detail: dict[str, Any]) -> Table:
    title = f"bans, policy {detail['version']}"
    table = Table("what", "until (UTC)", "in force", "reason", title=title, title_justify="left")
    for scope, ban in sorted(detail["bans"].items()):
        table.add_row(scope, stamp(ban["until_ns"])[:19], "yes" if ban["active"] else "no", ban["reason"])
    return table


def _patterns(patterns: list[dict[str, Any]]) -> Table:
    names = ("pattern", "signals", "mean", "against the rest", "corrected p")
    table = Table(*names, title="patterns", title_justify="left")
    for each in patterns:
        returns = (_bps(each["mean_return"]), _bps(each["effect"]))
        table.add_row(each["scope"], str(each["signals"]), *returns, f"{each['p_value']:.3g}")
    return table


def _gates(gates: dict[str, dict[str, float]]) -> Table:
    names = ("gate", "stopped", "mean missed", "saved", "a signal", "false positives", "95% interval")
    table = Table(*names, title="gates: what they stopped, on the market it missed", title_justify="left")
    for gate, each in sorted(gates.items()):
        table.add_row(
            gate,
            f"{each['count']:g}",
            _bps(each["mean_return"]),
            _money(each["saved"]),
            _money(each["mean_saving"]),
            f"{each['false_positive_rate']:.1%}",
            f"{each['false_positive_low']:.1%} to {each['false_positive_high']:.1%}",
        )
    return table


def _outcomes(dimension: str, rows: dict[str, dict[str, float]]) -> Table:
    names = (dimension, "outcomes", "mean", "deviation", "wins", "profit")
    table = Table(*names, title=f"outcomes by {dimension}", title_justify="left")
    for key, each in sorted(rows.items()):
        returns = (_bps(each["mean_return"]), _bps(each["deviation"]))
        table.add_row(key, f"{each['count']:g}", *returns, f"{each['win_rate']:.1%}", _money(each["profit"]))
    return table


def _interval(found: dict[str, Any]) -> str:
    return f"{_money(found['low'])} to {_money(found['high'])}"


def _or_dash(text: Callable[[float], str]) -> Callable[[float | None], str]:
    """What is not known, or has no end, is a dash."""
    return lambda value: "-" if value is None else text(value)


_ratio = _or_dash(lambda value: f"{value:.3g}")
_money = _or_dash(lambda value: f"{value:+.4g}")
_bps = _or_dash(lambda value: f"{value * 10_000:+.1f} bp")
