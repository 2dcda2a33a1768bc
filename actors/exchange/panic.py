"""Closing everything: cancel all orders, then close every position until the venue has none."""

from __future__ import annotations

import base64
import hashlib
import re
from decimal import Decimal

from actors.exchange.execution import Execution
from actors.exchange.latch import FLAT
from actors.exchange.outbox import Outbox
from actors.exchange.reconcile import Reconciler
from actors.exchange.settings import ExchangeSettings
from actors.exchange.state import PANIC_PREFIX, ConnectionState, PanicState, TrackedOrder
from actors.messages.control import ControlTaken
from exchanges.model.instrument import Instrument
from exchanges.model.order import Order, OrderType, Side
from exchanges.model.venue import VENUE_PORT, CancelAll, VenuePosition, VenueState
from runtime.behavior import Context


def panic_order_id(control_id: str, symbol: str, leg: int, attempt: str) -> str:
    """The client order id of one closing order: at most 36 characters of ``[A-Za-z0-9_-]``."""
    digest = hashlib.blake2b(f"{control_id}|{symbol}".encode(), digest_size=5).digest()
    mark = base64.b32encode(digest).decode().lower()
    native = re.sub(r"[^A-Za-z0-9]", "", symbol.partition(":")[2])[:8]
    return f"{PANIC_PREFIX}{mark}{native}-{leg}-{attempt}"[:36]


def pieces(instrument: Instrument | None, quantity: Decimal) -> list[Decimal]:
    """``quantity`` in orders that the venue takes."""
    if instrument is None or instrument.max_quantity <= 0:
        return [quantity]
    full, rest = divmod(quantity, instrument.max_quantity)
    return [instrument.max_quantity] * int(full) + ([rest] if rest else [])


class Panic:
    """One pass every ``panic_retry_ns``, on the venue's own word, until it lists neither orders nor positions."""

    def __init__(
        self,
        settings: ExchangeSettings,
        state: ConnectionState,
        outbox: Outbox,
        execution: Execution,
        reconciler: Reconciler,
    ) -> None:
        self._settings = settings
        self._state = state
        self._outbox = outbox
        self._execution = execution
        self._reconciler = reconciler

    def tick(self, ctx: Context) -> None:
        """Begin the next pass if it is due."""
        panic = self._state.panic
        if panic is None or ctx.now < panic.due_ns:
            return
        panic.due_ns = ctx.now + self._settings.panic_retry_ns
        if not panic.cancelled:
            panic.cancelled = True
            self._cancel_all(ctx)
        panic.attempts += 1
        self._reconciler.fetch(ctx, patience_ns=self._settings.panic_wait_ns)

    def on_state(self, state: VenueState, ctx: Context) -> None:
        """Close what the venue still lists; report the end when it lists nothing."""
        panic = self._state.panic
        if panic is None or state.started_ns < panic.began_ns:
            return
        held = [position for position in state.positions if self._closable(position)]
        for position in held:
            self._close(panic, position, state.started_ns, ctx)
        if not held and not state.orders and state.complete:
            self._state.panic = None
            detail = f"passes={panic.attempts} took_ns={ctx.now - panic.began_ns}"
            control_id = f"{panic.control_id}{FLAT}"
            self._state.controls.append(control_id)
            self._outbox.report(ControlTaken(control_id, "panic-flat", panic.by, ctx.name, detail), ctx)
        elif state.orders and not held:
            self._cancel_all(ctx)

    def _cancel_all(self, ctx: Context) -> None:
        ctx.count("exchange.cancel_all")
        ctx.send(VENUE_PORT, CancelAll())

    def _close(self, panic: PanicState, position: VenuePosition, as_of_ns: int, ctx: Context) -> None:
        symbol = position.symbol
        if as_of_ns <= panic.placed.get(symbol, 0) or self._closing(symbol, ctx.now):
            return
        panic.placed[symbol] = ctx.now
        side = Side.SELL if position.quantity > 0 else Side.BUY
        for leg, quantity in enumerate(pieces(self._state.instruments.get(symbol), self._closable(position))):
            # The epoch keeps a successor, whose snapshot may be older than our last order, off our ids.
            client_id = panic_order_id(panic.control_id, symbol, leg, f"{ctx.epoch}_{panic.attempts}")
            if self._state.find(client_id) is not None:
                continue
            order = Order(client_id, symbol, side, OrderType.MARKET, quantity, reduce_only=True)
            tracked = TrackedOrder(order, reference_price=position.mark_price, approved_ns=ctx.now)
            self._state.active[client_id] = tracked
            self._execution.place(tracked, ctx)

    def _closing(self, symbol: str, now: int) -> bool:
        """Whether a closing order is still on its way."""
        return any(
            tracked.symbol == symbol
            and tracked.closes_in_panic
            and now - tracked.attempted_ns < self._settings.panic_wait_ns
            for tracked in self._state.active.values()
        )

    def _closable(self, position: VenuePosition) -> Decimal:
        """How much of it an order can close: crumbs that a fee in the coin left are too small for any."""
        instrument = self._state.instruments.get(position.symbol)
        held = abs(position.quantity)
        return instrument.sellable(held) if instrument is not None and instrument.fee_in_base else held
