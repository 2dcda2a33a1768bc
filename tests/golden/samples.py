"""A sample of every journaled event, made from its type alone, and the file of all samples there ever were."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from actors.messages import control, learning, orders, signals
from runtime import codec
from runtime.journal.record import current_version
from runtime.lifecycle import DeadLetter
from runtime.message import Message

FILE = Path(__file__).with_name("journal.jsonl")

NEVER_JOURNALED = frozenset(
    {
        "ApprovedOrder",
        "Control",
        "Emit",
        "Evaluate",
        "SignalEvent",
        "Unsent",
        "Verdict",
        "Watch",
        "Watching",
    }
)
"""Messages between actors (or parts of events) that are no records themselves."""


class Golden(msgspec.Struct, frozen=True):
    """One line of the file: the bytes of an event, and what its fields were. Or the values of an enumeration."""

    kind: str
    version: int = 1
    body: str = ""
    fields: Any = None
    values: tuple[str, ...] = ()


def journaled() -> dict[str, type[Message]]:
    """Every type of event the bus may write, by name."""
    found: dict[str, type[Message]] = {"DeadLetter": DeadLetter}
    for module in (control, learning, orders, signals):
        for name, item in vars(module).items():
            ours = isinstance(item, type) and issubclass(item, Message) and item.__module__ == module.__name__
            if ours and name not in NEVER_JOURNALED:
                found[name] = item
    return found


def today() -> list[Golden]:
    """The lines of today's types."""
    lines = []
    enums: dict[str, tuple[str, ...]] = {}
    for kind, owner in sorted(journaled().items()):
        info = inspect.type_info(owner)
        for event in _values(info, ""):
            body = codec.encode(event)
            lines.append(
                Golden(kind, current_version(kind), body.hex(), msgspec.json.decode(msgspec.json.encode(event)))
            )
        for found in _enums(info, set()):
            enums[found.__name__] = tuple(str(member.value) for member in found)
    return lines + [Golden(name, values=values) for name, values in sorted(enums.items())]


def stored() -> list[Golden]:
    """The lines of the file."""
    text = FILE.read_text().splitlines() if FILE.exists() else []
    return [msgspec.json.decode(line, type=Golden) for line in text]


def update() -> int:
    """Add what is new today to the file, which only grows; returns the number of lines added."""
    known = stored()
    new = [line for line in today() if line not in known]
    if new:
        lines = sorted([*known, *new], key=lambda line: (line.kind, line.version))
        FILE.write_text("".join(json.dumps(msgspec.to_builtins(line), separators=(",", ":")) + "\n" for line in lines))
    return len(new)


def enumerations() -> dict[str, type[enum.Enum]]:
    """The enumerations of today's types, by name."""
    return {
        found.__name__: found for owner in journaled().values() for found in _enums(inspect.type_info(owner), set())
    }


def _values(info: inspect.Type, name: str) -> list[Any]:
    """Values of a type: one, or one for each way a part of it may be."""
    if isinstance(info, inspect.UnionType):
        kinds = [kind for kind in info.types if not isinstance(kind, inspect.NoneType)]
        return [value for kind in kinds for value in _values(kind, name)]
    if isinstance(info, inspect.StructType):
        parts = {field.name: _values(field.type, field.name) for field in info.fields}
        most = max((len(part) for part in parts.values()), default=1)
        return [info.cls(**{key: part[number % len(part)] for key, part in parts.items()}) for number in range(most)]
    if isinstance(info, inspect.VarTupleType | inspect.ListType):
        return [tuple(_values(info.item_type, name))]
    if isinstance(info, inspect.TupleType):
        return [tuple(_values(item, name)[0] for item in info.item_types)]
    if isinstance(info, inspect.DictType):
        return [{_values(info.key_type, name)[0]: _values(info.value_type, name)[0]}]
    if isinstance(info, inspect.EnumType):
        return [list(info.cls)[-1]]
    return [_plain(info, name)]


def _plain(info: inspect.Type, name: str) -> Any:
    plain = {
        inspect.StrType: f"{name} 1",
        inspect.IntType: 1_700_000_000_000_000_007,
        inspect.FloatType: 0.1,
        inspect.DecimalType: Decimal("12.340"),
        inspect.BoolType: True,
        inspect.BytesType: b"\x00\xff",
    }
    if type(info) not in plain:
        raise TypeError(f"expected a field of a type that samples are known of, found {name}: {info}; add it to _plain")
    return plain[type(info)]


def _enums(info: Any, seen: set[type]) -> Iterator[type[enum.Enum]]:
    """The enumerations that a type is made of."""
    if isinstance(info, inspect.EnumType):
        yield info.cls
    elif isinstance(info, inspect.StructType):
        if info.cls not in seen:
            seen.add(info.cls)
            for field in info.fields:
                yield from _enums(field.type, seen)
    else:
        parts = [getattr(info, name, None) for name in ("item_type", "key_type", "value_type")]
        for part in (*parts, *getattr(info, "types", ()), *getattr(info, "item_types", ())):
            if part is not None:
                yield from _enums(part, seen)
