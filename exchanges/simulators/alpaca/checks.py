"""What an account's positions and orders allow."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from exchanges.matching.engine import MatchingEngine
from exchanges.matching.record import ZERO, OrderRecord
from exchanges.model.instrument import Instrument
from exchanges.model.order import Side
from exchanges.simulators.alpaca.entry import Entry
from exchanges.simulators.alpaca.errors import FORBIDDEN, UNPROCESSABLE, ApiError
from exchanges.simulators.alpaca.instruments import is_crypto
from exchanges.simulators.alpaca.tickets import TicketBook
from exchanges.simulators.alpaca.wire import text

_WHOLE = Decimal(1)


def order(
    engine: MatchingEngine, tickets: TicketBook, account: str, instrument: Instrument, wanted: Entry, quantity: Decimal
) -> str:
    """Check a new order against what the account holds and has ordered; returns what it does to the position.

    A position isn't turned over by one order: the venue asks for it to be closed first.

    Raises:
        ApiError: 403 or 422.
    """
    position = engine.accounts[account].position(instrument.symbol).quantity
    working = [record for record in engine.working(account) if record.symbol == instrument.symbol]
    _check_wash(tickets, working, wanted)
    closing = position * wanted.side.sign < 0
    intent = f"{wanted.side.value}_to_{'close' if closing else 'open'}"
    if wanted.intent and wanted.intent != intent:
        raise ApiError(UNPROCESSABLE, f"position intent mismatch, inferred: {intent}, specified: {wanted.intent}")
    if closing:
        _check_held(tickets, working, instrument, wanted.side, position, quantity)
    elif wanted.side is Side.SELL:
        _check_short(instrument, quantity)
    return intent


def _check_wash(tickets: TicketBook, working: Sequence[OrderRecord], wanted: Entry) -> None:
    for record in working:
        if record.side is wanted.side or not _crossing(wanted, record):
            continue
        ticket = tickets.current(record.id)
        raise ApiError(
            FORBIDDEN,
            "potential wash trade detected. use complex orders",
            existing_order_id=ticket.id if ticket is not None else "",
            reject_reason=f"opposite side {record.type.value} order exists",
        )


def _crossing(wanted: Entry, record: OrderRecord) -> bool:
    if wanted.limit is None or record.price is None:
        return True
    return wanted.limit >= record.price if wanted.side is Side.BUY else wanted.limit <= record.price


def _check_held(
    tickets: TicketBook,
    working: Sequence[OrderRecord],
    instrument: Instrument,
    side: Side,
    position: Decimal,
    quantity: Decimal,
) -> None:
    related = [record for record in working if record.side is side]
    held = sum((record.open for record in related), ZERO)
    available = abs(position) - held
    if quantity <= available:
        return
    if is_crypto(instrument):
        text_of = (
            f"insufficient balance for {instrument.base} (requested: {text(quantity)}, available: {text(available)})"
        )
        raise ApiError(FORBIDDEN, text_of, available=text(available), balance=text(position), symbol=instrument.base)
    names = [ticket.id for record in related if (ticket := tickets.current(record.id)) is not None]
    raise ApiError(
        FORBIDDEN,
        f"insufficient qty available for order (requested: {text(quantity)}, available: {text(available)})",
        available=text(available),
        existing_qty=text(abs(position)),
        held_for_orders=text(held),
        related_orders=names,
        symbol=instrument.native,
    )


def _check_short(instrument: Instrument, quantity: Decimal) -> None:
    if is_crypto(instrument):
        raise ApiError(
            FORBIDDEN, f"insufficient balance for {instrument.base} (requested: {text(quantity)}, available: 0)"
        )
    if not instrument.short:
        raise ApiError(FORBIDDEN, f'asset "{instrument.native}" cannot be sold short')
    if quantity % _WHOLE != 0:
        raise ApiError(UNPROCESSABLE, "fractional orders cannot be sold short")


def replaced_quantity(instrument: Instrument, before: Decimal, after: Decimal | None) -> None:
    """Check a new quantity of an order: whole shares, of an order that was for whole shares.

    Raises:
        ApiError: 422, it is something else.
    """
    if after is None or after <= 0:
        raise ApiError(UNPROCESSABLE, "qty must be > 0")
    if not is_crypto(instrument) and (before % _WHOLE != 0 or after % _WHOLE != 0):
        raise ApiError(UNPROCESSABLE, "qty of fractional orders cannot be changed")
