"""Folds a whole journal as the bus does, and holds the outcome against the snapshots the bus itself took."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from actors.bus import ledger as ledgers
from actors.bus.fold import apply
from actors.bus.ledger import Ledger
from actors.bus.settings import BusSettings
from actors.names import BUS
from bigwheel.errors import SessionError
from runtime.errors import SnapshotError
from runtime.host.cell import CellState
from runtime.journal.reader import JournalReader
from runtime.snapshots import SnapshotStore

CHUNK = 5_000
_UNFOLDED = ("duplicates", "redeliveries", "dead_letters")
"""Counts of what the bus does not journal."""


class Comparison(msgspec.Struct):
    """A snapshot of the bus against the fold up to the record it was taken at; ``differs`` is the first place."""

    seq: int
    epoch: int
    differs: str = ""


class Fold(msgspec.Struct):
    """What a fold of the journal found."""

    records: int = 0
    seconds: float = 0.0
    comparisons: list[Comparison] = []
    unread: list[str] = []
    """Snapshots that are damaged, or were written by another program."""
    beyond: list[int] = []
    """Snapshots that know more than the journal holds: the records up to there are gone."""
    ledger: Any = None

    @property
    def ok(self) -> bool:
        return not self.beyond and not self.unread and not any(comparison.differs for comparison in self.comparisons)


def refold(store: Path, *, until: int = 0, progress: Callable[[int], None] = lambda records: None) -> Fold:
    """Fold the journal of ``store`` up to the record ``until`` (0: all of it).

    Raises:
        SessionError: there is no journal.
        JournalError: it can't be read.
    """
    if not (store / "journal").exists():
        raise SessionError(f"expected a journal in {store / 'journal'}, found none; name the session's folder")
    reader = JournalReader(store / "journal")
    try:
        head = min(until, reader.head) if until else reader.head
        taken, unread = _snapshots(store / "supervisors")
        found = Fold(unread=unread, beyond=sorted(seq for seq in taken if seq > reader.head))
        began = time.perf_counter()
        # Nothing of a fold is cyclic, and a collector that looks through all of it takes a third of the time.
        gc.disable()
        _fold(reader, head, taken, found, progress)
        found.seconds = time.perf_counter() - began
    finally:
        gc.enable()
        reader.close()
    return found


def _fold(
    reader: JournalReader,
    head: int,
    taken: dict[int, tuple[int, Ledger]],
    found: Fold,
    progress: Callable[[int], None],
) -> None:
    ledger, settings = Ledger(), BusSettings()
    stops = [*sorted(seq for seq in taken if 0 < seq <= head), head]
    for stop in stops:
        while ledger.seq < stop:
            records = reader.brief(ledger.seq, min(CHUNK, stop - ledger.seq))
            for record in records:
                apply(ledger, settings, record.event, record.seq, record.ts)
            if not records:
                break
            found.records += len(records)
            progress(len(records))
        if stop in taken and not any(comparison.seq == stop for comparison in found.comparisons):
            epoch, live = taken[stop]
            found.comparisons.append(Comparison(stop, epoch, _compare(live, ledger)))
    found.ledger = msgspec.to_builtins(ledger)


def _snapshots(folder: Path) -> tuple[dict[int, tuple[int, Ledger]], list[str]]:
    """The ledgers in the bus's snapshots, with their epochs, by the last record they know; and what can't be read."""
    found: dict[int, tuple[int, Ledger]] = {}
    unread: list[str] = []
    for place in sorted(path for path in folder.glob("*") if path.is_dir()):
        try:
            store = SnapshotStore(place)
            try:
                for snapshot in store.load(BUS):
                    state = msgspec.msgpack.decode(snapshot.state, type=CellState)
                    found[state.cursor] = snapshot.epoch, ledgers.decode(state.state).ledger
            finally:
                store.close()
        except (SnapshotError, msgspec.DecodeError) as error:
            unread.append(str(error))
    return found, unread


def _compare(live: Ledger, folded: Ledger) -> str:
    """Where two ledgers first differ; empty where they are the same in all that is journaled."""
    ours, theirs = (_journaled(ledger) for ledger in (folded, live))
    if msgspec.msgpack.encode(ours) == msgspec.msgpack.encode(theirs):
        return ""
    return _first(ours, theirs, "ledger") or "ledger: the same entries in another order"


def _journaled(ledger: Ledger) -> Any:
    """What of a ledger comes from records alone."""
    plain = msgspec.to_builtins(ledger)
    plain["counters"] = {name: count for name, count in plain["counters"].items() if name not in _UNFOLDED}
    for live in plain["live"].values():
        live.pop("fence")
    return plain


def _first(ours: Any, theirs: Any, path: str) -> str:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in (*ours, *(key for key in theirs if key not in ours)):
            if key not in ours or key not in theirs:
                return f"{path}.{key}: only in the {'fold' if key in ours else 'snapshot'}"
            if found := _first(ours[key], theirs[key], f"{path}.{key}"):
                return found
        return ""
    return "" if ours == theirs else f"{path}: the fold has {ours!r}, the snapshot {theirs!r}"


def lines(found: Fold) -> list[str]:
    """The outcome for people."""
    said = [
        f"the bus's snapshot at record {one.seq} (epoch {one.epoch}): "
        f"{f'DIFFERENT: {one.differs}' if one.differs else 'the same as the fold'}"
        for one in found.comparisons
    ]
    said += [
        f"a snapshot of the bus knows record {seq}, which the journal lacks: records are GONE" for seq in found.beyond
    ]
    said += [f"a snapshot can't be compared: {text}" for text in found.unread]
    if not said:
        said = ["there is no snapshot of the bus to compare with"]
    rate = found.records / found.seconds if found.seconds else 0.0
    return [*said, f"{found.records} records folded, {rate:,.0f} a second"]
