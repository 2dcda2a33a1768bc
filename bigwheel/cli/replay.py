"""``bigwheel replay``: a past session, decided again."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from bigwheel import refold as folding
from bigwheel import replay as replays
from bigwheel.cli.options import AsJson
from bigwheel.cli.progress import PERCENT, bar
from bigwheel.errors import UsageError
from bigwheel.times import stamp
from runtime.host import cell


def replay(
    store: Annotated[Path, typer.Argument(help="The session's folder: tapes, journal, snapshots.")],
    since: Annotated[int, typer.Option("--from", min=0, help="Compare from this journal record on.")] = 0,
    until: Annotated[int, typer.Option("--to", min=0, help="End with this journal record.")] = 0,
    actor: Annotated[str, typer.Option("--actor", help="One actor, or a kind: risk, strategy, exchange/bybit.")] = "",
    at: Annotated[str, typer.Option("--at", help="Show what actors knew: a record's number, or a time.")] = "",
    journal_only: Annotated[
        bool, typer.Option("--journal-only", help="Fold the journal, and hold it against the bus's snapshots.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a session's inputs through the same brains again, and compare every decision with the recorded one.

    Works on a running session, too. Exit status 1 if a decision differs, or if anything is damaged or missing.
    A strategy whose own code writes files or calls out does that again.
    """
    if at and (since or until):
        raise UsageError("expected --at, or --from and --to, found both; --at ends where it looks")
    found = [] if journal_only else replays.tapes(store)
    if not found:
        _fold(store, since, until, at, actor, as_json=as_json, asked=journal_only)
        return
    window = replays.window_of(store, since, until, at)
    # What a brain failed on fails again, and is compared: it is no news.
    logging.getLogger(cell.__name__).setLevel(logging.CRITICAL + 1)
    with bar(PERCENT) as shown:
        task = shown.add_task("replay", total=sum(incarnation.size for incarnation in found))
        report = replays.replay(
            found, window, actor=actor, inspect=bool(at), progress=lambda size: shown.advance(task, size)
        )
    if as_json:
        typer.echo(as_text({"ok": report.ok, **msgspec.to_builtins(report)}))
    else:
        _show(report, inspected=bool(at))
    if not report.ok:
        raise typer.Exit(1)


def _fold(store: Path, since: int, until: int, at: str, actor: str, *, as_json: bool, asked: bool) -> None:
    if since or actor:
        raise UsageError(
            "expected neither --from nor --actor where the journal is all there is, for it is folded from its "
            "beginning by the bus alone; leave them out"
        )
    if at and not at.isdigit():
        raise UsageError(f"expected --at with the number of a record where the journal is folded, found {at!r}")
    with bar(PERCENT) as shown:
        task = shown.add_task("fold", total=None)
        fold = folding.refold(store, until=int(at) if at else until, progress=lambda count: shown.advance(task, count))
    if as_json:
        typer.echo(as_text({"ok": fold.ok, **msgspec.to_builtins(fold)}))
    else:
        if not asked:
            typer.echo("no tapes were kept (audit.enabled): the journal is folded alone")
        for line in folding.lines(fold):
            typer.echo(line)
        if at:
            typer.echo(as_text(fold.ledger))
    if not fold.ok:
        raise typer.Exit(1)


def _show(report: replays.Report, *, inspected: bool) -> None:
    if not inspected:
        for line in replays.lines(report):
            typer.echo(line)
        return
    for state in report.states:
        typer.echo(f"{state.actor}#{state.epoch} after {state.messages} messages, the last at {stamp(state.last_ns)}")
        typer.echo(as_text({"status": state.status, "state": state.state, "attributes": state.attributes}))
    if not report.ok:
        typer.echo(replays.lines(report)[-1])


def as_text(value: Any) -> str:
    """``value`` as JSON to read."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
