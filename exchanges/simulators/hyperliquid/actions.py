"""Signed actions: ``POST /exchange``. An order that is refused is an error among the statuses of a good answer."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from exchanges.matching import record as reasons
from exchanges.matching.record import OrderRecord
from exchanges.matching.rejection import OrderRejectedError, Reject
from exchanges.model.order import OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.trigger import Direction, Source, Trigger
from exchanges.model.venue import CancelOrder, PlaceOrder
from exchanges.simulators.base.rest import CallKind, Route
from exchanges.simulators.hyperliquid import wire
from exchanges.simulators.hyperliquid.errors import (
    IOC_UNMATCHED,
    POST_ONLY,
    ActionError,
    UnreadableError,
    text_of,
)
from exchanges.simulators.hyperliquid.venue import HyperliquidVenue
from exchanges.simulators.hyperliquid.wire import Json

Action = Callable[[HyperliquidVenue, str, Json], Json]
MOST_OPEN = 1_000
_FORCES = {tif: force for force, tif in wire.TIFS.items()}
_DEFAULT: Json = {"type": "default"}


def order(venue: HyperliquidVenue, account: str, action: Json) -> Json:
    return {"type": "order", "data": {"statuses": [_placed(venue, account, row) for row in _rows(action, "orders")]}}


def _placed(venue: HyperliquidVenue, account: str, row: Json) -> Json:
    waits = isinstance(row.get("t"), dict) and "trigger" in row["t"]
    force = TimeInForce.GTC if waits else _FORCES.get(str(_inner(row, "t", "limit").get("tif")))
    trigger, at_market = _trigger(row) if waits else (None, False)
    if force is None or not isinstance(row.get("b"), bool) or not isinstance(row.get("r"), bool):
        raise UnreadableError
    try:
        market = venue.asset(row.get("a"))
        if len(venue.engine.working(account)) >= MOST_OPEN:
            raise OrderRejectedError(Reject.TOO_MANY_ORDERS, f"expected fewer than {MOST_OPEN} open orders")
        command = PlaceOrder(
            client_id=wire.client_id(row.get("c")),
            symbol=market.instrument.symbol,
            side=Side.BUY if row["b"] else Side.SELL,
            type=OrderType.MARKET if at_market else OrderType.LIMIT,
            quantity=_number(row, "s"),
            price=None if at_market else _number(row, "p"),
            time_in_force=force,
            reduce_only=row["r"],
            trigger=trigger,
        )
        return _told(venue, venue.place(account, command))
    except OrderRejectedError as error:
        return {"error": text_of(error, row.get("a"))}


def _trigger(row: Json) -> tuple[Trigger, bool]:
    """What an order waits for, by the mark price, and whether it takes any price then."""
    told, buys = _inner(row, "t", "trigger"), row.get("b")
    if told.get("tpsl") not in ("sl", "tp") or not isinstance(told.get("isMarket"), bool):
        raise UnreadableError
    rises = bool(buys) is (told["tpsl"] == "sl")
    trigger = Trigger(Direction.ABOVE if rises else Direction.BELOW, _number(told, "triggerPx"), Source.MARK)
    return trigger, bool(told["isMarket"])


def _told(venue: HyperliquidVenue, record: OrderRecord) -> Json:
    """What is said of an order that the engine took: it rests, was filled, or found nobody."""
    if record.reason == reasons.POST_ONLY_CROSS:
        bids, asks = venue.engine.markets[record.symbol].depth(1)
        bbo = "@".join(wire.text(side[0][0]) if side else "none" for side in (bids, asks))
        return {"error": POST_ONLY.format(bbo=bbo)}
    if record.status is OrderStatus.CANCELLED and not record.filled:
        return {"error": IOC_UNMATCHED}
    named = {"oid": wire.numbered(record.id), "cloid": wire.cloid(record.client_id)}
    if not record.filled or not record.status.final:
        return {"resting": named}
    return {
        "filled": {"totalSz": wire.text(record.filled), "avgPx": wire.text(round(record.average_price, 8)), **named}
    }


def cancel(venue: HyperliquidVenue, account: str, action: Json) -> Json:
    """By the venue's numbers."""
    prefix = venue.engine.counters().prefix

    def one(row: Json) -> tuple[str, str]:
        oid = row.get("o")
        if not isinstance(oid, int) or isinstance(oid, bool):
            raise UnreadableError
        return "", wire.order_id(oid, prefix)

    return _cancelled(venue, account, action, "a", one)


def cancel_by_cloid(venue: HyperliquidVenue, account: str, action: Json) -> Json:
    return _cancelled(venue, account, action, "asset", lambda row: (wire.client_id(row.get("cloid")), ""))


def _cancelled(
    venue: HyperliquidVenue, account: str, action: Json, asset: str, reference: Callable[[Json], tuple[str, str]]
) -> Json:
    """Cancel each row; ``reference`` gives its client order id or the engine's id."""
    statuses: list[Any] = []
    for row in _rows(action, "cancels"):
        client_id, order_id = reference(row)
        try:
            symbol = venue.asset(row.get(asset)).instrument.symbol
            venue.cancel(account, CancelOrder(client_id, symbol), order_id=order_id)
            statuses.append("success")
        except OrderRejectedError as error:
            statuses.append({"error": text_of(error, row.get(asset))})
    return {"type": "cancel", "data": {"statuses": statuses}}


def update_leverage(venue: HyperliquidVenue, account: str, action: Json) -> Json:
    leverage, cross = action.get("leverage"), action.get("isCross")
    if not isinstance(leverage, int) or not isinstance(cross, bool):
        raise UnreadableError
    try:
        instrument = venue.asset(action.get("asset")).instrument
        if not 1 <= leverage <= instrument.max_leverage or not cross:
            raise ActionError(
                f"Invalid leverage value: expected 1 to {instrument.max_leverage}, cross, found {leverage}"
            )
        venue.engine.set_leverage(account, instrument.symbol, Decimal(leverage))
    except OrderRejectedError as error:
        if error.code is not Reject.UNCHANGED:
            raise ActionError(text_of(error, action.get("asset"))) from error
    venue.save_account(account)
    return _DEFAULT


ACTIONS: dict[str, Route[Action]] = {
    name: Route("POST", f"/exchange/{name}", kind, call)
    for name, kind, call in (
        ("order", CallKind.PLACE, order),
        ("cancel", CallKind.CANCEL, cancel),
        ("cancelByCloid", CallKind.CANCEL, cancel_by_cloid),
        ("updateLeverage", CallKind.QUERY, update_leverage),
    )
}


def items(action: Json) -> int:
    """How many orders or cancels an action carries: what its weight goes by."""
    found = action.get("orders") or action.get("cancels")
    return len(found) if isinstance(found, list) else 1


def _rows(action: Json, name: str) -> list[Json]:
    found = action.get(name)
    if not isinstance(found, list) or not found or not all(isinstance(row, dict) for row in found):
        raise UnreadableError
    return found


def _inner(row: Json, *names: str) -> Json:
    found: Any = row
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        raise UnreadableError
    return found


def _number(row: Json, name: str) -> Decimal:
    try:
        found = Decimal(row[name]) if isinstance(row.get(name), str) else None
    except InvalidOperation:
        found = None
    if found is None or not found.is_finite():
        raise UnreadableError
    return found
