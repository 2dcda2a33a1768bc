"""What a flow sees of itself and of the market, and what it may want next."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from actors.exchange.flows.prices import Prices
from actors.exchange.flows.state import FlowState, Stop
from actors.exchange.orders import NEVER_REACHED, UNSENT
from actors.messages.control import TradingState
from actors.messages.signals import ApprovedOrder
from exchanges.model.flow import Role
from exchanges.model.instrument import Instrument
from exchanges.model.order import Order, OrderStatus, OrderType, TimeInForce
from exchanges.model.trigger import StopOrders, Trigger

_ZERO = Decimal(0)
_DOUBLINGS = 5
STOPPING = "stopping"
"""How the reason of a cancel begins that ends a session, not the flow."""


class Wait(NamedTuple):
    """Nothing to do now."""


class Send(NamedTuple):
    """Plan the next order."""

    role: Role
    number: int
    type: OrderType
    quantity: Decimal
    price: Decimal | None
    time_in_force: TimeInForce
    reason: str
    trigger: Trigger | None = None


class Cancel(NamedTuple):
    client_id: str
    reason: str


class Amend(NamedTuple):
    """What is given is asked for, the rest stays as it is."""

    client_id: str
    price: Decimal | None = None
    quantity: Decimal | None = None
    trigger_price: Decimal | None = None


class End(NamedTuple):
    """It is over; in a bracket whose entry has got something, its entry is."""

    stop: Stop


Move = Wait | Send | Cancel | Amend | End
WAIT = Wait()
FILLED = End(Stop("flow", "FILLED", ""))


class LegView(NamedTuple):
    """One order. ``executed`` counts its fills, ``final`` says that neither they nor it can change any more."""

    role: Role
    number: int
    attempt: int
    order: Order
    executed: Decimal
    value: Decimal
    final: bool
    cancelling: str
    amending: bool
    amend_refused: bool
    touched_ns: int

    @property
    def lost(self) -> bool:
        """It never was at the venue, so what it was to do is still to be done."""
        return self.final and not self.executed and self.order.reason.startswith((NEVER_REACHED, UNSENT))

    @property
    def unmade(self) -> bool:
        """Nothing speaks against another attempt: it is lost, or was cancelled because the session stopped."""
        return self.lost or (self.final and self.cancelling.startswith(STOPPING))

    @property
    def left(self) -> Decimal:
        """What it may still fill."""
        return max(self.order.quantity - self.executed, _ZERO)

    @property
    def stands(self) -> bool:
        """It is a stop at the venue, whether it waits or its price has come."""
        return self.order.trigger is not None

    @property
    def settled(self) -> bool:
        """It works at the venue, and nothing is asked of it."""
        return self.resting and not self.cancelling and not self.amending

    @property
    def resting(self) -> bool:
        return self.order.status in (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED) and not self.final


class StopTerms(NamedTuple):
    """How the connection uses the venue's stop orders; see ``ExchangeSettings``."""

    offered: StopOrders
    wait_ns: int
    trail_ns: int
    trail_step: Decimal


class View(NamedTuple):
    """All that decides the next move.

    Exits may close ``closable`` (the strategy's own share, or the position), of which an order can
    take off ``reducible`` at present (what the account holds in all).
    """

    flow: FlowState
    legs: Sequence[LegView]
    now: int
    prices: Prices
    instrument: Instrument
    closable: Decimal
    reducible: Decimal
    trading: TradingState
    retry_ns: int
    tries: int
    exits_rest: bool = True
    """Whether the venue keeps a reduce-only order in its book."""
    stop_terms: StopTerms | None = None
    """How stops rest at the venue; ``None`` where all are watched here."""
    alone: bool = True
    """Whether nobody else of ours holds or orders the symbol."""

    @property
    def frame(self) -> ApprovedOrder:
        return self.flow.frame

    def of(self, *roles: Role) -> list[LegView]:
        return [leg for leg in self.legs if leg.role in roles]

    def small(self, quantity: Decimal, price: Decimal | None, *, reduce_only: bool) -> bool:
        """Whether the venue takes no order of so little."""
        rules = self.instrument
        if quantity < max(rules.min_quantity, rules.lot):
            return True
        at = price if price is not None else self.frame.reference_price
        return not reduce_only and quantity * at < rules.min_notional

    def again(self, leg: LegView) -> Move | None:
        """Whether an order that never was at the venue is tried anew: ``None`` if so now."""
        if not leg.unmade or leg.attempt + 1 >= self.tries:
            return End(ending(leg))
        return WAIT if self.now - leg.touched_ns < self.retry_ns else None


def executed(legs: Sequence[LegView]) -> Decimal:
    return sum((leg.executed for leg in legs), _ZERO)


def working(legs: Sequence[LegView]) -> list[LegView]:
    return [leg for leg in legs if not leg.final]


def used(legs: Sequence[LegView]) -> Decimal:
    """The most they can come to."""
    return sum((leg.executed if leg.final else max(leg.order.quantity, leg.executed) for leg in legs), _ZERO)


def ending(leg: LegView) -> Stop:
    """How a flow ends whose last order ended like this."""
    order = leg.order
    if order.status is OrderStatus.REJECTED:
        return Stop("venue", "VENUE_REJECTED", order.reason or f"no reason given for {order.client_id}", expired=False)
    return Stop("flow", "ORDER_UNFILLED", f"status={order.status.value} reason={order.reason or 'none'}")


def wind_down(legs: Sequence[LegView], stop: Stop) -> Move:
    """Cancel what works, wait for the outcome, then end."""
    for leg in working(legs):
        if not leg.cancelling:
            return Cancel(leg.order.client_id, f"{stop.code}: {stop.detail}" if stop.detail else stop.code)
    return WAIT if working(legs) else End(stop)


def too_soon(view: View, tries: list[LegView]) -> bool:
    """An exit that came to nothing is tried again and again, but ever more slowly; one that we took back is not."""
    failures = 0
    for leg in reversed(tries):
        if leg.executed:
            break
        failures += 1
    last = tries[-1] if tries else None
    if last is None or last.executed >= last.order.quantity:
        return False
    return view.now - last.touched_ns < view.retry_ns << min(max(failures - 1, 0), _DOUBLINGS)
