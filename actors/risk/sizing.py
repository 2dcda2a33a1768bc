"""How large an order is, and at what price at worst."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.risk.settings import RiskSettings
from exchanges.model.flow import priced_at
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
    closes: bool = False
    """It ends a strategy's own holding where the account's position can't be lowered by it."""


class Room(msgspec.Struct, frozen=True):
    """What sizing may draw on: ``fraction`` of ``equity``, by the learner's multiplier within its bounds.

    At most ``order_notional``; both in dollars, of which one unit of the quote currency is ``rate``.
    ``must_reduce`` keeps the order from going beyond ``closable``.
    """

    equity: Decimal
    fraction: Decimal
    multiplier: float
    order_notional: Decimal
    rate: Decimal
    closable: Decimal
    must_reduce: bool


def plan(signal: Signal, instrument: Instrument, reference: Decimal, room: Room, settings: RiskSettings) -> Plan:
    """Size and price an order.

    The size is what the signal asks for, or ``equity * fraction * multiplier / reference``, that one never
    above the order limit. A closing order without a size of its own takes all there is to close. A binary
    contract that is sold counts with what it can lose. A size of our own is rounded to the nearest lot within
    the limit, any other down. One order opposite to the position may close it and go beyond; the exposure is
    then that of the result.
    """
    limit = limit_price(signal, instrument, priced_at(signal.flow, signal.symbol, signal.side, reference), settings)
    worst = max(reference, limit)
    ceiling = _ceiling(signal, instrument, reference, limit, room)
    wanted = _wanted(signal, instrument, reference, room, ceiling)
    if room.must_reduce:
        wanted = min(wanted, room.closable)
    most = min(wanted, instrument.max_quantity) if signal.quantity is None else wanted
    quantity = instrument.round_quantity(most)
    if signal.quantity is None and not room.must_reduce:
        nearest = instrument.round_quantity(most + instrument.lot / 2)
        quantity = nearest if nearest <= min(ceiling, instrument.max_quantity) else quantity
    reduces = room.must_reduce or (_ZERO < quantity <= room.closable)
    order_type = OrderType.LIMIT if signal.limit_price is not None else settings.order_type
    return Plan(most, quantity, order_type, limit, worst, reference, reduces)


def limit_price(signal: Signal, instrument: Instrument, reference: Decimal, settings: RiskSettings) -> Decimal:
    """The reference price and the slippage allowed there, a tick at least; tighter if the signal says so."""
    side, own = signal.side, settings.at(instrument.venue)
    share = settings.max_slippage if own.max_slippage is None else own.max_slippage
    slippage = reference * share if own.slippage_price is None else own.slippage_price
    cap = reference + side.sign * max(slippage, instrument.tick_at(reference))
    if instrument.kind is ContractKind.BINARY_EVENT:
        cap = min(max(cap, instrument.tick), instrument.contract_value - instrument.tick)
    if signal.limit_price is not None:
        cap = min(cap, signal.limit_price) if side is Side.BUY else max(cap, signal.limit_price)
    return instrument.round_price(cap, side)


def multiplier(asked: float, settings: RiskSettings) -> float:
    """The learner's multiplier, within the risk supervisor's own bounds."""
    return min(max(asked, settings.multiplier_min), settings.multiplier_max)


def _ceiling(signal: Signal, instrument: Instrument, reference: Decimal, limit: Decimal, room: Room) -> Decimal:
    """The largest quantity within the order limit, at the dearer of the two prices."""
    one = Decimal(signal.side.sign)
    dearest = max(instrument.commitment(one, reference), instrument.commitment(one, limit)) * room.rate
    return room.order_notional / dearest if dearest > 0 else _ZERO


def _wanted(signal: Signal, instrument: Instrument, reference: Decimal, room: Room, ceiling: Decimal) -> Decimal:
    if signal.quantity is not None:
        return signal.quantity
    if signal.reduce_only:
        return room.closable
    each = instrument.commitment(Decimal(signal.side.sign), reference) * room.rate
    if each <= 0:
        return _ZERO
    return min(room.equity * room.fraction * Decimal(str(room.multiplier)) / each, ceiling)
