"""What an operator does with a journal: verify it, back it up, restore it, export it."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from runtime.errors import JournalCorruptError, JournalError
from runtime.journal import environment
from runtime.journal.environment import DamagedError
from runtime.journal.examine import Report
from runtime.journal.export import export
from runtime.journal.record import schema_versions
from runtime.journal.store import WRITER_LOCK

__all__ = ["Report", "backup", "export", "restore", "verify"]

_ROOT = Path(__file__).resolve().parents[2]


def verify(path: str | os.PathLike[str]) -> Report:
    """Check every record and every index row of the journal in the folder ``path``.

    It may be in use. A damaged file makes a report that is not ``ok``, never an exception: the
    check runs in a process of its own, for a damaged file can kill the one that reads it.
    """
    data = Path(path) / environment.FILE
    if not data.exists():
        return Report(ok=False, problems=[f"expected a journal in {path}, found no {environment.FILE}: check the path"])
    try:
        environment.check(data)
    except DamagedError as error:
        return Report(bytes=data.stat().st_size, ok=False, problems=[str(error)])
    report = child("verify", str(path))
    if report.bytes == 0:
        report.bytes = data.stat().st_size
    return report


def backup(path: str | os.PathLike[str], target: str | os.PathLike[str]) -> Report:
    """Copy the journal in ``path``, which may be in use, to the new folder ``target``, and verify the copy.

    Raises:
        JournalError: there is something at ``target``, or the copy could not be written.
        JournalCorruptError: the copy did not verify; nothing is left at ``target``.
    """
    place = Path(target)
    if place.exists():
        raise JournalError(f"expected {place} to be free for a backup, found something there: name another folder")
    partial = fresh(place.with_name(place.name + ".partial"))
    try:
        copied = child("copy", str(path), str(partial))
        if not copied.ok:
            raise JournalError(f"expected to copy the journal in {path}, found: {copied.problems[0]}")
        report = settled(partial, f"the copy of {path}")
        os.rename(partial, place)
        sync(place.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return report


def restore(source: str | os.PathLike[str], path: str | os.PathLike[str], *, replace: bool = False) -> Report:
    """Put the backup ``source`` at ``path``. With ``replace``, a journal there is kept as ``PATH.replaced-N``.

    Consumers whose state is newer than the backup are refused by the feed afterwards.

    Raises:
        JournalError: a journal is there and ``replace`` was not said, or a writer has it open.
        JournalCorruptError: the backup does not verify; nothing was changed.
    """
    place = Path(path)
    found = verify(source)
    if not found.ok:
        raise JournalCorruptError(f"expected a sound backup in {source}, found: {found.problems[0]}; use another one")
    if place.exists() and not replace:
        raise JournalError(
            f"expected {place} to be free, found a journal there: say replace to put the backup in its place "
            "(the old one is kept aside)"
        )
    lock = seize(place) if place.exists() else None
    partial = fresh(place.with_name(place.name + ".restoring"))
    try:
        shutil.copyfile(Path(source) / environment.FILE, partial / environment.FILE)
        report = settled(partial, f"what was restored from {source}")
        if place.exists():
            os.rename(place, aside(place))
        os.rename(partial, place)
        sync(place.parent)
    except OSError as error:
        raise JournalError(f"expected to restore {source} to {place}, found {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if lock is not None:
            os.close(lock)
    return report


def child(*arguments: str) -> Report:
    """What ``runtime.journal.examine`` reports."""
    output, died = run_child("runtime.journal.examine", *arguments)
    if not died:
        return msgspec.json.decode(output, type=Report)
    return Report(
        ok=False,
        problems=[
            f"the process that read {arguments[1]} died of {died}: its pages are damaged; restore a backup, or keep "
            "what can be read with `bigwheel journal repair`"
        ],
    )


def run_child(module: str, *arguments: str) -> tuple[bytes, str]:
    """The output of a module that is run in a process of its own, and what that died of (empty: it did not).

    Its first argument are the schema versions known here: it imports no event of anybody's.
    """
    known = msgspec.json.encode(schema_versions).decode()
    paths = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", module, known, *arguments],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )
    if done.returncode == 0:
        return done.stdout, ""
    cause = signal.Signals(-done.returncode).name if done.returncode < 0 else f"exit status {done.returncode}"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return b"", f"{cause}{f' ({lines[-1]})' if lines else ''}"


def settled(folder: Path, what: str) -> Report:
    """Flush a finished copy and verify it."""
    sync(folder / environment.FILE)
    report = verify(folder)
    if not report.ok:
        raise JournalCorruptError(f"expected {what} to verify, found: {report.problems[0]}")
    (folder / "lock.mdb").unlink(missing_ok=True)
    sync(folder)
    return report


def seize(place: Path) -> int:
    """Lock every writer out of ``place``; the lock goes with the folder's old files."""
    lock = os.open(place / WRITER_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise JournalError(f"expected {place} to have no writer, found one: stop the runtime, then restore") from error
    return lock


def fresh(folder: Path) -> Path:
    """An empty folder, whatever was there."""
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    except OSError as error:
        raise JournalError(f"expected to make the folder {folder}, found {error}") from error
    return folder


def aside(place: Path, why: str = "replaced") -> Path:
    """A free name beside ``place`` for what is moved out of its way."""
    number = 1
    while (found := place.with_name(f"{place.name}.{why}-{number}")).exists():
        number += 1
    return found


def sync(path: Path) -> None:
    """Flush a file, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
