"""What an order must satisfy before the engine takes it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from exchanges.matching.account import Account
from exchanges.matching.market import Market
from exchanges.matching.record import ZERO, OrderRecord
from exchanges.matching.rejection import OrderRejectedError, Reject
from exchanges.model.instrument import Instrument
from exchanges.model.order import OrderType, TimeInForce
from exchanges.model.venue import AmendOrder, PlaceOrder

Mark = Callable[[str], Decimal]


def check_order(account: Account, market: Market, command: PlaceOrder) -> Decimal:
    """The quantity to work: the command's, or what a reduce-only order may reduce.

    Raises:
        OrderRejectedError: the order breaks a rule of the instrument or of reduce-only.
    """
    instrument, price = market.instrument, command.price
    if command.type is OrderType.LIMIT:
        if price is None:
            raise OrderRejectedError(Reject.PARAMETER, "expected a price with a limit order, found none")
        _check_price(instrument, price)
    elif command.time_in_force is TimeInForce.POST_ONLY:
        raise OrderRejectedError(Reject.PARAMETER, "expected a limit order with post-only, found a market order")
    _check_quantity(instrument, command.quantity)
    quantity = command.quantity
    if command.reduce_only:
        quantity = min(quantity, account.reducible(command.symbol, command.side))
        if quantity == 0:
            held = account.position(command.symbol).quantity
            raise OrderRejectedError(
                Reject.REDUCE_ONLY, f"expected a position that a {command.side.value} reduces, found {held}"
            )
    else:
        basis = price or market.best(command.side.opposite) or market.mark()
        _check_notional(instrument, quantity, basis)
    return quantity


def check_margin(account: Account, market: Market, command: PlaceOrder, quantity: Decimal, mark: Mark) -> Decimal:
    """The initial margin the order reserves.

    Raises:
        OrderRejectedError: it and the taker fee are more than what is available.
    """
    if command.reduce_only:
        return ZERO
    price = command.price or market.best(command.side.opposite) or market.mark()
    margin = account.order_margin(command.symbol, command.side, quantity, price)
    _check_available(account, margin, quantity * price * market.instrument.taker_fee if margin else ZERO, mark)
    return margin


def check_amend(
    account: Account, market: Market, record: OrderRecord, command: AmendOrder, mark: Mark
) -> tuple[Decimal, Decimal]:
    """The order's new quantity and price.

    Raises:
        OrderRejectedError: nothing would change, or the new values break a rule.
    """
    if record.price is None:
        raise OrderRejectedError(Reject.PARAMETER, f"expected a limit order, found market order {record.id}")
    quantity = command.quantity if command.quantity is not None else record.quantity
    price = command.price if command.price is not None else record.price
    if quantity == record.quantity and price == record.price:
        raise OrderRejectedError(
            Reject.UNCHANGED, f"order {record.id} has quantity {quantity} and price {price} already"
        )
    _check_price(market.instrument, price)
    _check_quantity(market.instrument, quantity)
    if quantity <= record.filled:
        raise OrderRejectedError(
            Reject.QUANTITY,
            f"expected more than the filled {record.filled}, found {quantity}; cancel the order instead",
        )
    if record.reduce_only:
        return min(quantity, record.filled + account.reducible(record.symbol, record.side)), price
    _check_notional(market.instrument, quantity, price)
    open_quantity = quantity - record.filled
    margin = account.order_margin(record.symbol, record.side, open_quantity, price)
    if margin > record.margin:
        _check_available(account, margin - record.margin, ZERO, mark)
    return quantity, price


def _check_available(account: Account, margin: Decimal, fee: Decimal, mark: Mark) -> None:
    if margin == 0:
        return
    available = account.available(mark)
    if margin + fee > available:
        raise OrderRejectedError(
            Reject.INSUFFICIENT_MARGIN, f"expected {margin + fee} available for margin and fee, found {available}"
        )


def _check_price(instrument: Instrument, price: Decimal) -> None:
    if price <= 0 or price % instrument.tick != 0:
        raise OrderRejectedError(
            Reject.PRICE, f"expected a positive multiple of the tick {instrument.tick}, found {price}"
        )


def _check_quantity(instrument: Instrument, quantity: Decimal) -> None:
    if not instrument.trading:
        raise OrderRejectedError(Reject.UNKNOWN_INSTRUMENT, f"{instrument.symbol} is not trading")
    if quantity <= 0 or quantity % instrument.lot != 0:
        raise OrderRejectedError(
            Reject.QUANTITY, f"expected a positive multiple of the lot {instrument.lot}, found {quantity}"
        )
    if not instrument.min_quantity <= quantity <= instrument.max_quantity:
        raise OrderRejectedError(
            Reject.QUANTITY,
            f"expected {instrument.min_quantity} to {instrument.max_quantity}, found {quantity}",
        )


def _check_notional(instrument: Instrument, quantity: Decimal, price: Decimal) -> None:
    if price and quantity * price < instrument.min_notional:
        raise OrderRejectedError(
            Reject.NOTIONAL_MIN,
            f"expected at least {instrument.min_notional} {instrument.quote}, found {quantity * price}",
        )
