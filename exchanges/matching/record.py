"""What the engine knows about an order, and what it reports."""

from __future__ import annotations

import copy
from decimal import Decimal

import msgspec

from exchanges.model.order import Fill, Liquidity, Order, OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.trigger import Trigger
from exchanges.model.venue import PlaceOrder

ZERO = Decimal(0)

POST_ONLY_CROSS = "POST_ONLY_CROSS"
NO_IMMEDIATE_QUANTITY = "NO_IMMEDIATE_QUANTITY"
NOT_ENOUGH_QUANTITY = "NOT_ENOUGH_QUANTITY"
SELF_TRADE = "SELF_TRADE"
REDUCE_ONLY = "REDUCE_ONLY"
BY_USER = "BY_USER"
BY_USER_ALL = "BY_USER_ALL"
INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
MARKET_CLOSED = "MARKET_CLOSED"
SETTLED = "SETTLED"
LIQUIDATION = "LIQUIDATION"
EXPIRED = "EXPIRED"
INSURANCE = "insurance"
"""The kind of a payment of the insurance fund."""


class Counters(msgspec.Struct):
    """What makes the engine's identifiers unique, to be kept across restarts."""

    prefix: str
    orders: int = 0
    executions: int = 0
    priority: int = 0


class OrderRecord(msgspec.Struct):
    """One order in the engine, changed in place while it works.

    ``sequence`` is its time priority. ``queue_ahead`` is the external quantity that still
    stands before it at its price, ``margin`` what it reserves of the account, ``value`` what its
    fills add up to in the quote currency and ``fee`` in that of the fees, ``due`` its exact fee before rounding
    (the order's fee is rounded as a whole, not fill by fill); ``resting`` says it is in the book, ``waiting`` that its
    ``trigger`` has not been met yet, ``triggered`` that it has.
    """

    account: str
    id: str
    client_id: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None
    time_in_force: TimeInForce
    reduce_only: bool
    created_ns: int
    updated_ns: int
    sequence: int
    status: OrderStatus = OrderStatus.OPEN
    filled: Decimal = ZERO
    value: Decimal = ZERO
    fee: Decimal = ZERO
    reason: str = ""
    queue_ahead: Decimal = ZERO
    margin: Decimal = ZERO
    resting: bool = False
    due: Decimal = ZERO
    trigger: Trigger | None = None
    waiting: bool = False
    triggered: bool = False

    @property
    def open(self) -> Decimal:
        """The quantity that is still to be filled."""
        return self.quantity - self.filled

    @property
    def average_price(self) -> Decimal:
        return self.value / self.filled if self.filled else ZERO

    def order(self) -> Order:
        """The order as the rest of the product sees it."""
        return Order(
            client_id=self.client_id,
            symbol=self.symbol,
            side=self.side,
            type=self.type,
            quantity=self.quantity,
            price=self.price,
            time_in_force=self.time_in_force,
            reduce_only=self.reduce_only,
            status=self.status,
            venue_id=self.id,
            filled=self.filled,
            average_price=self.average_price,
            reason=self.reason,
            updated_ns=self.updated_ns,
            trigger=self.trigger,
            triggered=self.triggered,
        )


def record_of(
    account: str, command: PlaceOrder, quantity: Decimal, order_id: str, sequence: int, now_ns: int
) -> OrderRecord:
    """An order that the engine takes, before anything has happened to it."""
    at_market = command.type is OrderType.MARKET
    in_force = command.time_in_force
    return OrderRecord(
        account=account,
        id=order_id,
        client_id=command.client_id,
        symbol=command.symbol,
        side=command.side,
        type=command.type,
        quantity=quantity,
        price=None if at_market else command.price,
        time_in_force=TimeInForce.IOC if at_market and in_force is TimeInForce.GTC else in_force,
        reduce_only=command.reduce_only,
        created_ns=now_ns,
        updated_ns=now_ns,
        sequence=sequence,
        trigger=command.trigger,
        waiting=command.trigger is not None,
    )


class Execution(msgspec.Struct, frozen=True):
    """A fill and what the order and the position looked like right after it.

    ``closed`` is the part of the fill that reduced a position, ``leaves`` the order's open
    quantity, ``sequence`` the engine's own count of executions. ``settlement`` says that no order
    was filled: the contract has been paid out; ``liquidation`` that the venue closed the position.
    """

    account: str
    fill: Fill
    order_type: OrderType
    order_price: Decimal | None
    order_quantity: Decimal
    leaves: Decimal
    closed: Decimal
    fee_rate: Decimal
    sequence: int
    settlement: bool = False
    liquidation: bool = False

    @property
    def is_maker(self) -> bool:
        return self.fill.liquidity is Liquidity.MAKER


class Funding(msgspec.Struct, frozen=True):
    """One payment between longs and shorts of a perpetual, or by the insurance fund (its ``kind`` says which).

    ``quantity`` is the signed position, ``amount`` what was paid for it (negative: received), in
    the account's currency: quantity x mark x rate. The insurance fund's is what was lost beyond the equity.
    """

    account: str
    symbol: str
    quantity: Decimal
    mark: Decimal
    rate: Decimal
    amount: Decimal
    ts_ns: int
    sequence: int
    execution_id: str
    kind: str = "funding"


class Changes:
    """All that one call changed: executions in order, then each touched order once, as it is now."""

    __slots__ = ("_touched", "executions", "fundings", "subject")

    def __init__(self) -> None:
        self.executions: list[Execution] = []
        self.fundings: list[Funding] = []
        self.subject: OrderRecord | None = None
        self._touched: dict[str, OrderRecord] = {}

    def touch(self, record: OrderRecord) -> None:
        self._touched[record.id] = record

    def touched(self) -> list[OrderRecord]:
        """The touched orders themselves, which later calls go on changing."""
        return list(self._touched.values())

    def merge(self, other: Changes) -> None:
        """Append what a later call changed."""
        self.executions.extend(other.executions)
        self.fundings.extend(other.fundings)
        self._touched.update(other._touched)

    def after(self, earlier: Changes) -> Changes:
        """Both, those of the ``earlier`` call first."""
        if earlier and self:
            earlier.merge(self)
        return earlier or self

    def __bool__(self) -> bool:
        return bool(self._touched or self.executions or self.fundings)

    @property
    def orders(self) -> list[OrderRecord]:
        """Copies of the touched orders, in the order they were first touched."""
        return [copy.copy(record) for record in self._touched.values()]

    @property
    def accounts(self) -> list[str]:
        """The touched accounts, without repetition, in a stable order."""
        names = dict.fromkeys(record.account for record in self._touched.values())
        names |= dict.fromkeys(done.account for done in self.executions)
        return list(names | dict.fromkeys(paid.account for paid in self.fundings))

    @property
    def events(self) -> list[Fill | Order]:
        """The same as model types, for callers with a single account."""
        fills: list[Fill | Order] = [execution.fill for execution in self.executions]
        return fills + [record.order() for record in self._touched.values()]


NOTHING = Changes()
"""What a call returns that changed nothing; never touched."""
