"""What an order must satisfy before the engine takes it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from exchanges.matching.account import Account
from exchanges.matching.demand import Demand, needs
from exchanges.matching.market import Market
from exchanges.matching.record import ZERO, OrderRecord
from exchanges.matching.rejection import OrderRejectedError, Reject
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.order import OrderType, Side, TimeInForce
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
        check_price(instrument, price)
    elif command.time_in_force is TimeInForce.POST_ONLY:
        raise OrderRejectedError(Reject.PARAMETER, "expected a limit order with post-only, found a market order")
    check_quantity(instrument, command.quantity)
    quantity, trigger = command.quantity, command.trigger
    if command.reduce_only:
        quantity = min(quantity, account.reducible(command.symbol, command.side, instrument.lot))
        if quantity == 0:
            held = account.position(command.symbol).quantity
            raise OrderRejectedError(
                Reject.REDUCE_ONLY, f"expected a position that a {command.side.value} reduces, found {held}"
            )
    else:
        basis = price or (trigger.price if trigger else None) or market.best(command.side.opposite) or market.mark()
        _check_notional(instrument, quantity, basis)
    return quantity


def check_margin(account: Account, market: Market, command: PlaceOrder, quantity: Decimal, mark: Mark) -> Decimal:
    """The initial margin the order reserves; 0 where positions are paid for (see `reserve_paid`).

    Raises:
        OrderRejectedError: it and the taker fee are more than what is available.
    """
    if market.paid:
        price = command.price or (command.trigger.price if command.trigger else None)
        price = price or market.worst(command.side, account.name, quantity)
        _check_paid(account, market, Demand("", command.side, quantity, price, 1 << 62), mark)
        return ZERO
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
    check_price(market.instrument, price)
    check_quantity(market.instrument, quantity)
    if quantity <= record.filled:
        raise OrderRejectedError(
            Reject.QUANTITY,
            f"expected more than the filled {record.filled}, found {quantity}; cancel the order instead",
        )
    if record.reduce_only:
        most = account.reducible(record.symbol, record.side, market.instrument.lot)
        quantity = min(quantity, record.filled + most)
    else:
        _check_notional(market.instrument, quantity, price)
    open_quantity = quantity - record.filled
    if market.paid:
        _check_paid(account, market, Demand(record.id, record.side, open_quantity, price, record.sequence), mark)
    if market.paid or record.reduce_only:
        return quantity, price
    margin = account.order_margin(record.symbol, record.side, open_quantity, price)
    if margin > record.margin:
        _check_available(account, margin - record.margin, ZERO, mark)
    return quantity, price


def demands(market: Market, account: str) -> list[Demand]:
    """What the account's open orders ask for, where positions are paid for."""
    return [
        Demand(r.id, r.side, r.open, _worst(market, account, r), r.sequence)
        for r in market.working.get(account, {}).values()
    ]


def _worst(market: Market, account: str, record: OrderRecord) -> Decimal:
    """The worst price it is counted on to get: of a market order that waits, the one that it waits for."""
    if record.price is None and record.waiting and record.trigger is not None:
        return record.trigger.price
    return record.price or market.worst(record.side, account, record.open)


def reserve_paid(account: Account, market: Market) -> None:
    """Bring what the account's orders reserve up to date with its position."""
    orders = market.working.get(account.name)
    if not orders:
        return
    held = account.position(market.instrument.symbol).quantity
    found = needs(market.instrument, held, demands(market, account.name), account.multiplier)
    for order_id, need in found.items():
        account.reserve(orders[order_id], need)


def _check_paid(account: Account, market: Market, wanted: Demand, mark: Mark) -> None:
    """Whether position and cash suffice for all of the account's orders, ``wanted`` among them."""
    instrument = market.instrument
    held = account.position(instrument.symbol).quantity
    others = [demand for demand in demands(market, account.name) if demand.id != wanted.id]
    if wanted.side is Side.SELL and not instrument.short:
        selling = sum((demand.quantity for demand in others if demand.side is Side.SELL), wanted.quantity)
        if selling > held:
            raise OrderRejectedError(
                Reject.INSUFFICIENT_POSITION,
                f"expected at most {held - selling + wanted.quantity} {instrument.base} that is held and not being "
                f"sold, found {wanted.quantity}",
            )
    need = sum(needs(instrument, held, [*others, wanted], account.multiplier).values(), ZERO)
    reserved = sum((record.margin for record in market.working.get(account.name, {}).values()), ZERO)
    available = account.available(mark)
    if need > reserved and need - reserved > available:
        raise OrderRejectedError(
            Reject.INSUFFICIENT_MARGIN,
            f"expected {need - reserved} {account.currency} available for cost and fee, found {available}",
        )


def _check_available(account: Account, margin: Decimal, fee: Decimal, mark: Mark) -> None:
    if margin == 0:
        return
    available = account.available(mark)
    if margin + fee > available:
        raise OrderRejectedError(
            Reject.INSUFFICIENT_MARGIN, f"expected {margin + fee} available for margin and fee, found {available}"
        )


def check_price(instrument: Instrument, price: Decimal) -> None:
    """Raises ``OrderRejectedError`` unless ``price`` is on the tick and in range."""
    tick = instrument.tick_at(price)
    if price <= 0 or price % tick != 0:
        raise OrderRejectedError(Reject.PRICE, f"expected a positive multiple of the tick {tick}, found {price}")
    if instrument.kind is ContractKind.BINARY_EVENT and price >= instrument.contract_value:
        raise OrderRejectedError(Reject.PRICE, f"expected a price below {instrument.contract_value}, found {price}")


def check_quantity(instrument: Instrument, quantity: Decimal) -> None:
    """Raises ``OrderRejectedError`` unless the instrument takes an order of ``quantity`` now."""
    if not instrument.trading:
        raise OrderRejectedError(Reject.NOT_TRADING, f"expected {instrument.symbol} to be trading, found it closed")
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


def check_outcome(instrument: Instrument, value: Decimal) -> None:
    """Raises ``OrderRejectedError`` unless ``value`` is what an event contract may be worth in the end."""
    if instrument.kind is not ContractKind.BINARY_EVENT or not 0 <= value <= instrument.contract_value:
        raise OrderRejectedError(
            Reject.PARAMETER,
            f"expected an event contract and 0 to {instrument.contract_value}, found {instrument.kind.value} "
            f"{instrument.symbol} and {value}",
        )
