"""The steps a signal may take, and no others."""

from __future__ import annotations

from collections.abc import Mapping

from actors.messages.signals import (
    Approved,
    Blocked,
    Evaluating,
    Executed,
    Executing,
    Expired,
    Generated,
    Learned,
    SignalEvent,
)
from strategies.signal import SignalState

TRANSITIONS: Mapping[SignalState, tuple[SignalState, ...]] = {
    SignalState.GENERATED: (SignalState.EVALUATING, SignalState.EXPIRED),
    SignalState.EVALUATING: (SignalState.APPROVED, SignalState.BLOCKED, SignalState.EXPIRED),
    SignalState.APPROVED: (SignalState.EXECUTING, SignalState.EXPIRED, SignalState.BLOCKED),
    SignalState.EXECUTING: (SignalState.EXECUTED, SignalState.EXPIRED, SignalState.BLOCKED),
    SignalState.EXECUTED: (SignalState.LEARNED,),
    SignalState.BLOCKED: (SignalState.LEARNED,),
    SignalState.EXPIRED: (SignalState.LEARNED,),
    SignalState.LEARNED: (),
}

STATE_OF: Mapping[type[SignalEvent], SignalState] = {
    Generated: SignalState.GENERATED,
    Evaluating: SignalState.EVALUATING,
    Approved: SignalState.APPROVED,
    Blocked: SignalState.BLOCKED,
    Expired: SignalState.EXPIRED,
    Executing: SignalState.EXECUTING,
    Executed: SignalState.EXECUTED,
    Learned: SignalState.LEARNED,
}

OPEN = (SignalState.GENERATED, SignalState.EVALUATING, SignalState.APPROVED, SignalState.EXECUTING)
"""States in which something is still expected to happen to the market or by it."""


class LifecycleTable:
    """Answers what may follow what. Immutable; one is enough.

    ``EVALUATING`` may be journaled again with a higher attempt: a repeated question, not a step.
    """

    def __init__(self, transitions: Mapping[SignalState, tuple[SignalState, ...]] = TRANSITIONS) -> None:
        self._transitions = {state: transitions.get(state, ()) for state in SignalState}

    def allows(self, state: SignalState, target: SignalState) -> bool:
        """Whether a signal in ``state`` may go to ``target`` next."""
        return target in self._transitions[state]

    def after(self, state: SignalState) -> tuple[SignalState, ...]:
        """Every state that may come next."""
        return self._transitions[state]

    def final(self, state: SignalState) -> bool:
        """Whether nothing comes after ``state``."""
        return not self._transitions[state]


TABLE = LifecycleTable()
