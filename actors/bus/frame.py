"""The frame of a flow: what its approval allows, and what its orders have used of that."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.messages.orders import LegPlanned
from actors.messages.signals import ApprovedOrder
from exchanges.model.flow import Bracket, Role, protects
from exchanges.model.order import Order, Side

_ZERO = Decimal(0)


class FrameLeg(msgspec.Struct):
    """One order of a flow. ``filled`` is the sum of its fills, ``reported`` what the order says of itself.

    ``stands`` says that it is a stop at the venue.
    """

    side: Side
    quantity: Decimal
    filled: Decimal = _ZERO
    reported: Decimal = _ZERO
    final: bool = False
    stands: bool = False

    @property
    def executed(self) -> Decimal:
        return max(self.filled, self.reported)

    @property
    def used(self) -> Decimal:
        """The most it can come to."""
        return self.executed if self.final else max(self.quantity, self.executed)


class Frame(msgspec.Struct):
    """A flow as the bus follows it, from its approval until it has ended.

    ``entered``: its entry has ended and its exits live on. ``refused`` are client ids of legs refused.
    """

    order: ApprovedOrder
    legs: dict[str, FrameLeg] = {}
    refused: list[str] = []
    entered: bool = False

    def planned(self, order: Order) -> None:
        self.legs[order.client_id] = FrameLeg(order.side, order.quantity, stands=order.trigger is not None)

    def changed(self, order: Order) -> None:
        leg = self.legs.get(order.client_id)
        if leg is not None:
            leg.reported, leg.final = max(leg.reported, order.filled), order.status.final
            if leg.stands and order.quantity > 0:
                # It has shrunk with the position, for good: another one may follow for what is missing.
                leg.quantity = min(leg.quantity, order.quantity)

    def executed(self, side: Side) -> Decimal:
        """What orders of that side have filled."""
        return sum((leg.executed for leg in self.legs.values() if leg.side is side), _ZERO)

    def used(self, side: Side, *, stands: bool) -> Decimal:
        """The most that orders of that side can come to, for one more that ``stands`` (or does not).

        A stop at the venue and what takes profit are there side by side, and the venue keeps both within the position:
        of the other kind counts what has filled.
        """
        legs = [leg for leg in self.legs.values() if leg.side is side]
        return sum((leg.used if leg.stands is stands else leg.executed for leg in legs), _ZERO)

    def fault(self, leg: LegPlanned) -> str:
        """Why ``leg`` is outside of what was approved; empty if it is inside."""
        order, frame = leg.order, self.order
        if order.symbol != frame.symbol or order.quantity <= 0:
            return f"expected an order for {frame.symbol}, found {order.quantity} of {order.symbol}"
        if order.client_id == frame.client_id or not order.client_id.startswith(f"bw-{frame.signal_id}-"):
            return f"expected a client id of a leg of {frame.signal_id}, found {order.client_id}"
        exits = isinstance(frame.flow, Bracket) and leg.role is not Role.ENTRY
        if order.side is not (frame.side.opposite if exits else frame.side):
            return f"expected the other side, found {leg.role.value} to {order.side.value}"
        if (exits or frame.reduce_only or protects(frame.flow)) and not order.reduce_only:
            return f"expected a reduce-only order, found {order.client_id} that may open a position"
        most = self.executed(frame.side) if exits else frame.quantity
        used = self.used(order.side, stands=order.trigger is not None) + order.quantity
        if used > most:
            return f"expected no more than {most} in all, found {used} with {order.client_id}"
        if order.trigger is not None and not order.reduce_only:
            return f"expected a stop at the venue that can only reduce, found {order.client_id}"
        return "" if exits else self._price_fault(order)

    def _price_fault(self, order: Order) -> str:
        worst, sign = self.order.price, order.side.sign
        if worst is None or (order.price is not None and (worst - order.price) * sign >= 0):
            return ""
        return f"expected a price no worse than {worst}, found {order.price or 'a market order'}"
