"""How the bus's records change what the learner knows, replayed or live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from actors.learner.settings import LearnerSettings
from actors.learner.state import Followed, LearnerState, pair
from actors.learner.statistics import Moments, Record
from actors.messages.control import DeadLetter
from actors.messages.learning import FeedbackIssued, Lesson
from actors.messages.orders import ExchangeState, Filled
from actors.messages.signals import Blocked, Executed, Expired, Generated
from actors.names import LEARNER
from actors.window import remember
from exchanges.model.instrument import ContractKind
from runtime import codec
from runtime.errors import DecodeError
from runtime.lifecycle import Entry
from runtime.message import Message
from strategies.signal import SignalState

EXPIRED = "expired"
"""The gate in the lesson of a signal that no gate has stopped."""

CONVICTION = "conviction"
"""The gate whose counterfactuals count: it could not learn that it is too strict otherwise."""


def fold(state: LearnerState, settings: LearnerSettings, entry: Entry) -> Message:
    """Fold one record and return its event; types that teach nothing change nothing."""
    event = entry.event
    state.seq = entry.seq
    apply = _FOLDS.get(type(event))
    if apply is not None:
        apply(state, settings, event, entry.ts)
    return event


def _generated(state: LearnerState, settings: LearnerSettings, event: Generated, ts: int) -> None:
    signal, cause = event.signal, event.signal.cause
    followed = Followed(signal.strategy, signal.symbol, signal.side, cause.ts_ns, cause.price)
    remember(state.opened, event.signal_id, followed, settings.max_pending)


def _filled(state: LearnerState, settings: LearnerSettings, event: Filled, ts: int) -> None:
    followed = state.opened.get(event.signal_id)
    if followed is not None:
        followed.entry_ns = max(followed.entry_ns, event.fill.ts_ns)


def _executed(state: LearnerState, settings: LearnerSettings, event: Executed, ts: int) -> None:
    followed = state.opened.pop(event.signal_id, None)
    if followed is not None:
        followed.entry_price = float(event.average_price)
        _follow(state, event.signal_id, followed, SignalState.EXECUTED, "", ts)


def _blocked(state: LearnerState, settings: LearnerSettings, event: Blocked, ts: int) -> None:
    followed = state.opened.pop(event.signal_id, None)
    if followed is not None:
        _follow(state, event.signal_id, followed, SignalState.BLOCKED, event.gate, ts)


def _expired(state: LearnerState, settings: LearnerSettings, event: Expired, ts: int) -> None:
    followed = state.opened.pop(event.signal_id, None)
    if followed is not None:
        _follow(state, event.signal_id, followed, SignalState.EXPIRED, EXPIRED, ts)


def _follow(state: LearnerState, signal_id: str, followed: Followed, end: SignalState, gate: str, ts: int) -> None:
    followed.state, followed.gate, followed.since_ns = end.value, gate, ts
    state.pending[signal_id] = followed


def _lesson(state: LearnerState, settings: LearnerSettings, event: Lesson, ts: int) -> None:
    state.pending.pop(event.signal_id, None)
    state.lessons.pop(event.signal_id, None)
    if event.reason:
        return
    record = state.records.setdefault(pair(event.strategy, event.symbol), Record())
    if event.counterfactual:
        state.gates.setdefault(event.gate or event.state, Moments()).add(event.value)
        if event.gate != CONVICTION:
            return
        record.faded.add(event.value, settings.half_life, settings.counterfactual_weight)
    else:
        record.returns.add(event.value)
        record.wins += event.value > 0
        record.losses += event.value <= 0
        record.faded.add(event.value, settings.half_life)
    record.lessons += 1


def _feedback(state: LearnerState, settings: LearnerSettings, event: FeedbackIssued, ts: int) -> None:
    key = pair(event.strategy, event.symbol)
    waiting = state.feedback.get(key)
    if waiting is not None and waiting.version <= event.version:
        del state.feedback[key]
    known = state.issued.get(key)
    if known is None or known.version < event.version:
        state.issued[key] = event
        record = state.records.setdefault(key, Record())
        record.issued = record.lessons


def _exchange(state: LearnerState, settings: LearnerSettings, event: ExchangeState, ts: int) -> None:
    for instrument in event.instruments:
        state.fees[instrument.symbol] = float(instrument.taker_fee)
        if instrument.kind is ContractKind.BINARY_EVENT:
            state.contracts[instrument.symbol] = float(instrument.contract_value)


def _dead_letter(state: LearnerState, settings: LearnerSettings, event: DeadLetter, ts: int) -> None:
    """A lesson the bus can't take is not sent again."""
    if event.sender != LEARNER or event.kind != Lesson.__name__:
        return
    try:
        refused = codec.decode(event.body)
    except DecodeError:
        # The bus leaves out a body that is too long; its lesson ends with the next incarnation of the bus.
        return
    if isinstance(refused, Lesson):
        state.lessons.pop(refused.signal_id, None)
        state.pending.pop(refused.signal_id, None)


_FOLDS: dict[type[Message], Callable[[LearnerState, LearnerSettings, Any, int], None]] = {
    Generated: _generated,
    Filled: _filled,
    Executed: _executed,
    Blocked: _blocked,
    Expired: _expired,
    Lesson: _lesson,
    FeedbackIssued: _feedback,
    ExchangeState: _exchange,
    DeadLetter: _dead_letter,
}

KINDS: tuple[str, ...] = tuple(kind.__name__ for kind in _FOLDS)
"""The event types to subscribe to."""


def records_of(state: LearnerState) -> dict[str, dict[str, object]]:
    """The records, JSON-ready, by strategy and symbol."""
    return {key: msgspec.to_builtins(record) for key, record in sorted(state.records.items())}
