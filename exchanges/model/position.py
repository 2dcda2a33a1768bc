"""Exact accounting of one position: average cost, realised profit, fees, payments."""

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
    ``fees`` and ``payments``, which is what came in (negative: went out) without a trade, funding for
    one; all are in the quote currency.
    """

    symbol: str
    quantity: Decimal = _ZERO
    cost: Decimal = _ZERO
    realized: Decimal = _ZERO
    fees: Decimal = _ZERO
    payments: Decimal = _ZERO

    @property
    def net(self) -> Decimal:
        """Realised profit with all that was paid and received for it: what the cash has gained by it."""
        return self.realized - self.fees + self.payments

    def pay(self, amount: Decimal) -> Position:
        """The position after a payment, positive when received."""
        return msgspec.structs.replace(self, payments=self.payments + amount)

    @property
    def average_price(self) -> Decimal:
        """Average entry price, 0 when flat."""
        return self.cost / self.quantity if self.quantity else _ZERO

    def unrealized(self, mark: Decimal) -> Decimal:
        """Profit the position would make if closed at ``mark``, without fees."""
        return self.quantity * mark - self.cost

    def apply(self, fill: Fill) -> Position:
        """The position after ``fill``, by the average cost method.

        A fee taken from the coin bought leaves less of it: ``q - f`` are held, at the price paid, and
        ``f`` times that price counts as fee. The average price is what it would be without a fee, and
        what the fill took out of the cash is still the change of ``cost`` plus that of ``fees``.
        """
        signed = fill.delta
        quantity, cost, realized = self.quantity, self.cost, self.realized
        if quantity * signed >= 0:
            quantity, cost = quantity + signed, cost + signed * fill.price
        else:
            closing = min(max(signed, -abs(quantity)), abs(quantity))
            share = -cost * closing / quantity if abs(closing) < abs(quantity) else cost
            realized += -closing * fill.price - share
            cost -= share
            quantity += closing
            opening = signed - closing
            quantity, cost = quantity + opening, cost + opening * fill.price
        fees = self.fees + fill.quote_fee
        return msgspec.structs.replace(self, quantity=quantity, cost=cost, realized=realized, fees=fees)

    def recharge(self, quantity: Decimal) -> Position:
        """The position when ``quantity`` is held: the difference was more or less of a fee, at the average price."""
        moved = (quantity - self.quantity) * self.average_price
        return msgspec.structs.replace(self, quantity=quantity, cost=self.cost + moved, fees=self.fees - moved)

    def tradable(self, lot: Decimal) -> Position:
        """The part of it that can be traded: whole lots, at the same average price (``lot`` 0: all of it).

        Fees in the coin bought leave crumbs that no order can sell; they add up until they make a lot.
        """
        crumb = self.quantity.copy_abs() % lot if lot else _ZERO
        if not crumb:
            return self
        whole = self.quantity - crumb.copy_sign(self.quantity)
        cost = self.cost * whole / self.quantity
        return msgspec.structs.replace(self, quantity=whole, cost=cost)


class Balance(Message):
    """One currency of the account: ``total`` includes what is locked, ``available`` does not."""

    currency: str
    total: Decimal
    available: Decimal
