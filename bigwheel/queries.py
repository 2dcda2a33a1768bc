"""Questions to the journal, asked from outside the bus's process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from actors.bus.lifecycle import STATE_OF
from actors.messages.signals import Blocked, Expired, Generated, Learned, SignalEvent
from bigwheel.errors import SessionError, UsageError
from runtime.journal.base import History
from runtime.journal.reader import JournalReader
from runtime.journal.record import Record
from strategies.signal import Signal, SignalState

PAGE = 512
SCAN_LIMIT = 1_000_000
"""Records looked at for one question, at most."""

_STEPS = {kind.__name__: state for kind, state in STATE_OF.items()}
"""The state that each kind of record takes a signal to; other records about it change nothing."""


ENDINGS = (SignalState.EXECUTED, SignalState.BLOCKED, SignalState.EXPIRED)


class SignalRow(NamedTuple):
    """A signal, the state it is in, and what decided that.

    ``ended`` is how it ended before it was learned from: ``EXECUTED``, ``BLOCKED``, ``EXPIRED``, or empty.
    """

    signal: Signal
    state: str
    detail: str
    changed_ns: int
    ended: str = ""

    def as_json(self) -> dict[str, object]:
        signal = self.signal
        return {
            "id": signal.id,
            "strategy": signal.strategy,
            "symbol": signal.symbol,
            "side": str(signal.side),
            "conviction": signal.conviction,
            "state": self.state,
            "ended": self.ended,
            "detail": self.detail,
            "created_ns": signal.created_ns,
            "changed_ns": self.changed_ns,
            "price": signal.price,
            "tick": signal.cause.tick_id,
            "reason": signal.reason,
            "features": dict(signal.features),
        }


@contextmanager
def open_journal(store: Path) -> Iterator[JournalReader]:
    """The journal of a store for reading; raises ``SessionError`` where there is none."""
    path = store / "journal"
    if not path.exists():
        raise SessionError(
            f"expected the journal of a session in {store}, found none; name the session's folder with --store"
        )
    journal = JournalReader(str(path))
    try:
        yield journal
    finally:
        journal.close()


def select(
    journal: History, *, state: str = "", symbol: str = "", strategy: str = "", since_ns: int = 0, limit: int = 100
) -> list[SignalRow]:
    """Signals that fit, the one that changed last first.

    A signal fits ``state`` when it is in that state now, or ended in it and has been learned from
    since. Each narrowing may be left empty.

    Raises:
        UsageError: there is no such state.
    """
    wanted = state.upper()
    if wanted and wanted not in SignalState.__members__:
        raise UsageError(f"expected a state ({', '.join(SignalState)}), found {state!r}")
    rows: list[SignalRow] = []
    seen: set[str] = set()
    for record in _newest(journal, wanted, symbol, strategy, since_ns):
        event = record.event
        if not isinstance(event, SignalEvent) or event.signal_id in seen:
            continue
        seen.add(event.signal_id)
        if (symbol and event.symbol != symbol) or (strategy and event.strategy != strategy):
            continue
        row = _row(journal, event.signal_id)
        if row is not None and (not wanted or wanted in (row.state, row.ended)):
            rows.append(row)
            if len(rows) == limit:
                break
    # A signal may have gone a step further since its place was read: the session writes on.
    return sorted(rows, key=lambda row: row.changed_ns, reverse=True)


def _newest(journal: History, state: str, symbol: str, strategy: str, since_ns: int) -> Iterator[Record]:
    """Records along the narrowest index, newest first, down to ``since_ns``."""
    index, value = ("state", state) if state else ("symbol", symbol) if symbol else ("strategy", strategy)
    pages = _indexed(journal, index, value) if value else _everything(journal)
    for record in pages:
        if record.ts < since_ns:
            return
        yield record


def _indexed(journal: History, index: str, value: str) -> Iterator[Record]:
    """All records with a key, newest first: asked for in ever larger bites."""
    size, given = PAGE, 0
    while given < SCAN_LIMIT:
        page = journal.latest(index, value, size)
        yield from page[given:]
        if len(page) < size:
            return
        given, size = len(page), size * 4


def _everything(journal: History) -> Iterator[Record]:
    """All records, newest first, a page at a time."""
    upper = journal.head
    while upper > 0:
        lower = max(upper - PAGE, 0)
        yield from reversed(journal.read(lower, upper - lower))
        upper = lower


def _row(journal: History, signal_id: str) -> SignalRow | None:
    steps = [record for record in whole(journal, signal_id) if record.kind in _STEPS]
    if not steps or not isinstance(first := steps[0].event, Generated):
        return None
    states = [_STEPS[record.kind] for record in steps]
    ended = next((str(state) for state in reversed(states) if state in ENDINGS), "")
    return SignalRow(first.signal, str(states[-1]), _detail(steps), steps[-1].ts, ended)


def whole(journal: History, signal_id: str) -> Iterator[Record]:
    """Every record of a signal, oldest first."""
    after = 0
    while page := journal.read(after, PAGE, index="signal", value=signal_id):
        yield from page
        after = page[-1].seq


def _detail(events: list[Record]) -> str:
    said = []
    for record in events:
        event = record.event
        if isinstance(event, Blocked):
            said.append(
                f"{event.gate}: {event.code}: {event.detail}" if event.code not in event.detail else event.detail
            )
        elif isinstance(event, Expired):
            said.append(event.reason)
        elif isinstance(event, Learned):
            said.append(f"outcome {event.value:+.5f}")
    return "; ".join(said)
