"""Kills a process before each single file operation of a piece of work: ``python -m tests.unit.recording_crash``.

Arguments: the work (``write`` or ``compact``), a folder to copy and work on, and a folder for the copies. Copy ``k`` is
what the process left that was killed before its operation ``k``; the last copy is that of a process that lived.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from exchanges.recording.compaction import compact
from exchanges.recording.settings import RecorderSettings
from exchanges.recording.store import RecordingStore
from tests.unit.recording_bench import BTC, TODAY, Clock, trade

WATCHED = {"open", "os.mkdir", "os.rename", "os.remove"}


def write(folder: Path) -> None:
    """Write the trades 100 to 109."""
    store = RecordingStore(RecorderSettings(folder=folder, venue="bybit"), Counter(), Clock())
    for number in range(100, 110):
        store.add(BTC, "trades", trade(number).ts_ns, trade(number))
    store.finish()


def work(name: str, folder: Path) -> None:
    """Do what is called ``name`` in ``folder``."""
    if name == "write":
        write(folder)
    else:
        compact(TODAY.folder(folder))


class Killer:
    """Ends the process before its operation ``number`` on a file below ``folder``."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder, self._left = str(folder), number
        sync = os.fsync

        def counted(handle: int) -> None:
            self.count()
            sync(handle)

        os.fsync = counted  # type: ignore[assignment]
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in WATCHED and str(arguments[0]).startswith(self._folder):
            self.count()

    def count(self) -> None:
        self._left -= 1
        if self._left == 0:
            os._exit(9)


def main(name: str, base: Path, copies: Path) -> None:
    """Make the copies, one for each operation."""
    number = 0
    while True:
        number += 1
        copy = copies / str(number)
        shutil.copytree(base, copy)
        child = os.fork()
        if child == 0:
            Killer(copy, number)
            work(name, copy)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            return
        if status != 9:
            sys.exit(f"expected a process that is killed, found one that ended with {status}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
