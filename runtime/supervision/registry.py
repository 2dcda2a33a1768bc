"""What a supervisor must still know after its own crash, next to its children's snapshots."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from runtime.errors import SnapshotError, SupervisionError
from runtime.snapshots import SnapshotStore
from runtime.supervision.spec import ChildSpec, SupervisorSpec

T = TypeVar("T")
_KEY = "supervision"


class ChildRecord(msgspec.Struct, frozen=True):
    """An incarnation that may be alive. Written before it is created; ``pid`` follows."""

    name: str
    ray_name: str
    epoch: int
    digest: str
    pid: int = 0
    node: str = ""


class _Table(msgspec.Struct):
    """Everything under the one key; map-encoded, fields are only ever added."""

    version: int = 1
    given: SupervisorSpec | None = None
    current: SupervisorSpec | None = None
    children: dict[str, ChildRecord] = {}
    spares: list[str] = []
    folders: list[str] = []


def digest_of(spec: ChildSpec) -> str:
    """A fingerprint: a living child is only re-adopted under the spec it was started with."""
    return hashlib.blake2b(msgspec.msgpack.encode(spec, order="sorted"), digest_size=12).hexdigest()


class Registry:
    """The supervisor's store: specs, incarnations, spares, and its children's snapshots.

    Opening reads; everything that writes runs on one thread of its own, as LMDB wants it,
    and so never holds up the event loop while the disk flushes.
    """

    def __init__(self, path: Path, spec: SupervisorSpec) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._store = SnapshotStore(str(path))
        self._counter = spec.name
        data = self._store.get(_KEY)
        try:
            self._table = msgspec.msgpack.decode(data, type=_Table) if data else _Table()
        except msgspec.DecodeError as error:
            raise SupervisionError(
                f"expected this supervisor's own table in {path}, found {len(data or b'')} bytes: {error}; "
                "was it written by a newer version?"
            ) from error
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="registry")
        if self._table.given != spec or self._table.current is None:
            self._table.given = self._table.current = spec

    @property
    def spec(self) -> SupervisorSpec:
        """The spec with what was added and removed since it was given."""
        assert self._table.current is not None
        return self._table.current

    def living(self) -> dict[str, ChildRecord]:
        """The incarnations that may be alive, by child."""
        return dict(self._table.children)

    def leftovers(self) -> tuple[list[str], list[str]]:
        """Ray names of spares and folders of sockets of an earlier incarnation of the supervisor."""
        return list(self._table.spares), list(self._table.folders)

    async def change(self, spec: SupervisorSpec) -> None:
        """Remember the children as they are wanted now."""
        self._table.current = spec
        await self._write()

    async def next_epoch(self) -> int:
        """A number above all before it, committed. One counter serves all children, so that
        a cell that moves to another host still gets a higher epoch than it had."""
        return await self._run(lambda: self._store.next_epoch(self._counter))

    async def note(self, record: ChildRecord) -> None:
        """Remember an incarnation, in place of the child's earlier one."""
        self._table.children[record.name] = record
        if record.ray_name in self._table.spares:
            self._table.spares.remove(record.ray_name)
        await self._write()

    async def note_spare(self, ray_name: str) -> None:
        self._table.spares.append(ray_name)
        await self._write()

    async def note_folder(self, folder: str) -> None:
        """Remember the folder of the sockets; the ones before it are gone."""
        self._table.folders = [folder]
        await self._write()

    async def forget(self, ray_name: str) -> None:
        """An incarnation or a spare is gone."""
        self._table.children = {k: r for k, r in self._table.children.items() if r.ray_name != ray_name}
        self._table.spares = [name for name in self._table.spares if name != ray_name]
        await self._write()

    async def save(self, cell: str, epoch: int, state: bytes) -> None:
        """Store a snapshot.

        Raises:
            FencedError: a newer incarnation has saved already.
        """
        await self._run(lambda: self._store.save(cell, epoch, state))

    async def snapshots(self, cell: str) -> tuple[bytes, ...]:
        """The stored states of ``cell``, newest first.

        Raises:
            SupervisionError: all of them are damaged.
        """
        try:
            return await self._run(lambda: tuple(snapshot.state for snapshot in self._store.load(cell)))
        except SnapshotError as error:
            raise SupervisionError(str(error)) from error

    async def close(self) -> None:
        """Close the store, after what is being written."""
        await self._run(self._store.close)
        self._thread.shutdown(wait=False)

    async def _write(self) -> None:
        data = msgspec.msgpack.encode(self._table)
        await self._run(lambda: self._store.put(_KEY, data))

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
