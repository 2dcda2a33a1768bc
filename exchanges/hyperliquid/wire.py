"""The account's rows to our messages, and orders to the venue's: exact, or a ``WireError``.

Shapes by the venue's documentation. Numbers are strings, times milliseconds, sides ``B`` (buys, bids) and ``A``
(sells, asks). What is uncertain: whether a fill names its ``cloid`` (it is taken where it does, else the order is
looked up), and what the status of an immediate-or-cancel order is whose rest was cancelled (its open size decides).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hyperliquid.utils.signing import order_request_to_order_wire, order_wires_to_order_action
from hyperliquid.utils.types import Cloid

from exchanges.fields import MS, ZERO, Fields, WireError, decimal_of, not_negative, optional_text, positive, rows, text
from exchanges.hyperliquid.cloids import Cloids
from exchanges.hyperliquid.names import full, is_perpetual
from exchanges.hyperliquid.session import exactly
from exchanges.model.order import Fill, Liquidity, Order, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.position import Balance
from exchanges.model.trigger import Direction, Source, Trigger
from exchanges.model.venue import PaymentReport, PlaceOrder, VenuePosition

CURRENCY = "USDC"
FORCES = {TimeInForce.GTC: "Gtc", TimeInForce.IOC: "Ioc", TimeInForce.POST_ONLY: "Alo"}
"""The venue's times in force; it has no fill-or-kill."""

_TIFS = {tif.lower(): force for force, tif in FORCES.items()}
_SIDES = {"B": Side.BUY, "A": Side.SELL}
_LATEST_MS = 32_503_680_000_000
"""The year 3000: a time beyond is a mistake."""

_STATUSES = {
    "open": OrderStatus.OPEN,
    "triggered": OrderStatus.OPEN,
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELLED,
    "scheduledcancel": OrderStatus.CANCELLED,
    "rejected": OrderStatus.REJECTED,
}


def instant(fields: Fields, name: str) -> int:
    """A time in milliseconds as nanoseconds; raises ``WireError`` for anything else."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _LATEST_MS:
        raise WireError(f"expected milliseconds between 1970 and 3000 in {name}, found {value!r}")
    return value * MS


def whole(fields: Fields, name: str) -> int:
    """A whole number of at least 0; raises ``WireError`` for anything else."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise WireError(f"expected a whole number in {name}, found {value!r}")
    return value


def side(fields: Fields) -> Side:
    """The side in a row; raises ``WireError`` for an unknown one."""
    found = _SIDES.get(str(fields.get("side")))
    if found is None:
        raise WireError(f"expected side B or A, found {fields.get('side')!r}")
    return found


def inner(fields: Fields, name: str) -> Mapping[str, Any]:
    """The object in ``name``; raises ``WireError`` for anything else."""
    found = fields.get(name)
    if not isinstance(found, dict):
        raise WireError(f"expected an object in {name}, found {type(found).__name__}")
    return found


def listed(answer: object, what: str) -> list[dict[str, Any]]:
    """An answer that is a list of objects; raises ``WireError`` for anything else."""
    return rows({what: answer}, what) if answer is not None else []


def ours(fields: Fields) -> bool:
    """Whether a row is of the venue's own perpetuals, and not of a spot pair or of another's market."""
    return is_perpetual(text(fields, "coin"))


# -- orders ----------------------------------------------------------------------------------


def place_action(command: PlaceOrder, asset: int, price: Decimal, force: TimeInForce, cloid: str) -> dict[str, Any]:
    """The action that places an order.

    Raises:
        WireError: price or quantity can't be written exactly.
    """
    request: Any = {
        "is_buy": command.side is Side.BUY,
        "sz": exactly(command.quantity, "quantity"),
        "limit_px": exactly(price, "price"),
        "order_type": _kind(command, force),
        "reduce_only": command.reduce_only,
        "cloid": Cloid.from_str(cloid),
    }
    made: dict[str, Any] = order_wires_to_order_action([order_request_to_order_wire(request, asset)])
    return made


def _kind(command: PlaceOrder, force: TimeInForce) -> dict[str, Any]:
    """A limit order, or one that waits for the mark price: ``sl`` is met against the position, ``tp`` with it."""
    trigger = command.trigger
    if trigger is None:
        return {"limit": {"tif": FORCES[force]}}
    if trigger.source is not Source.MARK:
        raise WireError(f"expected a trigger on the mark price, found {trigger.source.value} ({command.client_id})")
    against = (trigger.direction is Direction.BELOW) is (command.side is Side.SELL)
    return {
        "trigger": {
            "isMarket": command.type is OrderType.MARKET,
            "triggerPx": exactly(trigger.price, "trigger price"),
            "tpsl": "sl" if against else "tp",
        }
    }


def _trigger(fields: Fields) -> Trigger | None:
    """What an order waits for, ``None`` where it does not or where that isn't told: the stream tells no triggers.

    Its words for the condition are uncertain; that a stop is met against the position is documented.
    """
    if fields.get("isTrigger") is not True:
        return None
    price = positive(decimal_of(fields.get("triggerPx"), "triggerPx"), "triggerPx")
    falls = (side(fields) is Side.SELL) is text(fields, "orderType").startswith("Stop")
    return Trigger(Direction.BELOW if falls else Direction.ABOVE, price, Source.MARK)


def cancel_action(asset: int, cloid: str) -> dict[str, Any]:
    """The action that cancels one order by its cloid."""
    return {"type": "cancelByCloid", "cancels": [{"asset": asset, "cloid": cloid}]}


def cancel_many(orders: list[tuple[int, int]]) -> dict[str, Any]:
    """The action that cancels orders by asset and the venue's id."""
    return {"type": "cancel", "cancels": [{"a": asset, "o": oid} for asset, oid in orders]}


def status_of(word: str) -> OrderStatus | None:
    """What a status says; ``None`` for one we don't know."""
    known = _STATUSES.get(word.lower())
    if known is not None:
        return known
    if word.endswith("Canceled"):
        return OrderStatus.CANCELLED
    return OrderStatus.REJECTED if word.endswith("Rejected") else None


def order(fields: Fields, word: str, updated_ns: int, cloids: Cloids) -> Order:
    """One order, pushed or fetched. A status we don't know is taken for a working one: it ends nothing.

    Raises:
        WireError: ids, side, price or sizes make no sense.
    """
    quantity = positive(decimal_of(fields.get("origSz"), "origSz"), "origSz")
    left = not_negative(decimal_of(fields.get("sz"), "sz"), "sz")
    if left > quantity:
        raise WireError(f"expected an open size of at most {quantity}, found {left}")
    filled, status = quantity - left, status_of(word)
    reason = "" if status is not None else f"the venue calls its status {word!r}, which is taken for working"
    if status is OrderStatus.FILLED and left:
        status, reason = OrderStatus.CANCELLED, "the rest was cancelled at once"
    elif status in (OrderStatus.CANCELLED, OrderStatus.REJECTED):
        reason = word
    if status in (OrderStatus.OPEN, None):
        status = OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.OPEN
    trigger = _trigger(fields)
    at_market = trigger is not None and text(fields, "orderType").endswith("Market")
    return Order(
        client_id=cloids.client_id(optional_text(fields, "cloid")),
        symbol=full(text(fields, "coin")),
        side=side(fields),
        type=OrderType.MARKET if at_market else OrderType.LIMIT,
        quantity=quantity,
        price=None if at_market else positive(decimal_of(fields.get("limitPx"), "limitPx"), "limitPx"),
        time_in_force=_TIFS.get((optional_text(fields, "tif") or "Gtc").lower(), TimeInForce.GTC),
        reduce_only=fields.get("reduceOnly") is True,
        status=status or OrderStatus.OPEN,
        venue_id=str(whole(fields, "oid")),
        filled=filled,
        reason=reason,
        updated_ns=updated_ns,
        trigger=trigger,
        triggered=word.lower() == "triggered" or (trigger is not None and filled > 0),
    )


def of_a_position(fields: Fields) -> bool:
    """Whether a listed order was placed by hand to close a whole position, and has no size of its own."""
    sized = decimal_of(fields.get("origSz"), "origSz") > 0
    return fields.get("isPositionTpsl") is True or (fields.get("isTrigger") is True and not sized)


def working(fields: Fields, cloids: Cloids) -> Order:
    """One row of the open orders."""
    return order(fields, "open", instant(fields, "timestamp"), cloids)


def report(fields: Fields, cloids: Cloids) -> Order:
    """An order with its status, as the stream, the history and a query tell it."""
    return order(inner(fields, "order"), text(fields, "status"), instant(fields, "statusTimestamp"), cloids)


# -- fills, payments, positions, cash --------------------------------------------------------


def fill(fields: Fields, client_id: str) -> Fill:
    """One execution. Both orders of a trade share its ``tid``, so ours is in the id too.

    Raises:
        WireError: ids, side, price, size or fee make no sense.
    """
    oid, fee = whole(fields, "oid"), decimal_of(fields.get("fee"), "fee")
    crossed = fields.get("crossed")
    if not isinstance(crossed, bool):
        raise WireError(f"expected true or false in crossed, found {crossed!r}")
    return Fill(
        execution_id=f"{oid}-{whole(fields, 'tid')}",
        client_id=client_id,
        venue_id=str(oid),
        symbol=full(text(fields, "coin")),
        side=side(fields),
        price=positive(decimal_of(fields.get("px"), "px"), "px"),
        quantity=positive(decimal_of(fields.get("sz"), "sz"), "sz"),
        fee=fee,
        fee_currency=optional_text(fields, "feeToken") or CURRENCY,
        liquidity=Liquidity.TAKER if crossed else Liquidity.MAKER,
        ts_ns=instant(fields, "time"),
    )


def payment(fields: Fields, ts_ns: int) -> PaymentReport:
    """A funding payment. The venue gives it no id of its own: coin and moment are one."""
    coin = text(fields, "coin")
    amount = decimal_of(fields.get("usdc"), "usdc")
    return PaymentReport(f"funding-{coin}-{ts_ns // MS}", "funding", full(coin), amount, CURRENCY, ts_ns)


def positions(state: Fields) -> tuple[VenuePosition, ...]:
    """The open positions in ``clearinghouseState``."""
    made = []
    for row in rows(state, "assetPositions"):
        held = inner(row, "position")
        if not ours(held):
            continue
        quantity = decimal_of(held.get("szi"), "szi")
        if not quantity:
            continue
        entry = positive(decimal_of(held.get("entryPx"), "entryPx"), "entryPx")
        worth = not_negative(decimal_of(held.get("positionValue"), "positionValue"), "positionValue")
        made.append(VenuePosition(full(text(held, "coin")), quantity, entry, round(worth / abs(quantity), 8)))
    return tuple(made)


def balance(state: Fields) -> Balance:
    """Cash: the account's value without the profit of open positions, which the model counts by itself."""
    value = decimal_of(inner(state, "marginSummary").get("accountValue"), "accountValue")
    profit = sum(
        (decimal_of(inner(row, "position").get("unrealizedPnl"), "unrealizedPnl")
         for row in rows(state, "assetPositions")),
        ZERO,
    )  # fmt: skip
    return Balance(CURRENCY, value - profit, decimal_of(state.get("withdrawable"), "withdrawable"))
