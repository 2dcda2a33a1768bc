"""Order operations: what REST and the order-entry socket have in common."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from exchanges.matching.rejection import OrderRejectedError, Reject
from exchanges.model.order import OrderType, Side, TimeInForce
from exchanges.model.venue import AmendOrder, CancelOrder, PlaceOrder
from exchanges.simulators.bybit import wire
from exchanges.simulators.bybit.errors import PARAMETER, ApiError, translated
from exchanges.simulators.bybit.venue import Venue
from exchanges.simulators.bybit.wire import Json

T = TypeVar("T")
MOST_OPEN = 500
_LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
_SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
_TYPES = {"Market": OrderType.MARKET, "Limit": OrderType.LIMIT}
_TIMES = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "PostOnly": TimeInForce.POST_ONLY,
    "": TimeInForce.GTC,
}


def create(venue: Venue, account: str, params: Json) -> Json:
    """``/v5/order/create`` and ``order.create``."""
    _linear(params)
    market = venue.market(params.get("symbol"))
    if len(venue.engine.working(account)) >= MOST_OPEN:
        raise translated(OrderRejectedError(Reject.TOO_MANY_ORDERS, f"expected fewer than {MOST_OPEN} open orders"))
    kind = _choice(params, "orderType", _TYPES)
    command = PlaceOrder(
        client_id=_link_id(params),
        symbol=market.instrument.symbol,
        side=_choice(params, "side", _SIDES),
        type=kind,
        quantity=_number(params, "qty"),
        price=_number(params, "price") if kind is OrderType.LIMIT else None,
        time_in_force=_choice({"timeInForce": params.get("timeInForce") or ""}, "timeInForce", _TIMES),
        reduce_only=_flag(params, "reduceOnly"),
    )
    if params.get("positionIdx") not in (None, 0, "0", ""):
        raise ApiError(PARAMETER, f"position idx not match position mode: expected 0, found {params['positionIdx']}")
    if command.price is not None and command.price > market.instrument.tick * wire.MOST_TICKS:
        raise ApiError(110003, f"Order price exceeds the allowable range: {command.price}")
    try:
        changes = venue.engine.place(account, command, venue.now_ns())
    except OrderRejectedError as error:
        raise translated(error) from error
    venue.apply(changes)
    return {"orderId": changes.subject.id if changes.subject else "", "orderLinkId": command.client_id}


def amend(venue: Venue, account: str, params: Json) -> Json:
    """``/v5/order/amend`` and ``order.amend``."""
    _linear(params)
    market = venue.market(params.get("symbol"))
    order_id, link_id = _reference(params)
    command = AmendOrder(
        client_id=link_id,
        symbol=market.instrument.symbol,
        quantity=_number(params, "qty") if params.get("qty") not in (None, "") else None,
        price=_number(params, "price") if params.get("price") not in (None, "") else None,
    )
    try:
        changes = venue.engine.amend(account, command, venue.now_ns(), order_id=order_id)
    except OrderRejectedError as error:
        raise translated(error) from error
    venue.apply(changes)
    subject = changes.subject
    return {"orderId": subject.id if subject else order_id, "orderLinkId": subject.client_id if subject else link_id}


def cancel(venue: Venue, account: str, params: Json) -> Json:
    """``/v5/order/cancel`` and ``order.cancel``."""
    _linear(params)
    market = venue.market(params.get("symbol"))
    order_id, link_id = _reference(params)
    command = CancelOrder(client_id=link_id, symbol=market.instrument.symbol)
    try:
        changes = venue.engine.cancel(account, command, venue.now_ns(), order_id=order_id)
    except OrderRejectedError as error:
        raise translated(error) from error
    venue.apply(changes)
    subject = changes.subject
    return {"orderId": subject.id if subject else order_id, "orderLinkId": subject.client_id if subject else link_id}


def cancel_all(venue: Venue, account: str, params: Json) -> Json:
    """``/v5/order/cancel-all``."""
    _linear(params)
    native = str(params.get("symbol") or "")
    symbol = venue.market(native).instrument.symbol if native else ""
    if not native and not params.get("settleCoin") and not params.get("baseCoin"):
        raise ApiError(PARAMETER, "expected symbol, baseCoin or settleCoin for linear, found none of them")
    changes = venue.engine.cancel_all(account, venue.now_ns(), symbol=symbol)
    venue.apply(changes)
    ended = [{"orderId": record.id, "orderLinkId": record.client_id} for record in changes.orders]
    return {"list": ended, "success": "1"}


def _linear(params: Json) -> None:
    if params.get("category") != "linear":
        raise ApiError(PARAMETER, f"expected category linear, found {params.get('category')!r}")


def _choice(params: Json, name: str, choices: dict[str, T]) -> T:
    found = choices.get(str(params.get(name, "")))
    if found is None:
        raise ApiError(PARAMETER, f"expected {name} as one of {[c for c in choices if c]}, found {params.get(name)!r}")
    return found


def _number(params: Json, name: str) -> Decimal:
    value = params.get(name)
    try:
        number = Decimal(value) if isinstance(value, str) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise ApiError(PARAMETER, f"{name.capitalize()} invalid: expected a number as a string, found {value!r}")
    return number


def _flag(params: Json, name: str) -> bool:
    value = params.get(name, False)
    if not isinstance(value, bool):
        raise ApiError(PARAMETER, f"expected {name} as true or false, found {value!r}")
    return value


def _link_id(params: Json) -> str:
    link_id = params.get("orderLinkId") or ""
    if link_id and (not isinstance(link_id, str) or not _LINK_ID.fullmatch(link_id)):
        raise ApiError(PARAMETER, f"expected orderLinkId of at most 36 of [A-Za-z0-9_-], found {link_id!r}")
    return str(link_id)


def _reference(params: Json) -> tuple[str, str]:
    order_id, link_id = str(params.get("orderId") or ""), str(params.get("orderLinkId") or "")
    if not order_id and not link_id:
        raise ApiError(PARAMETER, "expected orderId or orderLinkId, found neither")
    return order_id, link_id
