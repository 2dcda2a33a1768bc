"""Warm spares: processes that have done everything but learn who they are.

A new Ray actor takes about a second of a core to start, a spare takes over in a few
milliseconds. Spares are made one at a time, in the background, and only on this node.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from runtime.errors import SupervisionError
from runtime.supervision.incarnation import Incarnation, create
from runtime.supervision.policy import NANOSECONDS, Again, Intensity, RestartPolicy
from runtime.supervision.registry import Registry
from runtime.supervision.spares import hand_over
from runtime.supervision.spec import ChildSpec

log = logging.getLogger(__name__)

Key = tuple[str, tuple[tuple[str, str], ...]]
_LOOK_S = 0.02


def key_of(spec: ChildSpec) -> Key:
    """Children with the same key can take each other's spares."""
    return spec.actor_class, tuple(sorted(spec.env.items()))


class Spare:
    """One warm process; its incarnation's calls wait until it has been adopted."""

    def __init__(self, incarnation: Incarnation, path: str) -> None:
        self.incarnation, self.path = incarnation, path


class _Shelf:
    """The spares of one key, and how many there should be."""

    def __init__(self, spec: ChildSpec, wanted: int, intensity: Intensity) -> None:
        self.spec, self.wanted = spec, wanted
        self.ready: list[Spare] = []
        self.policy = RestartPolicy(intensity)
        self.not_before_ns = 0


class SparePool:
    """Keeps the wanted number of spares of each kind."""

    def __init__(self, registry: Registry, owner: str, namespace: str, node: str, intensity: Intensity) -> None:
        self._registry, self._owner = registry, owner
        self._namespace, self._node, self._intensity = namespace, node, intensity
        self._shelves: dict[Key, _Shelf] = {}
        self._wake = asyncio.Event()
        self._folder = ""

    def want(self, specs: Iterable[ChildSpec]) -> None:
        """Set what is wanted from the present children."""
        wanted: dict[Key, ChildSpec] = {}
        for spec in specs:
            if spec.spares and not spec.resources:
                known = wanted.get(key_of(spec))
                if known is None or spec.spares > known.spares:
                    wanted[key_of(spec)] = spec
        for key, shelf in self._shelves.items():
            shelf.wanted = wanted[key].spares if key in wanted else 0
        for key, spec in wanted.items():
            if key not in self._shelves:
                self._shelves[key] = _Shelf(spec, spec.spares, self._intensity)
        self._wake.set()

    def counts(self) -> dict[str, int]:
        """Warm spares by actor class, for status."""
        return {key[0]: len(shelf.ready) for key, shelf in self._shelves.items()}

    def take(self, spec: ChildSpec) -> Spare | None:
        """A warm spare for ``spec``, which is then the caller's."""
        shelf = self._shelves.get(key_of(spec))
        if shelf is None or spec.resources:
            return None
        self._wake.set()
        while shelf.ready:
            spare = shelf.ready.pop(0)
            if not spare.incarnation.ended.done():
                return spare
        return None

    async def adopt(self, spare: Spare, assignment: bytes) -> None:
        """Hand the assignment over.

        Raises:
            SupervisionError: the spare did not take it; it has been killed.
        """
        try:
            await asyncio.to_thread(hand_over, spare.path, assignment)
        except SupervisionError:
            await self._drop(spare)
            raise

    async def keep(self) -> None:
        """Fill up whenever a spare was used or lost; runs until cancelled."""
        self._folder = await asyncio.to_thread(tempfile.mkdtemp, "", "bw-")
        await self._registry.note_folder(self._folder)
        while True:
            await self._wake.wait()
            self._wake.clear()
            for shelf in list(self._shelves.values()):
                await self._fill(shelf)

    async def close(self) -> None:
        """Kill all spares."""
        for shelf in self._shelves.values():
            shelf.wanted = 0
            await self._trim(shelf)
        if self._folder:
            await asyncio.to_thread(shutil.rmtree, self._folder, True)

    async def _fill(self, shelf: _Shelf) -> None:
        await self._trim(shelf)
        while len(shelf.ready) < shelf.wanted:
            wait_ns = shelf.not_before_ns - time.monotonic_ns()
            if wait_ns > 0:
                asyncio.get_running_loop().call_later(wait_ns / NANOSECONDS, self._wake.set)
                return
            try:
                spare = await self._make(shelf.spec)
            except SupervisionError as error:
                self._postpone(shelf, str(error))
                continue
            shelf.ready.append(spare)
            spare.incarnation.ended.add_done_callback(functools.partial(self._lost, shelf, spare))

    async def _trim(self, shelf: _Shelf) -> None:
        while len(shelf.ready) > shelf.wanted:
            await self._drop(shelf.ready.pop())

    def _lost(self, shelf: _Shelf, spare: Spare, _end: asyncio.Future[str]) -> None:
        if spare in shelf.ready:
            shelf.ready.remove(spare)
            self._postpone(shelf, f"the spare {spare.incarnation.ray_name} ended")
            self._wake.set()

    def _postpone(self, shelf: _Shelf, reason: str) -> None:
        now = time.monotonic_ns()
        decision = shelf.policy.decide(now, reason=reason)
        if isinstance(decision, Again):
            shelf.not_before_ns = decision.at_ns
            log.warning("a spare of %s was lost: %s", shelf.spec.actor_class, reason)
            return
        shelf.not_before_ns = now + round(shelf.policy.intensity.window_s * NANOSECONDS)
        log.error("no spares of %s for a while: %s", shelf.spec.actor_class, decision.reason)

    async def _make(self, spec: ChildSpec) -> Spare:
        number = await self._registry.next_epoch()
        ray_name = f"{self._owner}/spare#{number}"
        path = str(Path(self._folder) / str(number))
        await self._registry.note_spare(ray_name)
        making = asyncio.ensure_future(
            asyncio.to_thread(create, spec, ray_name, self._namespace, self._node, pinned=True, spare=path)
        )
        try:
            handle = await asyncio.shield(making)
        except asyncio.CancelledError:
            await Incarnation(await making, ray_name, number).kill()
            raise
        spare = Spare(Incarnation(handle, ray_name, number), path)
        try:
            await self._warm(spare, spec.start_deadline_s)
        except BaseException:
            await self._drop(spare)
            raise
        return spare

    async def _warm(self, spare: Spare, within_s: float) -> None:
        limit = time.monotonic() + within_s
        while not await asyncio.to_thread(Path(spare.path).exists):
            if spare.incarnation.ended.done() or time.monotonic() > limit:
                raise SupervisionError(f"the spare {spare.incarnation.ray_name} did not come up in {within_s:g} s")
            await asyncio.sleep(_LOOK_S)

    async def _drop(self, spare: Spare) -> None:
        await spare.incarnation.kill()
        await asyncio.to_thread(Path(spare.path).unlink, True)
        await self._registry.forget(spare.incarnation.ray_name)
