"""The actor that keeps its children alive, and keeps what they need to come back."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Coroutine
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import ray

from runtime.errors import FencedError, SupervisionError
from runtime.supervision.calls import answer
from runtime.supervision.child import Child, ChildState
from runtime.supervision.events import Escalated, Exited, GaveUp, Stopped, SupervisionEvent
from runtime.supervision.incarnation import Exit, Incarnation, destroy
from runtime.supervision.policy import NANOSECONDS, Again, Escalate, GiveUp
from runtime.supervision.registry import ChildRecord, Registry
from runtime.supervision.spares import await_assignment
from runtime.supervision.spec import ChildSpec, Strategy, decode_child, decode_supervisor
from runtime.supervision.starter import Starter, is_supervisor
from runtime.telemetry import logs

log = logging.getLogger(__name__)

_STATUS_S = 1.0
_ESCALATION_STOP_S = 10.0


class Supervisor:
    """Starts, watches, restarts and stops its children; stores their snapshots.

    It is a Ray actor itself: ``Supervisor(spec)`` of an encoded ``SupervisorSpec``. One with a
    parent works from the first ``run()``, which its parent awaits; the root from its creation.
    After a crash of its own it takes over the children that live, and restarts the others.
    """

    supervises: ClassVar[bool] = True

    def __init__(self, spec: bytes = b"", spare: str = "") -> None:
        given = decode_supervisor(spec or await_assignment(spare))
        folder = Path(given.run_dir)
        logs.configure(str(folder / "logs"), given.name, given.logs)
        file = given.name.replace("/", "-").replace(":", "-")
        self._registry = Registry(folder / "supervisors" / file, given)
        self.spec = self._registry.spec
        self._children = {child.name: self._child(child) for child in self.spec.children}
        context = ray.get_runtime_context()
        self._ray_name = context.get_actor_name() or given.name
        self._node = context.get_node_id()
        self._starter: Starter | None = None
        self._ended: asyncio.Future[str] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._changing = asyncio.Lock()
        self._stopping = False
        if not given.parent:
            # Ray restarts the root without anybody there to call it, so it calls itself. Without
            # retries the call of a restarted actor fails, which is not "alive" before this returns.
            context.current_actor.run.options(max_task_retries=-1).remote()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.spec.name})"

    # -- for subclasses ------------------------------------------------------------

    def notify(self, event: SupervisionEvent) -> None:
        """Called with everything that happens to the children; logs it as JSON."""
        level = logging.ERROR if isinstance(event, GaveUp | Escalated) else logging.INFO
        log.log(level, type(event).__name__, extra={"event": msgspec.to_builtins(event), "supervisor": self.spec.name})

    # -- called by the parent ------------------------------------------------------

    async def run(self) -> str:
        """Work until stopped; returns the reason.

        Raises:
            SupervisionError: a critical child can't be kept alive, or the supervisor lost its
                sight of a child: the parent must restart it.
        """
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
            self._starter = Starter(self.spec, self._registry, self._ray_name, self._node, self._report)
            self._spawn(self._begin(), "start the children")
        return await asyncio.shield(self._ended)

    async def ping(self) -> bytes:
        return msgspec.msgpack.encode({"pid": os.getpid(), "name": self.spec.name})

    async def adopted(self, supervisor: str) -> None:
        """The parent's new incarnation has taken over; nothing goes upwards, so nothing changes."""
        log.info("the parent is %s now", supervisor)

    async def stop(self, reason: str, deadline_s: float) -> None:
        """Stop the children in reverse order (those of one kind together), then end ``run``."""
        if self._stopping:
            if self._ended is not None:
                await asyncio.wait({self._ended}, timeout=deadline_s)
            return
        self._stopping = True
        limit = time.monotonic() + deadline_s
        own = asyncio.current_task()
        for task in [task for task in self._tasks if task is not own]:
            task.cancel()
        await asyncio.gather(*(task for task in self._tasks if task is not own), return_exceptions=True)
        if self._starter is not None:
            await self._starter.pool.close()
        for _, group in groupby(reversed(self._children.values()), key=lambda child: child.spec.kind):
            rest = max(0.1, limit - time.monotonic())
            await asyncio.gather(
                *(self._bring_down(child, reason, min(rest, child.spec.stop_deadline_s)) for child in group)
            )
        for record in self._registry.living().values():
            # What was interrupted between its creation and its first answer.
            await asyncio.to_thread(destroy, record.ray_name, self.spec.namespace)
            await self._registry.forget(record.ray_name)
        await self._registry.close()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(reason)

    # -- called by the children ----------------------------------------------------

    async def save(self, host: str, cell: str, epoch: int, state: bytes) -> None:
        """Store the snapshot of ``cell``.

        Raises:
            FencedError: ``host`` has a newer incarnation, or is no child (any more).
        """
        child = self._children.get(host)
        if child is None:
            raise FencedError(f"expected a child of {self.spec.name}, found {host!r}; stop it")
        if epoch < child.epoch:
            raise FencedError(f"expected epoch {child.epoch} of {host}, found {epoch}: it has a successor, stop it")
        await self._registry.save(cell, epoch, state)

    # -- called by operators -------------------------------------------------------

    async def add(self, child: bytes) -> None:
        """Start one more child, an encoded ``ChildSpec``; it is remembered across restarts.

        Raises:
            SupervisionError: another child has its name.
        """
        spec = decode_child(child)
        async with self._changing:
            starter = self._working()
            known = self._children.get(spec.name)
            if known is not None:
                if known.spec == spec:
                    return
                raise SupervisionError(
                    f"expected a name that {self.spec.name} has no child of, found {spec.name!r}; remove that one first"
                )
            await self._respec((*self.spec.children, spec))
            self._children[spec.name] = self._child(spec)
            self._resume(self._children[spec.name])
            starter.pool.want(self._wanted())

    async def remove(self, name: str) -> None:
        """Stop a child and forget it (not its snapshots).

        Raises:
            SupervisionError: there is none of that name.
        """
        async with self._changing:
            starter, child = self._working(), self._named(name)
            await self._respec(tuple(spec for spec in self.spec.children if spec.name != name))
            child.wanted = False
            await self._bring_down(child, "removed", child.spec.stop_deadline_s)
            del self._children[name]
            starter.pool.want(self._wanted())
            self._chain()

    async def restart(self, name: str, reason: str) -> None:
        """Stop a child and start it again, also one that was given up; its restarts are forgiven.

        Raises:
            SupervisionError: there is none of that name.
        """
        async with self._changing:
            self._working()
            child = self._named(name)
            for later in reversed(self._after(child)):
                await self._bring_down(later, f"{name} is restarted: {reason}", later.spec.stop_deadline_s)
            await self._bring_down(child, reason, child.spec.stop_deadline_s)
            child.policy.forgive()
            child.wanted, child.state = True, ChildState.RESTARTING
            child.down(reason, time.monotonic_ns())
            self._resume(child)

    async def locate(self, name: str) -> str:
        """The Ray name of the actor that is, or hosts, ``name``, here or below; empty if there is none."""
        below: list[Incarnation] = []
        for child in self._children.values():
            incarnation = child.incarnation
            if incarnation is None:
                continue
            if name == child.name or any(cell.name == name for cell in child.spec.cells):
                return incarnation.ray_name
            if is_supervisor(child.spec):
                below.append(incarnation)
        asked = [answer(incarnation.handle.locate.remote(name), _STATUS_S) for incarnation in below]
        found = await asyncio.gather(*asked, return_exceptions=True)
        return next((entry for entry in found if isinstance(entry, str) and entry), "")

    async def status(self) -> dict[str, object]:
        """The tree from here down, JSON-ready."""
        children = await asyncio.gather(*(self._row(child) for child in self._children.values()))
        return {
            "name": self.spec.name,
            "kind": self.spec.kind,
            "pid": os.getpid(),
            "node": self._node,
            "state": "stopping" if self._stopping else "running",
            "strategy": self.spec.strategy.value,
            "spares": self._starter.pool.counts() if self._starter is not None else {},
            "children": children,
        }

    async def _row(self, child: Child) -> dict[str, object]:
        # A supervisor waits for its own children as long, and one of them may hang.
        patient = child.incarnation is not None and is_supervisor(child.spec)
        return await child.status(_STATUS_S * 3 if patient else _STATUS_S)

    # -- keeping a child alive -----------------------------------------------------

    async def _begin(self) -> None:
        """Take over what lives, end what nobody wants, start the rest."""
        starter = self._working()
        async with self._changing:
            records = self._registry.living()
            await starter.sweep([record for name, record in records.items() if name not in self._children])
            await self._registry.change(self.spec)
            known = [(child, records[name]) for name, child in self._children.items() if name in records]
            await asyncio.gather(*(self._readopt(child, record) for child, record in known))
            children = list(self._children.values())
            dead = next((child for child in children if child.incarnation is None), None)
            for later in reversed(self._after(dead) if dead is not None else []):
                await self._bring_down(later, "a sibling before it is started again", later.spec.stop_deadline_s)
            for child in children:
                if child.incarnation is not None or self.spec.strategy is Strategy.ONE_FOR_ONE:
                    self._tend(child, child.incarnation)
            self._chain()
        self._spawn(self._keep_spares(), "keep the spares")

    async def _readopt(self, child: Child, record: ChildRecord) -> None:
        child.incarnation = await self._working().readopt(child, record)
        if child.incarnation is None:
            child.down("it died with its supervisor", time.monotonic_ns())

    async def _keep_spares(self) -> None:
        pool = self._working().pool
        pool.want(self._wanted())
        while any(child.state is ChildState.STARTING for child in self._children.values()):
            await asyncio.sleep(0.1)
        await pool.keep()

    def _tend(self, child: Child, living: Incarnation | None = None) -> None:
        if not self._stopping and child.tender is None:
            child.tender = self._spawn(self._keep(child, living), f"tend {child.name}")

    def _resume(self, child: Child) -> None:
        """Start a child that was added or put to rest, when it is its turn."""
        if self.spec.strategy is Strategy.ONE_FOR_ONE:
            self._tend(child)
        else:
            self._chain()

    async def _keep(self, child: Child, living: Incarnation | None) -> None:
        """Start and watch one child until it is not to be started again."""
        while True:
            end, proven = await self._live(child, living)
            living = None
            silent_ns = round(end.silent_s * NANOSECONDS)
            child.down(end.reason, end.at_ns, setup=end.setup, hung=silent_ns > 0)
            decision = child.policy.decide(end.at_ns, normal=end.normal, reason=end.reason, silent_ns=silent_ns)
            if not isinstance(decision, Again):
                break
            lease_ns = 0 if proven else round(child.spec.lease_s * NANOSECONDS)
            at_ns = max(decision.at_ns, end.at_ns + lease_ns)
            self._report(Exited(child.name, child.epoch, end.reason, at_ns - end.at_ns))
            child.state = ChildState.RESTARTING
            for later in reversed(self._after(child)):
                await self._bring_down(later, f"{child.name} ended", later.spec.stop_deadline_s)
            await asyncio.sleep(max(0, at_ns - time.monotonic_ns()) / NANOSECONDS)
        self._report(Exited(child.name, child.epoch, end.reason, -1))
        child.wanted, child.tender = False, None
        child.state = ChildState.FAILED if isinstance(decision, GiveUp | Escalate) else ChildState.STOPPED
        if isinstance(decision, Escalate):
            self._escalate(child, decision.reason)
        elif isinstance(decision, GiveUp):
            self._report(GaveUp(child.name, decision.reason, child.policy.total))
        else:
            self._report(Stopped(child.name, end.reason))
        self._chain()

    async def _live(self, child: Child, living: Incarnation | None) -> tuple[Exit, bool]:
        """One incarnation, from start to end; the flag says whether its end is proven."""
        adopted = living is not None
        try:
            incarnation = living or await self._working().start(child)
        except SupervisionError as error:
            return Exit(str(error), False, time.monotonic_ns()), True
        self._report(child.up(incarnation, adopted=adopted))
        self._chain()
        end = await incarnation.watch(child.spec)
        proven = await incarnation.kill()
        child.incarnation = None
        await self._registry.forget(incarnation.ray_name)
        return end, proven

    async def _bring_down(self, child: Child, reason: str, deadline_s: float) -> None:
        """Stop tending a child, and stop it."""
        child.held += 1
        try:
            tender, child.tender = child.tender, None
            if tender is not None:
                tender.cancel()
                await asyncio.gather(tender, return_exceptions=True)
            incarnation = child.incarnation
            if incarnation is not None:
                await incarnation.stop(reason, deadline_s)
                await self._registry.forget(incarnation.ray_name)
                self._report(Stopped(child.name, reason))
            if child.incarnation is incarnation:
                child.rested()
            if child.state is not ChildState.FAILED:
                child.state = ChildState.STOPPED
        finally:
            child.held -= 1

    def _chain(self) -> None:
        """Where order matters: tend the next child whose predecessors are all up."""
        if self.spec.strategy is Strategy.ONE_FOR_ONE:
            return
        for child in self._children.values():
            if not child.wanted:
                continue
            if child.tender is None and not child.held:
                child.state = ChildState.STARTING
                self._tend(child, child.incarnation)
            if child.state is not ChildState.RUNNING:
                break

    def _escalate(self, child: Child, reason: str) -> None:
        self._report(Escalated(child.name, reason, self.spec.parent))
        if self.spec.parent:
            self._spawn(self._end_for(f"{child.name} can't be kept alive: {reason}"), "escalate")

    async def _end_for(self, reason: str) -> None:
        """Stop everything, then let the parent see a crash."""
        ended, self._ended = self._ended, None
        await self.stop(reason, _ESCALATION_STOP_S)
        self._ended = ended
        if ended is not None and not ended.done():
            ended.set_exception(SupervisionError(f"{self.spec.name}: {reason}"))

    # -- inside --------------------------------------------------------------------

    def _child(self, spec: ChildSpec) -> Child:
        return Child(spec, self.spec.intensity, self.spec.seed)

    def _named(self, name: str) -> Child:
        child = self._children.get(name)
        if child is None:
            known = ", ".join(self._children)
            raise SupervisionError(f"expected a child of {self.spec.name}, found {name!r}; it has {known}")
        return child

    def _working(self) -> Starter:
        if self._starter is None or self._stopping:
            raise SupervisionError(f"{self.spec.name} is {'stopping' if self._stopping else 'not running yet'}")
        return self._starter

    def _wanted(self) -> list[ChildSpec]:
        return [child.spec for child in self._children.values()]

    def _after(self, child: Child) -> list[Child]:
        """The siblings that are restarted with ``child``."""
        if self.spec.strategy is Strategy.ONE_FOR_ONE:
            return []
        siblings = list(self._children.values())
        return siblings[siblings.index(child) + 1 :]

    async def _respec(self, children: tuple[ChildSpec, ...]) -> None:
        self.spec = msgspec.structs.replace(self.spec, children=children)
        await self._registry.change(self.spec)

    def _report(self, event: SupervisionEvent) -> None:
        try:
            self.notify(event)
        except Exception:
            log.exception("the notification of %r failed", event)

    def _spawn(self, work: Coroutine[Any, Any, None], purpose: str) -> asyncio.Task[None]:
        """A task whose failure ends the supervisor: it would go on blind."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._finished(done, purpose))
        return task

    def _finished(self, task: asyncio.Task[None], purpose: str) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None or self._stopping:
            if error is not None:
                log.error("%s failed to %s while stopping", self.spec.name, purpose, exc_info=error)
            return
        log.critical("%s failed to %s and ends, to be restarted", self.spec.name, purpose, exc_info=error)
        if not self.spec.parent:
            os._exit(1)
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(SupervisionError(f"{self.spec.name} failed to {purpose}: {error!r}"))
