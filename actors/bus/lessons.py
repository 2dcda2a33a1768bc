"""Lessons, policies and feedback from the learner."""

from __future__ import annotations

from actors.bus.fold import policy_key
from actors.bus.ledger import Closed
from actors.bus.lifecycle import TABLE
from actors.bus.turn import Turn
from actors.messages.learning import FeedbackIssued, Lesson, PolicyIssued
from actors.messages.signals import Learned
from actors.names import LEARNER, pair
from strategies.signal import SignalState


def lesson(turn: Turn, message: Lesson) -> None:
    """Journal what became of a signal, and that it is learned."""
    if not turn.from_sender(LEARNER, message.signal_id, message):
        return
    closed = turn.ledger.closed.get(message.signal_id)
    if closed is None:
        state = turn.ledger.state_of(message.signal_id)
        if state is None:
            turn.undeliverable(message, f"no signal {message.signal_id} is known: it ended too long ago")
        else:
            turn.violate(message.signal_id, SignalState.LEARNED.value, f"it is still {state.value}")
        return
    if closed.value is not None:
        turn.repeated("Lesson")
        return
    turn.record(message)
    learn(turn, message.signal_id, closed)


def learn(turn: Turn, signal_id: str, closed: Closed) -> None:
    """Take a signal whose lesson is journaled to LEARNED; safe to repeat."""
    if closed.value is None or not TABLE.allows(closed.state, SignalState.LEARNED):
        return
    version = turn.ledger.feedback.get(pair(closed.strategy, closed.symbol), 0)
    turn.record(Learned(signal_id, closed.strategy, closed.symbol, version, closed.value))
    turn.ctx.count(f"bus.signals.{SignalState.LEARNED.value}")


def feedback(turn: Turn, message: FeedbackIssued) -> None:
    """Journal a new version of what a strategy's signals are measured by."""
    if not turn.from_sender(LEARNER, "", message):
        return
    known = turn.ledger.feedback.get(pair(message.strategy, message.symbol), 0)
    if message.version <= known:
        turn.repeated("FeedbackIssued")
        return
    turn.record(message)


def policy(turn: Turn, message: PolicyIssued) -> None:
    """Journal a policy's new stage, once."""
    if not turn.from_sender(LEARNER, "", message):
        return
    if policy_key(message) in turn.ledger.policies:
        turn.repeated("PolicyIssued")
        return
    turn.record(message)
