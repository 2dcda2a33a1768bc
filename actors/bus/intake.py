"""Signals coming in: checked, taken once, put to risk."""

from __future__ import annotations

import math

from actors.bus.ledger import Live
from actors.bus.turn import Turn
from actors.messages.signals import Emit, Evaluate, Evaluating, Expired, Generated
from actors.names import RISK
from exchanges.model.flow import fault as flow_fault
from strategies.signal import Signal, SignalState


def emit(turn: Turn, message: Emit) -> None:
    """Take a strategy's signal, unless it was taken before, is malformed or too old to be known."""
    signal = message.signal
    if turn.ledger.state_of(signal.id) is not None:
        turn.repeated("Emit")
        return
    fault = _fault(turn, signal)
    if fault:
        turn.undeliverable(message, fault)
        return
    turn.record(Generated(signal.id, signal.strategy, signal.symbol, signal))
    turn.ctx.count("bus.signals.GENERATED")
    evaluate(turn, turn.ledger.live[signal.id])


def evaluate(turn: Turn, live: Live) -> None:
    """Put a generated or evaluating signal to risk (again), or expire it if it is too old."""
    signal = live.signal
    if expire(turn, live):
        return
    event = Evaluating(signal.id, signal.strategy, signal.symbol, live.attempts + 1)
    if live.state is SignalState.EVALUATING:
        turn.ledger.add("redeliveries")
        turn.ctx.count("bus.redeliveries")
        turn.record(event)
    elif not turn.advance(live, event):
        return
    turn.ctx.send(RISK, Evaluate(signal, live.attempts, turn.ledger.last_approved), eager=True)


def expire(turn: Turn, live: Live) -> bool:
    """Expire a signal without an approval that has outlived its time-to-live."""
    signal = live.signal
    age = turn.ctx.now - signal.created_ns
    if age <= signal.ttl_ns or live.state not in (SignalState.GENERATED, SignalState.EVALUATING):
        return False
    reason = f"TTL_EXCEEDED: state={live.state.value} ttl_ns={signal.ttl_ns}"
    return turn.advance(live, Expired(signal.id, signal.strategy, signal.symbol, reason, age))


def _fault(turn: Turn, signal: Signal) -> str:
    now, settings = turn.ctx.now, turn.settings
    if not signal.id or not signal.strategy:
        return f"expected a signal with an id and a strategy, found id={signal.id!r} strategy={signal.strategy!r}"
    venue, _, native = signal.symbol.partition(":")
    if not venue or not native:
        return f"expected a symbol such as bybit:BTCUSDT, found {signal.symbol!r}"
    if not (math.isfinite(signal.conviction) and 0 <= signal.conviction <= 1):
        return f"expected a conviction between 0 and 1, found {signal.conviction}"
    if signal.ttl_ns <= 0:
        return f"expected a time-to-live above 0 ns, found {signal.ttl_ns}"
    if signal.quantity is not None and not (signal.quantity.is_finite() and signal.quantity > 0):
        return f"expected a quantity above 0, found {signal.quantity}; the side says the direction"
    limit = signal.limit_price
    if limit is not None and not (limit.is_finite() and limit > 0):
        return f"expected a limit price above 0, found {limit}"
    if signal.flow is not None:
        wrong = flow_fault(
            signal.flow, signal.symbol, signal.side, reduce_only=signal.reduce_only, limit_price=signal.limit_price
        )
        if wrong:
            return wrong
    if signal.created_ns > now + settings.max_ahead_ns:
        return f"expected created_ns about {now}, found {signal.created_ns}: check the sender's clock"
    if signal.created_ns <= turn.ledger.forgotten_ns or now - signal.created_ns > settings.recent_ns:
        return (
            f"created at {signal.created_ns}, older than the signals the bus remembers: "
            "it can't be told from one already taken, so it is refused"
        )
    return ""
