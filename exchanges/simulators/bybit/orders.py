"""Order operations: what REST and the order-entry socket have in common."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from exchanges.matching.record import OrderRecord
from exchanges.matching.rejection import OrderRejectedError, Reject
from exchanges.model.order import OrderType, Side, TimeInForce
from exchanges.model.trigger import Direction, Trigger
from exchanges.model.venue import AmendOrder, CancelOrder, PlaceOrder
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.bybit import wire
from exchanges.simulators.bybit.errors import PARAMETER, ApiError
from exchanges.simulators.bybit.topics import LINEAR, SPOT, category_of
from exchanges.simulators.bybit.venue import HEDGE, ONE_WAY, BybitVenue
from exchanges.simulators.bybit.wire import Json

T = TypeVar("T")
MOST_OPEN = 500
_LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
MOST_WAITING = 10
"""Conditional orders of one symbol. Not certain: the venue has a limit, and may have another one."""
_DIRECTIONS = {str(number): direction for direction, number in wire.DIRECTIONS.items()}
_SOURCES = {name: source for source, name in wire.TRIGGER_BY.items()}
_SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
_TYPES = {"Market": OrderType.MARKET, "Limit": OrderType.LIMIT}
_TIMES = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "PostOnly": TimeInForce.POST_ONLY,
    "": TimeInForce.GTC,
}


def create(venue: BybitVenue, account: str, params: Json) -> Json:
    """``/v5/order/create`` and ``order.create``."""
    market = venue.market_of(params.get("category"), params.get("symbol"))
    if len(venue.engine.working(account)) >= MOST_OPEN:
        raise OrderRejectedError(Reject.TOO_MANY_ORDERS, f"expected fewer than {MOST_OPEN} open orders")
    kind, trigger = _choice(params, "orderType", _TYPES), _trigger(venue, account, market, params)
    command = PlaceOrder(
        client_id=_link_id(params),
        symbol=market.instrument.symbol,
        side=_choice(params, "side", _SIDES),
        type=kind,
        quantity=_quantity(venue, market, params, kind),
        price=_number(params, "price") if kind is OrderType.LIMIT else None,
        time_in_force=_choice({"timeInForce": params.get("timeInForce") or ""}, "timeInForce", _TIMES),
        reduce_only=_flag(params, "reduceOnly") and category_of(market.instrument) == LINEAR,
        trigger=trigger,
    )
    _check_mode(venue, account, market, params)
    if command.price is not None and command.price > market.instrument.tick * wire.MOST_TICKS:
        raise ApiError(110003, f"Order price exceeds the allowable range: {command.price}")
    with _through(trigger):
        return _acknowledged(venue.place(account, command))


def amend(venue: BybitVenue, account: str, params: Json) -> Json:
    """``/v5/order/amend`` and ``order.amend``."""
    market = venue.market_of(params.get("category"), params.get("symbol"))
    order_id, link_id = _reference(params)
    command = AmendOrder(
        client_id=link_id,
        symbol=market.instrument.symbol,
        quantity=_number(params, "qty") if params.get("qty") not in (None, "") else None,
        price=_number(params, "price") if params.get("price") not in (None, "") else None,
        trigger_price=_number(params, "triggerPrice") if params.get("triggerPrice") not in (None, "") else None,
    )
    found = venue.engine.find(account, client_id=link_id, order_id=order_id)
    with _through(found.trigger if found is not None else None):
        return _acknowledged(venue.amend(account, command, order_id=order_id))


@contextmanager
def _through(trigger: Trigger | None) -> Iterator[None]:
    """A trigger price that the market is through already has a code of its own for each direction."""
    try:
        yield
    except OrderRejectedError as error:
        if error.code is not Reject.TRIGGER or trigger is None:
            raise
        rising = trigger.direction is Direction.ABOVE
        code, word, sign = (110092, "Rising", "<=") if rising else (110093, "Falling", ">=")
        raise ApiError(code, f"expect {word}, but trigger_price {sign} current ({error})") from error


def cancel(venue: BybitVenue, account: str, params: Json) -> Json:
    """``/v5/order/cancel`` and ``order.cancel``."""
    market = venue.market_of(params.get("category"), params.get("symbol"))
    order_id, link_id = _reference(params)
    command = CancelOrder(client_id=link_id, symbol=market.instrument.symbol)
    return _acknowledged(venue.cancel(account, command, order_id=order_id))


def cancel_all(venue: BybitVenue, account: str, params: Json) -> Json:
    """``/v5/order/cancel-all``."""
    category, native = params.get("category"), str(params.get("symbol") or "")
    if category == LINEAR and not native and not params.get("settleCoin") and not params.get("baseCoin"):
        raise ApiError(PARAMETER, "expected symbol, baseCoin or settleCoin for linear, found none of them")
    chosen = [venue.market_of(category, native)] if native else venue.listed(category_in(params))
    ended = [record for market in chosen for record in venue.cancel_all(account, market.instrument.symbol)]
    return {"list": [_acknowledged(record) for record in ended], "success": "1"}


def _acknowledged(record: OrderRecord) -> Json:
    return {"orderId": record.id, "orderLinkId": record.client_id}


def category_in(params: Json) -> str:
    """The category asked for.

    Raises:
        ApiError: 10001, it is neither linear nor spot.
    """
    category = params.get("category")
    if category not in (LINEAR, SPOT):
        raise ApiError(PARAMETER, f"expected category linear or spot, found {category!r}")
    return str(category)


def _quantity(venue: BybitVenue, market: SymbolMarket, params: Json, kind: OrderType) -> Decimal:
    """The quantity in base units. A spot market purchase means an amount of the quote coin unless it says otherwise."""
    quantity, instrument = _number(params, "qty"), market.instrument
    amount = category_of(instrument) == SPOT and kind is OrderType.MARKET and params.get("side") == "Buy"
    if not amount or params.get("marketUnit") == "baseCoin":
        return quantity
    engine_market = venue.engine.markets[instrument.symbol]
    price = engine_market.best(Side.SELL) or engine_market.mark()
    return instrument.round_quantity(quantity / price) if price else quantity


def _check_mode(venue: BybitVenue, account: str, market: SymbolMarket, params: Json) -> None:
    index = params.get("positionIdx")
    mode = venue.modes.get((account, market.key), ONE_WAY)
    if mode == HEDGE or index not in (None, 0, "0", ""):
        wanted = "1 or 2 (and a simulator with hedge positions)" if mode == HEDGE else "0"
        raise ApiError(PARAMETER, f"position idx not match position mode: expected {wanted}, found {index}")


def _trigger(venue: BybitVenue, account: str, market: SymbolMarket, params: Json) -> Trigger | None:
    """What makes a conditional order of it. Those of spot are not simulated."""
    if params.get("triggerPrice") in (None, ""):
        return None
    symbol = market.instrument.symbol
    if category_of(market.instrument) != LINEAR:
        raise ApiError(PARAMETER, f"expected a perpetual for a conditional order, found {symbol}: not simulated")
    waiting = [record for record in venue.engine.working(account) if record.waiting and record.symbol == symbol]
    if len(waiting) >= MOST_WAITING:
        raise ApiError(110009, f"The number of stop orders exceeds the maximum allowable limit ({MOST_WAITING})")
    direction = _choice({"triggerDirection": str(params.get("triggerDirection"))}, "triggerDirection", _DIRECTIONS)
    source = _choice({"triggerBy": params.get("triggerBy") or "LastPrice"}, "triggerBy", _SOURCES)
    return Trigger(direction, _number(params, "triggerPrice"), source)


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
