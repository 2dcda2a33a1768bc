"""Messages with something wrong about them, for the decoders of every venue."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import msgspec

STRANGE: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    0.45,
    1e300,
    float(2**53),
    "",
    " ",
    "NaN",
    "Infinity",
    "-Infinity",
    "1E+999999",
    "1E-999999",
    "0.45e0",
    "1.0000",
    "0.0000",
    "-0.4500",
    "1.0001",
    "999999999999999999",
    "0.123456789012",
    "٠.٤٥",
    "0x1",
    "yes",
    "no",
    "bid",
    "ask",
    "active",
    "executed",
    "canceled",
    "\x00",
    "\ud83d",
    [],
    {},
    [[]],
    [["0.4500"]],
    [["0.4500", "1.00"]],
    [["2.0000", "1.00"]],
    [["0.4500", "-1.00"]],
    [{}],
    {"a": {}},
    10**40,
    -(10**40),
    "2024-13-45T99:99:99Z",
    "2024-08-08T18:00:00Z",
]


def mutated(body: Any, chance: random.Random) -> bytes:
    """The message with one to three things about it changed, or its bytes damaged."""
    made = copy.deepcopy(body)
    for _ in range(chance.randint(1, 3)):
        places = list(walked(made))
        if not places:
            break
        holder, key = chance.choice(places)
        roll = chance.random()
        if roll < 0.15 and isinstance(holder, dict):
            del holder[key]
        elif roll < 0.25 and isinstance(holder[key], str) and holder[key]:
            at = chance.randrange(len(holder[key]))
            holder[key] = holder[key][:at] + chance.choice('0123456789.-eE xZ:T"') + holder[key][at + 1 :]
        elif roll < 0.30:
            holder[key] = copy.deepcopy(made)
        else:
            holder[key] = copy.deepcopy(chance.choice(STRANGE))
    try:
        raw = bytearray(msgspec.json.encode(made))
    except UnicodeEncodeError:
        raw = bytearray(repr(made).encode(errors="replace"))
    for _ in range(chance.choice((0, 0, 0, 1, 4))):
        if raw:
            raw[chance.randrange(len(raw))] = chance.randrange(256)
    return bytes(raw[: chance.randrange(len(raw))] if raw and chance.random() < 0.05 else raw)


def walked(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a message, as its holder and its key there."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    for key in keys:
        yield value, key
        yield from walked(value[key])
