"""One journaled event, its binary form, and the way old forms are read.

A stored record is one format byte, a CRC-32 (big-endian) over format byte and payload, and
the payload: a MessagePack array of the fields of ``Record`` in their order.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterator
from itertools import repeat
from operator import add
from typing import Any, TypeVar
from zlib import crc32

import msgspec

from runtime import codec
from runtime.errors import DecodeError, JournalCorruptError, JournalError
from runtime.lifecycle import Entry
from runtime.message import Message

FORMAT = 1

R = TypeVar("R")
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

_SEED = crc32(bytes([FORMAT]))
_HEAD = struct.Struct(">BI")
_HEAD_SIZE = _HEAD.size
_pack_head = _HEAD.pack

_upcasters: dict[tuple[str, int], Upcaster] = {}
schema_versions: dict[str, int] = {}
"""The version an event class is written with, where that is not 1."""

_version = schema_versions.get


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A committed event. Fields are only ever added at the end, with defaults.

    ``ts`` is in nanoseconds and never smaller than the one before it. ``keys`` are the index
    entries, ``body`` is the encoded event in the schema ``version`` of its ``kind``.
    """

    seq: int
    ts: int
    source: str
    epoch: int
    correlation: str
    causation: int
    kind: str
    keys: tuple[tuple[str, str], ...]
    body: bytes
    version: int = 1

    @property
    def current_body(self) -> bytes:
        """``body`` in today's schema.

        Raises:
            DecodeError: the body comes from a newer schema than this program knows.
        """
        return _current(self)

    @property
    def event(self) -> Message:
        """The event, decoded anew at each access."""
        return codec.decode(self.current_body)

    def entry(self) -> Entry:
        """The record as a subscriber gets it."""
        return Entry(self.seq, self.ts, self.source, self.epoch, self.correlation, self.causation, self.current_body)


class Brief(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record for whoever folds all of them: its keys stay as they are stored, which saves a third of the reading."""

    seq: int
    ts: int
    source: str
    epoch: int
    correlation: str
    causation: int
    kind: str
    keys: msgspec.Raw
    body: bytes
    version: int = 1

    @property
    def event(self) -> Message:
        """The event, decoded anew at each access."""
        return codec.decode(_current(self))


encode_fields = msgspec.msgpack.Encoder().encode
"""The payload of a record."""

_decode = msgspec.msgpack.Decoder(Record).decode
_decode_brief = msgspec.msgpack.Decoder(Brief).decode


def current_version(kind: str) -> int:
    """The schema version that events of ``kind`` are written with: 1, plus one for each upcaster."""
    return schema_versions.get(kind, 1)


def upcaster(kind: str, from_version: int) -> Callable[[Upcaster], Upcaster]:
    """Register how an event of ``kind`` gets from ``from_version`` to the next one.

    The function takes the decoded map of the old event and returns that of the new one; the
    type tag in it stays. Versions start at 1 and none may be left out.

    Raises:
        JournalError: the step is registered already, or an earlier one is missing.
    """

    def register(function: Upcaster) -> Upcaster:
        expected = current_version(kind)
        if from_version != expected:
            raise JournalError(
                f"expected the upcaster of {kind} from version {expected}, found one from version "
                f"{from_version}: register each step once, in order"
            )
        _upcasters[kind, from_version] = function
        schema_versions[kind] = from_version + 1
        return function

    return register


def pack(record: Record) -> bytes:
    """The stored form of ``record``."""
    return next(frames([encode_fields(record)]))


def frames(payloads: Collection[bytes]) -> Iterator[bytes]:
    """The stored forms of records with these payloads, in their order."""
    # Chained maps stay inside the interpreter's C code: a loop costs a third more for each record.
    heads = map(_pack_head, repeat(FORMAT), map(crc32, payloads, repeat(_SEED)))
    return map(add, heads, payloads)


def unpack(data: bytes) -> Record:
    """The record in ``data``.

    Raises:
        JournalCorruptError: it does not match its checksum, or is no record at all.
    """
    return _unpacked(data, _decode)


def unpack_brief(data: bytes) -> Brief:
    """The same without its keys."""
    return _unpacked(data, _decode_brief)


def _unpacked(data: bytes, decode: Callable[[bytes], R]) -> R:
    if len(data) < _HEAD_SIZE or data[0] != FORMAT:
        raise JournalCorruptError(
            f"expected a record of format {FORMAT}, found {len(data)} bytes starting {bytes(data[:8])!r}: "
            "the file is damaged or was written by a newer version"
        )
    payload = data[_HEAD_SIZE:]
    found, expected = crc32(payload, _SEED), _HEAD.unpack_from(data)[1]
    if found != expected:
        raise JournalCorruptError(
            f"expected a record with CRC {expected:08x}, found {found:08x}: the stored bytes have changed; "
            "run verify, and restore from a backup"
        )
    try:
        return decode(payload)
    except msgspec.DecodeError as error:
        raise JournalCorruptError(f"expected the fields of a record, found other ones: {error}") from error


def document(record: Record) -> Any:
    """The event as plain maps and lists in today's schema, whether or not its class is known here.

    Raises:
        DecodeError: the body is no MessagePack, or from a newer schema.
    """
    try:
        return msgspec.msgpack.decode(record.current_body)
    except msgspec.DecodeError as error:
        raise DecodeError(f"expected MessagePack in record {record.seq} ({record.kind}), found {error}") from error


def _current(record: Record | Brief) -> bytes:
    """The body in today's schema."""
    return record.body if record.version == _version(record.kind, 1) else _upcast(record)


def _upcast(record: Record | Brief) -> bytes:
    newest = current_version(record.kind)
    if not 1 <= record.version <= newest:
        raise DecodeError(
            f"expected record {record.seq} ({record.kind}) in schema version 1 to {newest}, found version "
            f"{record.version}: it was written by a newer program, upgrade this one"
        )
    fields = msgspec.msgpack.decode(record.body)
    tag = fields.get("$type") if isinstance(fields, dict) else None
    if tag != record.kind:
        raise DecodeError(
            f"expected a map tagged {record.kind} in record {record.seq}, found {type(fields).__name__} "
            f"tagged {tag!r}: only map-encoded events can be upcast"
        )
    for version in range(record.version, newest):
        fields = _upcasters[record.kind, version](fields)
    if fields.get("$type") != record.kind:
        raise DecodeError(f"expected the upcasters of {record.kind} to keep its tag, found {fields.get('$type')!r}")
    return msgspec.msgpack.encode(fields)
