"""What a supervisor knows about one of its children."""

from __future__ import annotations

import asyncio
import enum
import time
import zlib

from ray.exceptions import RayError

from runtime.supervision.calls import answer, cause
from runtime.supervision.events import Readopted, Restarted, Started, SupervisionEvent
from runtime.supervision.incarnation import Incarnation
from runtime.supervision.policy import Intensity, RestartPolicy
from runtime.supervision.spec import ChildSpec


class ChildState(enum.StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPED = "stopped"
    FAILED = "failed"


class Child:
    """One child: its spec, its present incarnation, and its history since the supervisor started."""

    def __init__(self, spec: ChildSpec, intensity: Intensity, seed: int) -> None:
        self.spec = spec
        self.policy = RestartPolicy(
            spec.intensity or intensity,
            restart=spec.restart,
            critical=spec.critical,
            # Each child its own jitter, so that those that fell together don't start together.
            seed=seed ^ zlib.crc32(spec.name.encode()),
        )
        self.state = ChildState.STARTING
        self.wanted = True
        self.incarnation: Incarnation | None = None
        self.tender: asyncio.Task[None] | None = None
        self.held = 0
        """How many are bringing it down right now; nobody may start it meanwhile."""
        self.epoch = 0
        self.restarts = 0
        self.last_exit = ""
        self.setup_failed = False
        """Its last end was a ``SetupError``: somebody has to mend something."""
        self.hung = False
        """Its last end was that it gave no sign of life: it had begun, and something held it up."""
        self.last_recovery_ns = 0
        self._down_since_ns = 0

    @property
    def name(self) -> str:
        return self.spec.name

    def down(self, reason: str, at_ns: int, *, setup: bool = False, hung: bool = False) -> None:
        """It has ended; ``at_ns`` (monotonic) is when that was noticed."""
        self.last_exit, self.setup_failed, self.hung = reason, setup, hung
        self._down_since_ns = self._down_since_ns or at_ns

    def up(self, incarnation: Incarnation, *, adopted: bool) -> SupervisionEvent:
        """It answers; returns what to report."""
        self.incarnation, self.state = incarnation, ChildState.RUNNING
        self.epoch = incarnation.epoch
        facts = (incarnation.ray_name, incarnation.pid)
        if adopted:
            return Readopted(self.name, incarnation.epoch, *facts)
        if not self._down_since_ns:
            return Started(self.name, incarnation.epoch, *facts)
        self.restarts += 1
        self.last_recovery_ns = time.monotonic_ns() - self._down_since_ns
        self._down_since_ns = 0
        return Restarted(self.name, incarnation.epoch, self.last_exit, self.last_recovery_ns, *facts)

    def rested(self) -> None:
        """It was put to rest on purpose: the time until it runs again is no recovery."""
        self.incarnation, self._down_since_ns = None, 0

    async def status(self, within_s: float) -> dict[str, object]:
        """The supervisor's view, with the child's own under ``detail``."""
        incarnation = self.incarnation
        detail: object = {}
        if incarnation is not None and self.state is ChildState.RUNNING:
            try:
                detail = await answer(incarnation.handle.status.remote(), within_s)
            except (RayError, TimeoutError) as error:
                detail = {"error": f"no status: {cause(error)}"}
        return {
            "name": self.name,
            "kind": self.spec.kind,
            "pid": incarnation.pid if incarnation else 0,
            "node": incarnation.node if incarnation else "",
            "ray_name": incarnation.ray_name if incarnation else "",
            "state": self.state.value,
            "epoch": self.epoch,
            "restarts": self.restarts,
            "last_exit": self.last_exit,
            "setup_failed": self.setup_failed,
            "hung": self.hung,
            "last_recovery_ms": self.last_recovery_ns / 1e6,
            "detail": detail,
        }
