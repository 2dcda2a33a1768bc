"""How large an order is, and at what price at worst."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.risk.settings import RiskSettings
from exchanges.model.instrument import Instrument
from exchanges.model.order import OrderType, Side
from strategies.signal import Signal

_ZERO = Decimal(0)


class Plan(msgspec.Struct, frozen=True):
    """An order in the making. ``price`` is on the tick; ``worst`` is what exposure is valued at."""

    wanted: Decimal
    quantity: Decimal
    type: OrderType
    price: Decimal
    worst: Decimal
    reference: Decimal
    reduce_only: bool


class Room(msgspec.Struct, frozen=True):
    """What sizing may draw on: the venue's equity, the learner's multiplier, what can be closed.

    ``must_reduce`` keeps the order from going beyond ``closable``.
    """

    equity: Decimal
    multiplier: float
    closable: Decimal
    must_reduce: bool


def plan(signal: Signal, instrument: Instrument, reference: Decimal, room: Room, settings: RiskSettings) -> Plan:
    """Size and price an order.

    The size is what the signal asks for, or ``equity * equity_fraction * multiplier / reference``
    (fixed fractional sizing), that one never above the order limit. A closing order without a size
    of its own takes all there is to close. Rounded down to the lot. One order opposite to the
    position may close it and go beyond; the exposure is then that of the result.
    """
    limit = limit_price(signal, instrument, reference, settings)
    worst = max(reference, limit)
    wanted = _wanted(signal, reference, worst, room, settings)
    if room.must_reduce:
        wanted = min(wanted, room.closable)
    most = min(wanted, instrument.max_quantity) if signal.quantity is None else wanted
    quantity = instrument.round_quantity(most)
    reduces = room.must_reduce or (_ZERO < quantity <= room.closable)
    order_type = OrderType.LIMIT if signal.limit_price is not None else settings.order_type
    return Plan(most, quantity, order_type, limit, worst, reference, reduces)


def limit_price(signal: Signal, instrument: Instrument, reference: Decimal, settings: RiskSettings) -> Decimal:
    """The reference price and the slippage allowed, on the tick; tighter if the signal says so."""
    side = signal.side
    cap = reference * (1 + side.sign * settings.max_slippage)
    if signal.limit_price is not None:
        cap = min(cap, signal.limit_price) if side is Side.BUY else max(cap, signal.limit_price)
    return instrument.round_price(cap, side)


def multiplier(asked: float, settings: RiskSettings) -> float:
    """The learner's multiplier, within the risk supervisor's own bounds."""
    return min(max(asked, settings.multiplier_min), settings.multiplier_max)


def _wanted(signal: Signal, reference: Decimal, worst: Decimal, room: Room, settings: RiskSettings) -> Decimal:
    if signal.quantity is not None:
        return signal.quantity
    if signal.reduce_only:
        return room.closable
    scale = Decimal(str(multiplier(room.multiplier, settings)))
    return min(room.equity * settings.equity_fraction * scale / reference, settings.order_notional / worst)
