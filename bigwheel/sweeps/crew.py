"""Who carries out the runs of a sweep: worker processes on Ray, or this process."""

from __future__ import annotations

import gc
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from bigwheel.sweeps.errors import SweepError
from bigwheel.sweeps.trial import Case, Desk, Job, Outcome

Take = Callable[[Case, Outcome], None]

DEATHS = 10
"""So many deaths of workers without an outcome between them end the sweep."""
START_S = 60.0
"""How long Ray has to start a worker."""
_LOOK_S = 1.0


class Crew(Protocol):
    """Runs cases until none waits."""

    def run(self, waiting: deque[Case], take: Take) -> None:
        """Run them, the first one first. ``take`` gets each outcome, and may append to ``waiting``."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...


class Here:
    """This process, one run after the other."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def run(self, waiting: deque[Case], take: Take) -> None:
        while waiting:
            case = waiting.popleft()
            take(case, self._desk.run(case))

    def close(self) -> None:
        """Nothing was started."""


class Worker:
    """A process of Ray's that runs many cases, one at a time."""

    def __init__(self, job: Job) -> None:
        self._desk = Desk(job)

    def ready(self) -> int:
        """The process id, once it stands."""
        return os.getpid()

    def run(self, case: Case) -> Outcome:
        outcome = self._desk.run(case)
        gc.collect()  # a run is full of cycles, and two of them in memory are one too many
        return outcome


class RayCrew:
    """Workers on the Ray that this process is connected to, each with one run at a time.

    A run whose worker died is run once more by another one; if that dies as well, its outcome is that.

    Args:
        job: what all runs share.
        size: how many workers at most; no more are started than there are runs.
    """

    def __init__(self, job: Job, size: int) -> None:
        self._job, self._size = job, size
        self._idle: list[Any] = []
        self._flying: dict[Any, tuple[Any, Case | None]] = {}
        """By the reference to an answer: the worker, and its case; ``None`` while it starts."""
        self._lost: set[str] = set()
        self._deaths = 0
        self._stood = False

    def run(self, waiting: deque[Case], take: Take) -> None:
        """See ``Crew.run``.

        Raises:
            SweepError: no worker starts, or they die one after the other.
        """
        import ray

        began = time.monotonic()
        while waiting or any(case is not None for _, case in self._flying.values()):
            while self._idle and waiting:
                self._send(self._idle.pop(), waiting.popleft())
            self._hire(len(waiting))
            ready, _ = ray.wait(list(self._flying), timeout=_LOOK_S)
            for reference in ready:
                self._answer(reference, waiting, take)
            if not self._stood and time.monotonic() - began > START_S:
                raise SweepError(
                    f"expected Ray to start a worker within {START_S:g} s, found that it did not; each takes one CPU: "
                    "wait until one is free, or give another --address"
                )

    def _send(self, worker: Any, case: Case) -> None:
        self._flying[worker.run.remote(case)] = (worker, case)

    def _hire(self, waiting: int) -> None:
        """Start workers as long as there is work for them."""
        import ray

        starting = sum(case is None for _, case in self._flying.values())
        while len(self._flying) + len(self._idle) < self._size and starting < waiting:
            options = {"num_cpus": 1, "max_restarts": 0, "max_task_retries": 0, "enable_task_events": False}
            worker = ray.remote(Worker).options(**options).remote(self._job)
            self._flying[worker.ready.remote()] = (worker, None)
            starting += 1

    def _answer(self, reference: Any, waiting: deque[Case], take: Take) -> None:
        import ray

        worker, case = self._flying.pop(reference)
        try:
            answer = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            answer = Outcome({}, f"the worker could not hand over its outcome: {error.cause or error}")
        except ray.exceptions.RayError as error:
            self._dead(worker, case, error, waiting, take)
            return
        self._idle.append(worker)
        self._stood = True
        if case is not None:
            self._deaths = 0
            take(case, answer)

    def _dead(self, worker: Any, case: Case | None, error: Exception, waiting: deque[Case], take: Take) -> None:
        import ray

        ray.kill(worker, no_restart=True)
        reason = " ".join(str(error).split())
        self._deaths += 1
        if self._deaths > DEATHS:
            raise SweepError(f"expected workers that live, found {self._deaths} dead one after the other: {reason}")
        if case is None:
            return
        if case.key in self._lost:
            take(case, Outcome({}, f"its worker died, and the next one as well: {reason}", lost=True))
            return
        self._lost.add(case.key)
        waiting.appendleft(case)

    def close(self) -> None:
        """Let the workers go."""
        import ray

        for worker in (*self._idle, *(worker for worker, _ in self._flying.values())):
            ray.kill(worker, no_restart=True)
        self._idle, self._flying = [], {}
