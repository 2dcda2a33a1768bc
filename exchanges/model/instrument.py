"""What can be traded, on which steps, at which fees."""

from __future__ import annotations

import enum
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal

from exchanges.model.order import Side
from runtime.message import Message


class ContractKind(enum.StrEnum):
    SPOT = "spot"
    EQUITY = "equity"
    LINEAR_PERPETUAL = "linear_perpetual"
    BINARY_EVENT = "binary_event"


class Instrument(Message):
    """One tradable instrument. Every amount is in the unit its name says.

    ``tick`` is the price step, ``lot`` the quantity step (base units), ``min_notional`` in
    the quote currency. Fee rates are fractions of notional (0.00055 is 5.5 basis points).
    """

    symbol: str
    venue: str
    native: str
    kind: ContractKind
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    maker_fee: Decimal
    taker_fee: Decimal
    trading: bool = True

    def round_quantity(self, quantity: Decimal) -> Decimal:
        """``quantity`` rounded towards zero to the lot."""
        return (quantity / self.lot).to_integral_value(ROUND_DOWN) * self.lot

    def round_price(self, price: Decimal, side: Side) -> Decimal:
        """``price`` on the tick, rounded so that the order never costs more than asked."""
        rounding = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING
        return (price / self.tick).to_integral_value(rounding) * self.tick

    def fault(self, quantity: Decimal, price: Decimal, *, reduce_only: bool = False) -> str:
        """Why an order breaks the instrument's rules, as ``CODE: values``; empty if it doesn't."""
        if not self.trading:
            return f"INSTRUMENT_CLOSED: symbol={self.symbol}"
        if quantity <= 0 or quantity % self.lot != 0:
            return f"QUANTITY_STEP: quantity={quantity} lot={self.lot}"
        if price % self.tick != 0:
            return f"PRICE_STEP: price={price} tick={self.tick}"
        if quantity < self.min_quantity:
            return f"QUANTITY_MIN: quantity={quantity} minimum={self.min_quantity}"
        if quantity > self.max_quantity:
            return f"QUANTITY_MAX: quantity={quantity} maximum={self.max_quantity}"
        if not reduce_only and quantity * price < self.min_notional:
            return f"NOTIONAL_MIN: notional={quantity * price} minimum={self.min_notional}"
        return ""
