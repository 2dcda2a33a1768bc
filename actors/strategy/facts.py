"""What the journal tells a strategy: its signals' steps, its fills, what was learned."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from actors.messages.learning import FeedbackIssued
from actors.messages.orders import Filled, Paid
from actors.messages.signals import Approved, Blocked, Expired, Generated, SignalEvent
from actors.strategy.inlets import Inlets
from actors.strategy.settings import BrainSettings
from actors.strategy.state import Unseen
from actors.window import forget_oldest, remember, window
from exchanges.model.order import Fill, Side
from exchanges.model.position import Position
from runtime.lifecycle import Entry
from runtime.message import Message
from strategies.desk import Desk
from strategies.performance import Performance
from strategies.signal import Signal
from strategies.strategy import Strategy

_STEPS: dict[type[Message], str] = {
    Generated: "recorded",
    Approved: "approved",
    Blocked: "blocked",
    Expired: "expired",
}

_ZERO = Decimal(0)

Tally = Callable[..., None]


class Facts:
    """Folds journal entries into positions, thresholds and pending signals.

    ``show`` is told of each fill and each feedback that the strategy has a hook for: the facts
    are taken in here and now, the strategy's own code sees them afterwards.
    """

    def __init__(
        self,
        settings: BrainSettings,
        strategy: Strategy,
        inlets: Inlets,
        performance: Performance,
        tally: Tally,
        show: Callable[[int], None],
    ) -> None:
        self._settings, self._strategy, self._inlets = settings, strategy, inlets
        self._performance, self._tally, self._tell = performance, tally, show
        self._desk: Desk = strategy.desk
        self.entry_seq = 0
        self.feedbacks: dict[str, FeedbackIssued] = {}
        self.pending: dict[str, Signal] = window()
        self.journaled: dict[str, int] = window()
        self.unseen: dict[int, Unseen] = window()

    def measured_by(self, performance: Performance) -> None:
        """Have fills counted by another ``performance``."""
        self._performance = performance

    def repeated(self, entry: Entry) -> bool:
        """Whether an entry has been folded in before."""
        if entry.seq <= self.entry_seq:
            self._tally("entries_repeated")
            return True
        self.entry_seq = entry.seq
        return False

    def take(self, entry: Entry, event: Message) -> None:
        """Fold in one entry; those of other strategies change nothing."""
        if isinstance(event, SignalEvent | Filled | FeedbackIssued) and event.strategy == self._desk.label:
            self._own(entry, event)
        elif isinstance(event, Filled) and not event.strategy and event.fill.symbol in self._desk.positions:
            self._outside(event)
        elif isinstance(event, Paid) and event.symbol in self._desk.positions:
            self._paid(event)

    def _outside(self, event: Filled) -> None:
        """A fill of no strategy's order (a panic, a hand) that leaves the account flat leaves us flat too."""
        held = self._desk.positions[event.fill.symbol].quantity
        if held and not event.position.tradable(event.lot).quantity:
            side = Side.SELL if held > 0 else Side.BUY
            ours = msgspec.structs.replace(event.fill, side=side, quantity=abs(held), fee=Decimal(0))
            self._apply(ours)
            self._tally("closed_from_outside")

    def _apply(self, fill: Fill) -> Position:
        desk, symbol = self._desk, fill.symbol
        before = desk.positions[symbol]
        after = desk.positions[symbol] = before.apply(fill)
        lot = desk.lots.get(symbol, _ZERO)
        self._performance.fill(before.tradable(lot), after.tradable(lot), fill)
        return after

    def _paid(self, event: Paid) -> None:
        """Our part of a payment on the account's position: as much as we hold of it, with our own sign."""
        positions, whole = self._desk.positions, event.position.quantity
        own = positions[event.symbol]
        if own.quantity and whole:
            positions[event.symbol] = own.pay(event.amount * own.quantity / whole)
            self._tally("payments")

    def _own(self, entry: Entry, event: SignalEvent | Filled | FeedbackIssued) -> None:
        """Take in an event about this strategy; others trade the same symbols."""
        if isinstance(event, Filled):
            if event.fill.symbol in self._desk.positions:
                self._tally("fills")
                if event.lot:
                    self._desk.lots[event.fill.symbol] = event.lot
                self._show(entry, "on_fill", self._apply(event.fill))
        elif event.symbol not in self._desk.positions:
            return
        elif isinstance(event, FeedbackIssued):
            known = self.feedbacks.get(event.symbol)
            if known is None or event.version > known.version:
                self.learn(event)
                self._show(entry, "on_feedback", self._desk.positions[event.symbol])
        else:
            self.pending.pop(event.signal_id, None)
            if isinstance(event, Generated) and not self._inlets.seen(event.signal.cause.tick_id):
                remember(self.journaled, event.signal_id, entry.seq, self._settings.pending)
            step = _STEPS.get(type(event))
            if step is not None:
                self._tally(step)

    def learn(self, feedback: FeedbackIssued) -> None:
        """Apply what was learned of one symbol."""
        self.feedbacks[feedback.symbol] = feedback
        self._desk.thresholds[feedback.symbol] = feedback.conviction_threshold

    def _show(self, entry: Entry, hook: str, position: Position) -> None:
        """Have the strategy's code see ``entry`` once this message is done with."""
        if not self._strategy.overrides(hook):
            return
        if len(self.unseen) >= self._settings.hooks:
            forget_oldest(self.unseen)
            self._tally("hooks_dropped")
        self.unseen[entry.seq] = Unseen(bytes(entry.body), position)
        self._tell(entry.seq)

    def hold(self, signal: Signal) -> bool:
        """Keep a signal until it is journaled; ``False``: it has been, and nothing further will come of it."""
        if self.journaled.pop(signal.id, None) is not None:
            # Made again from what a restart shows again.
            self._tally("emitted_again")
            return False
        if len(self.pending) >= self._settings.pending:
            forget_oldest(self.pending)
            self._tally("pending_dropped")
        self.pending[signal.id] = signal
        return True
