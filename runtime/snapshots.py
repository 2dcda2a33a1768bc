"""Where a supervisor keeps its children's state, their epochs and its own facts."""

from __future__ import annotations

import logging
import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from zlib import crc32

import lmdb
import msgspec

from runtime.errors import FencedError, SnapshotError
from runtime.journal import environment
from runtime.journal.environment import DamagedError, token

FORMAT = 1
KEPT = 2
"""How many snapshots of a cell are kept: the newest, and the one before in case it can't be read."""

_HEAD = struct.Struct(">BI")
_ORDER = struct.Struct(">QQ")
_SEED = crc32(bytes([FORMAT]))
_LONGEST_FACT = 500
_CLOSED = "it was closed"
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """One saved state of a cell; ``saved_ns`` is wall-clock nanoseconds, for people to read."""

    cell: str
    epoch: int
    saved_ns: int
    state: bytes


class SnapshotStore:
    """Snapshots, epochs and facts in the folder ``path``.

    Snapshots are written with LMDB's ``metasync=False``: a power cut may cost the very last
    one, never an older one. Epochs and facts are flushed before the call returns.
    ``problems`` lists the damaged entries that were met.

    Raises:
        SnapshotError: the store is damaged.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], int] = time.time_ns,
        map_size: int = environment.MAP_SIZE,
    ) -> None:
        self.path = os.fspath(path)
        self.problems: list[str] = []
        self._clock = clock
        self._refusal = ""
        try:
            self._handle = environment.acquire(path, write=True, map_size=map_size, metasync=False)
        except DamagedError as error:
            raise SnapshotError(self._advice(error)) from error
        try:
            env = self._handle.env
            self._snapshots, self._epochs, self._facts = (
                env.open_db(name) for name in (b"snapshots", b"epochs", b"facts")
            )
        except lmdb.Error as error:
            environment.release(self._handle)
            raise SnapshotError(self._advice(error)) from error

    def save(self, cell: str, epoch: int, state: bytes) -> None:
        """Store ``state`` as the newest snapshot of ``cell``, and forget all but the one before it.

        Raises:
            FencedError: a higher epoch of ``cell`` is known; nothing was stored.
        """
        if self.save_many([(cell, epoch, state)]):
            raise FencedError(
                f"expected epoch {self.epoch(cell)} of {cell}, found {epoch}: a newer incarnation exists, stop this one"
            )

    def save_many(self, saves: Iterable[tuple[str, int, bytes]]) -> list[str]:
        """``save`` each ``(cell, epoch, state)`` in one transaction; returns the cells that were fenced."""
        fenced: list[str] = []
        saved_ns = self._clock()
        with self._transaction(write=True) as txn:
            for cell, epoch, state in saves:
                known = self._known(txn, cell)
                if epoch < known:
                    fenced.append(cell)
                    continue
                if epoch > known:
                    self._raise_epoch(txn, cell, epoch)
                self._store(txn, Snapshot(cell, epoch, saved_ns, state))
        return fenced

    def load(self, cell: str) -> list[Snapshot]:
        """The snapshots of ``cell``, newest first; empty if it never saved one.

        A damaged one is left out, logged, and added to ``problems``.

        Raises:
            SnapshotError: there are snapshots, and all of them are damaged.
        """
        prefix = token(cell) + b"\0"
        found: list[Snapshot] = []
        broken = ""
        with self._transaction() as txn:
            rows = list(_rows(txn.cursor(self._snapshots), prefix))
        for key, row in reversed(rows):
            order = _ORDER.unpack(key[len(prefix) :])
            try:
                found.append(_open(row, Snapshot))
            except SnapshotError as error:
                broken = f"snapshot {order[1]} of {cell} (epoch {order[0]}) in {self.path}: {error}"
                self._report(broken)
        if broken and not found:
            raise SnapshotError(
                f"expected a sound snapshot of {cell}, found only damaged ones ({broken}): let it begin anew with "
                "forget, and it will be rebuilt from the journal as far as that goes"
            )
        return found

    def next_epoch(self, name: str, *, above: int = 0) -> int:
        """The next incarnation's epoch: higher than any before it, and than ``above``; flushed."""
        with self._transaction(write=True, flush=True) as txn:
            epoch = max(self._known(txn, name), above) + 1
            self._raise_epoch(txn, name, epoch)
        return epoch

    def epoch(self, name: str) -> int:
        """The highest epoch known of ``name``; 0 if there is none."""
        with self._transaction() as txn:
            return self._known(txn, name)

    def put(self, key: str, value: bytes) -> None:
        """Store a fact under ``key``, which has 1 to 500 bytes; flushed."""
        with self._transaction(write=True, flush=True) as txn:
            txn.put(_fact(key), _seal(value), db=self._facts)

    def get(self, key: str) -> bytes | None:
        """The fact under ``key``, or ``None``.

        Raises:
            SnapshotError: it is damaged.
        """
        with self._transaction() as txn:
            row = txn.get(_fact(key), db=self._facts)
        return None if row is None else self._value(key, row)

    def items(self, prefix: str = "") -> list[tuple[str, bytes]]:
        """All facts whose key begins with ``prefix``, in the order of their keys."""
        with self._transaction() as txn:
            rows = list(_rows(txn.cursor(self._facts), prefix.encode()))
        return [(key.decode(), self._value(key.decode(), row)) for key, row in rows]

    def forget(self, cell: str) -> None:
        """Remove the snapshots of ``cell``; its epochs go on rising."""
        with self._transaction(write=True) as txn:
            for key, _ in list(_rows(txn.cursor(self._snapshots), token(cell) + b"\0")):
                txn.delete(key, db=self._snapshots)

    def forget_all(self) -> None:
        """Remove every cell's snapshots, as after an older journal was restored; epochs go on rising."""
        with self._transaction(write=True) as txn:
            txn.drop(self._snapshots, delete=False)

    def close(self) -> None:
        """Close the store; calling it again does nothing."""
        if self._refusal != _CLOSED:
            self._refusal = _CLOSED
            environment.release(self._handle)

    def _store(self, txn: Any, snapshot: Snapshot) -> None:
        prefix = token(snapshot.cell) + b"\0"
        keys = [key for key, _ in _rows(txn.cursor(self._snapshots), prefix)]
        number = _ORDER.unpack(keys[-1][len(prefix) :])[1] + 1 if keys else 1
        txn.put(prefix + _ORDER.pack(snapshot.epoch, number), _seal(snapshot), db=self._snapshots)
        for key in keys[: len(keys) + 1 - KEPT]:
            txn.delete(key, db=self._snapshots)

    def _known(self, txn: Any, name: str) -> int:
        row = txn.get(token(name), db=self._epochs)
        return 0 if row is None else _open(row, int)

    def _raise_epoch(self, txn: Any, name: str, epoch: int) -> None:
        txn.put(token(name), _seal(epoch), db=self._epochs)

    def _value(self, key: str, row: bytes) -> bytes:
        try:
            return _open(row, bytes)
        except SnapshotError as error:
            problem = f"fact {key} in {self.path}: {error}"
            self._report(problem)
            raise SnapshotError(problem) from error

    def _report(self, problem: str) -> None:
        self.problems.append(problem)
        _log.error("damaged entry skipped: %s", problem)

    def _advice(self, error: Exception) -> str:
        return (
            f"the snapshot store can't be used: {error}. Move {self.path} away to begin without snapshots "
            "(the journal rebuilds what it holds, epochs go on above the journal's), or put a copy of it back"
        )

    @contextmanager
    def _transaction(self, *, write: bool = False, flush: bool = False) -> Iterator[Any]:
        if self._refusal:
            raise SnapshotError(f"the snapshot store in {self.path} takes no more calls: {self._refusal}")
        try:
            with self._handle.env.begin(write=write) as txn:
                yield txn
            if flush:
                self._handle.env.sync(True)
        except (lmdb.Error, OSError) as error:
            if write:
                # What a failed flush left on the disk is unknown until the store is opened anew.
                self._refusal = f"an earlier write failed ({error}), open it anew"
            what = f"expected to {'write' if write else 'read'} {self.path}, found {error}"
            raise SnapshotError(f"{what}: check the disk's space and health") from error


def _rows(cursor: Any, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    if cursor.set_range(prefix):
        for key, row in cursor:
            if not key.startswith(prefix):
                return
            yield key, row


def _fact(key: str) -> bytes:
    raw = key.encode()
    if not 0 < len(raw) <= _LONGEST_FACT:
        raise SnapshotError(f"expected a key of 1 to {_LONGEST_FACT} bytes, found {len(raw)}: {key[:40]!r}")
    return raw


def _seal(value: object) -> bytes:
    payload = msgspec.msgpack.encode(value)
    return _HEAD.pack(FORMAT, crc32(payload, _SEED)) + payload


def _open(row: bytes, expected: type[_T]) -> _T:
    payload = row[_HEAD.size :]
    try:
        if len(row) < _HEAD.size or _HEAD.unpack_from(row) != (FORMAT, crc32(payload, _SEED)):
            raise SnapshotError(f"expected an entry of format {FORMAT} with a right CRC, found {len(row)} other bytes")
        return msgspec.msgpack.decode(payload, type=expected)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"expected a stored {expected.__name__}, found {error}") from error
