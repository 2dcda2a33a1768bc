"""One Ray actor of a child, from its creation to its proven end."""

from __future__ import annotations

import asyncio
import importlib
import logging
import time
from typing import Any

import msgspec
import ray
from ray.exceptions import RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from runtime.errors import SetupError, SupervisionError
from runtime.supervision.calls import answer, cause, watched
from runtime.supervision.process import Process, whereabouts
from runtime.supervision.spec import ChildSpec

log = logging.getLogger(__name__)

_RAY_KILL_S = 0.3
HUNG = "hung"


class Exit(msgspec.Struct, frozen=True):
    """How an incarnation ended; ``at_ns`` is on the monotonic clock.

    ``setup``: by a ``SetupError``, so the next one will end likewise. ``silent_s`` is how long
    it had given no sign of life.
    """

    reason: str
    normal: bool
    at_ns: int
    setup: bool = False
    silent_s: float = 0.0


class Incarnation:
    """A living actor: its handle, what it is called in Ray, and the watch on its end."""

    def __init__(self, handle: Any, ray_name: str, epoch: int) -> None:
        self.handle, self.ray_name, self.epoch = handle, ray_name, epoch
        self.ended = watched(handle.run.remote())
        self.process: Process | None = None
        self.node = ""

    @property
    def pid(self) -> int:
        return self.process.pid if self.process is not None else 0

    async def greet(self, within_s: float, own_node: str, *call: Any) -> None:
        """Wait until it answers, and learn where it lives.

        Raises:
            SupervisionError: it ended, or didn't answer in time.
        """
        limit = time.monotonic() + within_s
        try:
            first = self.handle.adopted.remote(*call) if call else self.handle.ping.remote()
            where = self.handle.__ray_call__.remote(whereabouts)
            await answer(first, within_s)
            pid, self.node = await answer(where, limit - time.monotonic())
        except (RayError, TimeoutError) as error:
            raise SupervisionError(f"{self.ray_name} did not come up: {cause(error)}") from error
        self.process = Process(pid, local=self.node == own_node)

    async def watch(self, spec: ChildSpec) -> Exit:
        """Wait until it ends, by itself or by no longer giving a sign of life."""
        beat = asyncio.ensure_future(self._heartbeat(spec))
        try:
            await asyncio.wait({self.ended, beat}, return_when=asyncio.FIRST_COMPLETED)
            now = time.monotonic_ns()
            if not self.ended.done():
                reason = beat.result()
                return Exit(reason, False, now, silent_s=spec.hang_after_s if reason.startswith(HUNG) else 0.0)
        finally:
            beat.cancel()
        error = self.ended.exception()
        if error is None:
            return Exit(str(self.ended.result()), True, now)
        return Exit(cause(error), False, now, setup=isinstance(getattr(error, "cause", None), SetupError))

    async def _heartbeat(self, spec: ChildSpec) -> str:
        """Ask for signs of life until one is missing; returns what was found instead."""
        loop = asyncio.get_running_loop()
        while True:
            asked = loop.time()
            try:
                await answer(self.handle.ping.remote(), spec.hang_after_s)
            except TimeoutError:
                late = loop.time() - asked - spec.hang_after_s
                if late < 0.5:
                    return f"{HUNG}: no sign of life for {spec.hang_after_s:g} s"
                # It was this process that stood still, so the silence proves nothing.
                log.warning("the supervisor itself was held up for %.1f s; asking %s again", late, self.ray_name)
                continue
            except RayActorError as error:
                # The end of run() says the same with the better reason, if it is an end.
                await asyncio.wait({self.ended}, timeout=spec.hang_after_s)
                return f"unreachable: {cause(error)}"
            except RayError as error:
                return f"its ping failed: {cause(error)}"
            await asyncio.sleep(spec.heartbeat_s)

    async def stop(self, reason: str, deadline_s: float) -> bool:
        """Let it finish its work and end it; killed at the deadline. ``True``: its end is proven."""
        limit = time.monotonic() + deadline_s
        try:
            await answer(self.handle.stop.remote(reason, deadline_s), deadline_s)
            await asyncio.wait({self.ended}, timeout=max(0.0, limit - time.monotonic()))
            await answer(self.handle.__ray_terminate__.remote(), limit - time.monotonic())
        except RayActorError:
            log.debug("%s has ended", self.ray_name)
        except (RayError, TimeoutError) as error:
            log.warning("%s did not stop in %.1f s and is killed: %s", self.ray_name, deadline_s, cause(error))
        if self.process is not None:
            await self.process.wait(min(0.5, max(0.0, limit - time.monotonic())))
        return await self.kill()

    async def kill(self) -> bool:
        """End it now; ``True`` when its end is proven, which on another node it never is."""
        process = self.process
        if process is None or not process.gone:
            await asyncio.to_thread(discard, self.handle)
        if process is None:
            return False
        # Ray's way first, which is quiet; a stopped process heeds the system's alone.
        proven = await process.wait(_RAY_KILL_S) or await process.kill()
        process.close()
        return proven


def load_class(path: str) -> type[Any]:
    """The class at ``module:Class``.

    Raises:
        SupervisionError: there is none; the text says what is missing.
    """
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SupervisionError(f"expected an actor class at {path!r}, found none: {error}") from error
    if not isinstance(found, type):
        raise SupervisionError(f"expected a class at {path!r}, found {type(found).__name__}; name the class itself")
    return found


def create(spec: ChildSpec, ray_name: str, namespace: str, node: str, /, *, pinned: bool, **arguments: Any) -> Any:
    """Create the detached Ray actor of ``spec`` under ``ray_name``; blocks for some milliseconds.

    ``pinned`` keeps it on ``node``; else ``node`` is preferred, unless the spec asks for
    resources, by which Ray then finds a place.

    Raises:
        SupervisionError: Ray refused it, or the class can't be found.
    """
    options: dict[str, Any] = {
        "name": ray_name,
        "namespace": namespace,
        "lifetime": "detached",
        "num_cpus": 0,
        "max_restarts": 0,
        "max_task_retries": 0,
        "enable_task_events": False,
    }
    if spec.resources:
        options["resources"] = dict(spec.resources)
    else:
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=not pinned)
    if spec.env:
        options["runtime_env"] = {"env_vars": dict(spec.env)}
    try:
        return ray.remote(load_class(spec.actor_class)).options(**options).remote(**arguments)
    except (RayError, ValueError) as error:
        # A name that is taken belongs to a run whose store was deleted: it must not act any longer.
        destroy(ray_name, namespace)
        raise SupervisionError(f"Ray did not create {ray_name}: {cause(error)}") from error


def find(ray_name: str, namespace: str) -> Any | None:
    """The handle of a named actor, or ``None`` when there is none; blocks for some milliseconds."""
    try:
        return ray.get_actor(ray_name, namespace=namespace)
    except ValueError:
        return None


def discard(handle: Any) -> None:
    """Kill the actor for good; one that is gone already is fine."""
    try:
        ray.kill(handle, no_restart=True)
    except RayError as error:
        log.debug("nothing to kill: %s", cause(error))


def destroy(ray_name: str, namespace: str) -> None:
    """Kill the actor of that name, if there is one."""
    handle = find(ray_name, namespace)
    if handle is not None:
        discard(handle)
