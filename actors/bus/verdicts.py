"""Verdicts of the risk supervisor."""

from __future__ import annotations

from actors.bus.fold import ending
from actors.bus.intake import expire
from actors.bus.ledger import Live
from actors.bus.turn import Turn
from actors.messages.signals import Approved, ApprovedOrder, Blocked, Verdict
from actors.names import RISK
from strategies.signal import Signal, SignalState


def verdict(turn: Turn, message: Verdict) -> None:
    """Approve or block an evaluated signal; the same answer again changes nothing."""
    if not turn.from_sender(RISK, message.signal_id, message):
        return
    ledger = turn.ledger
    live, closed = ledger.live.get(message.signal_id), ledger.closed.get(message.signal_id)
    known = live or closed
    if known is None:
        turn.undeliverable(message, f"no signal {message.signal_id} is known: its strategy has to emit it again")
        return
    if known.verdict and known.verdict == _fingerprint(message):
        turn.repeated("Verdict")
    elif live is None or live.state is not SignalState.EVALUATING:
        turn.violate(message.signal_id, _asked(message).value, f"a verdict came while it was {known.state.value}")
    elif 0 < message.attempt < live.fence:
        turn.ctx.count("bus.verdicts_void")
    elif not expire(turn, live):
        _decide(turn, live, message)


def _decide(turn: Turn, live: Live, message: Verdict) -> None:
    signal, order, asked_ns = live.signal, message.order, live.asked_ns
    of = (signal.id, signal.strategy, signal.symbol)
    learned = (message.regime, message.policy, message.arm)
    if order is None:
        event = Blocked(*of, message.gate, message.code, message.detail, message.steps, *learned)
        decided = turn.advance(live, event)
    else:
        fault = _mismatch(signal, order)
        if fault:
            turn.violate(signal.id, SignalState.APPROVED.value, fault)
            return
        decided = turn.advance(live, Approved(*of, order, message.steps, *learned))
    if decided:
        turn.ctx.observe("bus.verdict", turn.ctx.now - asked_ns)


def _mismatch(signal: Signal, order: ApprovedOrder) -> str:
    if not order.client_id.startswith(f"bw-{signal.id}-"):
        return f"expected an order derived from signal {signal.id}, found client id {order.client_id}"
    if (order.symbol, order.side) != (signal.symbol, signal.side):
        return f"expected {signal.side.value} {signal.symbol}, found {order.side.value} {order.symbol}"
    if order.quantity <= 0:
        return f"expected a quantity above 0, found {order.quantity}"
    if order.flow != signal.flow:
        return f"expected the signal's flow, found {order.flow}"
    return ""


def _fingerprint(message: Verdict) -> str:
    if message.order is not None:
        return f"order|{message.order.client_id}"
    return ending(Blocked(message.signal_id, "", "", message.gate, message.code, message.detail))


def _asked(message: Verdict) -> SignalState:
    return SignalState.APPROVED if message.order is not None else SignalState.BLOCKED
