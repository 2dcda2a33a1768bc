"""From an approval to the end of its order: sending, asking, cancelling, and what comes back."""

from __future__ import annotations

from decimal import Decimal
from itertools import islice

import msgspec

from actors.exchange import orders
from actors.exchange.admission import Admission, Refusal
from actors.exchange.flows.prices import NEVER_NS
from actors.exchange.ledger import FillLedger
from actors.exchange.orders import OrderEvent
from actors.exchange.outbox import Outbox, signal_of
from actors.exchange.settings import ExchangeSettings
from actors.exchange.state import OUR_PREFIX, ConnectionState, TrackedOrder
from actors.messages.signals import ApprovedOrder
from exchanges.model.order import Fill, Order, OrderStatus, TimeInForce
from exchanges.model.venue import VENUE_PORT, AmendOrder, CancelOrder, CommandResult, Outcome, PlaceOrder, QueryOrder
from runtime.behavior import Context

_UNSETTLED = (OrderStatus.SENT, OrderStatus.UNKNOWN)
_RESTING = (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)


class Execution:
    """Carries orders out. Only here do commands about single orders leave."""

    def __init__(
        self,
        settings: ExchangeSettings,
        state: ConnectionState,
        outbox: Outbox,
        ledger: FillLedger,
        admission: Admission,
    ) -> None:
        self._settings = settings
        self._state = state
        self._outbox = outbox
        self._ledger = ledger
        self._admission = admission

    # -- sending ---------------------------------------------------------------------------

    def approve(self, approved: ApprovedOrder, ctx: Context) -> None:
        """Take an approval from the journal: carry it out, or, in a replay, note it down."""
        state = self._state
        if state.find(approved.client_id) is not None:
            ctx.count("exchange.approved_again")
            return
        tracked = tracked_of(approved)
        state.active[approved.client_id] = tracked
        if not state.live:
            tracked.outstanding = True
            return
        self.admit(tracked, ctx)

    def admit(self, tracked: TrackedOrder, ctx: Context, refusal: Refusal | None = None) -> None:
        """Send a new order whose intent is journaled, unless something (or ``refusal``) speaks against it."""
        refusal = refusal or self._admission.refusal(tracked, ctx)
        if refusal is None:
            self.place(tracked, ctx)
        else:
            self._give_up(tracked, refusal, ctx)

    def place(self, tracked: TrackedOrder, ctx: Context) -> None:
        """Send the order to the venue, then tell the bus."""
        order = tracked.order
        ctx.send(
            VENUE_PORT,
            PlaceOrder(
                order.client_id,
                order.symbol,
                order.side,
                order.type,
                order.quantity,
                order.price,
                order.time_in_force,
                order.reduce_only,
                order.trigger,
            ),
        )
        orders.step(tracked, OrderEvent.SEND)
        first = tracked.attempts == 0
        tracked.attempts += 1
        tracked.maybe_sent = True
        tracked.resend_due_ns = 0
        tracked.attempted_ns = tracked.touched_ns = ctx.now
        self._state.activity[order.symbol] = ctx.now
        ctx.count("exchange.orders_sent")
        if first and tracked.signal_ns and tracked.tick_recv_ns:
            ctx.observe("tick_to_signal", tracked.signal_ns - tracked.tick_recv_ns)
            ctx.observe("signal_to_order", ctx.now - tracked.signal_ns)
            ctx.observe("tick_to_order", ctx.now - tracked.tick_recv_ns)
        self._outbox.order(tracked, ctx)

    def _give_up(self, tracked: TrackedOrder, refusal: Refusal, ctx: Context) -> None:
        """End an order that is certainly not at the venue."""
        told = tracked.told is not None or bool(tracked.role)
        text = f"{refusal.code}: {refusal.detail}"
        if tracked.role:
            text = f"{orders.UNSENT} {text}"
        orders.step(tracked, OrderEvent.LAPSE if refusal.expired else OrderEvent.REFUSE, text)
        tracked.inferred = tracked.absent_ns > 0
        if told or not tracked.signal_id:
            self.changed(tracked, ctx)
            return
        self._outbox.unsent(tracked, refusal.expired, refusal.gate, refusal.code, refusal.detail, ctx)
        self.close(tracked)

    def _send_again(self, tracked: TrackedOrder, ctx: Context) -> None:
        """Send an order that certainly isn't at the venue, unless something speaks against it now."""
        refusal = self._admission.refusal(tracked, ctx)
        if tracked.cancel_reason:
            self._give_up(tracked, Refusal("latch", "CANCELLED", tracked.cancel_reason), ctx)
        elif refusal is None:
            self.place(tracked, ctx)
        elif refusal.passing and tracked.expires_ns:
            tracked.resend_due_ns = ctx.now + self._settings.resend_ns
        else:
            self._give_up(tracked, refusal, ctx)

    # -- results ---------------------------------------------------------------------------

    def result(self, result: CommandResult, ctx: Context) -> None:
        """Take in how a command about one order ended."""
        tracked = self._state.find(result.client_id)
        if tracked is None:
            ctx.count("exchange.results_unmatched")
        elif result.command == PlaceOrder.__name__:
            self._placed(tracked, result, ctx)
        elif result.command == QueryOrder.__name__:
            self._answered(tracked, result, ctx)
        elif result.command == CancelOrder.__name__:
            self._cancelled(tracked, result, ctx)
        elif result.command == AmendOrder.__name__:
            self._amended(tracked, result, ctx)

    def _placed(self, tracked: TrackedOrder, result: CommandResult, ctx: Context) -> None:
        text = f"{result.code}: {result.reason}" if result.code else result.reason
        tracked.touched_ns = ctx.now
        if result.outcome is Outcome.ACCEPTED:
            tracked.absent_ns = 0
            orders.acknowledge(tracked, result.venue_id)
            if tracked.inferred:
                self.ask(tracked, ctx)
        elif result.outcome is Outcome.NOT_SENT:
            self._not_sent(tracked, text, result.retry_after_ns, ctx)
        elif result.outcome is Outcome.UNKNOWN or result.code in self._settings.duplicate_codes:
            ctx.count("exchange.unknown_outcomes")
            orders.step(tracked, OrderEvent.LOSE, text)
            soon = result.code in self._settings.duplicate_codes
            self.ask_later(tracked, ctx.now if soon else ctx.now + self._settings.unknown_query_ns)
        elif not orders.step(tracked, OrderEvent.REFUSE, text) and not tracked.status.final:
            self.ask_later(tracked, ctx.now)
        self.changed(tracked, ctx)

    def _not_sent(self, tracked: TrackedOrder, text: str, retry_after_ns: int, ctx: Context) -> None:
        if tracked.status is not OrderStatus.SENT:
            return
        tracked.maybe_sent = False
        ctx.count("exchange.not_sent")
        wait = max(self._settings.resend_ns << (tracked.attempts - 1), retry_after_ns)
        if tracked.cancel_reason:
            self._give_up(tracked, Refusal("latch", "CANCELLED", tracked.cancel_reason), ctx)
        elif tracked.attempts >= self._settings.place_tries or not tracked.signal_id:
            self._give_up(tracked, Refusal("venue", "NOT_SENT", f"attempts={tracked.attempts} last={text}"), ctx)
        elif ctx.now + wait >= tracked.expires_ns:
            self._give_up(tracked, Refusal("expiry", "APPROVAL_EXPIRED", f"not sent: {text}", expired=True), ctx)
        else:
            tracked.resend_due_ns = ctx.now + wait

    def _answered(self, tracked: TrackedOrder, result: CommandResult, ctx: Context) -> None:
        tracked.asking = False
        if result.outcome is Outcome.ACCEPTED and result.order is not None:
            tracked.asks = 0
            self.seen(result.order, ctx)
        elif result.outcome is Outcome.NOT_FOUND:
            self._absent(tracked, ctx)
        elif not tracked.status.final or tracked.waits_for_fills:
            wait = min(self._settings.unknown_query_ns << min(tracked.asks, 10), self._settings.query_max_ns)
            self.ask_later(tracked, ctx.now + max(wait, result.retry_after_ns))

    def _absent(self, tracked: TrackedOrder, ctx: Context) -> None:
        """The venue knows no such order: believed when it says so twice, long enough apart."""
        if tracked.status.final or tracked.waits_for_fills:
            return
        if not tracked.absent_ns:
            tracked.absent_ns = ctx.now
        if tracked.asked_ns - tracked.absent_ns < self._settings.grace_ns:
            self.ask_later(tracked, tracked.absent_ns + self._settings.grace_ns)
            return
        ctx.count("exchange.orders_proven_absent")
        tracked.outstanding = False
        if tracked.maybe_sent or tracked.status is not OrderStatus.PENDING:
            taken = tracked.status in (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)
            found = "VENUE_FORGOT" if taken else orders.NEVER_REACHED
            reason = f"{found}: the venue, asked twice, knows no such order"
            orders.step(tracked, OrderEvent.ABSENT, reason)
            self.changed(tracked, ctx)
        else:
            tracked.resend_due_ns = ctx.now
            self._send_again(tracked, ctx)

    def _cancelled(self, tracked: TrackedOrder, result: CommandResult, ctx: Context) -> None:
        if tracked.status.final:
            return
        again = ctx.now + max(self._settings.cancel_retry_ns, result.retry_after_ns)
        if result.outcome in (Outcome.NOT_SENT, Outcome.UNKNOWN):
            tracked.cancel_due_ns = again
        elif result.outcome is Outcome.ACCEPTED:
            self.ask_later(tracked, again)
        else:
            self.ask_later(tracked, ctx.now)

    def _amended(self, tracked: TrackedOrder, result: CommandResult, ctx: Context) -> None:
        """An amendment that was refused, or whose outcome is unknown, is settled by the venue's view of the order."""
        asked, tracked.amending = tracked.amending, None
        (quantity, trigger_price), tracked.reshaping = tracked.reshaping or (None, None), None
        if tracked.status.final:
            return
        if result.outcome is Outcome.ACCEPTED:
            order, trigger = tracked.order, tracked.order.trigger
            if trigger is not None and trigger_price is not None:
                trigger = msgspec.structs.replace(trigger, price=trigger_price)
            tracked.order = msgspec.structs.replace(
                order, price=asked or order.price, quantity=quantity or order.quantity, trigger=trigger
            )
            self.changed(tracked, ctx)
            return
        ctx.count(f"exchange.amends_{result.outcome.value}")
        if result.outcome is Outcome.UNKNOWN:
            self.ask_later(tracked, ctx.now + self._settings.unknown_query_ns)
        elif result.outcome is not Outcome.NOT_SENT or result.code == "UNSUPPORTED":
            tracked.amend_refused = True
            self.ask_later(tracked, ctx.now)

    # -- evidence --------------------------------------------------------------------------

    def seen(self, view: Order, ctx: Context, *, pushed: bool = True) -> None:
        """Take in the venue's view of an order; one that was not ``pushed`` is part of a whole answer."""
        tracked = self._state.match(view.client_id, view.venue_id)
        if tracked is None:
            if not view.client_id.startswith(OUR_PREFIX):
                self._foreign(view, ctx)
                return
            if view.status.final:
                ctx.count("exchange.forgotten_orders")
                return
            tracked = self._adopt(view, ctx)
        dead = tracked.inferred and tracked.status.final
        if pushed:
            tracked.touched_ns = self._state.activity[view.symbol] = ctx.now
        orders.claim(tracked, view)
        # The venue has it, so it was sent, if by an incarnation that died before it could say so.
        tracked.maybe_sent = True
        tracked.outstanding = False
        tracked.query_due_ns = 0
        if dead and not tracked.status.final:
            self._resurrected(tracked, ctx)
        if tracked.status in _UNSETTLED or tracked.status.final:
            tracked.resend_due_ns = 0
        if tracked.cancel_reason and not tracked.status.final and not tracked.cancel_due_ns:
            tracked.cancel_due_ns = ctx.now + self._settings.cancel_retry_ns
        self.changed(tracked, ctx)

    def filled(self, fill: Fill, ctx: Context, *, pushed: bool = True) -> None:
        """Take in one execution; the same one again changes nothing."""
        if pushed:
            self._state.activity[fill.symbol] = ctx.now
        tracked = self._state.match(fill.client_id, fill.venue_id)
        if tracked is not None and not fill.client_id:
            fill = msgspec.structs.replace(fill, client_id=tracked.client_id)
        ours = tracked is not None or fill.forced or fill.client_id.startswith(OUR_PREFIX)
        if not ours and fill.symbol not in self._settings.symbols:
            ctx.count("exchange.fills_elsewhere")
            return
        before = self._ledger.position(fill.symbol)
        position = self._ledger.apply(fill, tracked.strategy if tracked is not None else "")
        if position is None:
            ctx.count("exchange.fills_again")
            return
        ctx.count("exchange.fills")
        if not ours:
            evidence = f"execution={fill.execution_id} venue_id={fill.venue_id} client_id={fill.client_id or 'none'}"
            self._outbox.repaired(
                fill.symbol, "foreign order", before.quantity, position.quantity, evidence, ctx, fill=fill
            )
            return
        self._outbox.filled(tracked, fill, position, ctx)
        if tracked is not None:
            if pushed:
                tracked.touched_ns = ctx.now
            self._execute(tracked, fill, ctx)

    def _execute(self, tracked: TrackedOrder, fill: Fill, ctx: Context) -> None:
        dead = tracked.inferred and tracked.status.final
        tracked.outstanding = False
        orders.execute(tracked, fill)
        if dead and not tracked.status.final:
            self._resurrected(tracked, ctx)
        self.changed(tracked, ctx)

    def _adopt(self, view: Order, ctx: Context) -> TrackedOrder:
        """Track an order that bears our mark although the journal has no approval of it."""
        tracked = TrackedOrder(as_pending(view), signal_id=signal_of(view.client_id), maybe_sent=True)
        self._state.active[view.client_id] = tracked
        evidence = f"client_id={view.client_id} venue_id={view.venue_id}"
        self._outbox.repaired(view.symbol, "order without approval", "", view.status.value, evidence, ctx)
        return tracked

    def _resurrected(self, tracked: TrackedOrder, ctx: Context) -> None:
        """An order taken for dead lives: nobody counts on it any more, so it is cancelled."""
        self._state.closed.pop(tracked.client_id, None)
        self._state.active[tracked.client_id] = tracked
        evidence = f"client_id={tracked.client_id} venue_id={tracked.order.venue_id}"
        self._outbox.repaired(
            tracked.symbol, "order taken for dead", "never reached the venue", tracked.status.value, evidence, ctx
        )
        self.cancel(tracked, "taken for dead", ctx)

    def _foreign(self, view: Order, ctx: Context) -> None:
        """An order that someone else placed: known while it works, so that it can be adopted."""
        ctx.count("exchange.foreign_orders")
        self._state.foreign.pop(view.venue_id, None)
        if view.venue_id and not view.status.final:
            self._state.foreign[view.venue_id] = view

    # -- upkeep ----------------------------------------------------------------------------

    def changed(self, tracked: TrackedOrder, ctx: Context) -> None:
        """Tell the bus what is new about an order, and put it away when it has ended."""
        if tracked.told is None and tracked.status is OrderStatus.PENDING:
            return
        if tracked.waits_for_fills and not tracked.fills_due_ns:
            tracked.fills_due_ns = ctx.now + self._settings.fills_wait_ns
        if not self._unsent_already(tracked):
            self._outbox.order(tracked, ctx)
        if tracked.status.final:
            self.close(tracked)

    def _unsent_already(self, tracked: TrackedOrder) -> bool:
        unsent = tracked.status.final and not tracked.maybe_sent and not tracked.executed
        return tracked.told is None and unsent and not tracked.role

    def close(self, tracked: TrackedOrder) -> None:
        """Put an ended order away."""
        state = self._state
        tracked.outstanding = tracked.asking = False
        tracked.query_due_ns = tracked.resend_due_ns = tracked.cancel_due_ns = tracked.fills_due_ns = 0
        if state.active.pop(tracked.client_id, None) is not None:
            state.closed[tracked.client_id] = tracked
        # The orders of a flow under way are its memory.
        oldest = (key for key, order in state.closed.items() if order.signal_id not in state.flows)
        for client_id in list(islice(oldest, max(len(state.closed) - self._settings.orders_kept, 0))):
            del state.closed[client_id]

    def ask_later(self, tracked: TrackedOrder, due_ns: int) -> None:
        """Ask the venue about the order at ``due_ns``, or earlier if that is planned already."""
        planned = tracked.query_due_ns
        tracked.query_due_ns = min(due_ns, planned) if planned else due_ns

    def ask(self, tracked: TrackedOrder, ctx: Context) -> None:
        """Ask the venue about the order now."""
        tracked.asking, tracked.asked_ns, tracked.query_due_ns = True, ctx.now, 0
        tracked.asks += 1
        ctx.count("exchange.queries")
        ctx.send(VENUE_PORT, QueryOrder(tracked.client_id, tracked.symbol, tracked.called))

    def cancel(self, tracked: TrackedOrder, reason: str, ctx: Context) -> None:
        """Cancel an order that may be at the venue; one that certainly isn't is given up."""
        tracked.cancel_reason = tracked.cancel_reason or reason
        if tracked.waits_for_fills:
            return
        if tracked.status is OrderStatus.PENDING or (tracked.resend_due_ns and not tracked.maybe_sent):
            if not tracked.outstanding:
                self._give_up(tracked, Refusal("latch", "CANCELLED", reason), ctx)
            return
        tracked.cancel_due_ns = 0
        ctx.count("exchange.cancels")
        ctx.send(VENUE_PORT, CancelOrder(tracked.client_id, tracked.symbol, tracked.called))

    def amend(
        self,
        tracked: TrackedOrder,
        ctx: Context,
        *,
        price: Decimal | None = None,
        quantity: Decimal | None = None,
        trigger_price: Decimal | None = None,
    ) -> None:
        """Ask for other values of a working order; the outcome decides what it has."""
        tracked.amending, tracked.amended_ns = price, ctx.now
        tracked.reshaping = None if (quantity, trigger_price) == (None, None) else (quantity, trigger_price)
        ctx.count("exchange.amends")
        ctx.send(VENUE_PORT, AmendOrder(tracked.client_id, tracked.symbol, quantity, price, trigger_price))

    def cancel_working(self, reason: str, ctx: Context, *, adding_only: bool = False, stops: bool = False) -> int:
        """Cancel every order that has not ended, but a panic's own (``adding_only``: that may add exposure).

        Stops that rest at the venue stay, unless ``stops``: they protect what is held and can only reduce it.
        """
        chosen = [
            tracked
            for tracked in self._state.active.values()
            if not (adding_only and tracked.order.reduce_only)
            and not tracked.closes_in_panic
            and (stops or not tracked.protects)
        ]
        for tracked in chosen:
            self.cancel(tracked, reason, ctx)
        return len(chosen)

    def still_ns(self) -> int:
        """Until when orders that rest leave nothing to do; 0 if one is in another state, or something is asked."""
        found = NEVER_NS
        for tracked in self._state.active.values():
            told = tracked.status in _RESTING and not tracked.waits_for_fills and tracked.amending is None
            if not told or tracked.asking or tracked.outstanding or tracked.fills_due_ns:
                return 0
            expires_ns = 0 if tracked.cancel_reason else tracked.expires_ns
            due = (expires_ns, tracked.cancel_due_ns, tracked.query_due_ns, tracked.resend_due_ns)
            found = min(found, *filter(None, due), NEVER_NS)
        return found

    def tick(self, ctx: Context) -> None:
        """Do what has fallen due."""
        for tracked in list(self._state.active.values()):
            self._due(tracked, ctx)

    def _due(self, tracked: TrackedOrder, ctx: Context) -> None:
        now, settings = ctx.now, self._settings
        if tracked.asking and now - tracked.asked_ns > settings.answer_ns:
            tracked.asking = False
            self.ask_later(tracked, now)
        if tracked.amended and now - tracked.amended_ns > settings.answer_ns:
            tracked.amending = tracked.reshaping = None
            self.ask_later(tracked, now)
        lost = tracked.status is OrderStatus.SENT and tracked.maybe_sent
        if lost and now - tracked.attempted_ns > settings.answer_ns:
            orders.step(tracked, OrderEvent.LOSE, "no answer to the call")
            self.ask_later(tracked, now)
            self.changed(tracked, ctx)
        if tracked.resend_due_ns and now >= tracked.resend_due_ns:
            self._send_again(tracked, ctx)
        if tracked.query_due_ns and now >= tracked.query_due_ns and not tracked.asking:
            self.ask(tracked, ctx)
        resting = tracked.status in _RESTING and not tracked.waits_for_fills
        patient = settings.patient and tracked.order.time_in_force is TimeInForce.IOC
        if resting and not patient and tracked.expires_ns and now >= tracked.expires_ns and not tracked.cancel_reason:
            self.cancel(tracked, "expired while resting", ctx)
        elif tracked.cancel_due_ns and now >= tracked.cancel_due_ns:
            self.cancel(tracked, tracked.cancel_reason, ctx)


def tracked_of(approved: ApprovedOrder) -> TrackedOrder:
    """The order of an approval, before anything has happened to it."""
    order = Order(
        approved.client_id,
        approved.symbol,
        approved.side,
        approved.type,
        approved.quantity,
        approved.price,
        approved.time_in_force,
        approved.reduce_only,
    )
    return TrackedOrder(
        order,
        signal_id=approved.signal_id,
        strategy=approved.strategy,
        reference_price=approved.reference_price,
        approved_ns=approved.approved_ns,
        expires_ns=approved.expires_ns,
        tick_recv_ns=approved.tick_recv_ns,
        signal_ns=approved.signal_ns,
        closes=approved.closes,
    )


def as_pending(view: Order) -> Order:
    """What was asked for, without what became of it."""
    return Order(
        view.client_id,
        view.symbol,
        view.side,
        view.type,
        view.quantity,
        view.price,
        view.time_in_force,
        view.reduce_only,
        trigger=view.trigger,
    )
