"""Exact accounting of one position: average cost, realised profit, fees."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from exchanges.model.order import Fill
from runtime.message import Message

_ZERO = Decimal(0)


class Position(Message):
    """A net position. ``quantity`` is signed (negative is short), in base units.

    ``cost`` is the signed quote amount the open quantity was bought for, so the average
    entry price is ``cost / quantity`` and nothing is ever rounded. ``realized`` excludes
    ``fees``; both are in the quote currency.
    """

    symbol: str
    quantity: Decimal = _ZERO
    cost: Decimal = _ZERO
    realized: Decimal = _ZERO
    fees: Decimal = _ZERO

    @property
    def average_price(self) -> Decimal:
        """Average entry price, 0 when flat."""
        return self.cost / self.quantity if self.quantity else _ZERO

    def unrealized(self, mark: Decimal) -> Decimal:
        """Profit the position would make if closed at ``mark``, without fees."""
        return self.quantity * mark - self.cost

    def apply(self, fill: Fill) -> Position:
        """The position after ``fill``, by the average cost method."""
        signed = fill.quantity * fill.side.sign
        quantity, cost, realized = self.quantity, self.cost, self.realized
        if quantity * signed >= 0:
            quantity, cost = quantity + signed, cost + signed * fill.price
        else:
            closing = min(abs(signed), abs(quantity)) * fill.side.sign
            share = -cost * closing / quantity if abs(closing) < abs(quantity) else cost
            realized += -closing * fill.price - share
            cost -= share
            quantity += closing
            opening = signed - closing
            quantity, cost = quantity + opening, cost + opening * fill.price
        return msgspec.structs.replace(self, quantity=quantity, cost=cost, realized=realized, fees=self.fees + fill.fee)


class Balance(Message):
    """One currency of the account: ``total`` includes what is locked, ``available`` does not."""

    currency: str
    total: Decimal
    available: Decimal
