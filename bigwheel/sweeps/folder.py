"""A sweep's folder: what it is, what has been run, and the catalog that the runs read.

``sweep.json`` says what the sweep is made of. ``runs.jsonl`` has a line for each finished run, on the disk before the
next one is looked at; a line that a crash cut short is dropped. ``tables/KEY`` has the whole result of some runs,
``data`` the catalog where the data were files.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import msgspec

from bigwheel.backtests.intake import playable, take_in
from bigwheel.backtests.result import BacktestResult
from bigwheel.sweeps.errors import SweepError
from bigwheel.sweeps.identity import differences, listed
from bigwheel.sweeps.trial import Case, Metrics, Outcome
from exchanges.recording.files import make_folder, sync, write_synced
from runtime.lock import Lock

MANIFEST, LOG, TABLES, DATA = "sweep.json", "runs.jsonl", "tables", "data"
_DRAFT = ".draft-"


class Line(msgspec.Struct, frozen=True):
    """A finished run in the log."""

    key: str
    params: dict[str, Any]
    start_ns: int
    end_ns: int
    seed: int
    latency_ms: float
    metrics: Metrics
    error: str = ""


class Folder:
    """Opens a sweep's folder, or makes one. Use it in a ``with``: only one process has it at a time.

    Raises:
        SweepError: it can't be written to, is in use, or holds something else.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, Outcome] = {}
        self._log: IO[bytes] | None = None
        self._lock = Lock(root)
        try:
            make_folder(root)
            other = self._lock.take()
        except OSError as error:
            raise SweepError(
                f"expected a folder that can be written at {root}, found: {error.strerror}; give another --out"
            ) from error
        if other:
            raise SweepError(
                f"expected {root} to be free, found another sweep at work in it; wait for it, or give another --out"
            )

    def __enter__(self) -> Folder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder; what was noted is on the disk."""
        if self._log is not None:
            self._log.close()
        self._log = None
        self._lock.free()

    # -- what it is ------------------------------------------------------------------------

    def agree(self, told: dict[str, Any]) -> None:
        """See that the folder is empty, or holds the sweep that ``told`` describes.

        Raises:
            SweepError: it holds something else; says where they differ.
        """
        path = self.root / MANIFEST
        plain = json.loads(msgspec.json.encode(told))
        if path.exists():
            known = _read(path)
            differing = differences(known, plain)
            if differing:
                raise SweepError(
                    f"expected the sweep that {self.root} was begun with, found other arguments ({listed(differing)}); "
                    "give those, or another --out"
                )
        else:
            if any(not each.name.startswith(_DRAFT) for each in self.root.iterdir()):
                raise SweepError(
                    f"expected {self.root} to be empty or to hold a sweep, found other files; give another --out"
                )
            write_whole(path, json.dumps(plain, indent=1) + "\n")
        for draft in (*self.root.glob(f"{_DRAFT}*"), *(self.root / TABLES).glob(f"{_DRAFT}*")):
            shutil.rmtree(draft) if draft.is_dir() else draft.unlink()
        self._open_log()

    def forget(self) -> None:
        """Leave the folder empty again if nothing was run: the arguments were no good."""
        if not self._known:
            shutil.rmtree(self.root / DATA, ignore_errors=True)
            (self.root / LOG).unlink(missing_ok=True)
            (self.root / MANIFEST).unlink(missing_ok=True)

    def catalog(self, source: Path, symbols: Sequence[str]) -> Path:
        """The catalog that the runs read: ``source``, or what was taken from it, once, into the folder.

        Raises:
            BacktestError, DataError: the data can't be used.
        """
        if playable(source):
            return source.resolve()
        target = self.root / DATA
        if not target.exists():
            draft = self.root / f"{_DRAFT}{DATA}"
            try:
                draft.mkdir()
                take_in(source, symbols, draft)
                os.replace(draft, target)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
            sync(self.root)
        return target.resolve()

    # -- what has been run -----------------------------------------------------------------

    def _open_log(self) -> None:
        path = self.root / LOG
        file = path.open("a+b")
        self._log = file
        file.seek(0)
        whole = file.read()
        kept = whole[: whole.rfind(b"\n") + 1]
        if len(kept) < len(whole):
            file.truncate(len(kept))  # the last line was cut short: that run is run again
        for number, text in enumerate(kept.splitlines(), 1):
            try:
                line = msgspec.json.decode(text, type=Line)
            except msgspec.DecodeError as error:
                raise SweepError(
                    f"expected a finished run in line {number} of {path}, found: {error}; remove the line, and it is "
                    "run again"
                ) from error
            self._known[line.key] = Outcome(line.metrics, line.error)

    def outcome(self, case: Case) -> Outcome | None:
        """What is known of a case; ``None`` while it is to be run."""
        known = self._known.get(case.key)
        if known is None or known.error or not case.tables:
            return known
        tables = self.root / TABLES / case.key
        return msgspec.structs.replace(known, result=BacktestResult.read(tables)) if tables.exists() else None

    def note(self, case: Case, outcome: Outcome) -> None:
        """Put an outcome on the disk. One whose worker died is not: it is run again next time."""
        if outcome.lost or self._log is None:
            return
        if outcome.result is not None:
            self._keep(case.key, outcome.result)
        if case.key not in self._known:
            told = (case.start_ns, case.end_ns, case.seed, case.latency_ms, outcome.metrics, outcome.error)
            self._log.write(msgspec.json.encode(Line(case.key, case.params, *told)) + b"\n")
            self._log.flush()
            os.fsync(self._log.fileno())
        self._known[case.key] = msgspec.structs.replace(outcome, result=None)

    def _keep(self, key: str, result: BacktestResult) -> None:
        above = self.root / TABLES
        make_folder(above)
        draft, target = above / f"{_DRAFT}{key}", above / key
        if not target.exists():
            result.write(draft)
            os.replace(draft, target)
            sync(above)


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SweepError(
            f"expected the description of a sweep at {path}, found: {error}; give another --out"
        ) from error
    return found


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all."""
    draft = path.with_name(f"{_DRAFT}{path.name}")
    write_synced(draft, text)
    os.replace(draft, path)
    sync(path.parent)
