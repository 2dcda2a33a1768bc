"""The Ray that a sweep's workers run on: one that is there, or one of its own."""

from __future__ import annotations

import os
from collections import deque

from bigwheel.cluster import start_ray
from bigwheel.sweeps.crew import RayCrew, Take
from bigwheel.sweeps.trial import Case, Job
from conf import Settings


class Machine:
    """Starts or joins Ray when the first case is to be run, and stops only what it started.

    Args:
        job: what all runs share.
        settings: those of Ray are taken from here, but for the address.
        jobs: the most workers; ``None`` takes one for each CPU.
        address: a running Ray to join (``auto``, ``HOST:PORT``); else, unless this process is connected to one
            already, one is started on the loopback interface.
        timeout_s: how long a run may take, in seconds; 0 is as long as it likes.
    """

    def __init__(
        self,
        job: Job,
        settings: Settings,
        jobs: int | None = None,
        address: str | None = None,
        timeout_s: float = 0.0,
    ) -> None:
        self._job, self._settings, self._jobs, self._address = job, settings, jobs, address
        self._timeout_s = timeout_s
        self._owns = False
        self._crew: RayCrew | None = None

    def run(self, waiting: deque[Case], take: Take) -> None:
        """See ``Crew.run``.

        Raises:
            SessionError: there is no Ray at the address, or none starts.
            SweepError: its workers don't stay alive.
        """
        if not waiting:
            return
        if self._crew is None:
            self._crew = RayCrew(self._job, self._open(), self._timeout_s)
        self._crew.run(waiting, take)

    def _open(self) -> int:
        """Connect to Ray; returns how many workers there are to be."""
        import ray

        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._owns = not ray.is_initialized()
        told = {"address": self._address or "", "num_cpus": self._jobs or cpus, "dashboard": False, "loopback": True}
        settings = self._settings.model_copy(update={"ray": self._settings.ray.model_copy(update=told)})
        start_ray(settings)
        there = int(ray.cluster_resources().get("CPU", 1))
        return max(1, min(self._jobs or there, there))

    def close(self) -> None:
        """Let the workers go, and stop Ray if it was started or joined here."""
        if self._crew is not None:
            self._crew.close()
        if self._owns:
            import ray

            ray.shutdown()
        self._crew, self._owns = None, False
