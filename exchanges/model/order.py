"""Orders and fills: exact quantities and prices, and the states an order can be in."""

from __future__ import annotations

import enum
from decimal import Decimal

from exchanges.model.trigger import Trigger
from runtime.message import Message


class Side(enum.StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(enum.StrEnum):
    MARKET = "market"
    LIMIT = "limit"


class TimeInForce(enum.StrEnum):
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    POST_ONLY = "post_only"


class OrderStatus(enum.StrEnum):
    """``PENDING`` has not left us, ``SENT`` has no answer yet, ``UNKNOWN`` timed out or broke off."""

    PENDING = "pending"
    SENT = "sent"
    UNKNOWN = "unknown"
    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"

    @property
    def final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset({OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED})


class Liquidity(enum.StrEnum):
    MAKER = "maker"
    TAKER = "taker"


class Order(Message):
    """An order as we know it. ``price`` is ``None`` for market orders.

    ``client_id`` is ours, derived from signal, leg and attempt; ``venue_id`` is the venue's,
    empty until it is known. ``filled`` and ``average_price`` are cumulative. An order with a
    ``trigger`` waits at the venue until that is met (``triggered``), and is a common one from then on.
    """

    client_id: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    status: OrderStatus = OrderStatus.PENDING
    venue_id: str = ""
    filled: Decimal = Decimal(0)
    average_price: Decimal = Decimal(0)
    reason: str = ""
    updated_ns: int = 0
    trigger: Trigger | None = None
    triggered: bool = False

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled


SETTLEMENT_PREFIX = "settlement-"
"""How the id of the execution begins that closes a position when its event is decided."""

LIQUIDATION_PREFIX = "liquidation-"
"""How the id of the execution begins by which the venue itself closes a position."""


class Fill(Message):
    """One execution. ``fee`` is positive when paid, in ``fee_currency``; ``price`` per base unit.

    ``client_id`` is empty for an execution of an order that isn't ours, for a settlement and a liquidation.
    ``fee_in_base`` says that the fee was taken from the coin traded: less is held than was bought.
    """

    execution_id: str
    client_id: str
    venue_id: str
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    liquidity: Liquidity
    ts_ns: int
    fee_in_base: bool = False

    @property
    def delta(self) -> Decimal:
        """What it changes the position by, signed, in base units: a fee in the coin traded is off what came in."""
        signed = self.quantity * self.side.sign
        return signed - self.fee if self.fee_in_base else signed

    @property
    def quote_fee(self) -> Decimal:
        """The fee in the quote currency; one in the coin traded is valued at the fill's own price."""
        return self.fee * self.price if self.fee_in_base else self.fee

    @property
    def settles(self) -> bool:
        """Whether no order led to it but the outcome of an event."""
        return self.execution_id.startswith(SETTLEMENT_PREFIX)

    @property
    def forced(self) -> bool:
        """Whether it is the venue's doing: a settlement, or a liquidation."""
        return self.execution_id.startswith((SETTLEMENT_PREFIX, LIQUIDATION_PREFIX))
