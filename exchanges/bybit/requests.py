"""Our commands as Bybit's parameters."""

from __future__ import annotations

from typing import Any

from exchanges.bybit import wire
from exchanges.bybit.symbols import SPOT, native
from exchanges.model.order import OrderType, Side
from exchanges.model.trigger import Direction, Trigger
from exchanges.model.venue import PlaceOrder

_FORCE_NAMES = {force: name for name, force in wire.FORCES.items()}
_TRIGGER_NAMES = {source: name for name, source in wire.TRIGGER_BY.items()}
_DIRECTIONS = {Direction.ABOVE: 1, Direction.BELOW: 2}


def place_request(command: PlaceOrder) -> dict[str, Any]:
    """The parameters of ``/v5/order/create``.

    Raises:
        WireError: the order can't be expressed.
        SymbolError: the symbol isn't one of this venue's.
    """
    category, name = native(command.symbol)
    request: dict[str, Any] = {
        "category": category,
        "symbol": name,
        "side": "Buy" if command.side is Side.BUY else "Sell",
        "orderType": "Market" if command.type is OrderType.MARKET else "Limit",
        "qty": wire.plain(command.quantity),
        "orderLinkId": command.client_id,
    }
    if category == SPOT:
        request.update(_spot_terms(command))
    else:
        request.update(reduceOnly=command.reduce_only, positionIdx=0)
    if command.trigger is not None:
        request.update(_waiting(command, command.trigger, category))
    if command.type is OrderType.LIMIT:
        if command.price is None:
            raise wire.WireError(f"expected a price of limit order {command.client_id}, found none")
        request["price"] = wire.plain(command.price)
        request["timeInForce"] = _FORCE_NAMES[command.time_in_force]
    return request


def _waiting(command: PlaceOrder, trigger: Trigger, category: str) -> dict[str, Any]:
    """What makes it a conditional order; ``orderFilter`` says that of spot orders alone."""
    if category == SPOT or trigger.source not in _TRIGGER_NAMES:
        raise wire.WireError(
            f"expected a perpetual and a trigger on the last or mark price, found {trigger.source.value} and "
            f"{command.symbol} ({command.client_id})"
        )
    return {
        "triggerPrice": wire.plain(trigger.price),
        "triggerDirection": _DIRECTIONS[trigger.direction],
        "triggerBy": _TRIGGER_NAMES[trigger.source],
    }


def _spot_terms(command: PlaceOrder) -> dict[str, Any]:
    """Spot knows no reduce-only: a sale can't sell more than is held, and a purchase reduces nothing."""
    if command.reduce_only and command.side is Side.BUY:
        raise wire.WireError(f"expected a sale to reduce a spot holding, found a purchase ({command.client_id})")
    # Without it the venue reads the quantity of a market purchase as an amount of the quote coin.
    return {"marketUnit": "baseCoin"} if command.type is OrderType.MARKET else {}
