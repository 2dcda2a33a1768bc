"""The bytes of a tape: files of checksummed chunks, and what is in them.

A file begins with ``BWTAPE`` and the format's version (two bytes, big-endian); chunks follow. A chunk is a
marker, its kind, how it is packed (0 as it is, 1 zlib), its length, a CRC-32 over these three and the
payload, and the payload, MessagePack:

- ``HEAD``, first in every file: a ``Head``;
- ``FRAMES``: ``[[cell, first, frames], ...]``, where ``first`` is how many frames of that cell came before.
  A frame is ``[message, sender, now, base]`` where the message had no effects, and has them, or the error it
  ended in, as a fifth element; a mark is ``[nil, "begin" or "state", now, cursor, state or nil]``;
- ``GAP``: ``[frames lost, reason]``;
- ``END``, last in a file that was closed: ``[whether the incarnation ends here, reason]``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote
from zlib import compress, crc32, decompress, error

import msgspec

from runtime.errors import TapeError

VERSION = 1
HEAD, FRAMES, GAP, END = 1, 2, 3, 4
BEGIN, STATE = "begin", "state"
"""The two marks: what an incarnation started from, and a snapshot taken on the way."""

FOLDER = "tapes"
"""Where the tapes of a session are, in its store."""

SUFFIX = ".tape"
FOREVER = 1 << 63
"""A time, or a record's number, that never comes."""

PREAMBLE = struct.Struct(">6sH")
CHUNK = struct.Struct(">4sBBII")
MARKER = b"\xf5TC\x0a"
_MAGIC = b"BWTAPE"
_SUMMED = struct.Struct(">BBI")
_PLAIN, _ZLIB = 0, 1
_LEVEL = 1

NIL = b"\xc0"
"""In the place of the message of a frame that is a mark."""


class TapeRules(msgspec.Struct, frozen=True):
    """Whether a host tapes, how large all its tapes together may grow, and what is kept of effects.

    ``full`` keeps the effects themselves, ``digest`` eight bytes for each message that had any: a
    difference is then found as surely, and only the replayed side of it can be shown.
    """

    enabled: bool = False
    max_bytes: int = 64 << 20
    effects: Literal["full", "digest"] = "full"


class Head(msgspec.Struct, frozen=True):
    """What a replay needs to make the brains again. ``assignment`` is the host's, without the snapshots."""

    host: str
    epoch: int
    segment: int
    actor_class: str
    effects: str
    assignment: bytes = b""


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message handled, or a mark. ``extra`` are effects (an array, or a digest), or an error (text)."""

    message: msgspec.Raw
    sender: str
    now: int
    base: int
    extra: msgspec.Raw = msgspec.Raw(b"")

    @property
    def mark(self) -> str:
        """``begin`` or ``state`` for a mark; empty for a message."""
        return self.sender if bytes(self.message) == NIL else ""


class Section(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The frames of one cell in a chunk; ``first`` is how many came before them."""

    cell: int
    first: int
    frames: list[Frame]


class Chunk(NamedTuple):
    """A sound chunk."""

    kind: int
    payload: bytes


class Damage(NamedTuple):
    """Bytes of a file that make no chunk."""

    offset: int
    length: int
    why: str


decode_sections = msgspec.msgpack.Decoder(list[Section]).decode


def preamble() -> bytes:
    """What every file begins with."""
    return PREAMBLE.pack(_MAGIC, VERSION)


def pack(kind: int, payload: bytes, *, plain: bool = False) -> bytes:
    """The stored form of a chunk; ``plain`` spares the time that packing takes."""
    packing, stored = (_PLAIN, payload) if plain else (_ZLIB, compress(payload, _LEVEL))
    if len(stored) >= len(payload):
        packing, stored = _PLAIN, payload
    return CHUNK.pack(MARKER, kind, packing, len(stored), _sum(kind, packing, stored)) + stored


def scan(data: bytes) -> Iterator[Chunk | Damage]:
    """The chunks of a file in their order, with the bytes in between that are none.

    Raises:
        TapeError: the file is of a version this program does not know.
    """
    place = PREAMBLE.size
    if len(data) < place or data[:6] != _MAGIC:
        yield Damage(0, min(len(data), place), "expected the beginning of a tape")
    elif (version := PREAMBLE.unpack_from(data)[1]) != VERSION:
        raise TapeError(f"expected a tape of format {VERSION}, found {version}: it was written by another program")
    while place < len(data):
        found = _at(data, place)
        if isinstance(found, str):
            resumed = _next(data, place + 1)
            yield Damage(place, resumed - place, found)
            place = resumed
        else:
            chunk, place = found
            yield chunk


def _at(data: bytes, place: int) -> tuple[Chunk, int] | str:
    """The chunk at ``place`` and where it ends, or why there is none."""
    start = place + CHUNK.size
    if start > len(data):
        return "cut short"
    marker, kind, packing, length, expected = CHUNK.unpack_from(data, place)
    if marker != MARKER:
        return "changed"
    if start + length > len(data):
        return "cut short"
    stored = data[start : start + length]
    if _sum(kind, packing, stored) != expected:
        return "changed"
    try:
        return Chunk(kind, decompress(stored) if packing == _ZLIB else stored), start + length
    except error:
        return "changed"


def _next(data: bytes, place: int) -> int:
    """Where the next sound chunk begins; the end of the file if there is none."""
    while (place := data.find(MARKER, place)) >= 0:
        if not isinstance(_at(data, place), str):
            return place
        place += 1
    return len(data)


def _sum(kind: int, packing: int, stored: bytes) -> int:
    return crc32(stored, crc32(_SUMMED.pack(kind, packing, len(stored))))


def folder_of(root: Path, host: str) -> Path:
    """Where the tapes of ``host`` are; ``root`` is the session's store."""
    return root / FOLDER / quote(host, safe="")


def host_of(folder: Path) -> str:
    """The host whose tapes are in ``folder``."""
    return unquote(folder.name)


def file_name(epoch: int, segment: int) -> str:
    """The name of a file, which sorts as it was written."""
    return f"{epoch:012d}-{segment:06d}{SUFFIX}"


def order_of(path: Path) -> tuple[int, int]:
    """Epoch and segment of a file by its name; zeros where it is none of ours."""
    epoch, _, segment = path.stem.partition("-")
    return (int(epoch), int(segment)) if epoch.isdigit() and segment.isdigit() else (0, 0)
