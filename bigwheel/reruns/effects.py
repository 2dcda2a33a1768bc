"""A decision beside the recorded one: which of its effects stand for which."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from bigwheel.reruns.mail import normal
from runtime import codec
from runtime.errors import DecodeError
from runtime.host.cell import Effect, Record, Send, Timer
from runtime.message import Message


class Told(NamedTuple):
    """An effect on a tape. ``about`` is a send's receiver, a timer's key, a record's kind."""

    kind: type[Effect]
    about: str
    message: Message


class Pair(NamedTuple):
    """``made`` now and ``told`` by the tape; one of them is ``None`` where the other has no counterpart.

    ``number`` is the place of a record among the recorded records of its message.
    """

    made: Effect | None
    told: Told | None
    number: int = 0


def told(extra: bytes) -> list[Told] | None:
    """The effects in a frame's last element; ``None`` where only their digest was kept."""
    if not extra:
        return []
    if isinstance(msgspec.msgpack.decode(extra), bytes):
        return None
    try:
        rows = msgspec.msgpack.decode(extra, type=list[list[msgspec.Raw]])
    except msgspec.ValidationError:
        return []  # it ended in an error, and had no effects
    return [found for row in rows if (found := _told(row)) is not None]


def _told(row: list[msgspec.Raw]) -> Told | None:
    """One effect; ``None`` for a timer's cancellation, and for what this program can't read."""
    try:
        if len(row) == len(Send._fields):
            return Told(Send, msgspec.msgpack.decode(row[0], type=str), codec.decode(row[1]))
        if len(row) == len(Timer._fields):
            cancelled = msgspec.msgpack.decode(row[2]) is None
            return None if cancelled else Told(Timer, msgspec.msgpack.decode(row[0], type=str), codec.decode(row[2]))
        event = codec.decode(row[0])
        return Told(Record, type(event).__name__, event)
    except DecodeError:
        return None


def same(made: Sequence[Effect]) -> Iterator[Pair]:
    """The pairs of a decision that is the recorded one."""
    number = 0
    for effect in made:
        message = message_of(effect)
        if message is not None:
            yield Pair(effect, Told(type(effect), "", message), number)
            number += type(effect) is Record


def paired(made: Sequence[Effect], recorded: Sequence[Told]) -> list[Pair]:
    """Those that are equal belong together, then those alike (same receiver and type, key, kind) in their order."""
    numbers, count = [], 0
    for one in recorded:
        numbers.append(count)
        count += one.kind is Record
    open_by: dict[tuple[object, ...], deque[int]] = defaultdict(deque)
    for place, one in enumerate(recorded):
        open_by[one.kind, one.about, normal(one.message)].append(place)
    pairs, rest = [], []
    taken: set[int] = set()
    for effect in made:
        message = message_of(effect)
        if message is None:
            continue
        waiting = open_by.get((type(effect), _about(effect), normal(message)))
        if waiting:
            place = waiting.popleft()
            taken.add(place)
            pairs.append(Pair(effect, recorded[place], numbers[place]))
        else:
            rest.append(effect)
    left = [place for place in range(len(recorded)) if place not in taken]
    for effect in rest:
        place = next((place for place in left if _alike(effect, recorded[place])), -1)
        if place < 0:
            pairs.append(Pair(effect, None))
            continue
        left.remove(place)
        pairs.append(Pair(effect, recorded[place], numbers[place]))
    return [*pairs, *(Pair(None, recorded[place], numbers[place]) for place in left)]


def _alike(effect: Effect, one: Told) -> bool:
    kind = type(message_of(effect))
    return type(effect) is one.kind and _about(effect) == one.about and kind is type(one.message)


def message_of(effect: Effect) -> Message | None:
    """What it sends, records or is due with."""
    return effect.event if isinstance(effect, Record) else effect.message


def _about(effect: Effect) -> str:
    if isinstance(effect, Send):
        return effect.to
    return effect.key if isinstance(effect, Timer) else type(effect.event).__name__
