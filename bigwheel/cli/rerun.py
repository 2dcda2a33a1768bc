"""``bigwheel backtest --session``: a finished session as a backtest, held against itself."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec
import typer

from bigwheel.cli.progress import PERCENT, bar
from bigwheel.cli.replay import as_text
from bigwheel.errors import UsageError
from bigwheel.replay import tapes
from bigwheel.reruns.report import lines
from bigwheel.reruns.run import rerun
from runtime.host import cell


def show(ctx: typer.Context, store: Path, *, as_json: bool) -> None:
    """Run the session in ``store`` again, say what came of it, and exit with status 1 if that is something else."""
    _ensure_alone(ctx)
    # What a brain failed on fails again, and is compared: it is no news.
    logging.getLogger(cell.__name__).setLevel(logging.CRITICAL + 1)
    with bar(PERCENT) as shown:
        task = shown.add_task("session", total=sum(incarnation.size for incarnation in tapes(store)))
        found = rerun(store, progress=lambda size: shown.advance(task, size))
    if as_json:
        typer.echo(as_text({"ok": found.ok, **msgspec.to_builtins(found)}))
    else:
        for line in lines(found):
            typer.echo(line)
    if not found.ok:
        raise typer.Exit(1)


def _ensure_alone(ctx: typer.Context) -> None:
    """A session brings all it is run with."""
    given = [name for name in ctx.params if getattr(ctx.get_parameter_source(name), "name", "") == "COMMANDLINE"]
    others = sorted(set(given) - {"session", "as_json"})
    if others:
        raise UsageError(f"expected --session alone or with --json, found {', '.join(others)} as well: leave them out")
