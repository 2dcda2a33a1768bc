"""How far a sweep is: a bar in a terminal, a line now and then anywhere else. Both on standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bigwheel.screen import terminal
from bigwheel.sweeps.runner import Tally

LINE_S = 5.0


class Meter:
    """Told of each run as it ends. Use it in a ``with``."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._spoke = 0.0
        self._task: TaskID | None = None
        console = terminal(stderr=True)
        columns = (
            TextColumn("runs"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]} failed"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=console, refresh_per_second=4) if console.is_terminal else None

    def __enter__(self) -> Meter:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, tally: Tally) -> None:
        if self._bar is None:
            self._line(tally)
            return
        if self._task is None:
            # What was there before is no measure of how fast it goes.
            self._task = self._bar.add_task("", total=tally.total, completed=tally.kept, failed=0)
        self._bar.update(self._task, completed=tally.done, failed=tally.failed)

    def _line(self, tally: Tally) -> None:
        now = time.monotonic()
        if now - self._spoke < LINE_S and tally.done < tally.total:
            return
        self._spoke = now
        print(line(tally, now - self._began), file=sys.stderr, flush=True)


def line(tally: Tally, seconds: float) -> str:
    """``12 of 40 runs, 1 failed, 4 from before, about 30 s left``."""
    parts = [f"{tally.done:,} of {tally.total:,} runs", f"{tally.failed:,} failed"]
    if tally.kept:
        parts.append(f"{tally.kept:,} from before")
    made, left = tally.done - tally.kept, tally.total - tally.done
    if made > 0 and left > 0:
        parts.append(f"about {seconds / made * left:,.0f} s left")
    return ", ".join(parts)
