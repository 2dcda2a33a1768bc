"""The Ray actor that hosts cells: a thin shell around the engine.

A host is given its assignment when it is created, or, as a warm spare, when it is needed:
until then it waits inside its constructor, so that Ray shows it under the name it ends up
with. Starting is always a restart, with an empty snapshot where there is none.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import hashlib
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import ray

from runtime.behavior import Behavior
from runtime.errors import BigwheelError
from runtime.host.cell import Cell
from runtime.host.engine import Engine, Seat
from runtime.host.offsets import input_cursors
from runtime.host.receiver import Receiver
from runtime.host.whereabouts import Whereabouts
from runtime.journal.base import Journal
from runtime.journal.environment import MAP_SIZE
from runtime.journal.store import LmdbJournal
from runtime.lifecycle import Subscribe
from runtime.links.directory import open_directory
from runtime.links.endpoint import Endpoint
from runtime.supervision.assignment import Assignment, CellAssignment
from runtime.supervision.policy import Intensity, RestartPolicy
from runtime.supervision.spares import await_assignment
from runtime.tape.format import Head, folder_of
from runtime.tape.tape import Tape
from runtime.tape.writer import TapeWriter
from runtime.telemetry import logs

log = logging.getLogger(__name__)


COLLECT_AFTER = 20_000
"""New objects between two collections: a full one stops the loop for milliseconds."""

UNSAVED_MOST_S = 5.0
"""The longest wait before a snapshot is tried again while none can be saved."""

TAPE_EVERY_S = 1.0
"""How often what was gathered for the tape is handed over: what a kill may cost it."""

CELL_INTENSITY = Intensity(restarts=20, window_s=10.0)
"""How often a cell may be restored in place before it is given up."""

SOCKET_ROOM = 60
"""A Unix socket's path has 107 bytes; this many are left for the folder."""


def links_folder(run_dir: str) -> str:
    """Where the sockets of a run are: in its folder, or, where that path is too long, in a short one."""
    folder = Path(run_dir) / "links"
    if len(str(folder)) <= SOCKET_ROOM:
        return str(folder)
    digest = hashlib.blake2b(str(folder).encode(), digest_size=8).hexdigest()
    return str(Path(tempfile.gettempdir()) / f"bigwheel-{digest}")


class Host:
    """Base of every child actor. A subclass says how to build its cells and opens its ports."""

    log_name = "bus"
    """The cell whose host owns the journal."""

    root_name = "root"
    """Ray name of the root supervisor, which knows where every cell is."""

    linger_ns = 2_000_000
    """How long a record that isn't urgent may wait for company before it is flushed."""

    def __init__(self, assignment: bytes = b"", spare: str = "") -> None:
        data = assignment or await_assignment(spare)
        self.begun = time.monotonic()
        self.assignment = msgspec.msgpack.decode(data, type=Assignment)
        self.name = self.assignment.host
        self.engine: Engine | None = None
        self.endpoint: Endpoint | None = None
        self.journal: Journal | None = None
        self.tape: Tape | None = None
        self._supervisor_name = self.assignment.supervisor
        self._supervisor: Any = None
        self._ended: asyncio.Future[str] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._begun = self._stopping = False
        self._unsaved = 0
        logs.configure(str(Path(self.assignment.run_dir) / "logs"), self.name, self.assignment.logs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    # -- for subclasses ------------------------------------------------------------

    def build(self, cell: CellAssignment) -> Behavior:
        """A fresh behavior for ``cell``."""
        raise TypeError(f"{type(self).__name__} must say how to build {cell.name}")

    async def opened(self, engine: Engine) -> None:
        """Open what the cells need besides links (ports, servers), before they start."""

    async def closing(self) -> None:
        """Close what ``opened`` opened, after the cells have wound down."""

    def idle(self) -> bool:
        """While winding down: is there nothing more to wait for?"""
        return True

    def details(self) -> dict[str, object]:
        """More facts for ``status``."""
        return {}

    # -- the supervisor's methods --------------------------------------------------

    async def run(self) -> str:
        """Work until stopped; awaiting this is how the supervisor learns of a death.

        A supervisor that takes over a living host calls it again.
        """
        if self._ended is not None:
            return await asyncio.shield(self._ended)
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        engine = self._assemble()
        try:
            await self.opened(engine)
            if self.endpoint is not None:
                await self.endpoint.start()
            engine.start()
            # What was made until now stays: the collector need not look through it again and again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(COLLECT_AFTER, 20, 50)
            self._begun = True
        except BaseException:
            log.exception("%s could not start", self.name)
            raise
        self._tasks.append(loop.create_task(self._keep_snapshots()))
        self._tasks.append(loop.create_task(self._whereabouts.keep()))
        if self.tape is not None:
            self._tasks.append(loop.create_task(self._keep_tape(self.tape)))
        log.info("started", extra={"epoch": self.assignment.epoch, "ms": (time.monotonic() - self.begun) * 1e3})
        return await asyncio.shield(self._ended)

    async def ping(self) -> bytes:
        """Answered by the loop that handles messages: no answer means that it hangs."""
        return msgspec.msgpack.encode({"pid": os.getpid(), "epoch": self.assignment.epoch})

    async def where(self) -> tuple[str, str]:
        """This host's logical name and its node's id."""
        return self.name, ray.get_runtime_context().get_node_id()

    async def adopted(self, supervisor: str) -> None:
        """A new incarnation of the supervisor, under this Ray name, has taken over."""
        self._supervisor_name, self._supervisor = supervisor, None

    async def stop(self, reason: str, deadline_s: float) -> None:
        """Wind the cells down, take their last snapshots, close everything and end ``run``."""
        engine, ended = self.engine, self._ended
        if engine is None or ended is None or self._stopping:
            return
        self._stopping = True
        limit = time.monotonic() + deadline_s
        for seat in engine.seats.values():
            seat.cell.wind_down(reason)
            engine.wake(seat.cell)
        await asyncio.sleep(0.02)
        while not self.idle() and time.monotonic() < limit - 0.3:
            await asyncio.sleep(0.02)
        engine.flush()
        await self.closing()
        await self._save_all(force=True)
        engine.close()
        for task in self._tasks:
            task.cancel()
        if self.endpoint is not None:
            await self.endpoint.close(max(0.0, min(0.5, limit - time.monotonic())))
        if self.journal is not None:
            self.journal.close()
        await asyncio.to_thread(self._end_tape, reason)
        if not ended.done():
            ended.set_result(reason)

    async def link(self, frame: bytes) -> bytes:
        """Where the links of other nodes arrive."""
        if self.endpoint is None:
            raise BigwheelError(f"{self.name} is still starting; try again")
        return self.endpoint.deliver(frame)

    async def status(self) -> dict[str, object]:
        """JSON-ready facts: process, cells, counters, links, journal."""
        engine = self.engine
        if engine is None:
            return {"name": self.name, "kind": self.assignment.kind, "pid": os.getpid(), "state": "starting"}
        journal = self.journal
        return {
            "name": self.name,
            "kind": self.assignment.kind,
            "pid": os.getpid(),
            "node": ray.get_runtime_context().get_node_id(),
            "state": "stopping" if self._stopping else "running" if self._begun else "starting",
            "epoch": self.assignment.epoch,
            "cells": [_facts(seat.cell) for seat in engine.seats.values()],
            "mailbox": sum(seat.cell.mailbox.depth for seat in engine.seats.values()),
            "telemetry": engine.telemetry.dump(),
            "links": self.endpoint.stats() if self.endpoint is not None else {},
            "journal": {"records": journal.head} if journal is not None else {},
            "tape": self.tape.stats() if self.tape is not None else {},
            **self.details(),
        }

    # -- inside --------------------------------------------------------------------

    def _assemble(self) -> Engine:
        plan = self.assignment
        node = ray.get_runtime_context().get_node_id()
        self._whereabouts = Whereabouts(plan.namespace, self.root_name, node)
        if plan.journal:
            self.journal = LmdbJournal(plan.journal, epoch=plan.epoch, map_size=plan.journal_bytes or MAP_SIZE)
        engine = Engine(log=self.log_name, journal=self.journal, linger_ns=self.linger_ns)
        engine.on_fatal = self._fatal
        self.engine = engine
        if plan.tapes.enabled and plan.cells:
            self.tape = self._begin_tape(engine)
        for cell in plan.cells:
            engine.seat(self._seat(engine, cell))
        self.endpoint = Endpoint(
            self.name,
            plan.epoch,
            [cell.name for cell in plan.cells],
            Receiver(engine),
            open_directory("auto", links_folder(plan.run_dir), self._whereabouts.resolve),
            cursors=input_cursors(self.journal.offsets()) if self.journal is not None else None,
        )
        engine.endpoint = self.endpoint
        return engine

    def _seat(self, engine: Engine, plan: CellAssignment) -> Seat:
        cell = Cell(
            plan.name,
            self.assignment.epoch,
            functools.partial(self.build, plan),
            engine,
            snapshots=plan.snapshots,
            journals=self.journal is not None,
        )
        if self.tape is not None:
            cell.witness = self.tape.track(engine.now(), cell.cursor, cell.base)
        wanted = Subscribe(0, plan.kinds, plan.index, plan.value) if plan.subscribe else None
        return Seat(cell, wanted, frozenset(plan.peers), RestartPolicy(CELL_INTENSITY))

    def _begin_tape(self, engine: Engine) -> Tape:
        """What the cells are given and do from here on, for a replay."""
        plan = self.assignment
        bare = tuple(msgspec.structs.replace(cell, snapshots=()) for cell in plan.cells)
        head = Head(
            host=plan.host,
            epoch=plan.epoch,
            segment=0,
            actor_class=f"{type(self).__module__}:{type(self).__name__}",
            effects=plan.tapes.effects,
            assignment=msgspec.msgpack.encode(msgspec.structs.replace(plan, cells=bare)),
        )
        return Tape(TapeWriter(folder_of(Path(plan.run_dir), plan.host), plan.tapes, head), plan.tapes, engine.count)

    def _end_tape(self, reason: str) -> None:
        if self.tape is None:
            return
        try:
            self.tape.close(reason)
        except BigwheelError as error:
            log.error("the tape of %s is not whole: %s", self.name, error)

    async def _keep_tape(self, tape: Tape) -> None:
        while True:
            await asyncio.sleep(TAPE_EVERY_S)
            tape.flush()

    def _fatal(self, error: Exception) -> None:
        """The engine can't go on (fenced, disk failed): end, so that the supervisor acts."""
        log.critical("%s can't go on", self.name, exc_info=error)
        if self.tape is not None:
            self.tape.flush()
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)

    async def _keep_snapshots(self) -> None:
        interval = min((cell.snapshot_interval_s for cell in self.assignment.cells), default=1.0)
        while True:
            await asyncio.sleep(min(interval * 2 ** min(self._unsaved, 10), max(interval, UNSAVED_MOST_S)))
            await self._save_all()

    async def _save_all(self, *, force: bool = False) -> None:
        """Send the snapshot of every changed cell to the supervisor, which stores it."""
        engine = self.engine
        if engine is None:
            return
        if self.journal is not None and self.journal.pending:
            engine.flush()
        for number, seat in enumerate(engine.seats.values()):
            cell = seat.cell
            if cell.state != "running" or not (cell.dirty or force):
                continue
            known = cell.uncaptured
            try:
                data = cell.snapshot(self.journal.head if self.journal is not None else None)
                await self._save(cell.name, data)
                self._unsaved = 0
            except Exception as error:
                cell.dirty = True
                engine.count("snapshots_failed")
                self._unsaved += 1
                told = bool(known) and cell.uncaptured == known
                if not told and self._unsaved & (self._unsaved - 1) == 0:
                    # The first time, the second, the fourth: an absent supervisor is not worth a line a second.
                    log.error(
                        "the snapshot of %s was not saved (failure %d in a row): %s", cell.name, self._unsaved, error
                    )
            if number % 50 == 49:
                await asyncio.sleep(0)

    async def _save(self, cell: str, data: bytes) -> None:
        try:
            if self._supervisor is None:
                self._supervisor = ray.get_actor(self._supervisor_name, namespace=self.assignment.namespace)
            await self._supervisor.save.remote(self.name, cell, self.assignment.epoch, data)
        except Exception:
            self._supervisor = None
            raise


def _facts(cell: Cell) -> dict[str, object]:
    return {
        "name": cell.name,
        "state": cell.state,
        "restarts": cell.restarts,
        "mailbox": cell.mailbox.depth,
        "cursor": cell.cursor,
        "caught_up": cell.caught_up,
        "error": cell.last_error or cell.uncaptured,
        "detail": cell.behavior.status(),
    }
