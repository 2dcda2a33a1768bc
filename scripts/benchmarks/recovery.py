"""How long a killed actor is away: a warm spare's successor against Ray's own restart.

Measured from the ``kill -9`` to the first answer of the successor that proves, by its value,
that the state was restored. Both actors save each count before they acknowledge it; the bare
one to a file, as Ray restores nothing by itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import ray
from ray.exceptions import GetTimeoutError, RayActorError

ROOT = str(Path(__file__).resolve().parent.parent.parent)
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from runtime.supervision.assignment import Assignment, CellAssignment  # noqa: E402
from runtime.supervision.policy import Intensity  # noqa: E402
from runtime.supervision.root import start_root, stop_root  # noqa: E402
from runtime.supervision.spares import await_assignment  # noqa: E402
from runtime.supervision.spec import ChildSpec, SupervisorSpec  # noqa: E402

NAMESPACE = "bigwheel-benchmarks"
KILLS = 7
GIVE_UP_S = 60.0


class Counter:
    """The supervised one."""

    def __init__(self, assignment: bytes = b"", spare: str = "") -> None:
        self.plan = msgspec.msgpack.decode(assignment or await_assignment(spare), type=Assignment)
        snapshots = self.plan.cells[0].snapshots
        self.value = int(snapshots[0]) if snapshots else 0
        self._ended: asyncio.Future[str] | None = None

    async def run(self) -> str:
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._ended)

    async def ping(self) -> bytes:
        return b""

    async def adopted(self, supervisor: str) -> None:
        self.plan = msgspec.structs.replace(self.plan, supervisor=supervisor)

    async def stop(self, reason: str, deadline_s: float) -> None:
        if self._ended is not None:
            self._ended.set_result(reason)

    async def status(self) -> dict[str, object]:
        return {"value": self.value}

    async def bump(self) -> int:
        self.value += 1
        keeper: Any = ray.get_actor(self.plan.supervisor, namespace=self.plan.namespace)
        cell = self.plan.cells[0].name
        await keeper.save.remote(self.plan.host, cell, self.plan.epoch, str(self.value).encode())
        return self.value

    async def read(self) -> tuple[int, int]:
        return os.getpid(), self.value


class Bare:
    """The same under ``max_restarts=-1``."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.value = int(self.path.read_text()) if self.path.exists() else 0

    async def bump(self) -> int:
        self.value += 1
        part = self.path.with_suffix(".part")
        part.write_text(str(self.value))
        part.replace(self.path)
        return self.value

    async def read(self) -> tuple[int, int]:
        return os.getpid(), self.value


def run() -> list[dict[str, object]]:
    """Rows of ``name, figure, unit, baseline_name, baseline, ratio``; starts Ray where none runs."""
    own = not ray.is_initialized()
    if own:
        os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray spells it so
        os.environ["PYTHONPATH"] = os.pathsep.join(part for part in (ROOT, os.environ.get("PYTHONPATH", "")) if part)
        ray.init(num_cpus=2, include_dashboard=False, namespace=NAMESPACE, log_to_driver=False)
    try:
        with tempfile.TemporaryDirectory(prefix="bw-bench-") as folder:
            warm, cold, bare = supervised(folder, spares=1), supervised(folder, spares=0), restarted_by_ray(folder)
    finally:
        if own:
            ray.shutdown()
    return [_row("recovery with a warm spare", warm, bare), _row("recovery with a new actor", cold, bare)]


def supervised(folder: str, *, spares: int) -> list[float]:
    """Recovery times in ms of a supervised child."""
    name = f"recovery-{uuid.uuid4().hex[:6]}"
    child = ChildSpec(
        "counter",
        "counter",
        "scripts.benchmarks.recovery:Counter",
        cells=(CellAssignment("counter"),),
        spares=spares,
        intensity=Intensity(restarts=1000, base_s=0.0),
    )
    root = start_root(SupervisorSpec(name, children=(child,), run_dir=f"{folder}/{name}"), NAMESPACE)

    def find() -> Any:
        actor = ray.get(root.locate.remote("counter"), timeout=GIVE_UP_S)
        return ray.get_actor(actor, namespace=NAMESPACE) if actor else None

    def ready() -> bool:
        status = ray.get(root.status.remote(), timeout=GIVE_UP_S)
        return status["children"][0]["state"] == "running" and sum(status["spares"].values()) == spares

    try:
        return _kills(find, ready)
    finally:
        stop_root(root, "measured", 5)


def restarted_by_ray(folder: str) -> list[float]:
    """Recovery times in ms of a bare actor that Ray restarts."""
    path = str(Path(folder) / "bare")
    actor = ray.remote(_importable().Bare).options(num_cpus=0, max_restarts=-1).remote(path)
    try:
        return _kills(lambda: actor, lambda: True)
    finally:
        ray.kill(actor)


def _importable() -> Any:
    """This module under its own name: a class of ``__main__`` would travel by value."""
    import scripts.benchmarks.recovery as module

    return module


def _kills(find: Callable[[], Any], ready: Callable[[], bool]) -> list[float]:
    took: list[float] = []
    for _ in range(KILLS):
        _until(ready)
        time.sleep(0.3)
        value = int(ray.get(find().bump.remote(), timeout=GIVE_UP_S))
        pid, _value = ray.get(find().read.remote(), timeout=GIVE_UP_S)
        begun = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        _until(lambda pid=pid, value=value: _answers(find, pid, value), 0.001)  # type: ignore[misc]
        took.append((time.perf_counter() - begun) * 1e3)
    return took


def _answers(find: Callable[[], Any], dead: int, value: int) -> bool:
    try:
        actor = find()
        pid, found = ray.get(actor.read.remote(), timeout=5) if actor is not None else (dead, value)
    except (RayActorError, GetTimeoutError, ValueError):
        return False
    if pid != dead and found != value:
        raise RuntimeError(f"expected the successor to hold {value}, found {found}: state was lost")
    return bool(pid != dead)


def _until(done: Callable[[], bool], step_s: float = 0.05) -> None:
    limit = time.monotonic() + GIVE_UP_S
    while not done():
        if time.monotonic() > limit:
            raise TimeoutError(f"expected an answer within {GIVE_UP_S:g} s, found none")
        time.sleep(step_s)


def _row(name: str, figures: list[float], bare: list[float]) -> dict[str, object]:
    figure, baseline = statistics.median(figures), statistics.median(bare)
    return {
        "name": name,
        "figure": round(figure, 1),
        "unit": "ms",
        "baseline_name": "Ray max_restarts=-1",
        "baseline": round(baseline, 1),
        "ratio": round(baseline / figure, 1),
    }


if __name__ == "__main__":
    for row in _importable().run():
        print(row)
