"""Comparing our books with the venue's, which are the truth for orders and positions."""

from __future__ import annotations

from decimal import Decimal

from actors.exchange import orders
from actors.exchange.execution import Execution
from actors.exchange.ledger import FillLedger
from actors.exchange.outbox import Outbox
from actors.exchange.settings import ExchangeSettings
from actors.exchange.state import ConnectionState, TrackedOrder
from actors.messages.orders import FEE_RECKONED, FEE_ROUNDED, SymbolHalted
from exchanges.model.order import Fill, OrderStatus
from exchanges.model.position import Position
from exchanges.model.venue import VENUE_PORT, FetchState, VenuePosition, VenueState
from runtime.behavior import Context

_ASSUMED = (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED, OrderStatus.UNKNOWN)
_IN_FLIGHT = (OrderStatus.SENT, OrderStatus.UNKNOWN)


class Reconciler:
    """Fetches the venue's state on connect and from time to time, and takes over what differs."""

    def __init__(
        self,
        settings: ExchangeSettings,
        state: ConnectionState,
        outbox: Outbox,
        ledger: FillLedger,
        execution: Execution,
    ) -> None:
        self._settings = settings
        self._state = state
        self._outbox = outbox
        self._ledger = ledger
        self._execution = execution

    # -- asking ----------------------------------------------------------------------------

    def fetch(self, ctx: Context, *, patience_ns: int = 0) -> None:
        """Ask for the venue's state, unless an answer is still awaited (for ``patience_ns`` at most)."""
        state = self._state
        patience = patience_ns or self._settings.answer_ns
        if state.fetch_sent_ns and ctx.now - state.fetch_sent_ns < patience:
            return
        since = self._ledger.since_ns(ctx.now)
        for tracked in state.active.values():
            if tracked.waits_for_fills and tracked.attempted_ns:
                since = min(since, tracked.attempted_ns - self._settings.overlap_ns)
        state.fetch_sent_ns, state.fetch_due_ns = ctx.now, 0
        ctx.count("exchange.fetches")
        ctx.send(VENUE_PORT, FetchState(max(since, state.floor_ns)))

    def fetch_by(self, due_ns: int) -> None:
        """Ask at ``due_ns``, or earlier if that is planned already."""
        planned = self._state.fetch_due_ns
        self._state.fetch_due_ns = min(planned, due_ns) if planned else due_ns

    def tick(self, ctx: Context) -> None:
        """Ask if it is time, if fills are missing, or if an answer never came."""
        state = self._state
        if any(t.fills_due_ns and ctx.now >= t.fills_due_ns for t in state.active.values()):
            self.fetch_by(ctx.now)
        lost = state.fetch_sent_ns and ctx.now - state.fetch_sent_ns >= self._settings.answer_ns
        if lost or (state.fetch_due_ns and ctx.now >= state.fetch_due_ns):
            self.fetch(ctx)

    # -- taking over -----------------------------------------------------------------------

    def on_state(self, answer: VenueState, ctx: Context) -> None:
        """Take over the venue's state: fills first, then orders, then positions."""
        state = self._state
        state.fetch_sent_ns = 0
        self._fills(answer, ctx)
        for order in answer.orders:
            if state.ours(order):
                self._execution.seen(order, ctx, pushed=False)
        for balance in answer.balances:
            state.balances[balance.currency] = balance
        for position in answer.positions:
            if position.mark_price:
                state.marks[position.symbol] = position.mark_price
        if not answer.complete:
            ctx.count("exchange.fetches_incomplete")
            self.fetch_by(ctx.now + self._settings.refetch_ns)
            return
        state.foreign = {o.venue_id: o for o in answer.orders if o.venue_id and not state.ours(o)}
        self._unlisted(answer, ctx)
        self._missing_fills(answer, ctx)
        self._positions(answer, ctx)
        state.fetched_ns = max(state.fetched_ns, answer.started_ns)
        if state.private_up and answer.started_ns >= state.private_since_ns:
            state.matched = True
        self.fetch_by(ctx.now + (self._settings.reconcile_ns if state.matched else self._settings.refetch_ns))

    def _fills(self, answer: VenueState, ctx: Context) -> None:
        """Apply what is new; what an opening position already holds is only noted."""
        for fill in sorted(answer.fills, key=_chronological):
            opened = fill.symbol in self._state.baselines or self._state.find(fill.client_id) is not None
            if opened or fill.symbol not in self._settings.symbols:
                self._execution.filled(fill, ctx, pushed=False)
            elif answer.complete:
                self._ledger.remember(fill)

    def _unlisted(self, answer: VenueState, ctx: Context) -> None:
        """Ask about every order that should be open and isn't listed."""
        listed = {name for order in answer.orders for name in (order.client_id, order.venue_id) if name}
        for tracked in list(self._state.active.values()):
            if listed & {tracked.client_id, tracked.called}:
                continue
            if tracked.touched_ns >= answer.started_ns or tracked.waits_for_fills:
                continue
            assumed = tracked.status in _ASSUMED or tracked.outstanding
            if assumed and not tracked.asking and not tracked.query_due_ns:
                self._execution.ask(tracked, ctx)

    def _missing_fills(self, answer: VenueState, ctx: Context) -> None:
        """After enough complete answers without them, believe the venue's total."""
        for tracked in list(self._state.active.values()):
            if not tracked.waits_for_fills or tracked.touched_ns >= answer.started_ns:
                continue
            tracked.fills_tries += 1
            tracked.fills_due_ns = ctx.now + (self._settings.fills_wait_ns << min(tracked.fills_tries, 6))
            if tracked.fills_tries >= self._settings.fills_tries:
                self._take_total(tracked, ctx)

    def _take_total(self, tracked: TrackedOrder, ctx: Context) -> None:
        before = tracked.executed
        orders.take_total(tracked)
        evidence = f"client_id={tracked.client_id} complete_answers_without_them={tracked.fills_tries}"
        self._outbox.repaired(tracked.symbol, "missing executions", before, tracked.executed, evidence, ctx)
        self._execution.changed(tracked, ctx)

    # -- positions -------------------------------------------------------------------------

    def _positions(self, answer: VenueState, ctx: Context) -> None:
        theirs = {position.symbol: position for position in answer.positions}
        for symbol in self._settings.symbols:
            venue = theirs.get(symbol) or VenuePosition(symbol, Decimal(0), Decimal(0))
            if self._moving(symbol, answer.started_ns):
                ctx.count("exchange.positions_not_compared")
                if symbol not in self._state.baselines:
                    self.fetch_by(ctx.now + self._settings.refetch_ns)
            elif symbol not in self._state.baselines:
                self._open(venue, answer, ctx)
            else:
                self._compare(venue, answer, ctx)

    def _moving(self, symbol: str, started_ns: int) -> bool:
        """Whether the symbol may have changed since the fetch began, or is about to."""
        if self._state.activity.get(symbol, 0) >= started_ns:
            return True
        return any(
            tracked.symbol == symbol
            and (tracked.status in _IN_FLIGHT or tracked.outstanding or tracked.waits_for_fills)
            for tracked in self._state.active.values()
        )

    def _open(self, venue: VenuePosition, answer: VenueState, ctx: Context) -> None:
        """Begin a symbol's books with the venue's figure."""
        before = self._ledger.position(venue.symbol)
        position = self._ledger.restate(venue.symbol, _as_position(venue))
        as_of_ns = max((fill.ts_ns for fill in answer.fills if fill.symbol == venue.symbol), default=0)
        self._ledger.put(position, as_of_ns)
        self._outbox.repaired(
            venue.symbol,
            "opening position",
            before.quantity,
            position.quantity,
            f"the venue's figure at {answer.started_ns}",
            ctx,
            position=position,
            as_of_ns=as_of_ns,
        )

    def _compare(self, venue: VenuePosition, answer: VenueState, ctx: Context) -> None:
        """A difference seen twice is repaired, and stops the symbol: nobody can explain it."""
        suspects, symbol = self._state.suspects, venue.symbol
        ours = self._ledger.position(symbol).quantity
        if ours == venue.quantity:
            suspects.pop(symbol, None)
            self._state.reckoned.pop(symbol, None)
            return
        difference = f"ours={ours} venue={venue.quantity}"
        if suspects.get(symbol) != difference:
            suspects[symbol] = difference
            ctx.count("exchange.positions_suspected")
            self.fetch_by(ctx.now + self._settings.refetch_ns)
            return
        del suspects[symbol]
        explained = self._fee(symbol, abs(ours - venue.quantity))
        if explained:
            self._recharge(venue, explained, difference, ctx)
            return
        position = self._ledger.restate(symbol, _as_position(venue))
        self._ledger.put(position, 0)
        evidence = f"{difference}, twice, with nothing in flight, at {answer.started_ns}"
        self._outbox.repaired(symbol, "position", ours, venue.quantity, evidence, ctx, position=position)
        reason = f"POSITION_DIFFERED: {difference}"
        self._state.halted[symbol] = reason
        self._outbox.report(SymbolHalted(self._settings.venue, symbol, True, reason), ctx)

    def _fee(self, symbol: str, difference: Decimal) -> str:
        """How a fee taken in the coin bought explains a difference; empty if it does not."""
        instrument = self._state.instruments.get(symbol)
        if instrument is None or not instrument.fee_in_base:
            return ""
        if difference < instrument.lot:
            return FEE_ROUNDED
        return FEE_RECKONED if difference <= self._state.reckoned.get(symbol, 0) else ""

    def _recharge(self, venue: VenuePosition, what: str, difference: str, ctx: Context) -> None:
        """Take over what is held; the difference was more or less of a fee, at the average price."""
        ours = self._ledger.position(venue.symbol)
        position = ours.recharge(venue.quantity)
        self._ledger.put(position, 0)
        self._state.reckoned.pop(venue.symbol, None)
        evidence = f"{difference}, no more than the fees of purchases can make"
        self._outbox.repaired(venue.symbol, what, ours.quantity, venue.quantity, evidence, ctx, position=position)


def _chronological(fill: Fill) -> tuple[int, str]:
    return fill.ts_ns, fill.execution_id


def _as_position(venue: VenuePosition) -> Position:
    return Position(venue.symbol, venue.quantity, venue.quantity * venue.average_price)
