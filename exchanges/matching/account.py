"""One account in the engine: cash, positions, leverage and what open orders reserve."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_UP, Decimal

import msgspec

from exchanges.matching.record import ZERO, OrderRecord
from exchanges.model.order import Fill, Side
from exchanges.model.position import Position

DEFAULT_LEVERAGE = Decimal(10)
_CENT = Decimal("0.00000001")


class Account(msgspec.Struct):
    """Cross margin in one currency.

    ``wallet`` is cash: deposits, realised profit, minus fees. ``reserved`` is the initial
    margin of open orders. All amounts are in ``currency``.
    """

    name: str
    currency: str
    wallet: Decimal
    deposited: Decimal = ZERO
    fees: Decimal = ZERO
    reserved: Decimal = ZERO
    positions: dict[str, Position] = {}
    leverage: dict[str, Decimal] = {}

    def position(self, symbol: str) -> Position:
        return self.positions.get(symbol) or Position(symbol=symbol)

    def leverage_of(self, symbol: str) -> Decimal:
        return self.leverage.get(symbol, DEFAULT_LEVERAGE)

    def apply(self, fill: Fill) -> Decimal:
        """Book a fill; returns the quantity of it that closed a position."""
        before = self.position(fill.symbol)
        after = before.apply(fill)
        self.positions[fill.symbol] = after
        self.wallet += after.realized - before.realized - fill.fee
        self.fees += fill.fee
        if before.quantity * fill.side.sign >= 0:
            return ZERO
        return min(abs(before.quantity), fill.quantity)

    def reducible(self, symbol: str, side: Side) -> Decimal:
        """How much an order of ``side`` can reduce the position by."""
        quantity = self.position(symbol).quantity
        return abs(quantity) if quantity * side.sign < 0 else ZERO

    def order_margin(self, symbol: str, side: Side, quantity: Decimal, price: Decimal) -> Decimal:
        """Initial margin of an order: what it adds to exposure, at the symbol's leverage."""
        adding = max(ZERO, quantity - self.reducible(symbol, side))
        return (adding * price / self.leverage_of(symbol)).quantize(_CENT, ROUND_UP)

    def reserve(self, record: OrderRecord, margin: Decimal) -> None:
        """Replace what ``record`` reserves."""
        self.reserved += margin - record.margin
        record.margin = margin

    def position_margin(self, mark: Callable[[str], Decimal]) -> Decimal:
        """Initial margin of all positions at mark prices, at the entry price where none is known yet."""
        total = ZERO
        for symbol, position in self.positions.items():
            if position.quantity:
                price = mark(symbol) or position.average_price
                total += abs(position.quantity) * price / self.leverage_of(symbol)
        return total

    def unrealized(self, mark: Callable[[str], Decimal]) -> Decimal:
        """Profit of all positions at mark prices; none for one whose mark isn't known yet."""
        held = ((p, mark(s)) for s, p in self.positions.items() if p.quantity)
        return sum((position.unrealized(price) for position, price in held if price), ZERO)

    def available(self, mark: Callable[[str], Decimal]) -> Decimal:
        """What new orders may use: equity minus initial margins of positions and orders."""
        return self.wallet + self.unrealized(mark) - self.position_margin(mark) - self.reserved
