"""In the process of an engine: the short run, then the one that is timed, on one core.

    python -m scripts.benchmarks.engines.child NAME CORE TASK

prints one line of JSON, a ``Told``.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import sys
import time
import warnings
from typing import Any, Protocol, cast

from scripts.benchmarks.engines.task import Outcome, Task, Told


class Engine(Protocol):
    """What a module ``by_NAME`` has."""

    def version(self) -> str:
        """Of the engine."""
        ...

    def read(self, task: Task, path: str) -> Any:
        """The file as the engine wants its data."""
        ...

    def run(self, task: Task, data: Any) -> Outcome:
        """The task on what ``read`` gave."""
        ...


def main(name: str, core: int, task: Task) -> Told:
    """Run the task once on the short file and once on its own; only the latter counts."""
    if core >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    warnings.simplefilter("ignore")
    engine = cast(Engine, importlib.import_module(f"scripts.benchmarks.engines.by_{name}"))
    with contextlib.redirect_stdout(sys.stderr):
        engine.run(task.brief(), engine.read(task, task.short))
        began, start_s = time.perf_counter(), time.process_time()
        data = engine.read(task, task.data)
        read_s = time.process_time() - start_s
        outcome = engine.run(task, data)
        run_s = time.process_time() - start_s - read_s + outcome.others_s
        wall_s = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Told(engine.version(), outcome, start_s, read_s, run_s, wall_s, peak)


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2]), Task.decode(sys.argv[3])).encode())
