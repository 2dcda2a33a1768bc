"""One account in the engine: cash, positions, leverage and what open orders reserve."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_UP, Decimal

import msgspec

from exchanges.matching.demand import collateral, is_paid
from exchanges.matching.record import ZERO, OrderRecord
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.order import Fill, Side
from exchanges.model.position import Position

DEFAULT_LEVERAGE = Decimal(10)
_ONE = Decimal(1)
_CENT = Decimal("0.00000001")


class Account(msgspec.Struct):
    """Cash in one currency, and what is held.

    ``wallet`` is cash: deposits, what perpetuals realised, minus fees and funding, minus what spot
    pairs, shares and event contracts cost (a sold event contract locks its value and brings its
    price). ``reserved`` is what open orders tie up, ``locked`` by symbol what sold event contracts
    may have to pay, ``funding`` what was paid (negative: received) in all. ``multiplier`` is how many
    times its equity the account may hold in shares and spot pairs: 1 is a cash account. ``kinds``
    are of the symbols held that are not perpetuals. All amounts are in ``currency``.
    """

    name: str
    currency: str
    wallet: Decimal
    deposited: Decimal = ZERO
    fees: Decimal = ZERO
    reserved: Decimal = ZERO
    positions: dict[str, Position] = {}
    leverage: dict[str, Decimal] = {}
    multiplier: Decimal = _ONE
    kinds: dict[str, ContractKind] = {}
    locked: dict[str, Decimal] = {}
    funding: Decimal = ZERO

    def position(self, symbol: str) -> Position:
        return self.positions.get(symbol) or Position(symbol=symbol)

    def leverage_of(self, symbol: str) -> Decimal:
        return self.leverage.get(symbol, DEFAULT_LEVERAGE)

    def apply(self, fill: Fill, instrument: Instrument) -> Decimal:
        """Book a fill; returns the quantity of it that closed a position."""
        before = self.position(fill.symbol)
        after = before.apply(fill)
        self.positions[fill.symbol] = after
        self.fees += fill.quote_fee
        if is_paid(instrument):
            lock = collateral(instrument, after.quantity)
            self.wallet -= fill.quantity * fill.side.sign * fill.price
            self.wallet -= ZERO if fill.fee_in_base else fill.fee
            self.wallet -= lock - self.locked.get(fill.symbol, ZERO)
            self.locked[fill.symbol] = lock
            self.kinds[fill.symbol] = instrument.kind
        else:
            self.wallet += after.realized - before.realized - fill.fee
        if before.quantity * fill.side.sign >= 0:
            return ZERO
        return min(abs(before.quantity), fill.quantity)

    def charge(self, symbol: str, fee: Decimal) -> None:
        """Take the fee of a fill that was booked without one."""
        held = self.positions[symbol]
        self.positions[symbol] = msgspec.structs.replace(held, fees=held.fees + fee)
        self.wallet -= fee
        self.fees += fee

    def reducible(self, symbol: str, side: Side, lot: Decimal = ZERO) -> Decimal:
        """How much an order of ``side`` can reduce the position by, in whole lots where ``lot`` is given."""
        quantity = self.position(symbol).tradable(lot).quantity
        return abs(quantity) if quantity * side.sign < 0 else ZERO

    def order_margin(self, symbol: str, side: Side, quantity: Decimal, price: Decimal) -> Decimal:
        """Initial margin of an order for a perpetual: what it adds to exposure, at the symbol's leverage."""
        adding = max(ZERO, quantity - self.reducible(symbol, side))
        return (adding * price / self.leverage_of(symbol)).quantize(_CENT, ROUND_UP)

    def reserve(self, record: OrderRecord, margin: Decimal) -> None:
        """Replace what ``record`` reserves."""
        self.reserved += margin - record.margin
        record.margin = margin

    def perpetuals(self) -> list[Position]:
        """The open positions that are margined."""
        return [held for symbol, held in self.positions.items() if held.quantity and symbol not in self.kinds]

    def holdings(self, kind: ContractKind) -> list[Position]:
        """The open positions of a ``kind`` that is paid for."""
        return [self.positions[s] for s, found in self.kinds.items() if found is kind and self.positions[s].quantity]

    def position_margin(self, mark: Callable[[str], Decimal]) -> Decimal:
        """Initial margin of all perpetuals at mark prices, at the entry price where none is known yet."""
        total = ZERO
        for position in self.perpetuals():
            price = mark(position.symbol) or position.average_price
            total += abs(position.quantity) * price / self.leverage_of(position.symbol)
        return total

    def unrealized(self, mark: Callable[[str], Decimal]) -> Decimal:
        """Profit of all perpetuals at mark prices; none for one whose mark isn't known yet."""
        held = ((position, mark(position.symbol)) for position in self.perpetuals())
        return sum((position.unrealized(price) for position, price in held if price), ZERO)

    def value(self, mark: Callable[[str], Decimal]) -> Decimal:
        """What spot pairs, shares and event contracts would bring at mark prices, collateral included."""
        held = (self.positions[symbol] for symbol in self.kinds)
        worth = sum((p.quantity * (mark(p.symbol) or p.average_price) for p in held if p.quantity), ZERO)
        return worth + sum(self.locked.values(), ZERO)

    def equity(self, mark: Callable[[str], Decimal]) -> Decimal:
        """Cash, profit of perpetuals and the value of what is held."""
        return self.wallet + self.unrealized(mark) + self.value(mark)

    def available(self, mark: Callable[[str], Decimal]) -> Decimal:
        """What new orders may use.

        In a cash account the cash that no order reserves. Otherwise equity minus initial
        margins of perpetuals and orders, and minus what shares and spot pairs must be backed
        with: their value divided by the multiplier.
        """
        free = self.wallet + self.unrealized(mark) - self.position_margin(mark) - self.reserved
        for kind in (ContractKind.SPOT, ContractKind.EQUITY):
            for position in self.holdings(kind):
                worth = position.quantity * (mark(position.symbol) or position.average_price)
                free += worth - abs(worth) / self.multiplier
        return free
