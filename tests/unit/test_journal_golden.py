"""What was ever journaled can be read forever.

``tests/golden/journal.jsonl`` holds the bytes of every type of event in every form it ever had. When a test here says
that a sample is missing, because an event is new or has gained a field, run ``python -m tests.golden`` and commit the
file: it only ever gains lines. When one says that old bytes can't be read any more, the change is not allowed: a
field may only be added at the end, with a default, or the old form needs an upcaster (``runtime/journal/record.py``).
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.bus import brain, fold, turn
from actors.messages.signals import Emit, SignalEvent, Unsent, Verdict
from runtime.journal.record import Record, current_version
from tests.golden.samples import Golden, enumerations, journaled, stored, today

LINES = stored()
EVENTS = [line for line in LINES if line.body]


def record_of(line: Golden) -> Record:
    return Record(1, 1, "bus", 1, "", 0, line.kind, (), bytes.fromhex(line.body), line.version)


def holds(found: Any, expected: Any) -> bool:
    """Whether everything in ``expected`` is in ``found``; what has come since may be there too."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(key in found and holds(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        pairs = zip(found, expected, strict=False)
        return isinstance(found, list) and len(found) == len(expected) and all(holds(*pair) for pair in pairs)
    return bool(found == expected)


@pytest.mark.parametrize("line", EVENTS, ids=[f"{line.kind}-{number}" for number, line in enumerate(EVENTS)])
def test_golden_bytes_decode_to_what_they_always_meant(line: Golden) -> None:
    event = record_of(line).event
    assert type(event).__name__ == line.kind
    if line.version == current_version(line.kind):
        plain = msgspec.json.decode(msgspec.json.encode(event))
        assert holds(plain, line.fields), (plain, line.fields)


def test_every_journaled_type_has_its_golden_bytes() -> None:
    missing = sorted({line.kind for line in today() if line not in LINES})
    assert missing == [], f"run `python -m tests.golden` and commit the file: {missing} are new or have changed"


def test_no_value_of_an_enumeration_is_ever_taken_away() -> None:
    known = enumerations()
    for line in LINES:
        if line.values:
            assert line.kind in known, f"{line.kind} is gone, and was journaled"
            assert set(line.values) <= {str(member.value) for member in known[line.kind]}


def test_no_type_that_was_ever_journaled_is_gone() -> None:
    assert {line.kind for line in EVENTS} <= set(journaled())


def test_whatever_the_bus_records_or_folds_is_among_them() -> None:
    taken = {*fold._FOLDS, *turn._PATIENT, *(brain._HANDLERS.keys() - {Emit, Verdict, Unsent})}
    for kind in SignalEvent.__subclasses__():
        taken.add(kind)
    assert {kind.__name__ for kind in taken} <= set(journaled())
