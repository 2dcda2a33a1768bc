"""What can be traded, on which steps, at which fees."""

from __future__ import annotations

import enum
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_UP, Decimal

import msgspec

from exchanges.model.order import Liquidity, Side
from exchanges.model.trigger import StopOrders
from runtime.message import Message

_ONE = Decimal(1)
_RATE_STEP = Decimal("0.000001")


class ContractKind(enum.StrEnum):
    SPOT = "spot"
    EQUITY = "equity"
    LINEAR_PERPETUAL = "linear_perpetual"
    BINARY_EVENT = "binary_event"


class FeeModel(enum.StrEnum):
    """What ``maker_fee`` and ``taker_fee`` are multiplied with."""

    NOTIONAL = "notional"
    """quantity x price."""
    QUADRATIC = "quadratic"
    """quantity x price x (1 - price), prices as fractions of the contract's value (Kalshi's fee schedule)."""


class PriceStep(msgspec.Struct, frozen=True):
    """From ``start`` on (included) prices move in ``step``."""

    start: Decimal
    step: Decimal


class MarginTier(msgspec.Struct, frozen=True):
    """What of a position's value is ``above`` this, in the quote currency, has this maintenance ``rate``."""

    above: Decimal
    rate: Decimal


def lowest_maintenance(max_leverage: Decimal) -> Decimal:
    """The maintenance rate of the smallest positions: half of the initial margin at the highest leverage.

    Hyperliquid's rule for all positions, and Bybit's lowest risk tier; larger positions need more there. 0 for a
    leverage of 1, which is that of an instrument without margin or of unknown leverage.
    """
    if max_leverage <= 1:
        return Decimal(0)
    return (1 / (2 * max_leverage)).quantize(_RATE_STEP, ROUND_UP)


class Instrument(Message):
    """One tradable instrument. Every amount is in the unit its name says.

    ``tick`` is the price step, ``lot`` the quantity step (base units), ``min_notional`` in
    the quote currency. Fee rates are fractions of notional (0.00055 is 5.5 basis points) or
    coefficients of the ``fee_model``; a fee is rounded up to ``fee_step``. ``price_steps``
    overrides ``tick`` where the step depends on the price (ascending by ``start``).
    ``contract_value`` is what one binary contract pays when it settles as yes. ``trading`` is
    whether orders are taken now; ``opens_ns`` and ``closes_ns`` are when that changes next,
    0 where it does not or is not known. ``short`` says whether a position may be negative,
    ``fee_in_base`` whether the fee of a purchase is taken from the coin bought, ``fee_told`` whether
    executions say what they cost: where they don't, it is reckoned, and what is held shows it.
    ``maintenance_rate`` is the maintenance margin of a perpetual, a fraction of the position's value at the
    mark price; 0 where it is not known, and then nothing is liquidated. ``maintenance_tiers`` are the higher
    rates of larger positions, ascending. The initial margin is the position's value over the account's
    leverage, of ``max_leverage`` at most. ``stops`` is what the venue has of orders that wait there for a price,
    ``None`` where it has none.
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
    fee_model: FeeModel = FeeModel.NOTIONAL
    fee_step: Decimal = Decimal(0)
    price_steps: tuple[PriceStep, ...] = ()
    contract_value: Decimal = _ONE
    opens_ns: int = 0
    closes_ns: int = 0
    short: bool = True
    max_leverage: Decimal = _ONE
    funding_interval_ns: int = 0
    fee_in_base: bool = False
    fee_told: bool = True
    maintenance_rate: Decimal = Decimal(0)
    maintenance_tiers: tuple[MarginTier, ...] = ()
    stops: StopOrders | None = None

    @property
    def steepest(self) -> Decimal:
        """The most that the maintenance margin grows by, for each unit that the position's value does."""
        return max((tier.rate for tier in self.maintenance_tiers), default=self.maintenance_rate)

    def maintenance(self, value: Decimal) -> Decimal:
        """The maintenance margin of a position of that value: each part of it at the rate of its tier.

        The same as value x rate - deduction, as Bybit (``mmDeduction``) and Hyperliquid ("Margin tiers") write it.
        """
        margin, rate = value * self.maintenance_rate, self.maintenance_rate
        for tier in self.maintenance_tiers:
            if value <= tier.above:
                break
            margin += (value - tier.above) * (tier.rate - rate)
            rate = tier.rate
        return margin

    def tick_at(self, price: Decimal) -> Decimal:
        """The price step in force at ``price``."""
        found = self.tick
        for step in self.price_steps:
            if price >= step.start:
                found = step.step
        return found

    def round_quantity(self, quantity: Decimal) -> Decimal:
        """``quantity`` rounded towards zero to the lot."""
        return (quantity / self.lot).to_integral_value(ROUND_DOWN) * self.lot

    def round_price(self, price: Decimal, side: Side) -> Decimal:
        """``price`` on the tick, rounded so that the order never costs more than asked."""
        rounding, tick = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING, self.tick_at(price)
        return (price / tick).to_integral_value(rounding) * tick

    def fee(self, price: Decimal, quantity: Decimal, liquidity: Liquidity) -> Decimal:
        """The fee of one execution in the quote currency; negative is a rebate."""
        rate = self.maker_fee if liquidity is Liquidity.MAKER else self.taker_fee
        due = rate * quantity * price
        if self.fee_model is FeeModel.QUADRATIC:
            due *= _ONE - price / self.contract_value
        if not self.fee_step:
            return due
        return (due / self.fee_step).to_integral_value(ROUND_UP) * self.fee_step

    def base_fee(self, quantity: Decimal, side: Side, liquidity: Liquidity) -> Decimal | None:
        """The fee of one execution in the coin bought; ``None`` where it is taken in the quote currency.

        Rebates and the fees of sales are always in the quote currency.
        """
        rate = self.maker_fee if liquidity is Liquidity.MAKER else self.taker_fee
        return rate * quantity if self.fee_in_base and side is Side.BUY and rate >= 0 else None

    def sellable(self, quantity: Decimal) -> Decimal:
        """How much of what is held (unsigned) an order can close: whole lots, none below the smallest order."""
        whole = self.round_quantity(quantity)
        return whole if whole >= self.min_quantity else Decimal(0)

    def commitment(self, quantity: Decimal, price: Decimal) -> Decimal:
        """What a signed position puts at stake at ``price``, in the quote currency.

        The notional, except that a sold binary contract can lose no more than what is missing
        to its value.
        """
        if self.kind is ContractKind.BINARY_EVENT and quantity < 0:
            return -quantity * (self.contract_value - price)
        return abs(quantity) * price

    def fault(self, quantity: Decimal, price: Decimal, *, reduce_only: bool = False) -> str:
        """Why an order breaks the instrument's rules, as ``CODE: values``; empty if it doesn't."""
        if not self.trading:
            return f"INSTRUMENT_CLOSED: symbol={self.symbol}{f' opens_ns={self.opens_ns}' if self.opens_ns else ''}"
        if quantity <= 0 or quantity % self.lot != 0:
            return f"QUANTITY_STEP: quantity={quantity} lot={self.lot}"
        if price % self.tick_at(price) != 0:
            return f"PRICE_STEP: price={price} tick={self.tick_at(price)}"
        if self.kind is ContractKind.BINARY_EVENT and not 0 < price < self.contract_value:
            return f"PRICE_RANGE: price={price} above=0 below={self.contract_value}"
        if quantity < self.min_quantity:
            return f"QUANTITY_MIN: quantity={quantity} minimum={self.min_quantity}"
        if quantity > self.max_quantity:
            return f"QUANTITY_MAX: quantity={quantity} maximum={self.max_quantity}"
        if not reduce_only and quantity * price < self.min_notional:
            return f"NOTIONAL_MIN: notional={quantity * price} minimum={self.min_notional}"
        return ""
