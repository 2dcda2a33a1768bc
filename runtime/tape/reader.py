"""Reads the tapes of a store: what is sound of them, and what is missing, by name."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import msgspec

from runtime.errors import TapeError
from runtime.tape.format import (
    END,
    FOLDER,
    FRAMES,
    GAP,
    HEAD,
    SUFFIX,
    Damage,
    Head,
    Section,
    decode_sections,
    host_of,
    order_of,
    scan,
)

_Gap = tuple[int, str]
_End = tuple[bool, str]


class Incarnation(NamedTuple):
    """The files of one incarnation of a host, in order."""

    host: str
    epoch: int
    files: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.stat().st_size for file in self.files)


class Cause(enum.StrEnum):
    """Why something is not on a tape."""

    NOTE = "note"
    """It could not be otherwise: room was made, the host was killed."""
    GAP = "gap"
    """It was not written, and that was noted."""
    DAMAGE = "damage"
    """It was written, and the bytes have changed or gone."""


class Missing(msgspec.Struct, frozen=True):
    """Something that is not on the tape."""

    text: str
    cause: Cause


class Read(NamedTuple):
    """So many bytes of the incarnation's files have been read."""

    size: int


Item = Head | Section | Missing | Read


def incarnations(store: Path) -> list[Incarnation]:
    """Every taped incarnation of a session, by host and epoch."""
    found = []
    for folder in sorted((store / FOLDER).glob("*")):
        files = sorted((file for file in folder.glob(f"*{SUFFIX}") if order_of(file)[0]), key=order_of)
        for epoch, group in groupby(files, key=lambda file: order_of(file)[0]):
            found.append(Incarnation(host_of(folder), epoch, tuple(group)))
    return found


def head_of(incarnation: Incarnation) -> Head | None:
    """The incarnation's head, from the first of its files that has a sound one."""
    for file in incarnation.files:
        try:
            for chunk in scan(file.read_bytes()):
                if not isinstance(chunk, Damage) and chunk.kind == HEAD:
                    return msgspec.msgpack.decode(chunk.payload, type=Head)
        except (TapeError, msgspec.DecodeError):
            continue
    return None


def items(incarnation: Incarnation) -> Iterator[Item]:
    """Everything on an incarnation's tape in order, and what is missing, where it is missing."""
    before = order_of(incarnation.files[0])[1]
    if before != 1:
        yield Missing(f"files 1 to {before - 1} made room for newer ones", Cause.NOTE)
    for place, file in enumerate(incarnation.files):
        number = order_of(file)[1]
        if place and number != before + 1:
            yield Missing(f"expected file {before + 1}, found {file.name}: files are gone", Cause.DAMAGE)
        before = number
        yield from _file(file, last=file is incarnation.files[-1])


def _file(file: Path, *, last: bool) -> Iterator[Item]:
    try:
        data = file.read_bytes()
        closed = False
        for chunk in scan(data):
            if isinstance(chunk, Damage):
                yield Missing(
                    f"{file.name}: {chunk.length} bytes from byte {chunk.offset} on are {_why(chunk)}", Cause.DAMAGE
                )
                continue
            closed = closed or chunk.kind == END
            yield from _chunk(file, chunk.kind, chunk.payload)
            if chunk.kind == END and last and not msgspec.msgpack.decode(chunk.payload, type=_End)[0]:
                yield Missing(f"{file.name}: the file after it is missing, or was never begun", Cause.NOTE)
        if not closed:
            yield _unclosed(file, last=last)
        yield Read(len(data))
    except (TapeError, OSError) as error:
        yield Missing(f"{file.name}: {error}", Cause.DAMAGE)


def _unclosed(file: Path, *, last: bool) -> Missing:
    if last:
        text = "was not closed: its host runs, or was killed; the last second before that is not on it"
        return Missing(f"{file.name} {text}", Cause.NOTE)
    return Missing(f"{file.name} was not closed, although another one follows", Cause.NOTE)


def _why(damage: Damage) -> str:
    return f"{damage.length} bytes from byte {damage.offset} on can't be read: {damage.why}"


def _chunk(file: Path, kind: int, payload: bytes) -> Iterator[Item]:
    try:
        if kind == HEAD:
            yield msgspec.msgpack.decode(payload, type=Head)
        elif kind == FRAMES:
            yield from decode_sections(payload)
        elif kind == GAP:
            lost, reason = msgspec.msgpack.decode(payload, type=_Gap)
            yield Missing(f"{file.name}: {lost} messages were not written: {reason}", Cause.GAP)
    except msgspec.DecodeError as error:
        yield Missing(f"{file.name}: a sound chunk of kind {kind} can't be read: {error}", Cause.DAMAGE)
