"""How the bus's records change the risk supervisor's state, replayed or live."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from actors.messages.control import TradingState, TradingStateChanged
from actors.messages.learning import FeedbackIssued, PolicyIssued
from actors.messages.orders import (
    ExchangeState,
    Filled,
    FlowEnded,
    LegPlanned,
    OrderChanged,
    Paid,
    Repaired,
    SymbolHalted,
)
from actors.messages.signals import Approved, Blocked, Executed, Expired, Generated, Verdict
from actors.names import pair
from actors.risk import book, ensemble
from actors.risk.case import Feedback, Pace, View
from actors.risk.ensemble import Voice
from actors.risk.settings import RiskSettings
from actors.risk.state import DRAWDOWN, RiskState
from actors.window import forget_oldest, oldest, remember
from exchanges.model.instrument import ContractKind
from runtime import codec
from runtime.lifecycle import Entry
from runtime.message import Message

_ONE = Decimal(1)
_SECOND_NS = 1_000_000_000
_MINUTE_NS = 60 * _SECOND_NS
_SYMBOLS = 10_000
"""Symbols of which it is known what strategies said."""


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
    _forget_approvals(state, now)


def decided(state: RiskState, verdict: Verdict, settings: RiskSettings) -> None:
    """Keep a verdict, to be given again."""
    remember(state.verdicts, verdict.signal_id, codec.encode(verdict), settings.remembered_decisions)


def recall(state: RiskState, signal_id: str) -> Verdict | None:
    """The verdict on a signal, if there was one and it is still kept."""
    kept = state.verdicts.get(signal_id)
    found = codec.decode(kept) if kept is not None else None
    return found if isinstance(found, Verdict) else None


def pace(state: RiskState, key: str, now: int) -> Pace:
    """How fast it goes now, and when the ``strategy|symbol`` last made an entry."""
    _forget_approvals(state, now)
    second = 0
    for at in reversed(state.approvals.values()):
        if now - at >= _SECOND_NS:
            break
        second += 1
    return Pace(second, len(state.approvals), state.entries.get(key, 0))


def _forget_approvals(state: RiskState, now: int) -> None:
    """Approvals come in the order of time: those a minute old are the first."""
    while state.approvals:
        if now - oldest(state.approvals)[1] < _MINUTE_NS:
            return
        forget_oldest(state.approvals)


def heard(state: RiskState, settings: RiskSettings, event: ExchangeState, at: int, *, direct: bool) -> None:
    """Take over what an exchange connection says of itself; its own word also says it is linked."""
    known = state.views.get(event.venue)
    if known is not None and known.heard_ns > at:
        return
    linked = direct or known is None or known.linked
    state.views[event.venue] = View(event, at, linked)
    for instrument in event.instruments:
        state.instruments[instrument.symbol] = instrument
        state.book.rates[instrument.symbol] = settings.currencies.get(instrument.quote, _ONE)
        if instrument.kind is ContractKind.BINARY_EVENT:
            state.book.contracts[instrument.symbol] = instrument.contract_value


def spoke(state: RiskState, strategy: str, symbol: str, voice: Voice) -> None:
    """A signal was judged: it is its strategy's word on the symbol from now on."""
    voices = state.voices.get(symbol, {})
    ensemble.hear(voices, strategy, voice)
    remember(state.voices, symbol, voices, _SYMBOLS)


def _generated(state: RiskState, settings: RiskSettings, event: Generated, ts: int) -> None:
    remember(state.spoken, event.signal_id, ensemble.voice(event.signal), settings.remembered_decisions)


def _judged(state: RiskState, event: Approved | Blocked) -> None:
    voice = state.spoken.pop(event.signal_id, None)
    if voice is not None:
        spoke(state, event.strategy, event.symbol, voice)


def _settle(state: RiskState, settings: RiskSettings, signal_id: str, ts: int) -> None:
    remember(state.settled, signal_id, ts, settings.remembered_decisions * 10)
    state.waiting.pop(signal_id, None)
    state.own.pop(signal_id, None)


def _approved(state: RiskState, settings: RiskSettings, event: Approved, ts: int) -> None:
    order = event.order
    book.confirm(state.book, order)
    state.account.approved(order, state.book)
    state.last_approved = event.signal_id
    _judged(state, event)
    verdict = Verdict(event.signal_id, event.steps, order, regime=event.regime, policy=event.policy, arm=event.arm)
    decided(state, verdict, settings)
    reduces = order.reduce_only or order.closes
    entered(state, event.signal_id, event.strategy, event.symbol, order.approved_ns, reduces=reduces)
    _settle(state, settings, event.signal_id, ts)


def _blocked(state: RiskState, settings: RiskSettings, event: Blocked, ts: int) -> None:
    book.release(state.book, event.signal_id)
    if event.steps:
        _judged(state, event)
        if event.signal_id not in state.verdicts:
            decided(state, _denial(event), settings)
    state.spoken.pop(event.signal_id, None)
    _settle(state, settings, event.signal_id, ts)


def _denial(event: Blocked) -> Verdict:
    return Verdict(
        event.signal_id,
        event.steps,
        None,
        event.gate,
        event.code,
        event.detail,
        regime=event.regime,
        policy=event.policy,
        arm=event.arm,
    )


def _ended(state: RiskState, settings: RiskSettings, event: Expired | Executed, ts: int) -> None:
    state.spoken.pop(event.signal_id, None)
    book.release(state.book, event.signal_id, executed=isinstance(event, Executed))
    _settle(state, settings, event.signal_id, ts)


def _order(state: RiskState, settings: RiskSettings, event: OrderChanged, ts: int) -> None:
    book.order_changed(state.book, event)


def _filled(state: RiskState, settings: RiskSettings, event: Filled, ts: int) -> None:
    book.filled(state.book, event)
    state.account.filled(event, ts, settings.loss_streak, settings.loss_pause_ns)
    state.account.drawdown(state.book.profit())


def _leg(state: RiskState, settings: RiskSettings, event: LegPlanned, ts: int) -> None:
    book.leg_planned(state.book, event)


def _flow_ended(state: RiskState, settings: RiskSettings, event: FlowEnded, ts: int) -> None:
    book.flow_ended(state.book, event)


def _paid(state: RiskState, settings: RiskSettings, event: Paid, ts: int) -> None:
    state.book.positions[event.symbol] = event.position


def _repaired(state: RiskState, settings: RiskSettings, event: Repaired, ts: int) -> None:
    before = state.book.profit()
    book.repaired(state.book, event)
    if event.position is not None:
        state.account.peak += state.book.profit() - before
    moved = event.position is not None or event.fill is not None
    if moved and not state.book.position(event.symbol).quantity:
        state.account.flat(event.symbol)


def _halted(state: RiskState, settings: RiskSettings, event: SymbolHalted, ts: int) -> None:
    state.halts.pop(event.symbol, None)
    if event.halted:
        state.halts[event.symbol] = event.reason or "no reason given"


def _trading(state: RiskState, settings: RiskSettings, event: TradingStateChanged, ts: int) -> None:
    if event.state is TradingState.ACTIVE and state.trading and state.trading.reason.startswith(DRAWDOWN):
        state.account.peak = state.book.profit()
    state.trading = event
    state.pending = [change for change in state.pending if change != event]
    if event.control_id:
        remember(state.controls, event.control_id, ts, settings.remembered_controls)


def _feedback(state: RiskState, settings: RiskSettings, event: FeedbackIssued, ts: int) -> None:
    key = pair(event.strategy, event.symbol)
    known = state.feedback.get(key)
    if known is None or event.version > known.version:
        state.feedback[key] = Feedback(event.version, event.size_multiplier, event.conviction_threshold)


def _policy(state: RiskState, settings: RiskSettings, event: PolicyIssued, ts: int) -> None:
    state.policies.take(event)


def _exchange(state: RiskState, settings: RiskSettings, event: ExchangeState, ts: int) -> None:
    heard(state, settings, event, ts, direct=False)


_FOLDS: dict[type[Message], Callable[[RiskState, RiskSettings, Any, int], None]] = {
    Approved: _approved,
    Blocked: _blocked,
    Expired: _ended,
    Executed: _ended,
    OrderChanged: _order,
    Filled: _filled,
    LegPlanned: _leg,
    FlowEnded: _flow_ended,
    Repaired: _repaired,
    Paid: _paid,
    SymbolHalted: _halted,
    TradingStateChanged: _trading,
    FeedbackIssued: _feedback,
    PolicyIssued: _policy,
    Generated: _generated,
    ExchangeState: _exchange,
}

KINDS: tuple[str, ...] = tuple(kind.__name__ for kind in _FOLDS)
"""The event types to subscribe to."""
