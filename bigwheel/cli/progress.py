"""How far something is: a bar in a terminal, and nothing anywhere else unless it says lines of its own."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from bigwheel.screen import terminal
from bigwheel.sweeps.runner import Tally

LINE_S = 5.0


PERCENT = "{task.percentage:>3.0f}%"


def bar(*columns: ProgressColumn | str, console: Console | None = None) -> Progress:
    """A bar with its task's name, these columns and the time that is left; gone when it is done.

    Args:
        columns: what is told between bar and time; text is formatted with ``task``. None: how many of how many.
        console: where it is shown, if that is a terminal that is not quiet; by default standard error.
    """
    shown = console or terminal(stderr=True)
    told = [TextColumn(each) if isinstance(each, str) else each for each in columns or (MofNCompleteColumn(),)]
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *told,
        TimeRemainingColumn(),
        console=shown,
        transient=True,
        disable=not shown.is_terminal or shown.quiet,
        redirect_stdout=False,
        redirect_stderr=False,
    )


class Meter:
    """Told of each run of a sweep as it ends; without a terminal it prints lines now and then. Use it in a ``with``."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._spoke = 0.0
        self._task: TaskID | None = None
        self._bar = bar(MofNCompleteColumn(), "{task.fields[failed]} failed")

    def __enter__(self) -> Meter:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, tally: Tally) -> None:
        if self._bar.disable:
            self._line(tally)
            return
        if self._task is None:
            # What was there before is no measure of how fast it goes.
            self._task = self._bar.add_task("runs", total=tally.total, completed=tally.kept, failed=0)
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
