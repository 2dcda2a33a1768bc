"""How the bus's records change the risk supervisor's state, replayed or live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.messages.control import TradingStateChanged
from actors.messages.learning import FeedbackIssued
from actors.messages.orders import ExchangeState, Filled, OrderChanged, Paid, Repaired, SymbolHalted
from actors.messages.signals import Approved, Blocked, Executed, Expired, Verdict
from actors.risk import book
from actors.risk.case import Feedback, View
from actors.risk.settings import RiskSettings
from actors.risk.state import RiskState, pair
from actors.window import remember
from exchanges.model.instrument import ContractKind
from runtime.lifecycle import Entry
from runtime.message import Message

_MINUTE_NS = 60 * 1_000_000_000


def fold(state: RiskState, settings: RiskSettings, entry: Entry) -> Message:
    """Fold one record and return its event; types risk has no use for change nothing."""
    event = entry.event
    state.seq = entry.seq
    state.book.roll(entry.ts)
    apply = _FOLDS.get(type(event))
    if apply is not None:
        apply(state, settings, event, entry.ts)
    return event


def entered(state: RiskState, signal_id: str, strategy: str, symbol: str, now: int, *, reduces: bool) -> None:
    """Count an approval for the order rate and, if it may add exposure, for the cooldown."""
    state.approvals[signal_id] = now
    if not reduces:
        key = pair(strategy, symbol)
        state.entries[key] = max(now, state.entries.get(key, 0))
    for known, at in list(state.approvals.items()):
        if now - at >= _MINUTE_NS:
            del state.approvals[known]


def heard(state: RiskState, event: ExchangeState, at: int, *, direct: bool) -> None:
    """Take over what an exchange connection says of itself; its own word also says it is linked."""
    known = state.views.get(event.venue)
    if known is not None and known.heard_ns > at:
        return
    linked = direct or known is None or known.linked
    state.views[event.venue] = View(event, at, linked)
    for instrument in event.instruments:
        state.instruments[instrument.symbol] = instrument
        if instrument.kind is ContractKind.BINARY_EVENT:
            state.book.contracts[instrument.symbol] = instrument.contract_value


def _settle(state: RiskState, settings: RiskSettings, signal_id: str, ts: int) -> None:
    remember(state.settled, signal_id, ts, settings.remembered_decisions * 10)
    state.waiting.pop(signal_id, None)
    state.own.pop(signal_id, None)


def _approved(state: RiskState, settings: RiskSettings, event: Approved, ts: int) -> None:
    order = event.order
    book.confirm(state.book, order)
    state.last_approved = event.signal_id
    remember(
        state.decisions, event.signal_id, Verdict(event.signal_id, event.steps, order), settings.remembered_decisions
    )
    entered(state, event.signal_id, event.strategy, event.symbol, order.approved_ns, reduces=order.reduce_only)
    _settle(state, settings, event.signal_id, ts)


def _blocked(state: RiskState, settings: RiskSettings, event: Blocked, ts: int) -> None:
    book.release(state.book, event.signal_id)
    if event.steps and event.signal_id not in state.decisions:
        verdict = Verdict(event.signal_id, event.steps, None, event.gate, event.code, event.detail)
        remember(state.decisions, event.signal_id, verdict, settings.remembered_decisions)
    _settle(state, settings, event.signal_id, ts)


def _ended(state: RiskState, settings: RiskSettings, event: Expired | Executed, ts: int) -> None:
    book.release(state.book, event.signal_id)
    _settle(state, settings, event.signal_id, ts)


def _order(state: RiskState, settings: RiskSettings, event: OrderChanged, ts: int) -> None:
    book.order_changed(state.book, event)


def _filled(state: RiskState, settings: RiskSettings, event: Filled, ts: int) -> None:
    book.filled(state.book, event)


def _paid(state: RiskState, settings: RiskSettings, event: Paid, ts: int) -> None:
    state.book.positions[event.symbol] = event.position


def _repaired(state: RiskState, settings: RiskSettings, event: Repaired, ts: int) -> None:
    book.repaired(state.book, event)


def _halted(state: RiskState, settings: RiskSettings, event: SymbolHalted, ts: int) -> None:
    state.halts.pop(event.symbol, None)
    if event.halted:
        state.halts[event.symbol] = event.reason or "no reason given"


def _trading(state: RiskState, settings: RiskSettings, event: TradingStateChanged, ts: int) -> None:
    state.trading = event
    state.pending = [change for change in state.pending if change != event]
    if event.control_id:
        remember(state.controls, event.control_id, ts, settings.remembered_controls)


def _feedback(state: RiskState, settings: RiskSettings, event: FeedbackIssued, ts: int) -> None:
    key = pair(event.strategy, event.symbol)
    known = state.feedback.get(key)
    if known is None or event.version > known.version:
        state.feedback[key] = Feedback(event.version, event.size_multiplier, event.conviction_threshold)


def _exchange(state: RiskState, settings: RiskSettings, event: ExchangeState, ts: int) -> None:
    heard(state, event, ts, direct=False)


_FOLDS: dict[type[Message], Callable[[RiskState, RiskSettings, Any, int], None]] = {
    Approved: _approved,
    Blocked: _blocked,
    Expired: _ended,
    Executed: _ended,
    OrderChanged: _order,
    Filled: _filled,
    Repaired: _repaired,
    Paid: _paid,
    SymbolHalted: _halted,
    TradingStateChanged: _trading,
    FeedbackIssued: _feedback,
    ExchangeState: _exchange,
}

KINDS: tuple[str, ...] = tuple(kind.__name__ for kind in _FOLDS)
"""The event types to subscribe to."""
