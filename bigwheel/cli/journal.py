"""Commands about the journal of a store."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from bigwheel.cli.options import AsJson, Config, Store, store_of
from bigwheel.errors import SessionError
from bigwheel.queries import open_journal
from bigwheel.session import StoreLock
from bigwheel.times import moment_ns
from runtime.journal import audit
from runtime.journal.export import export as export_records
from runtime.journal.repair import Repair
from runtime.journal.repair import repair as repair_journal
from runtime.snapshots import SnapshotStore

app = typer.Typer(
    help="Verify, repair, back up, restore and export the journal.", no_args_is_help=True, add_completion=False
)


def _journal(config: str, store: str) -> Path:
    path = store_of(config, store) / "journal"
    if not path.exists():
        raise SessionError(f"expected a journal in {path}, found none; name the session's folder with --store")
    return path


@app.command()
def verify(config: Config = "sim", store: Store = "", as_json: AsJson = False) -> None:
    """Check every record, index and sequence number; exit status 1 if anything is wrong."""
    report = audit.verify(_journal(config, store))
    if as_json:
        typer.echo(msgspec.json.encode(report).decode())
    else:
        typer.echo(
            f"{report.records} records (#{report.first} to #{report.last}), {report.bytes} bytes: "
            f"{'clean' if report.ok else 'DAMAGED'}"
        )
        for problem in report.problems:
            typer.echo(f"  {problem}")
        if not report.ok:
            typer.echo("put a backup in its place (`journal restore`), or keep what is sound (`journal repair`)")
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def repair(config: Config = "sim", store: Store = "", as_json: AsJson = False) -> None:
    """Keep every record up to the first damaged one, and name what is lost; exit status 1 if anything is.

    No session may be running. The damaged journal is kept beside the new one.
    """
    folder = store_of(config, store)
    path = _journal(config, store)
    lock = StoreLock(folder)
    lock.take()
    try:
        done = repair_journal(path)
        forgotten = _forget_snapshots(folder / "supervisors") if done.lost[1] else 0
    finally:
        lock.free()
    typer.echo(msgspec.json.encode(done).decode() if as_json else "\n".join(_repaired(done, forgotten)))
    if done.lost[1]:
        raise typer.Exit(1)


def _repaired(done: Repair, forgotten: int) -> list[str]:
    if not done.aside:
        return [f"{done.kept} records, clean: nothing to repair"]
    said = [f"  {problem}" for problem in done.found]
    said.append(f"{done.kept} records kept; the damaged journal is in {done.aside}")
    first, last = done.lost
    if not last:
        return [*said, "no record is lost; the indices were made anew"]
    said.append(f"LOST: records {first} to {last}")
    if done.left_out:
        said.append(f"{done.readable} of them could be read, and are in {done.left_out}: they are not in the journal")
    said.append(f"{forgotten} supervisors' snapshots, which knew more, are gone: the actors rebuild their state")
    return said


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="The folder to write; it must not exist.")],
    config: Config = "sim",
    store: Store = "",
) -> None:
    """Copy the journal while it is in use, and verify the copy."""
    report = audit.backup(_journal(config, store), target)
    typer.echo(f"{target}: {report.records} records, verified")


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="A folder that `journal backup` wrote.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the present one, which is kept aside.")
    ] = False,
    config: Config = "sim",
    store: Store = "",
) -> None:
    """Put a backup in place of the journal; no session may be running."""
    folder = store_of(config, store)
    lock = StoreLock(folder)
    lock.take()
    try:
        report = audit.restore(source, folder / "journal", replace=overwrite)
        forgotten = _forget_snapshots(folder / "supervisors")
    finally:
        lock.free()
    typer.echo(
        f"{folder / 'journal'}: {report.records} records restored; {forgotten} supervisors' snapshots, which knew more "
        "than it, are gone: the actors rebuild their state from it"
    )


def _forget_snapshots(folder: Path) -> int:
    """Drop the snapshots that follow a journal which is no longer there; returns how many stores had some."""
    stores = sorted(path for path in folder.glob("*") if path.is_dir()) if folder.is_dir() else []
    for path in stores:
        snapshots = SnapshotStore(path)
        snapshots.forget_all()
        snapshots.close()
    return len(stores)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="What to write: a .jsonl or a .parquet file.")],
    since: Annotated[str, typer.Option("--since", help="A time or a duration ago.")] = "",
    config: Config = "sim",
    store: Store = "",
) -> None:
    """Write the records with their events decoded."""
    path = _journal(config, store)
    first = 1
    if since:
        with open_journal(path.parent) as journal:
            found = journal.between(moment_ns(since), time.time_ns(), 1)
            first = found[0].seq if found else journal.head + 1
    count = export_records(path, file, since=first)
    typer.echo(f"{file}: {count} records")
