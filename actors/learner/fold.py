"""How the bus's records change what the learner knows, replayed or live."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec

from actors.learner import lessons, stages
from actors.learner.reckoning import ENSEMBLE
from actors.learner.settings import LearnerSettings
from actors.learner.state import Followed, LearnerState, Lot
from actors.learner.statistics import Record
from actors.messages.control import ControlTaken, DeadLetter
from actors.messages.learning import FeedbackIssued, Lesson, PolicyIssued
from actors.messages.orders import ExchangeState, Filled
from actors.messages.signals import Approved, Blocked, Executed, Expired, Generated
from actors.names import LEARNER, pair
from actors.traits import moment
from actors.window import remember
from exchanges.model.instrument import ContractKind
from runtime import codec
from runtime.errors import DecodeError
from runtime.lifecycle import Entry
from runtime.message import Message
from strategies.signal import SignalState

EXPIRED = "expired"
"""The gate in the lesson of a signal that no gate has stopped."""

CONVICTION, SIZING = "conviction", "sizing"
"""The steps of the evaluation that say what the opinions came to, and how large the order is to be."""

_LOTS = 200
"""Open entries kept for each strategy and symbol; what is older is held for ever, as far as lessons go."""
_DUST = 1e-9


def fold(state: LearnerState, settings: LearnerSettings, entry: Entry) -> Message:
    """Fold one record and return its event; types that teach nothing change nothing."""
    event = entry.event
    state.seq, state.now_ns = entry.seq, entry.ts
    apply = _FOLDS.get(type(event))
    if apply is not None:
        apply(state, settings, event, entry.ts)
    return event


def _generated(state: LearnerState, settings: LearnerSettings, event: Generated, ts: int) -> None:
    signal, cause, began = event.signal, event.signal.cause, moment(event.signal.cause)
    followed = Followed(
        strategy=signal.strategy,
        symbol=signal.symbol,
        side=signal.side,
        entry_ns=began,
        entry_price=cause.price,
        conviction=signal.conviction,
        sources=dict(signal.opinions),
        features=dict(signal.features),
        reduces=signal.reduce_only,
        quantity=float(signal.quantity or 0),
        made_ns=began,
    )
    remember(state.opened, event.signal_id, followed, settings.max_pending)


def _approved(state: LearnerState, settings: LearnerSettings, event: Approved, ts: int) -> None:
    followed = state.opened.get(event.signal_id)
    if followed is not None:
        order = event.order
        followed.reference, followed.quantity = float(order.reference_price), float(order.quantity)
        followed.reduces = followed.reduces or order.reduce_only
        _judged(followed, event)


def _judged(followed: Followed, event: Approved | Blocked) -> None:
    """Take over what risk judged it in, by and on; an exchange connection's refusal says nothing of that."""
    if not event.steps:
        return
    followed.regime, followed.policy, followed.arm = event.regime, event.policy, event.arm
    for step in event.steps:
        if step.name == ENSEMBLE:
            heard = {name: number(text.partition(" ")[0]) for name, text in step.inputs.items() if "weight=" in text}
            followed.heard = {name.partition("@")[0]: value for name, value in heard.items()}
        elif step.name == CONVICTION:
            followed.conviction = number(step.inputs.get("conviction", "")) or followed.conviction


def _filled(state: LearnerState, settings: LearnerSettings, event: Filled, ts: int) -> None:
    fill = event.fill
    _hold(state, event)
    followed = state.opened.get(event.signal_id)
    if followed is None or fill.side is not followed.side:
        return
    followed.entry_ns = max(followed.entry_ns, fill.ts_ns)
    base = state.bases.get(fill.symbol, "")
    rate = float(fill.price) if base and fill.fee_currency == base else 1.0
    followed.paid = (followed.paid or 0.0) + float(fill.fee) * rate


def _hold(state: LearnerState, event: Filled) -> None:
    """Open a lot of the strategy's, or close its oldest ones; what is closed says since when."""
    fill, key = event.fill, pair(event.strategy, event.fill.symbol)
    lots, rest = state.lots.setdefault(key, []), float(fill.quantity) * fill.side.sign
    while lots and rest * lots[0].quantity < 0:
        first = lots[0]
        if abs(rest) < abs(first.quantity) * (1 - _DUST):
            first.quantity += rest
            return
        rest += first.quantity
        del lots[0]
        followed = state.pending.get(first.signal_id) or state.opened.get(first.signal_id)
        if followed is not None and all(lot.signal_id != first.signal_id for lot in lots):
            followed.left_ns = fill.ts_ns
    if abs(rest) > float(fill.quantity) * _DUST:
        lots.append(Lot(event.signal_id, rest))
        del lots[:-_LOTS]


def _executed(state: LearnerState, settings: LearnerSettings, event: Executed, ts: int) -> None:
    followed = state.opened.pop(event.signal_id, None)
    if followed is not None:
        followed.entry_price, followed.quantity = float(event.average_price), float(event.filled)
        _follow(state, event.signal_id, followed, SignalState.EXECUTED, "", ts)


def _blocked(state: LearnerState, settings: LearnerSettings, event: Blocked, ts: int) -> None:
    followed = state.opened.pop(event.signal_id, None)
    if followed is not None:
        followed.code = event.code
        followed.quantity = followed.quantity or _planned(event)
        _judged(followed, event)
        _follow(state, event.signal_id, followed, SignalState.BLOCKED, event.gate, ts)


def _planned(event: Blocked) -> float:
    """The size the signal had got before a later gate stopped it, 0 if it had none."""
    for step in event.steps:
        if step.name == SIZING and step.passed:
            return number(step.inputs.get("quantity", ""))
    return 0.0


def number(text: str) -> float:
    """A finite number as a step writes it, or 0."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0


def _expired(state: LearnerState, settings: LearnerSettings, event: Expired, ts: int) -> None:
    followed = state.opened.pop(event.signal_id, None)
    if followed is not None:
        _follow(state, event.signal_id, followed, SignalState.EXPIRED, EXPIRED, ts)


def _follow(state: LearnerState, signal_id: str, followed: Followed, end: SignalState, gate: str, ts: int) -> None:
    followed.state, followed.gate, followed.since_ns = end.value, gate, ts
    state.pending[signal_id] = followed


def _lesson(state: LearnerState, settings: LearnerSettings, event: Lesson, ts: int) -> None:
    followed = state.pending.pop(event.signal_id, None)
    state.lessons.pop(event.signal_id, None)
    if event.reason:
        return
    lessons.learn(state, settings, event, followed)


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
    state.equities[event.venue] = float(event.equity)
    for instrument in event.instruments:
        state.fees[instrument.symbol] = float(instrument.taker_fee)
        state.bases[instrument.symbol] = instrument.base
        if instrument.kind is ContractKind.BINARY_EVENT:
            state.contracts[instrument.symbol] = float(instrument.contract_value)


def _policy(state: LearnerState, settings: LearnerSettings, event: PolicyIssued, ts: int) -> None:
    stages.take(state, settings, event, ts)


def _control(state: LearnerState, settings: LearnerSettings, event: ControlTaken, ts: int) -> None:
    if event.actor == LEARNER:
        remember(state.controls, event.control_id, ts, settings.remembered_controls)
        state.answers = [each for each in state.answers if each.control_id != event.control_id]


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
    Approved: _approved,
    Filled: _filled,
    Executed: _executed,
    Blocked: _blocked,
    Expired: _expired,
    Lesson: _lesson,
    FeedbackIssued: _feedback,
    PolicyIssued: _policy,
    ControlTaken: _control,
    ExchangeState: _exchange,
    DeadLetter: _dead_letter,
}

KINDS: tuple[str, ...] = tuple(kind.__name__ for kind in _FOLDS)
"""The event types to subscribe to."""


def records_of(state: LearnerState) -> dict[str, dict[str, object]]:
    """The records, JSON-ready, by strategy and symbol."""
    return {key: msgspec.to_builtins(record) for key, record in sorted(state.records.items())}
