"""Flows: their orders one by one before they leave, their end, and signals that are taken back."""

from __future__ import annotations

from actors import names
from actors.bus.executions import settle
from actors.bus.turn import Turn
from actors.messages.orders import FlowEnded, LegPlanned, LegRefused
from actors.messages.signals import Executing, Expired, Withdraw
from strategies.signal import SignalState


def leg_planned(turn: Turn, message: LegPlanned) -> None:
    """Journal an order of a flow if it is inside of the approval: the connection sends it when it reads that."""
    if not turn.from_sender(names.exchange_of(message.symbol), message.signal_id, message):
        return
    frame, client_id = turn.ledger.flows.get(message.signal_id), message.order.client_id
    if frame is not None and (client_id in frame.legs or client_id in frame.refused):
        turn.repeated("LegPlanned")
        return
    fault = frame.fault(message) if frame is not None else "expected a flow under way, found none"
    if fault:
        turn.violate(message.signal_id, "LegPlanned", fault)
        turn.record(LegRefused(message.signal_id, message.symbol, client_id, fault))
        return
    turn.record(message)
    live = turn.ledger.live.get(message.signal_id)
    if live is not None and live.state is SignalState.APPROVED:
        turn.advance(live, Executing(message.signal_id, message.strategy, message.symbol, client_id))


def flow_ended(turn: Turn, message: FlowEnded) -> None:
    """Journal that a flow (``lives_on``: its entry) has ended, then take its signal on."""
    if not turn.from_sender(names.exchange_of(message.symbol), message.signal_id, message):
        return
    frame = turn.ledger.flows.get(message.signal_id)
    if frame is None or (message.lives_on and frame.entered):
        if turn.ledger.state_of(message.signal_id) is None:
            turn.undeliverable(message, f"no signal {message.signal_id} is known")
        else:
            turn.repeated("FlowEnded")
        return
    turn.record(message)
    live = turn.ledger.live.get(message.signal_id)
    if live is not None:
        settle(turn, live)


def withdraw(turn: Turn, message: Withdraw) -> None:
    """End a signal that was not decided yet; of one that was, journal the wish for its connection."""
    ledger, signal_id = turn.ledger, message.signal_id
    live, closed = ledger.live.get(signal_id), ledger.closed.get(signal_id)
    known = live.signal if live is not None else closed
    if known is None:
        turn.undeliverable(message, f"no signal {signal_id} is known: it ended too long ago, or never was")
        return
    allowed = (names.GATEWAY, names.strategy(known.strategy, known.symbol))
    if turn.sender not in allowed or message.symbol != known.symbol:
        expected = f"{' or '.join(allowed)} on {known.symbol}"
        turn.violate(signal_id, "Withdraw", f"expected it from {expected}, found {turn.sender} on {message.symbol}")
        return
    if live is not None and live.state in (SignalState.GENERATED, SignalState.EVALUATING):
        reason = f"WITHDRAWN: by={message.by} reason={message.reason or 'none'}"
        age = turn.ctx.now - live.signal.created_ns
        turn.advance(live, Expired(signal_id, live.signal.strategy, live.signal.symbol, reason, age))
    elif (live is None and signal_id not in ledger.flows) or signal_id in ledger.withdrawn:
        turn.repeated("Withdraw")
    else:
        turn.record(message)
