"""One incarnation of a simulated host: the live engine, endpoint and cells in a process that can die."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn, Protocol

from runtime.behavior import Behavior, Context
from runtime.errors import FencedError
from runtime.host.cell import Cell
from runtime.host.engine import Engine, Seat
from runtime.host.offsets import input_cursors
from runtime.host.receiver import Receiver
from runtime.journal.memory import Shelf
from runtime.lanes import Lane
from runtime.lifecycle import Subscribe
from runtime.links.endpoint import Endpoint
from runtime.links.frames import Item
from runtime.message import Message
from runtime.simulation.disk import SimulatedJournal, SnapshotStore
from runtime.simulation.faults import CrashPoint, FaultPlan
from runtime.simulation.loop import SimulatedLoop
from runtime.simulation.network import Network, SimulatedDirectory
from runtime.simulation.occurrences import Occurrences
from runtime.simulation.port import Port
from runtime.simulation.scheduler import Scheduler
from runtime.supervision.policy import RestartPolicy
from runtime.tape.tape import Tape

TICK_NS = 100
"""How far the clock has moved, at least, when it is read again."""


class Crashed(BaseException):
    """The simulated process ends here; only its loop catches this."""


class CellSpec(NamedTuple):
    """A cell of a host: see ``runtime.supervision.assignment.CellAssignment``."""

    name: str
    build: Callable[[], Behavior]
    subscription: Subscribe | None = None
    peers: tuple[str, ...] = ()


class HostSpec(NamedTuple):
    """A host. ``ports`` belong to its first cell; who has any may move money, and holds a lease."""

    name: str
    cells: tuple[CellSpec, ...]
    journal: bool = False
    ports: Mapping[str, Port] = {}


class Surroundings(Protocol):
    """What a process needs of the world it runs in."""

    seed: int
    log: str
    calls: bool
    plan: FaultPlan
    occurrences: Occurrences
    scheduler: Scheduler
    network: Network
    shelf: Shelf
    snapshots: SnapshotStore
    hosts_by_cell: dict[str, str]
    taping: Callable[[Process], Tape] | None

    def committed(self, records: int) -> None: ...

    def observe(self, process: Process, ctx: Context, message: Message) -> None: ...

    def ended(self, process: Process, reason: str) -> None: ...

    def watched(self, host: str) -> bool: ...

    def fail(self, invariant: str, reason: str, cause: BaseException | None = None) -> NoReturn: ...


class Watched:
    """A behavior under observation; everything is passed on as it is."""

    def __init__(self, inner: Behavior, process: Process) -> None:
        self.inner, self._process = inner, process

    def receive(self, message: Message, ctx: Context) -> None:
        self._process.world.observe(self._process, ctx, message)
        self.inner.receive(message, ctx)

    def snapshot(self) -> bytes:
        return self.inner.snapshot()

    def restore(self, data: bytes) -> None:
        self.inner.restore(data)

    def status(self) -> dict[str, object]:
        return self.inner.status()


class _Doorkeeper(Receiver):
    """Lets nothing of an older incarnation in after something of a newer one."""

    def __init__(self, engine: Engine, process: Process) -> None:
        super().__init__(engine)
        self._pass_on, self._process = self.arrived, process
        self._epochs: dict[str, int] = {}
        self.arrived = self._check

    def _check(self, host: str, epoch: int, lane: Lane, seq: int, item: Item) -> None:
        known = self._epochs.get(host, 0)
        if epoch < known:
            process = self._process
            text = f"{process.name}#{process.epoch} heard {host}#{epoch} after {host}#{known}"
            process.world.fail("epochs-never-go-back", text)
        self._epochs[host] = epoch
        self._pass_on(host, epoch, lane, seq, item)


class PortLine:
    """See ``runtime.simulation.port.Line``."""

    def __init__(self, process: Process, name: str, cell: str, port: Port) -> None:
        self._process, self._name, self.cell, self.port = process, name, cell, port
        self.epoch = process.epoch

    @property
    def alive(self) -> bool:
        return self._process.alive

    def answer(self, message: Message) -> None:
        process = self._process
        if process.alive:
            process.loop.call_soon(process.engine.deliver, self.cell, message, self._name)

    def submit(self, message: Message) -> None:
        """What the engine calls when the cell sends to the port."""
        self._process.crash_point("before_send")
        self.port.received(self, message)
        self._process.crash_point("after_send")


class Process:
    """Starts with ``start``; ends with ``die``, at a crash point or from outside."""

    def __init__(self, world: Surroundings, spec: HostSpec, epoch: int) -> None:
        self.world, self.spec = world, spec
        self.name, self.epoch = spec.name, epoch
        self.alive = True
        self.frozen = False
        self.lease_until: int | None = None
        self._rng = random.Random(f"{world.seed} {spec.name} {epoch}")
        self._busy_until = self._read_ns = 0
        self._skew_ns = self._rng.randint(-world.plan.skew_ns, world.plan.skew_ns)
        if self._skew_ns and not world.occurrences.strike("skew", spec.name):
            self._skew_ns = 0
        self._in_thread = False
        self.lines: list[PortLine] = []
        self.tape: Tape | None = None
        self.loop = SimulatedLoop(world.scheduler, self)
        self.engine: Engine
        self.endpoint: Endpoint

    def start(self) -> None:
        """Assemble as the live host does, and go."""
        self.loop.run_inside(self._assemble)
        if self.alive:
            self.loop.create_task(self._begin()).add_done_callback(self._begun)

    def _assemble(self) -> None:
        world, spec = self.world, self.spec
        journal = SimulatedJournal(world.shelf, self) if spec.journal else None
        self.engine = engine = Engine(log=world.log, journal=journal, linger_ns=world.plan.linger_ns, clock=self.clock)
        engine.on_fatal = self._fatal
        self.tape = world.taping(self) if world.taping is not None else None
        for cell in spec.cells:
            seat = Cell(
                cell.name,
                self.epoch,
                lambda build=cell.build: Watched(build(), self),  # type: ignore[misc]
                engine,
                snapshots=world.snapshots.load(cell.name),
                journals=spec.journal,
            )
            if self.tape is not None:
                seat.witness = self.tape.track(engine.now(), seat.cursor, seat.base)
            engine.seat(Seat(seat, cell.subscription, frozenset(cell.peers), RestartPolicy()))
        self.endpoint = engine.endpoint = Endpoint(
            spec.name,
            self.epoch,
            [cell.name for cell in spec.cells],
            _Doorkeeper(engine, self),
            SimulatedDirectory(world.network, self, world.hosts_by_cell, calls=world.calls),
            cursors=input_cursors(journal.offsets()) if journal is not None else None,
            sweep_s=world.plan.sweep_ns / 1e9,
            keepalive_s=world.plan.sweep_ns / 1e9,
        )
        for name, port in spec.ports.items():
            line = PortLine(self, name, spec.cells[0].name, port)
            self.lines.append(line)
            engine.ports[name] = line.submit

    async def _begin(self) -> None:
        for line in self.lines:
            line.port.opened(line)
        await self.endpoint.start()
        self.engine.start()
        self._save_later()

    def _begun(self, task: asyncio.Task[None]) -> None:
        error = task.exception()
        if error is not None:
            self.failed(error)

    # -- snapshots -----------------------------------------------------------------

    def _save_later(self) -> None:
        mean = self.world.plan.snapshot_every_ns
        self.loop.call_later(self._rng.expovariate(1.0) * mean / 1e9, self._save)

    def _save(self) -> None:
        """Send the snapshots of the changed cells to the store; some are lost, some damaged."""
        engine, plan, rng = self.engine, self.world.plan, self._rng
        strike = self.world.occurrences.strike
        journal = engine.journal
        if journal is not None and journal.pending:
            engine.flush()
        for seat in engine.seats.values():
            cell = seat.cell
            if cell.state != "running" or not cell.dirty:
                continue
            data = cell.snapshot(journal.head if journal is not None else None)
            lost = rng.random() < plan.snapshot_lost and strike("snapshot_lost", cell.name)
            if lost or not self.world.watched(self.name):
                cell.dirty = True
                continue
            if rng.random() < plan.snapshot_corrupt and strike("snapshot_corrupt", cell.name):
                data = data[: len(data) // 2]
            delay = rng.randint(*plan.delay_ns)
            self.world.scheduler.after(delay, self.world.snapshots.save, cell.name, self.epoch, data)
        self._save_later()

    # -- what the loop, the network and the disk ask ---------------------------------

    def clock(self) -> int:
        """The wall clock: it goes on while the process works, so no two readings are equal."""
        self._read_ns = max(self._read_ns + TICK_NS, self.world.scheduler.now + self._skew_ns)
        return self._read_ns

    def turn_ns(self) -> int:
        least, most = self.world.plan.step_ns
        own = least + int((most - least) * self._rng.random())
        blocked = self._busy_until - self.world.scheduler.now
        return own + blocked if blocked > 0 else own

    def due(self) -> int:
        return max(self._busy_until, self.world.scheduler.now)

    def stored(self, records: int) -> None:
        if not self._in_thread:
            self._busy_until = self.due() + self._rng.randint(*self.world.plan.commit_ns)
        self.world.scheduler.at(self.due(), self.world.committed, records)

    async def blocking(self, call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        delay = self._rng.randint(*self.world.plan.commit_ns)
        done = self.loop.create_future()
        self.loop.call_later(delay / 1e9, done.set_result, None)
        await done
        self._in_thread = True
        try:
            return call(*arguments)
        finally:
            self._in_thread = False

    async def connect(self, factory: Callable[[], Any], path: str) -> tuple[Any, Any]:
        return await self.world.network.connect(self, factory, path)

    def listen(self, factory: Callable[[], Any], path: str) -> Any:
        return self.world.network.listen(path, self, factory)

    def answer(self, data: bytes) -> bytes:
        return self.endpoint.deliver(data)

    # -- death ---------------------------------------------------------------------

    def crash_point(self, point: CrashPoint) -> None:
        """A place where the process may end; a dead one ends again at the next it comes to."""
        if not self.alive:
            raise Crashed
        chance = self.world.plan.crashes.get(point, 0.0)
        if chance and self._rng.random() < chance and self.world.occurrences.strike(point, self.name):
            self.die(point)
            raise Crashed

    def die(self, reason: str) -> None:
        """End at once. Nothing of this process happens after it."""
        if not self.alive:
            return
        self.alive = False
        self.loop.stop()
        for line in self.lines:
            line.port.closed(line)
        self.end_tape(reason)
        self.world.ended(self, reason)

    def release(self) -> None:
        """Let go of what it held: who still knows a dead process, such as a timer of a venue, does not keep it all."""
        del self.engine, self.endpoint

    def end_tape(self, reason: str) -> None:
        """Close the tape, where there is one."""
        tape, self.tape = self.tape, None
        if tape is not None:
            tape.close(reason)

    def freeze(self, frozen: bool) -> None:
        """Stop or go on, as by SIGSTOP and SIGCONT."""
        self.frozen = frozen
        self.loop.pause(frozen)

    def _fatal(self, error: Exception) -> None:
        if isinstance(error, FencedError):
            self.die(f"fenced: {error}")
        else:
            self.failed(error)

    def failed(self, error: BaseException) -> None:
        """A callback raised: a fenced process ends, anything else is a defect."""
        if isinstance(error, Crashed) or not self.alive:
            return
        if isinstance(error, FencedError):
            self.die(f"fenced: {error}")
            return
        self.world.fail(f"nothing-raises {type(error).__name__}", f"{self.name}#{self.epoch} raised {error!r}", error)
