"""Whether an approved order may leave now. Every doubt is a refusal of new exposure."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from actors.exchange.settings import ExchangeSettings
from actors.exchange.state import ConnectionState, TrackedOrder
from actors.messages.control import TradingState
from actors.names import BUS, RISK, pair
from runtime.behavior import Context


class Refusal(NamedTuple):
    """Why an order may not leave. ``passing`` ones may be gone a moment later."""

    gate: str
    code: str
    detail: str
    expired: bool = False
    passing: bool = False


class Admission:
    """The last checks between an approval and the venue."""

    def __init__(self, settings: ExchangeSettings, state: ConnectionState) -> None:
        self._settings = settings
        self._state = state

    @property
    def trading(self) -> TradingState:
        """The stricter of our own latch and what the risk supervisor allows."""
        states = (self._state.latch, self._state.allowed)
        for strict in (TradingState.HALTED, TradingState.REDUCING):
            if strict in states:
                return strict
        return TradingState.ACTIVE

    def refusal(self, tracked: TrackedOrder, ctx: Context) -> Refusal | None:
        """The first reason against sending ``tracked``, ``None`` if there is none."""
        order = tracked.order
        if tracked.expires_ns and ctx.now >= tracked.expires_ns:
            late = ctx.now - tracked.expires_ns
            return Refusal("expiry", "APPROVAL_EXPIRED", f"late_ns={late}", expired=True)
        if self._state.stopping:
            return Refusal("session", "STOPPING", "the session ends")
        if self.trading is TradingState.HALTED:
            return Refusal("latch", "TRADING_HALTED", self._state.latch_reason or "halted by risk")
        if not order.reduce_only:
            doubt = self._doubt(order.symbol)
            if doubt is not None:
                return doubt
        return self._share(tracked) or self._rules(tracked)

    def _share(self, tracked: TrackedOrder) -> Refusal | None:
        """Whether what its strategy holds by now still covers an order that ends it and may open a position."""
        order = tracked.order
        if not tracked.closes:
            return None
        held = -self._state.shares.get(pair(tracked.strategy, order.symbol), Decimal(0)) * order.side.sign
        if held >= order.quantity:
            return None
        return Refusal("share", "NOT_HELD", f"held={max(held, Decimal(0))} closes={order.quantity}")

    def _doubt(self, symbol: str) -> Refusal | None:
        """What speaks against new exposure in ``symbol``."""
        state = self._state
        if self.trading is TradingState.REDUCING:
            return Refusal("latch", "TRADING_REDUCING", state.latch_reason or "reducing by risk")
        if symbol in state.halted:
            return Refusal("symbol", "SYMBOL_HALTED", state.halted[symbol])
        connection = self._connection()
        if connection is not None:
            return connection
        if symbol in state.suspects:
            return Refusal("symbol", "POSITION_DIFFERS", state.suspects[symbol], passing=True)
        unknown = state.unknown(symbol)
        if unknown:
            return Refusal("unknown", "UNKNOWN_OUTCOME", f"orders={','.join(unknown)}", passing=True)
        return None

    def _connection(self) -> Refusal | None:
        state = self._state
        for peer in (BUS, RISK):
            if peer in state.down:
                return Refusal("connection", f"{peer.upper()}_DOWN", f"no link to {peer}", passing=True)
        if not state.private_up:
            return Refusal("connection", "PRIVATE_STREAM_DOWN", "fills would not be seen", passing=True)
        if self._settings.require_public and not state.public_up:
            return Refusal("connection", "PUBLIC_STREAM_DOWN", "prices are not fresh", passing=True)
        if not state.reconciled:
            waiting = state.outstanding
            detail = f"orders_to_resolve={len(waiting)} state_fetched={str(state.matched).lower()}"
            return Refusal("connection", "NOT_RECONCILED", detail, passing=True)
        return None

    def _rules(self, tracked: TrackedOrder) -> Refusal | None:
        order = tracked.order
        instrument = self._state.instruments.get(order.symbol)
        if instrument is None:
            return Refusal("instrument", "INSTRUMENT_UNKNOWN", f"symbol={order.symbol}", passing=True)
        price = order.price
        if price is None:
            price = instrument.round_price(tracked.reference_price, order.side)
        fault = instrument.fault(order.quantity, price, reduce_only=order.reduce_only)
        code, _, detail = fault.partition(": ")
        return Refusal("instrument", code, detail) if fault else None
