"""Signals, orders and records of two journals side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import zip_longest
from typing import Any

import msgspec

from actors.messages.signals import Generated, SignalEvent
from bigwheel.backtests.ledger import Ledger
from runtime.journal.record import Record, document

Row = dict[str, Any]
SHOWN = 10
"""Differences of a kind that are kept, at most."""


class Unequal(msgspec.Struct, frozen=True):
    """Something that is not the same: both sides, ``None`` where there is none, and the names of what differs."""

    key: str
    recorded: Row | None
    rerun: Row | None
    fields: list[str]


class Comparison(msgspec.Struct):
    """How many there are on each side, how many of them are the same, what states this run's are in."""

    recorded: int = 0
    rerun: int = 0
    equal: int = 0
    states: dict[str, int] = {}
    different: list[Unequal] = []

    @property
    def ok(self) -> bool:
        return self.recorded == self.rerun == self.equal


class Compared(msgspec.Struct):
    """Signals by id, orders by client id, records by number."""

    signals: Comparison
    orders: Comparison
    records: Comparison


def compare(recorded: Iterable[Record], rerun: Iterable[Record]) -> Compared:
    """Fold both journals as the backtest folds its own, and hold their rows against each other."""
    sides, records = (_ledger(), _ledger()), Comparison(states={})
    kinds: Counter[str] = Counter()
    for theirs, ours in zip_longest(recorded, rerun):
        for ledger, record in zip(sides, (theirs, ours), strict=True):
            if record is not None:
                _take(ledger, record)
        records.recorded += theirs is not None
        records.rerun += ours is not None
        records.equal += theirs == ours
        if ours is not None:
            kinds[ours.kind] += 1
        if theirs != ours and len(records.different) < SHOWN:
            key = str((theirs or ours).seq)
            records.different.append(_unequal(key, _plain(theirs), _plain(ours)))
    records.states = dict(sorted(kinds.items()))
    theirs_, ours_ = sides
    return Compared(
        _rows(theirs_.signals, ours_.signals, "state"), _rows(theirs_.orders, ours_.orders, "status"), records
    )


def _take(ledger: Ledger, record: Record) -> None:
    """Fold a record; a step of a signal that was never generated there makes no row."""
    event = record.event
    if not isinstance(event, SignalEvent) or isinstance(event, Generated) or event.signal_id in ledger.signals:
        ledger.written(record.entry(), event)


def _ledger() -> Ledger:
    """Its money is not asked for here."""
    return Ledger(Decimal(0), (), {})


def _rows(recorded: dict[str, Row], rerun: dict[str, Row], state: str) -> Comparison:
    found = Comparison(
        len(recorded), len(rerun), states=dict(sorted(Counter(row[state] for row in rerun.values()).items()))
    )
    for key in _keys(recorded, rerun):
        theirs, ours = recorded.get(key), rerun.get(key)
        if theirs == ours:
            found.equal += 1
        elif len(found.different) < SHOWN:
            found.different.append(_unequal(key, theirs, ours))
    return found


def _keys(*sides: dict[str, Row]) -> Iterator[str]:
    return iter(dict.fromkeys(key for side in sides for key in side))


def _unequal(key: str, theirs: Row | None, ours: Row | None) -> Unequal:
    names = [name for name in theirs or () if ours is not None and ours.get(name) != (theirs or {})[name]]
    return Unequal(key, theirs, ours, names)


def _plain(record: Record | None) -> Row | None:
    if record is None:
        return None
    told = msgspec.structs.asdict(record)
    told.pop("body")
    return {**told, "event": document(record)}
