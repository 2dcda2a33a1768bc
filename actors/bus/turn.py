"""One message's handling: the ledger, the door to the world, and how records are written."""

from __future__ import annotations

from actors.bus.fold import apply
from actors.bus.ledger import Ledger, Live
from actors.bus.lifecycle import STATE_OF, TABLE
from actors.bus.settings import BusSettings
from actors.messages.control import ActorRestarted, ActorStopped, DeadLetter
from actors.messages.learning import FeedbackIssued, Lesson, PolicyIssued
from actors.messages.orders import Adopted, ExchangeState, Filled, LegPlanned, OrderChanged
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
)
from runtime import codec
from runtime.behavior import Context
from runtime.message import Message
from strategies.signal import SignalState

_PATIENT = (
    Generated,
    Evaluating,
    Blocked,
    Expired,
    Lesson,
    Learned,
    FeedbackIssued,
    PolicyIssued,
    ExchangeState,
    SignalStuck,
    LifecycleViolation,
    DeadLetter,
    ActorRestarted,
    ActorStopped,
)
"""Events no money waits for: they may stand a few milliseconds until company comes."""

_BODY_LIMIT = 65_536

_COUNTED = {state: f"bus.signals.{state.value}" for state in SignalState}


class Turn:
    """Everything a request's handler needs, for the length of one message."""

    def __init__(self, ledger: Ledger, settings: BusSettings, ctx: Context, sender: str) -> None:
        self.ledger = ledger
        self.settings = settings
        self.ctx = ctx
        self.sender = sender

    def record(self, event: Message) -> int:
        """Journal ``event`` under its keys, then fold it; returns its sequence number."""
        keys = keys_of(event)
        signal_id = keys.get("signal", "")
        seq = self.ctx.record(
            event,
            keys=keys,
            correlation=signal_id,
            causation=self.ledger.last_seq(signal_id) if signal_id else 0,
            urgent=not isinstance(event, _PATIENT),
        )
        apply(self.ledger, self.settings, event, seq, self.ctx.now)
        return seq

    def advance(self, live: Live, event: SignalEvent) -> bool:
        """Journal the next step of an open signal; a wrong step becomes a violation."""
        target = STATE_OF[type(event)]
        if not TABLE.allows(live.state, target):
            allowed = ", ".join(TABLE.after(live.state)) or "nothing"
            self.violate(live.signal.id, target.value, f"after {live.state.value} may come {allowed}")
            return False
        self.record(event)
        self.ctx.count(_COUNTED[target])
        return True

    def violate(self, signal_id: str, asked: str, detail: str) -> None:
        """Journal that the sender asked for what it may not have; nothing else changes."""
        state = self.ledger.state_of(signal_id)
        self.ctx.count("bus.violations")
        self.record(LifecycleViolation(signal_id, state.value if state else "", asked, self.sender, detail))

    def repeated(self, what: str) -> None:
        """Count a message that says nothing new."""
        self.ledger.add("duplicates")
        self.ctx.count(f"bus.duplicates.{what}")

    def undeliverable(self, message: Message, reason: str) -> None:
        """Journal a message nobody can act on."""
        self.ledger.add("dead_letters")
        self.ctx.count("bus.dead_letters")
        body = codec.encode(message)
        kept = body if len(body) <= _BODY_LIMIT else b""
        self.record(DeadLetter(self.sender, self.ctx.name, type(message).__name__, reason, kept))

    def from_sender(self, expected: str, signal_id: str, message: Message) -> bool:
        """Whether the sender is the one allowed to say this; a violation is journaled if not."""
        if self.sender == expected:
            return True
        kind = type(message).__name__
        self.violate(signal_id, kind, f"expected {kind} from {expected}, found it from {self.sender}")
        return False


def keys_of(event: Message) -> dict[str, str]:
    """The index entries of an event: signal, state, strategy, symbol, order, where it has them."""
    keys: dict[str, str] = {}
    if signal_id := getattr(event, "signal_id", ""):
        keys["signal"] = signal_id
    if state := _STATES.get(type(event)):
        keys["state"] = state
    if strategy := getattr(event, "strategy", ""):
        keys["strategy"] = strategy
    symbol, order = getattr(event, "symbol", ""), ""
    if isinstance(event, _ORDERED):
        symbol, order = event.order.symbol or symbol, event.order.client_id
    elif isinstance(event, Filled):
        symbol, order = event.fill.symbol or symbol, event.fill.client_id
    elif isinstance(event, Approved):
        order = event.order.client_id
    elif isinstance(event, _CARRIED_OUT):
        order = event.client_id
    if symbol:
        keys["symbol"] = symbol
    if order:
        keys["order"] = order
    return keys


_STATES: dict[type[Message], str] = {kind: state.value for kind, state in STATE_OF.items()}
_ORDERED = (OrderChanged, LegPlanned, Adopted)
_CARRIED_OUT = (Executing, Executed)
