"""How large an order is, and at what price at worst."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.risk.settings import RiskSettings
from exchanges.model.instrument import ContractKind, Instrument
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
    """What sizing may draw on: the venue's equity, the learner's multiplier within its bounds, what can be closed.

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
    of its own takes all there is to close. A binary contract that is sold counts with what it can
    lose. Rounded down to the lot. One order opposite to the
    position may close it and go beyond; the exposure is then that of the result.
    """
    limit = limit_price(signal, instrument, reference, settings)
    worst = max(reference, limit)
    wanted = _wanted(signal, instrument, reference, limit, room, settings)
    if room.must_reduce:
        wanted = min(wanted, room.closable)
    most = min(wanted, instrument.max_quantity) if signal.quantity is None else wanted
    quantity = instrument.round_quantity(most)
    reduces = room.must_reduce or (_ZERO < quantity <= room.closable)
    order_type = OrderType.LIMIT if signal.limit_price is not None else settings.order_type
    return Plan(most, quantity, order_type, limit, worst, reference, reduces)


def limit_price(signal: Signal, instrument: Instrument, reference: Decimal, settings: RiskSettings) -> Decimal:
    """The reference price and the slippage allowed, a tick at least; tighter if the signal says so."""
    side = signal.side
    cap = reference + side.sign * max(reference * settings.max_slippage, instrument.tick_at(reference))
    if instrument.kind is ContractKind.BINARY_EVENT:
        cap = min(max(cap, instrument.tick), instrument.contract_value - instrument.tick)
    if signal.limit_price is not None:
        cap = min(cap, signal.limit_price) if side is Side.BUY else max(cap, signal.limit_price)
    return instrument.round_price(cap, side)


def multiplier(asked: float, settings: RiskSettings) -> float:
    """The learner's multiplier, within the risk supervisor's own bounds."""
    return min(max(asked, settings.multiplier_min), settings.multiplier_max)


def _wanted(
    signal: Signal, instrument: Instrument, reference: Decimal, limit: Decimal, room: Room, settings: RiskSettings
) -> Decimal:
    if signal.quantity is not None:
        return signal.quantity
    if signal.reduce_only:
        return room.closable
    scale, one = Decimal(str(room.multiplier)), Decimal(signal.side.sign)
    each = instrument.commitment(one, reference)
    dearest = max(each, instrument.commitment(one, limit))
    if each <= 0 or dearest <= 0:
        return _ZERO
    return min(room.equity * settings.equity_fraction * scale / each, settings.order_notional / dearest)
