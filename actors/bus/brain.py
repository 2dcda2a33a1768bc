"""The bus's brain: takes each message to its handler, and rebuilds itself from its own journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.bus import executions, flows, intake, ledger, lessons, notices, sweep, verdicts
from actors.bus.fold import apply
from actors.bus.ledger import BusState
from actors.bus.settings import BusSettings
from actors.bus.turn import Turn
from actors.messages.control import ActorRestarted, ActorStopped, ControlTaken, DeadLetter, TradingStateChanged
from actors.messages.learning import FeedbackIssued, Lesson, PolicyIssued
from actors.messages.orders import (
    Adopted,
    ExchangeState,
    Filled,
    FlowEnded,
    LegPlanned,
    OrderChanged,
    Paid,
    Repaired,
    SymbolHalted,
)
from actors.messages.signals import Emit, Unsent, Verdict, Withdraw
from actors.names import RISK
from runtime import codec
from runtime.behavior import Context
from runtime.lifecycle import CaughtUp, Entry, PeerDown, PeerUp, Started, Stopping
from runtime.message import Message

_SWEEP = "sweep"

_HANDLERS: dict[type[Message], Callable[[Turn, Any], None]] = {
    Emit: intake.emit,
    Verdict: verdicts.verdict,
    OrderChanged: executions.order_changed,
    Filled: executions.filled,
    Unsent: executions.unsent,
    LegPlanned: flows.leg_planned,
    FlowEnded: flows.flow_ended,
    Withdraw: flows.withdraw,
    Lesson: lessons.lesson,
    FeedbackIssued: lessons.feedback,
    PolicyIssued: lessons.policy,
    TradingStateChanged: notices.trading_state,
    SymbolHalted: notices.symbol_halted,
    Repaired: notices.repaired,
    Paid: notices.paid,
    Adopted: notices.adopted,
    ExchangeState: notices.exchange_state,
    ControlTaken: notices.control_taken,
    ActorRestarted: notices.restarted,
    ActorStopped: notices.stopped,
    DeadLetter: notices.dead_letter,
}


class BusBrain:
    """Owns the lifecycle of every signal and is the only one to write the journal.

    Its state is the fold of its own records: each is journaled first and folded then, by the
    same function that folds the replayed ones. What arrives before the replay has ended waits.
    """

    def __init__(self, settings: BusSettings | None = None) -> None:
        self._settings = settings or BusSettings()
        self._state = BusState()

    def receive(self, message: Message, ctx: Context) -> None:
        """Handle one message; see ``runtime.behavior.Behavior``."""
        if isinstance(message, Entry):
            self._replay(message)
        elif isinstance(message, CaughtUp):
            self._go_live(ctx)
        elif isinstance(message, Started):
            self._state = BusState(ledger=self._state.ledger)
            ctx.timer(_SWEEP, self._settings.sweep_ns, sweep.BusSweep())
        elif isinstance(message, sweep.BusSweep):
            ctx.timer(_SWEEP, self._settings.sweep_ns, sweep.BusSweep())
            if self._state.caught_up:
                sweep.sweep(self._turn(ctx, ctx.sender))
        elif isinstance(message, Stopping | PeerDown):
            ctx.count(f"bus.{type(message).__name__}")
        elif self._state.caught_up:
            self._handle(message, ctx, ctx.sender)
        else:
            self._state.waiting.append((ctx.sender, codec.encode(message)))

    def _replay(self, entry: Entry) -> None:
        if entry.seq > self._state.ledger.seq:
            apply(self._state.ledger, self._settings, entry.event, entry.seq, entry.ts)

    def _go_live(self, ctx: Context) -> None:
        if self._state.caught_up:
            return
        self._state.caught_up = True
        waiting, self._state.waiting = self._state.waiting, []
        sweep.resume(self._turn(ctx, ctx.name))
        for sender, body in waiting:
            self._handle(codec.decode(body), ctx, sender)

    def _handle(self, message: Message, ctx: Context, sender: str) -> None:
        turn = self._turn(ctx, sender)
        handler = _HANDLERS.get(type(message))
        if handler is not None:
            handler(turn, message)
        elif isinstance(message, PeerUp):
            self._peer_up(turn, message)
        else:
            known = ", ".join(sorted(kind.__name__ for kind in _HANDLERS))
            turn.undeliverable(message, f"the bus takes {known}; {type(message).__name__} is none of them")

    def _peer_up(self, turn: Turn, peer: PeerUp) -> None:
        if peer.name != RISK or peer.epoch <= self._state.risk_epoch:
            return
        self._state.risk_epoch = peer.epoch
        sweep.reask(turn)

    def _turn(self, ctx: Context, sender: str) -> Turn:
        return Turn(self._state.ledger, self._settings, ctx, sender)

    def still_ns(self) -> int:
        """Until when its timer finds nothing to do, unless something is heard; 0 if that isn't known."""
        return sweep.still_ns(self._state.ledger, self._settings)

    def snapshot(self) -> bytes:
        """The ledger and where the replay stands, versioned."""
        return ledger.encode(self._state)

    def restore(self, data: bytes) -> None:
        """Take over a state; raises ``SnapshotError`` if the bytes are none."""
        self._state = ledger.decode(data)

    def status(self) -> dict[str, object]:
        """Signals by state (all time and open), what is stuck, and what was out of order."""
        book = self._state.ledger
        return {
            "caught_up": self._state.caught_up,
            "seq": book.seq,
            "signals": dict(book.totals),
            "open": book.open_counts(),
            "stuck": [live.signal.id for live in book.live.values() if live.stuck],
            "stuck_total": book.counters.get("stuck", 0),
            "duplicates": book.counters.get("duplicates", 0),
            "violations": book.counters.get("violations", 0),
            "redeliveries": book.counters.get("redeliveries", 0),
            "dead_letters": book.counters.get("dead_letters", 0),
            "halted_symbols": sorted(book.halts),
            "trading_state": book.trading.state.value if book.trading else "ACTIVE",
        }
