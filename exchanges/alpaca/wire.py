"""Alpaca's account messages to ours and back: pure functions over decoded JSON.

An execution is named by its order and by how much of that order is filled after it
(``<order id>:<cumulative quantity>``). The stream gives an ``execution_id``, the account
activities an id ``<time>::<uuid>``; that the two carry the same uuid is nowhere promised. Order and
cumulative quantity are in both, so the same execution has the same name wherever it is read, also by
a process that remembers nothing.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from exchanges.alpaca.values import (
    Fields,
    WireError,
    amount,
    fields_of,
    flag,
    full,
    is_crypto,
    listed,
    moment,
    native,
    natural,
    number,
    optional_text,
    plain,
    positive,
    text,
)
from exchanges.hours import ends_with_the_day
from exchanges.model.order import Fill, Liquidity, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.position import Balance
from exchanges.model.venue import PlaceOrder, VenuePosition

CASH = "USD"
_ZERO = Decimal(0)
_ONE = Decimal(1)

STATUSES = {
    "new": OrderStatus.OPEN,
    "accepted": OrderStatus.OPEN,
    "pending_new": OrderStatus.OPEN,
    "accepted_for_bidding": OrderStatus.OPEN,
    "held": OrderStatus.OPEN,
    "pending_cancel": OrderStatus.OPEN,
    "pending_replace": OrderStatus.OPEN,
    "pending_review": OrderStatus.OPEN,
    "stopped": OrderStatus.OPEN,
    "suspended": OrderStatus.OPEN,
    "calculated": OrderStatus.OPEN,
    "done_for_day": OrderStatus.OPEN,
    "replaced": OrderStatus.OPEN,
    "partially_filled": OrderStatus.PARTIALLY_FILLED,
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELLED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}
"""What a status says of the order as we count it: a replaced one lives on in its successor."""

EVENTS = frozenset(
    {
        *("new", "accepted", "fill", "partial_fill", "canceled", "expired", "done_for_day", "replaced", "rejected"),
        *("pending_new", "stopped", "pending_cancel", "pending_replace", "calculated", "suspended", "held"),
        *("order_replace_rejected", "order_cancel_rejected", "restated", "trade_bust", "trade_correct"),
    }
)
EXECUTIONS = ("fill", "partial_fill")
UNDONE = ("trade_bust", "trade_correct")
"""Executions taken back or changed after the fact."""

_SIDES = {"buy": Side.BUY, "sell": Side.SELL, "sell_short": Side.SELL}
_FORCES = {"ioc": TimeInForce.IOC, "fok": TimeInForce.FOK}


class VenueOrder(msgspec.Struct, frozen=True):
    """One of the venue's orders. An amended order of ours is several of them, one after the other."""

    id: str
    client_id: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None
    time_in_force: TimeInForce
    status: str
    filled: Decimal
    average_price: Decimal
    replaces: str
    replaced_by: str
    reason: str
    submitted_ns: int
    updated_ns: int

    @property
    def known(self) -> bool:
        """Whether the venue's status is one we know."""
        return self.status in STATUSES

    @property
    def state(self) -> OrderStatus:
        """The status as ours; an unknown one never ends an order."""
        found = STATUSES.get(self.status)
        if found is None or found is OrderStatus.OPEN:
            return OrderStatus.PARTIALLY_FILLED if self.filled else OrderStatus.OPEN
        return found

    @property
    def final(self) -> bool:
        return self.state.final

    @property
    def crypto(self) -> bool:
        return is_crypto(native(self.symbol))


class Execution(msgspec.Struct, frozen=True):
    """One execution: ``cumulative`` is how much of its order is filled after it."""

    order_id: str
    cumulative: Decimal
    quantity: Decimal
    price: Decimal
    side: Side
    ts_ns: int

    @property
    def id(self) -> str:
        return f"{self.order_id}:{plain(self.cumulative)}"


class TradeUpdate(msgspec.Struct, frozen=True):
    """One message of the ``trade_updates`` stream; ``execution`` is there when it reports one."""

    event: str
    order: VenueOrder
    execution: Execution | None


class Account(msgspec.Struct, frozen=True):
    """What the account may do."""

    number: str
    status: str
    balance: Balance
    blocked: bool
    shorting: bool


# -- orders ----------------------------------------------------------------------------------


def order(value: object) -> VenueOrder:
    """One order, pushed or fetched; one given as an amount of money has what is filled as its quantity."""
    fields = fields_of(value, "an order")
    filled = natural(fields, "filled_qty")
    quantity = positive(fields, "qty") if fields.get("qty") is not None else filled
    limit = positive(fields, "limit_price") if fields.get("limit_price") is not None else None
    return VenueOrder(
        id=text(fields, "id"),
        client_id=optional_text(fields, "client_order_id"),
        symbol=full(listed(fields)),
        side=side(fields),
        type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        quantity=quantity,
        price=limit,
        time_in_force=_FORCES.get(optional_text(fields, "time_in_force"), TimeInForce.GTC),
        status=text(fields, "status"),
        filled=filled,
        average_price=natural(fields, "filled_avg_price"),
        replaces=optional_text(fields, "replaces"),
        replaced_by=optional_text(fields, "replaced_by"),
        reason=optional_text(fields, "reject_reason"),
        submitted_ns=moment(fields, "submitted_at", "created_at"),
        updated_ns=moment(fields, "updated_at", "submitted_at", "created_at"),
    )


def side(fields: Fields) -> Side:
    """The side of an order or execution; one we don't know can't be guessed."""
    found = _SIDES.get(text(fields, "side"))
    if found is None:
        raise WireError(f"expected side to be one of {', '.join(_SIDES)}, found {fields.get('side')!r}")
    return found


def update(value: object) -> TradeUpdate:
    """The ``data`` of one ``trade_updates`` message."""
    fields = fields_of(value, "a trade update")
    event, placed = text(fields, "event"), order(fields.get("order"))
    execution = None
    if event in EXECUTIONS:
        execution = Execution(
            order_id=placed.id,
            cumulative=placed.filled,
            quantity=positive(fields, "qty"),
            price=positive(fields, "price"),
            side=placed.side,
            ts_ns=moment(fields, "timestamp") or placed.updated_ns,
        )
        if placed.filled < execution.quantity:
            raise WireError(f"expected at least {execution.quantity} filled after it, found {placed.filled}")
    return TradeUpdate(event, placed, execution)


def activity(value: object) -> Execution:
    """One ``FILL`` account activity."""
    fields = fields_of(value, "an account activity")
    kind = text(fields, "activity_type")
    if kind != "FILL":
        raise WireError(f"expected an activity of the type FILL, found {kind!r}")
    made = Execution(
        order_id=text(fields, "order_id"),
        cumulative=positive(fields, "cum_qty"),
        quantity=positive(fields, "qty"),
        price=positive(fields, "price"),
        side=side(fields),
        ts_ns=moment(fields, "transaction_time"),
    )
    if not made.ts_ns or made.cumulative < made.quantity:
        raise WireError(f"expected transaction_time and cum_qty >= qty, found {made.ts_ns} and {made.cumulative}")
    return made


def fill(execution: Execution, client_id: str, symbol: str, crypto_rate: Decimal) -> Fill:
    """An execution as ours.

    Equities cost no commission; what the regulators charge on sales is not in the venue's
    executions and not modelled. Crypto executions say nothing of their fee or of who took
    liquidity: ``crypto_rate`` of what is received is assumed, coins of a purchase and cash of a sale.
    The ``CFEE`` activities tell it, but by all that is known name no order, so that none can be booked by
    them; what a purchase really cost is seen in the position, which is less by it at once (reports of
    users, not the venue's documentation).
    """
    crypto = is_crypto(native(symbol))
    in_base = crypto and execution.side is Side.BUY
    received = execution.quantity if in_base else execution.quantity * execution.price
    return Fill(
        execution_id=execution.id,
        client_id=client_id,
        venue_id=execution.order_id,
        symbol=symbol,
        side=execution.side,
        price=execution.price,
        quantity=execution.quantity,
        fee=crypto_rate * received if crypto else _ZERO,
        fee_currency=native(symbol).partition("/")[0] if in_base else currency(symbol),
        liquidity=Liquidity.TAKER,
        ts_ns=execution.ts_ns,
        fee_in_base=in_base,
    )


def currency(symbol: str) -> str:
    """What ``symbol`` is paid in: ``USD``, or what a crypto pair is quoted in."""
    return native(symbol).rpartition("/")[2] if is_crypto(native(symbol)) else CASH


def order_request(command: PlaceOrder, *, extended: bool = False) -> dict[str, str | bool]:
    """The body of ``POST /orders``; ``extended`` lets an equity order trade outside regular hours.

    See ``ends_with_the_day`` for what becomes a day order.

    Raises:
        WireError: the venue has no such order.
    """
    name, force = native(command.symbol), command.time_in_force
    if force is TimeInForce.POST_ONLY:
        raise WireError("expected gtc, ioc or fok: the venue has no post-only orders")
    crypto, limit = is_crypto(name), command.type is OrderType.LIMIT
    if crypto and force is TimeInForce.FOK:
        raise WireError("expected gtc or ioc: the venue fills no crypto order wholly or not at all")
    fraction = not crypto and command.quantity % _ONE != 0
    if fraction and limit and force is not TimeInForce.GTC:
        raise WireError("expected gtc: the venue takes fractions of a share as day orders alone")
    day = not crypto and ends_with_the_day(command.quantity, command.type, force, extended=extended)
    body: dict[str, str | bool] = {
        "symbol": name,
        "qty": plain(command.quantity),
        "side": command.side.value,
        "type": command.type.value,
        "time_in_force": "day" if day else force.value,
        "client_order_id": command.client_id,
    }
    if limit:
        if command.price is None:
            raise WireError(f"expected a price of limit order {command.client_id}, found none")
        body["limit_price"] = plain(command.price)
        if extended and not crypto:
            body["extended_hours"] = True
    return body


# -- the account -----------------------------------------------------------------------------


def position(value: object) -> VenuePosition:
    """One position; the side decides the sign, whichever way the quantity is written."""
    fields = fields_of(value, "a position")
    held, where = number(fields.get("qty"), "qty"), text(fields, "side")
    if where not in ("long", "short"):
        raise WireError(f"expected side long or short of a position, found {where!r}")
    if where == "long" and held < 0:
        raise WireError(f"expected a long position above 0, found {held}")
    return VenuePosition(
        full(listed(fields)),
        -abs(held) if where == "short" else held,
        natural(fields, "avg_entry_price"),
        natural(fields, "current_price"),
    )


def closable(value: object) -> Decimal:
    """How much of a position, signed, no working order is going to close already."""
    fields = fields_of(value, "a position")
    held = position(fields).quantity
    if fields.get("qty_available") is None:
        return held
    free = abs(number(fields["qty_available"], "qty_available"))
    return -free if held < 0 else free


def account(value: object) -> Account:
    """The account; what is available is cash that neither orders nor margin hold."""
    fields = fields_of(value, "the account")
    cash = amount(fields, "cash")
    free = min(cash, *(amount(fields, name) for name in _FREE if fields.get(name) is not None), cash)
    blocked = any(flag(fields, name) for name in ("trading_blocked", "account_blocked", "trade_suspended_by_user"))
    return Account(
        number=optional_text(fields, "account_number"),
        status=text(fields, "status"),
        balance=Balance(optional_text(fields, "currency") or CASH, cash, max(_ZERO, free)),
        blocked=blocked,
        shorting=flag(fields, "shorting_enabled"),
    )


_FREE = ("buying_power", "non_marginable_buying_power")


def cancelled(value: object) -> list[tuple[str, int]]:
    """The orders of a cancel-all, each with the status of its cancelling."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise WireError(f"expected the cancelled orders as a list, found {type(value).__name__}")
    rows: list[tuple[str, int]] = []
    for row in value:
        fields = fields_of(row, "a cancelled order")
        status: Any = fields.get("status")
        if not isinstance(status, int) or isinstance(status, bool):
            raise WireError(f"expected a status of a cancelled order, found {status!r}")
        rows.append((text(fields, "id"), status))
    return rows
