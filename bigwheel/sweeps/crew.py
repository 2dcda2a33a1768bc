"""Who carries out the runs of a sweep: worker processes on Ray, or this process."""

from __future__ import annotations

import gc
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from bigwheel.sweeps.alarm import Overtime, alarm
from bigwheel.sweeps.errors import SweepError
from bigwheel.sweeps.trial import Case, Desk, Job, Outcome

Take = Callable[[Case, Outcome], None]

DEATHS = 10
"""So many deaths of workers without an outcome between them end the sweep."""
START_S = 60.0
"""How long Ray has to start a worker."""
_LOOK_S = 1.0


def late(timeout_s: float) -> Outcome:
    """The outcome of a run that took longer than it may; another start, with more time, runs it again."""
    text = (
        f"expected the run to end within {timeout_s:g} s, found it still at work, and ended it; its strategy may never "
        "come back: mend it, or give more time with --timeout"
    )
    return Outcome({}, text, lost=True)


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

    def __init__(self, desk: Desk, timeout_s: float = 0.0) -> None:
        self._desk, self._timeout_s = desk, timeout_s

    def run(self, waiting: deque[Case], take: Take) -> None:
        while waiting:
            case = waiting.popleft()
            try:
                with alarm(self._timeout_s):
                    outcome = self._desk.run(case)
            except Overtime:
                outcome = late(self._timeout_s)
            take(case, outcome)

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
        timeout_s: how long a run may take before its worker is killed, in seconds; 0 is as long as it likes.
    """

    def __init__(self, job: Job, size: int, timeout_s: float = 0.0) -> None:
        self._job, self._size, self._timeout_s = job, size, timeout_s
        self._sent: dict[Any, float] = {}
        """By the reference to an answer: when its run was sent."""
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
            self._end_late(take)
            if not self._stood and time.monotonic() - began > START_S:
                raise SweepError(
                    f"expected Ray to start a worker within {START_S:g} s, found that it did not; each takes one CPU: "
                    "wait until one is free, or give another --address"
                )

    def _send(self, worker: Any, case: Case) -> None:
        reference = worker.run.remote(case)
        self._flying[reference] = (worker, case)
        self._sent[reference] = time.monotonic()

    def _end_late(self, take: Take) -> None:
        """Kill the workers whose runs take too long; others are hired in their places."""
        import ray

        now = time.monotonic()
        over = [reference for reference, sent in self._sent.items() if 0 < self._timeout_s < now - sent]
        for reference in over:
            worker, case = self._flying.pop(reference)
            del self._sent[reference]
            ray.kill(worker, no_restart=True)
            if case is not None:
                take(case, late(self._timeout_s))

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
        self._sent.pop(reference, None)
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
        self._idle, self._flying, self._sent = [], {}, {}
