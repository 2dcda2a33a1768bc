"""Journal entries: our own reports coming back, and, after a restart, the past to fold in."""

from __future__ import annotations

import msgspec

from actors.exchange import orders
from actors.exchange.adoption import Adoption
from actors.exchange.execution import Execution, as_pending
from actors.exchange.flows.runner import Flows
from actors.exchange.ledger import FillLedger
from actors.exchange.orders import OrderEvent
from actors.exchange.outbox import Outbox
from actors.exchange.settings import ExchangeSettings
from actors.exchange.state import ConnectionState, TrackedOrder
from actors.messages.orders import (
    Adopted,
    Filled,
    FlowEnded,
    LegPlanned,
    LegRefused,
    OrderChanged,
    Paid,
    Repaired,
    SymbolHalted,
)
from actors.messages.signals import Approved, Blocked, Expired, Withdraw
from exchanges.model.order import OrderStatus
from runtime.behavior import Context
from runtime.message import Message


class Replay:
    """Folds entries. Live, an entry only confirms a report; in a replay it also rebuilds the books."""

    def __init__(
        self,
        settings: ExchangeSettings,
        state: ConnectionState,
        outbox: Outbox,
        ledger: FillLedger,
        execution: Execution,
        flows: Flows,
        adoption: Adoption,
    ) -> None:
        self._settings = settings
        self._state = state
        self._outbox = outbox
        self._ledger = ledger
        self._execution = execution
        self._adoption = adoption
        self._flows = flows

    def take(self, event: Message, ctx: Context) -> None:
        """Take in one journaled event of this venue; those of other venues are passed over."""
        if not self._concerns(event):
            return
        if isinstance(event, Approved):
            if event.order.flow is not None:
                self._flows.open(event.order, ctx)
            else:
                self._execution.approve(event.order, ctx)
            return
        self._outbox.confirm(event)
        if isinstance(event, SymbolHalted):
            self._halted(event)
        elif isinstance(event, LegPlanned | LegRefused | FlowEnded | Withdraw):
            self._flows.take(event, ctx)
        elif not self._state.live:
            self._fold(event)

    def _concerns(self, event: Message) -> bool:
        venue = self._settings.venue
        if isinstance(event, Repaired | SymbolHalted | Paid | Adopted):
            return event.venue == venue
        if isinstance(event, OrderChanged | Approved):
            return event.order.symbol.startswith(f"{venue}:")
        if isinstance(event, Filled):
            return event.fill.symbol.startswith(f"{venue}:")
        if isinstance(event, Blocked | Expired | LegPlanned | LegRefused | FlowEnded | Withdraw):
            return event.symbol.startswith(f"{venue}:")
        return False

    def _halted(self, event: SymbolHalted) -> None:
        if event.halted:
            self._state.halted[event.symbol] = event.reason
        else:
            self._state.halted.pop(event.symbol, None)

    def _fold(self, event: Message) -> None:
        if isinstance(event, OrderChanged):
            self._order(event)
        elif isinstance(event, Filled):
            self._filled(event)
        elif isinstance(event, Repaired):
            self._ledger.fold(event)
        elif isinstance(event, Adopted):
            self._adoption.fold(event)
        elif isinstance(event, Paid):
            self._ledger.pay(event.payment_id, event.symbol, event.amount, event.ts_ns)
        elif isinstance(event, Blocked | Expired):
            self._ended(event.signal_id)

    def _order(self, event: OrderChanged) -> None:
        told = event.order
        tracked = self._state.find(told.client_id)
        if tracked is None:
            tracked = TrackedOrder(
                as_pending(told), signal_id=event.signal_id, strategy=event.strategy, outstanding=True
            )
            self._state.active[told.client_id] = tracked
        tracked.attempted_ns = max(tracked.attempted_ns, event.attempted_ns)
        tracked.attempts = max(tracked.attempts, 1)
        tracked.maybe_sent = True
        _advance(tracked, event)
        tracked.told = told
        order = tracked.order
        tracked.order = msgspec.structs.replace(
            order, reason=told.reason or order.reason, venue_id=told.venue_id or order.venue_id
        )
        if tracked.status.final and told.status.final:
            self._execution.close(tracked)

    def _filled(self, event: Filled) -> None:
        tracked = self._state.find(event.fill.client_id)
        if self._ledger.apply(event.fill, event.strategy) is not None and tracked is not None:
            tracked.maybe_sent = True
            orders.execute(tracked, event.fill)

    def _ended(self, signal_id: str) -> None:
        """The signal ended without its order having been sent."""
        for tracked in list(self._state.active.values()):
            if tracked.signal_id == signal_id and not tracked.maybe_sent and tracked.told is None:
                orders.step(tracked, OrderEvent.REFUSE, "ended before it was sent")
                self._execution.close(tracked)


def _advance(tracked: TrackedOrder, event: OrderChanged) -> None:
    """Bring the order to where the report has it, never back."""
    status = event.order.status
    if status in (OrderStatus.PENDING, OrderStatus.SENT):
        if tracked.status is OrderStatus.PENDING:
            orders.step(tracked, OrderEvent.SEND)
    elif status is OrderStatus.UNKNOWN or event.order.reason.startswith(orders.NEVER_REACHED):
        orders.step(tracked, OrderEvent.SEND)
        orders.step(tracked, OrderEvent.LOSE, event.order.reason)
        if status is not OrderStatus.UNKNOWN:
            orders.step(tracked, OrderEvent.ABSENT, event.order.reason)
    else:
        orders.claim(tracked, event.order)
