"""What Kalshi charges: the quadratic trade fee, and the rounding that keeps balances on their step.

Source: the venue's fee schedule and its page on fee rounding. All amounts are in dollars.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import NamedTuple

from exchanges.model.order import Liquidity, Side

TAKER = Decimal("0.07")
MAKER = Decimal("0.0175")
CENTICENT = Decimal("0.0001")
CENT = Decimal("0.01")
_ZERO = Decimal(0)
_ONE = Decimal(1)
_MAKER_SHARES = {
    "quadratic": _ZERO,
    "quadratic_with_maker_fees": _ONE,
    "quadratic_with_combo_maker_fees": Decimal(2),
}
"""What a maker pays of ``MAKER``, by the series' fee type."""


class Rates(NamedTuple):
    """The coefficients of one series; ``known`` is false where its fee type is not one of ours."""

    maker: Decimal
    taker: Decimal
    known: bool = True


ASSUMED = Rates(MAKER, TAKER, known=False)
"""Of a series whose fees can't be had: the dearest of the usual ones."""


def rates(fee_type: str, multiplier: Decimal) -> Rates:
    """The coefficients of a series by its ``fee_type`` and ``fee_multiplier``."""
    share = _MAKER_SHARES.get(fee_type)
    if share is None:
        return Rates(MAKER * multiplier, TAKER * multiplier, known=False)
    return Rates(MAKER * share * multiplier, TAKER * multiplier)


def trade_fee(rate: Decimal, count: Decimal, price: Decimal) -> Decimal:
    """``rate * count * price * (1 - price)``, rounded up to $0.0001."""
    due = rate * count * price * (_ONE - price)
    return (due / CENTICENT).to_integral_value(ROUND_CEILING) * CENTICENT


class Charge(NamedTuple):
    """What one fill costs besides its price: ``net`` is ``trade + rounding - rebate``."""

    trade: Decimal
    rounding: Decimal
    rebate: Decimal

    @property
    def net(self) -> Decimal:
        return self.trade + self.rounding - self.rebate


class OrderFees:
    """The fees of one order, fill by fill.

    Each fill's balance change is rounded down to ``step`` ($0.0001 for direct members, $0.01 for
    others). What that takes too much accumulates over the order, whether its fills take or make,
    and comes back in whole cents.
    """

    __slots__ = ("_accumulated", "_step")

    def __init__(self, step: Decimal) -> None:
        self._step = step
        self._accumulated = _ZERO

    def charge(self, side: Side, price: Decimal, count: Decimal, rate: Decimal) -> Charge:
        """The charge of the next fill of ``count`` contracts at ``price``."""
        trade = trade_fee(rate, count, price)
        change = -side.sign * price * count - trade
        rounding = change - (change / self._step).to_integral_value(ROUND_FLOOR) * self._step
        self._accumulated += rounding
        rebate = CENT if self._accumulated > CENT else _ZERO
        # A fee is never negative: what can't be given back now stays accumulated.
        rebate = rebate if trade + rounding >= rebate else _ZERO
        self._accumulated -= rebate
        return Charge(trade, rounding, rebate)


def fee_rate(maker: Decimal, taker: Decimal, liquidity: Liquidity) -> Decimal:
    """The coefficient that applies to a fill."""
    return maker if liquidity is Liquidity.MAKER else taker
