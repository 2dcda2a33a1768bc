"""Small children for the supervisor's tests, in a module that Ray's workers can import."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import msgspec
import ray

from runtime.supervision.assignment import Assignment
from runtime.supervision.spares import await_assignment


class Counter:
    """Counts, and saves each count: what a host does, without cells and links."""

    def __init__(self, assignment: bytes = b"", spare: str = "") -> None:
        self.assignment = msgspec.msgpack.decode(assignment or await_assignment(spare), type=Assignment)
        self.from_spare = bool(spare)
        self.supervisor = self.assignment.supervisor
        self.cell = self.assignment.cells[0]
        self.value = int(self.cell.snapshots[0]) if self.cell.snapshots else 0
        self._ended: asyncio.Future[str] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.assignment.host})"

    async def run(self) -> str:
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._ended)

    async def ping(self) -> bytes:
        return b"alive"

    async def adopted(self, supervisor: str) -> None:
        self.supervisor = supervisor

    async def stop(self, reason: str, deadline_s: float) -> None:
        assert self._ended is not None
        self._ended.set_result(reason)

    async def status(self) -> dict[str, object]:
        return {"value": self.value, "epoch": self.assignment.epoch, "from_spare": self.from_spare}

    async def bump(self) -> int:
        """Count one up, and return only when that is saved."""
        self.value += 1
        await self._save(self.assignment.epoch, str(self.value).encode())
        return self.value

    async def save_as(self, epoch: int, state: bytes) -> None:
        await self._save(epoch, state)

    async def block(self, seconds: float) -> None:
        """Hold up the event loop, as a library's blocking call would."""
        time.sleep(seconds)

    async def _save(self, epoch: int, state: bytes) -> None:
        supervisor: Any = ray.get_actor(self.supervisor, namespace=self.assignment.namespace)
        await supervisor.save.remote(self.assignment.host, self.cell.name, epoch, state)


class Failing(Counter):
    """Raises as soon as it runs."""

    async def run(self) -> str:
        await asyncio.sleep(0.01)
        raise ValueError("a tick without a price")


class Unstartable(Counter):
    """Its constructor raises."""

    def __init__(self, assignment: bytes = b"", spare: str = "") -> None:
        super().__init__(assignment, spare)
        raise OSError(f"no such device (process {os.getpid()})")
