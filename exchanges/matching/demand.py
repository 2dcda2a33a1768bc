"""What working orders tie up where instruments are paid for instead of margined.

A spot pair, a share and an event contract are paid for in full (shares through the account's
multiplier). The orders of one account in one instrument are looked at together: the position
backs as many closing orders as it can, those that fill first before the others, and every
order beyond it must have its money set aside, with the fee before rounding. Whichever of them
fill, and in whatever order, cash then never goes below what the others need.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_UP, Decimal
from typing import NamedTuple

import msgspec

from exchanges.matching.record import ZERO
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.order import Liquidity, Side

_ONE = Decimal(1)


class Demand(NamedTuple):
    """One order's part: what is open of it, and the worst price it may get."""

    id: str
    side: Side
    quantity: Decimal
    price: Decimal
    sequence: int


def is_paid(instrument: Instrument) -> bool:
    """Whether positions are paid for in cash rather than margined."""
    return instrument.kind is not ContractKind.LINEAR_PERPETUAL


def collateral(instrument: Instrument, quantity: Decimal) -> Decimal:
    """What a signed position locks: a sold event contract may have to pay its full value."""
    if instrument.kind is not ContractKind.BINARY_EVENT or quantity >= 0:
        return ZERO
    return -quantity * instrument.contract_value


def needs(instrument: Instrument, held: Decimal, demands: Iterable[Demand], multiplier: Decimal) -> dict[str, Decimal]:
    """What each order must have set aside, by order id; ``held`` is the signed position."""
    found: dict[str, Decimal] = {}
    free = {Side.SELL: max(held, ZERO), Side.BUY: max(-held, ZERO)}
    for demand in sorted(demands, key=lambda d: (d.price * d.side.sign * -1, d.sequence)):
        closing = min(free[demand.side], demand.quantity)
        free[demand.side] -= closing
        found[demand.id] = _opening(instrument, demand, demand.quantity - closing, multiplier)
    return found


def opening_cost(instrument: Instrument, side: Side, price: Decimal, multiplier: Decimal) -> Decimal:
    """What one unit costs that adds to a position, without its fee."""
    if instrument.kind is ContractKind.BINARY_EVENT:
        return price if side is Side.BUY else instrument.contract_value - price
    return price / multiplier


def exact_fee(instrument: Instrument, price: Decimal, quantity: Decimal, liquidity: Liquidity) -> Decimal:
    """The fee before it is rounded to the fee step."""
    exact = msgspec.structs.replace(instrument, fee_step=ZERO) if instrument.fee_step else instrument
    return exact.fee(price, quantity, liquidity)


def rounded_fee(instrument: Instrument, due: Decimal) -> Decimal:
    """``due`` rounded up to the fee step."""
    if not instrument.fee_step:
        return due
    return (due / instrument.fee_step).to_integral_value(ROUND_UP) * instrument.fee_step


def unit_need(instrument: Instrument, side: Side, price: Decimal, multiplier: Decimal) -> Decimal:
    """What one unit that adds to a position takes of what is available, with the dearer fee in cash."""
    paid = [mode for mode in Liquidity if instrument.base_fee(_ONE, side, mode) is None]
    fee = max((exact_fee(instrument, price, _ONE, liquidity) for liquidity in paid), default=ZERO)
    return opening_cost(instrument, side, price, multiplier) + max(fee, ZERO)


def _opening(instrument: Instrument, demand: Demand, quantity: Decimal, multiplier: Decimal) -> Decimal:
    if quantity <= 0:
        return ZERO
    return quantity * unit_need(instrument, demand.side, demand.price, multiplier)
