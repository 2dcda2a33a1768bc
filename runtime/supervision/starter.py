"""How a child comes to life: a warm spare, a new actor, or the one that is still there."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Callable
from typing import Any

import msgspec

from runtime.errors import SupervisionError
from runtime.supervision.assignment import Assignment, CellAssignment
from runtime.supervision.child import Child
from runtime.supervision.events import SpareUsed, SupervisionEvent
from runtime.supervision.incarnation import Incarnation, create, destroy, find, load_class
from runtime.supervision.pool import Spare, SparePool
from runtime.supervision.registry import ChildRecord, Registry, digest_of
from runtime.supervision.spec import ChildSpec, SupervisorSpec, decode_supervisor, encode_spec

log = logging.getLogger(__name__)


class Starter:
    """Starts children of one supervisor, whose Ray actor is ``ray_name`` on ``node``."""

    def __init__(
        self,
        spec: SupervisorSpec,
        registry: Registry,
        ray_name: str,
        node: str,
        notify: Callable[[SupervisionEvent], None],
    ) -> None:
        self._spec, self._registry, self._notify = spec, registry, notify
        self._ray_name, self._node = ray_name, node
        self._room = asyncio.Semaphore(spec.starts_at_once or os.cpu_count() or 1)
        self.pool = SparePool(registry, ray_name, spec.namespace, node, spec.intensity)

    async def start(self, child: Child) -> Incarnation:
        """A new incarnation that answers, under an epoch committed before it was told.

        Raises:
            SupervisionError: it could not be started; nothing of it is left.
        """
        spare = self.pool.take(child.spec)
        if spare is not None:
            try:
                return await self._adopt(child, spare)
            except SupervisionError as error:
                log.warning("a spare failed %s, a new actor is started: %s", child.name, error)
        async with self._room:
            return await self._create(child)

    async def readopt(self, child: Child, record: ChildRecord) -> Incarnation | None:
        """The child that outlived this supervisor's earlier incarnation; ``None`` when it did not."""
        handle = await asyncio.to_thread(find, record.ray_name, self._spec.namespace)
        if handle is None:
            return None
        incarnation = Incarnation(handle, record.ray_name, record.epoch)
        try:
            if record.digest != digest_of(child.spec):
                raise SupervisionError(f"{child.name} is to run under another spec now")
            patience = child.spec.hang_after_s if record.pid else child.spec.start_deadline_s
            await incarnation.greet(patience, self._node, self._ray_name)
        except (SupervisionError, AttributeError) as error:
            log.warning("%s can't be taken over, and is started anew: %s", record.ray_name, error)
            await incarnation.kill()
            return None
        await self._record(child, incarnation)
        child.epoch = record.epoch
        return incarnation

    async def sweep(self, strays: list[ChildRecord]) -> None:
        """End what an earlier incarnation left and nobody wants: spares, sockets, removed children."""
        spares, folders = self._registry.leftovers()
        for ray_name in [*spares, *(stray.ray_name for stray in strays)]:
            await asyncio.to_thread(destroy, ray_name, self._spec.namespace)
            await self._registry.forget(ray_name)
        for folder in folders:
            await asyncio.to_thread(shutil.rmtree, folder, True)

    async def _adopt(self, child: Child, spare: Spare) -> Incarnation:
        begun = time.monotonic_ns()
        incarnation = spare.incarnation
        try:
            child.epoch = incarnation.epoch = await self._registry.next_epoch()
            await self._record(child, incarnation)
            await self.pool.adopt(spare, await self._plan(child))
            taken = time.monotonic_ns() - begun
            await self._greet(child, incarnation)
        except BaseException:
            await incarnation.kill()
            raise
        self._notify(SpareUsed(child.name, incarnation.epoch, incarnation.ray_name, taken))
        return incarnation

    async def _create(self, child: Child) -> Incarnation:
        child.epoch = epoch = await self._registry.next_epoch()
        ray_name = f"{child.name}#{epoch}"
        record = ChildRecord(child.name, ray_name, epoch, digest_of(child.spec))
        await self._registry.note(record)
        argument = "spec" if is_supervisor(child.spec) else "assignment"
        plan: dict[str, Any] = {argument: await self._plan(child)}
        place = self._spec.namespace, self._node
        making = asyncio.ensure_future(asyncio.to_thread(create, child.spec, ray_name, *place, pinned=False, **plan))
        try:
            handle = await asyncio.shield(making)
        except asyncio.CancelledError:
            await Incarnation(await making, ray_name, epoch).kill()
            raise
        incarnation = Incarnation(handle, ray_name, epoch)
        try:
            await self._greet(child, incarnation)
        except BaseException:
            await incarnation.kill()
            raise
        return incarnation

    async def _greet(self, child: Child, incarnation: Incarnation) -> None:
        await incarnation.greet(child.spec.start_deadline_s, self._node)
        await self._record(child, incarnation)

    async def _record(self, child: Child, incarnation: Incarnation) -> None:
        await self._registry.note(
            ChildRecord(
                child.name,
                incarnation.ray_name,
                incarnation.epoch,
                digest_of(child.spec),
                incarnation.pid,
                incarnation.node,
            )
        )

    async def _plan(self, child: Child) -> bytes:
        """What its constructor is given: a supervisor its spec, a host its assignment."""
        spec = child.spec
        if is_supervisor(spec):
            return encode_spec(self._nested(spec))
        cells: list[CellAssignment] = []
        for cell in spec.cells:
            snapshots = await self._registry.snapshots(cell.name)
            cells.append(msgspec.structs.replace(cell, snapshots=snapshots))
        return msgspec.msgpack.encode(
            Assignment(
                host=spec.name,
                kind=spec.kind,
                epoch=child.epoch,
                supervisor=self._ray_name,
                namespace=self._spec.namespace,
                run_dir=self._spec.run_dir,
                cells=tuple(cells),
                settings=spec.settings,
                journal=spec.journal,
                journal_bytes=spec.journal_bytes,
                logs=self._spec.logs,
                tapes=self._spec.tapes,
            )
        )

    def _nested(self, spec: ChildSpec) -> SupervisorSpec:
        own, nested = self._spec, decode_supervisor(spec.settings)
        return msgspec.structs.replace(
            nested,
            parent=own.name,
            namespace=own.namespace,
            run_dir=nested.run_dir or own.run_dir,
            logs=own.logs,
            tapes=own.tapes,
        )


def is_supervisor(spec: ChildSpec) -> bool:
    """Whether the child is a supervisor itself; its class says so with ``supervises = True``."""
    return bool(getattr(load_class(spec.actor_class), "supervises", False))
