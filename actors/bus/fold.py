"""How one record changes the ledger: the same function live and when the journal is replayed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from actors.bus.frame import Frame
from actors.bus.ledger import Closed, Ledger, Live
from actors.bus.lifecycle import STATE_OF
from actors.bus.settings import BusSettings
from actors.messages.control import ActorRestarted, ControlTaken, TradingStateChanged
from actors.messages.learning import FeedbackIssued, Lesson, PolicyIssued
from actors.messages.orders import (
    Adopted,
    ExchangeState,
    Filled,
    FlowEnded,
    LegPlanned,
    LegRefused,
    OrderChanged,
    Paid,
    Repaired,
    SymbolHalted,
)
from actors.messages.signals import (
    Approved,
    Blocked,
    Evaluating,
    Executed,
    Executing,
    Expired,
    Generated,
    Learned,
    LifecycleViolation,
    SignalEvent,
    SignalStuck,
    Withdraw,
)
from actors.names import pair
from actors.window import forget_oldest, oldest, remember
from exchanges.model.order import Order
from runtime.message import Message
from strategies.signal import SignalState


def apply(ledger: Ledger, settings: BusSettings, event: Message, seq: int, ts: int) -> None:
    """Fold the record ``seq``, written at ``ts`` (ns), into the ledger.

    Unknown event types only move the sequence number on: a newer version may have written them.
    """
    ledger.seq = seq
    fold = _FOLDS.get(type(event))
    if fold is not None:
        fold(ledger, settings, event, seq, ts)
    _touch(ledger, event, seq)


def ending(event: Blocked | Expired) -> str:
    """What decided a signal that was not executed, to tell a repeat from something new."""
    return f"{event.gate}|{event.code}" if isinstance(event, Blocked) else f"|{event.reason}"


_keyed: tuple[Order | None, str] = (None, "")


def order_key(order: Order) -> str:
    """The same for each report of one state of an order, whenever it was told. The last one is kept."""
    global _keyed
    known = _keyed
    if known[0] is not order:
        told = msgspec.msgpack.encode(msgspec.structs.replace(order, updated_ns=0))
        known = _keyed = (order, hashlib.blake2b(told, digest_size=12).hexdigest())
    return known[1]


def repair_key(repaired: Repaired) -> str:
    return f"{repaired.venue}/{repaired.id}"


def payment_key(paid: Paid) -> str:
    return f"{paid.venue}/{paid.payment_id}"


def adoption_key(adopted: Adopted) -> str:
    return f"{adopted.venue}/{adopted.order.client_id}"


def execution_key(filled: Filled) -> str:
    return f"{filled.fill.symbol.partition(':')[0]}/{filled.fill.execution_id}"


def policy_key(issued: PolicyIssued) -> str:
    return f"{issued.policy.version}|{issued.stage.value}"


def _touch(ledger: Ledger, event: Message, seq: int) -> None:
    signal_id = getattr(event, "signal_id", "")
    if signal_id:
        known = ledger.live.get(signal_id) or ledger.closed.get(signal_id)
        if known is not None:
            known.seq = seq


def _generated(ledger: Ledger, settings: BusSettings, event: Generated, seq: int, ts: int) -> None:
    ledger.live[event.signal_id] = Live(event.signal, SignalState.GENERATED, ts, ts, seq)
    _total(ledger, Generated)


def _step(ledger: Ledger, settings: BusSettings, event: SignalEvent, seq: int, ts: int) -> None:
    live = ledger.live.get(event.signal_id)
    if live is None:
        return
    kind = type(event)
    state = STATE_OF[kind]
    if isinstance(event, Evaluating):
        live.attempts, live.asked_ns = event.attempt, ts
    elif isinstance(event, Approved):
        live.order, live.verdict = event.order, f"order|{event.order.client_id}"
        ledger.last_approved = event.signal_id
        if event.order.flow is not None:
            ledger.flows[event.signal_id] = Frame(event.order)
    if live.state is not state:
        live.state, live.since_ns, live.stuck = state, ts, False
        _total(ledger, kind)


def _end(ledger: Ledger, settings: BusSettings, event: SignalEvent, seq: int, ts: int) -> None:
    live = ledger.live.pop(event.signal_id, None)
    if live is None:
        return
    state = STATE_OF[type(event)]
    how = ending(event) if isinstance(event, Blocked | Expired) else ""
    verdict = live.verdict or (how if state is SignalState.BLOCKED else "")
    ledger.closed[event.signal_id] = Closed(
        strategy=event.strategy,
        symbol=event.symbol,
        state=state,
        created_ns=min(live.signal.created_ns, live.generated_ns),
        closed_ns=ts,
        seq=seq,
        verdict=verdict,
        ending=how,
        client_id=live.order.client_id if live.order else "",
        filled=live.filled,
        flowed=live.order is not None and live.order.flow is not None,
    )
    _total(ledger, type(event))
    _forget(ledger, settings, ts)


def _forget(ledger: Ledger, settings: BusSettings, now: int) -> None:
    while ledger.closed:
        _, closed = oldest(ledger.closed)
        if len(ledger.closed) <= settings.recent_signals and now - closed.closed_ns <= settings.recent_ns:
            return
        ledger.forgotten_ns = max(ledger.forgotten_ns, closed.created_ns)
        forget_oldest(ledger.closed)


def _learned(ledger: Ledger, settings: BusSettings, event: Learned, seq: int, ts: int) -> None:
    closed = ledger.closed.get(event.signal_id)
    if closed is not None and closed.state is not SignalState.LEARNED:
        closed.state = SignalState.LEARNED
        _total(ledger, Learned)


def _lesson(ledger: Ledger, settings: BusSettings, event: Lesson, seq: int, ts: int) -> None:
    closed = ledger.closed.get(event.signal_id)
    if closed is not None:
        closed.value = event.value


def _order(ledger: Ledger, settings: BusSettings, event: OrderChanged, seq: int, ts: int) -> None:
    remember(ledger.orders, event.order.client_id, event.order, settings.recent_orders + len(ledger.live))
    remember(ledger.reports, order_key(event.order), seq, settings.recent_reports)
    live, frame = ledger.live.get(event.signal_id), ledger.flows.get(event.signal_id)
    if frame is not None:
        frame.changed(event.order)
    elif live is not None and event.order.status.final:
        live.final_ns = live.final_ns or ts


def _leg(ledger: Ledger, settings: BusSettings, event: LegPlanned, seq: int, ts: int) -> None:
    frame = ledger.flows.get(event.signal_id)
    if frame is not None:
        frame.planned(event.order)


def _leg_refused(ledger: Ledger, settings: BusSettings, event: LegRefused, seq: int, ts: int) -> None:
    frame = ledger.flows.get(event.signal_id)
    if frame is not None:
        frame.refused.append(event.client_id)


def _flow_ended(ledger: Ledger, settings: BusSettings, event: FlowEnded, seq: int, ts: int) -> None:
    live, frame = ledger.live.get(event.signal_id), ledger.flows.get(event.signal_id)
    if live is not None and live.ended is None:
        live.ended, live.final_ns = event, ts
    if frame is not None and event.lives_on:
        frame.entered = True
    else:
        ledger.flows.pop(event.signal_id, None)


def _withdrawn(ledger: Ledger, settings: BusSettings, event: Withdraw, seq: int, ts: int) -> None:
    remember(ledger.withdrawn, event.signal_id, seq, settings.recent_signals)


def _repaired(ledger: Ledger, settings: BusSettings, event: Repaired, seq: int, ts: int) -> None:
    if event.id:
        remember(ledger.repairs, repair_key(event), seq, settings.recent_repairs)


def _paid(ledger: Ledger, settings: BusSettings, event: Paid, seq: int, ts: int) -> None:
    remember(ledger.payments, payment_key(event), seq, settings.recent_payments)


def _adopted(ledger: Ledger, settings: BusSettings, event: Adopted, seq: int, ts: int) -> None:
    remember(ledger.adoptions, adoption_key(event), seq, settings.recent_orders)


def _fill(ledger: Ledger, settings: BusSettings, event: Filled, seq: int, ts: int) -> None:
    remember(ledger.executions, execution_key(event), seq, settings.recent_executions)
    live, frame = ledger.live.get(event.signal_id), ledger.flows.get(event.signal_id)
    leg = frame.legs.get(event.fill.client_id) if frame is not None else None
    if leg is not None:
        leg.filled += event.fill.quantity
    if frame is not None and event.fill.side is not frame.order.side:
        return
    if live is not None:
        live.filled += event.fill.quantity
        live.notional += event.fill.quantity * event.fill.price
        return
    closed = ledger.closed.get(event.signal_id)
    if closed is not None:
        closed.filled += event.fill.quantity


def _stuck(ledger: Ledger, settings: BusSettings, event: SignalStuck, seq: int, ts: int) -> None:
    live = ledger.live.get(event.signal_id)
    if live is not None:
        live.stuck = True
    ledger.add("stuck")


def _violation(ledger: Ledger, settings: BusSettings, event: LifecycleViolation, seq: int, ts: int) -> None:
    ledger.add("violations")


def _trading(ledger: Ledger, settings: BusSettings, event: TradingStateChanged, seq: int, ts: int) -> None:
    ledger.trading = event


def _halted(ledger: Ledger, settings: BusSettings, event: SymbolHalted, seq: int, ts: int) -> None:
    ledger.halts.pop(event.symbol, None)
    if event.halted:
        ledger.halts[event.symbol] = event


def _exchange(ledger: Ledger, settings: BusSettings, event: ExchangeState, seq: int, ts: int) -> None:
    ledger.exchanges[event.venue] = event


def _feedback(ledger: Ledger, settings: BusSettings, event: FeedbackIssued, seq: int, ts: int) -> None:
    ledger.feedback[pair(event.strategy, event.symbol)] = event.version


def _policy(ledger: Ledger, settings: BusSettings, event: PolicyIssued, seq: int, ts: int) -> None:
    remember(ledger.policies, policy_key(event), seq, settings.recent_policies)


def _control(ledger: Ledger, settings: BusSettings, event: ControlTaken, seq: int, ts: int) -> None:
    remember(ledger.controls, f"{event.control_id}|{event.actor}", seq, settings.recent_controls)


def _restarted(ledger: Ledger, settings: BusSettings, event: ActorRestarted, seq: int, ts: int) -> None:
    ledger.incarnations[event.name] = event.epoch


def _total(ledger: Ledger, kind: type[SignalEvent]) -> None:
    name, totals = _NAMES[kind], ledger.totals
    totals[name] = totals.get(name, 0) + 1


_NAMES = {kind: state.value for kind, state in STATE_OF.items()}
"""The names of states by what leads to them: asking an enumeration for one costs as much as all else here."""

_Fold = Callable[[Ledger, BusSettings, Any, int, int], None]

_FOLDS: dict[type[Message], _Fold] = {
    Generated: _generated,
    Evaluating: _step,
    Approved: _step,
    Executing: _step,
    Executed: _end,
    Blocked: _end,
    Expired: _end,
    Learned: _learned,
    Lesson: _lesson,
    OrderChanged: _order,
    LegPlanned: _leg,
    LegRefused: _leg_refused,
    FlowEnded: _flow_ended,
    Withdraw: _withdrawn,
    Filled: _fill,
    Repaired: _repaired,
    Paid: _paid,
    Adopted: _adopted,
    SignalStuck: _stuck,
    LifecycleViolation: _violation,
    TradingStateChanged: _trading,
    SymbolHalted: _halted,
    ExchangeState: _exchange,
    FeedbackIssued: _feedback,
    PolicyIssued: _policy,
    ControlTaken: _control,
    ActorRestarted: _restarted,
}
