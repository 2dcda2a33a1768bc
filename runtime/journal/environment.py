"""Opens LMDB environments: once in a process, and never on a file that would crash it."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import lmdb

MAP_SIZE = 64 << 30
"""Address space kept for a store in bytes; the file is as small as its content."""

FILE = "data.mdb"

_LONGEST = 200
_HASHED = b"\x01"
_MAGIC = 0xBEEFC0DE
_META = struct.Struct("=II16xI44x48xQQ")
_META_AT = 16
_META_FLAG = 0x08

_WALK = """
import lmdb, sys
env = lmdb.open(sys.argv[1], subdir=False, readonly=True, lock=False, max_dbs=32, map_size=int(sys.argv[2]))
with env.begin() as txn:
    names = [bytes(key) for key, _ in txn.cursor()]
for name in names:
    db = env.open_db(name, create=False)
    with env.begin(buffers=True) as txn:
        for key, value in txn.cursor(db):
            bytes(value)
"""


class DamagedError(Exception):
    """The file is no sound LMDB store; the text says what was expected and what was found."""


@dataclass
class Handle:
    """An open environment, shared by everyone in this process who opened its path."""

    env: Any
    path: Path
    writable: bool
    users: int = 1


_open: dict[tuple[int, str], Handle] = {}
_lock = threading.Lock()


def acquire(path: str | os.PathLike[str], *, write: bool, map_size: int = MAP_SIZE, metasync: bool = True) -> Handle:
    """Open the store in the folder ``path``; a writer makes it when it is missing.

    Raises:
        DamagedError: it is missing, cut short or garbage, or opened here for reading alone.
    """
    place = Path(path)
    key = (os.getpid(), os.path.realpath(place))
    with _lock:
        handle = _open.get(key)
        if handle is not None:
            if write and not handle.writable:
                raise DamagedError(f"{place} is open for reading in this process: close that before writing")
            handle.users += 1
            return handle
        data = place / FILE
        if data.exists():
            check(data)
        elif not write:
            raise DamagedError(f"expected a store in {place}, found no {FILE} in it: check the path")
        try:
            if write:
                place.mkdir(parents=True, exist_ok=True)
            env = lmdb.open(
                str(place), map_size=map_size, max_dbs=8, max_readers=512, readonly=not write, metasync=metasync
            )
        except (lmdb.Error, OSError) as error:
            raise DamagedError(f"expected an LMDB store in {place}, found {error}") from error
        handle = _open[key] = Handle(env, place, write)
        return handle


def release(handle: Handle) -> None:
    """Give back what ``acquire`` returned; the last user closes the environment."""
    with _lock:
        handle.users -= 1
        if handle.users == 0:
            _open.pop((os.getpid(), os.path.realpath(handle.path)), None)
            handle.env.close()


def check(data: Path) -> None:
    """Compare the header of a data file with its size, as LMDB itself would die of a short one.

    A short file may still be whole, for the last pages may be free ones that were never
    written: then a child process reads everything there is, and its survival decides.

    Raises:
        DamagedError: the file is empty, no LMDB data file, or cut short.
    """
    needed = size_of(data)
    size = data.stat().st_size
    if size >= needed:
        return
    walk = subprocess.run(
        [sys.executable, "-c", _WALK, str(data), str(max(MAP_SIZE, needed))], capture_output=True, check=False
    )
    if walk.returncode != 0:
        raise DamagedError(
            f"expected {data} to be {needed} bytes long as its header says, found {size}: it is cut short"
        )


def size_of(data: Path) -> int:
    """How long a data file is by its header, in bytes.

    Raises:
        DamagedError: it is empty or no LMDB data file.
    """
    try:
        size = data.stat().st_size
        with data.open("rb") as file:
            page, last, newest = meta(data, file.read(_META_AT + _META.size), size)
            file.seek(page)
            _, other_last, other_newest = meta(data, file.read(_META_AT + _META.size), size)
    except OSError as error:
        raise DamagedError(f"expected to read {data}, found {error}") from error
    return ((other_last if other_newest > newest else last) + 1) * page


def meta(data: Path, head: bytes, size: int) -> tuple[int, int, int]:
    """Page size, last page and transaction number of a meta page (LMDB 0.9, ``struct MDB_meta``)."""
    if len(head) < _META_AT + _META.size:
        raise DamagedError(
            f"expected an LMDB store in {data}, found {size} bytes: it is cut short "
            "(if it was only just being made, delete it)"
        )
    magic, _, page, last, transaction = _META.unpack_from(head, _META_AT)
    flags = struct.unpack_from("=H", head, 10)[0]
    if magic != _MAGIC or not flags & _META_FLAG or page < 256 or page & (page - 1):
        raise DamagedError(f"expected an LMDB store in {data}, found {head[:24]!r}: this is another kind of file")
    return page, last, transaction


def token(text: str) -> bytes:
    """A key part that stands for ``text``, free of NUL and at most 200 bytes long.

    What is longer, empty or odd is replaced by a hash that no other text stands for.
    """
    raw = text.encode()
    if 0 < len(raw) <= _LONGEST and raw[0] != 1 and 0 not in raw:
        return raw
    return _HASHED + blake2b(raw, digest_size=32).hexdigest().encode()
