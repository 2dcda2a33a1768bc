"""What passes between an exchange connection's brain and the adapter of its venue.

The brain sends commands to its port ``@venue``; the adapter answers with reports. A command
never raises and is never repeated by the adapter: its outcome is a ``CommandResult``.
"""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import ClassVar

from exchanges.model.instrument import Instrument
from exchanges.model.market import Bar
from exchanges.model.order import Fill, Order, OrderType, Side, TimeInForce
from exchanges.model.position import Balance
from exchanges.model.trigger import Trigger
from runtime.lanes import Lane
from runtime.message import Message

VENUE_PORT = "@venue"


class Outcome(enum.StrEnum):
    """What is known about a command once its call has ended."""

    ACCEPTED = "accepted"
    """The venue took it (an acknowledgement: the order's fate comes with its reports)."""
    REJECTED = "rejected"
    """The venue refused it; ``code`` and ``reason`` are the venue's."""
    NOT_FOUND = "not_found"
    """The venue knows no such order."""
    NOT_SENT = "not_sent"
    """It certainly never left (no connection, limiter, malformed): may be sent anew."""
    UNKNOWN = "unknown"
    """Timeout, reset, 5xx, garbage: only the venue's own evidence ends this."""


class Command(Message):
    """Base of what the brain asks of the adapter."""


class PlaceOrder(Command):
    """A new order; with a ``trigger`` it waits at the venue until that is met, where ``Instrument.stops`` says so."""

    client_id: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    trigger: Trigger | None = None


class AmendOrder(Command):
    """Changes what is given; ``trigger_price`` is that of an order that still waits for it."""

    client_id: str
    symbol: str
    quantity: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None


class CancelOrder(Command):
    """``venue_id``, where it is given, names the order: the venue may know no client order id of it."""

    client_id: str
    symbol: str
    venue_id: str = ""


class CancelAll(Command):
    """Cancels every working order of ``symbol``, or of all symbols when it is empty."""

    symbol: str = ""


class QueryOrder(Command):
    """Asks the venue for one order by client order id: open orders first, then history.

    By ``venue_id`` where it is given, as with ``CancelOrder``.
    """

    client_id: str
    symbol: str
    venue_id: str = ""


class FetchState(Command):
    """Asks for the venue's truth: open orders, positions, balances, fills since ``since_ns``."""

    since_ns: int


class FetchHistory(Command):
    """Asks for the last ``count`` closed bars that began before ``until_ns``.

    ``asker`` and ``mark`` come back in the report: who wants it, and the last ``(epoch, seq)`` of the
    symbol's market data when it was asked for.
    """

    asker: str
    symbol: str
    interval_ns: int
    count: int
    until_ns: int
    mark: tuple[int, int] = (0, 0)


class CommandResult(Message):
    """How a command ended. For a found ``QueryOrder``, ``order`` is the venue's view of it.

    ``retry_after_ns`` is how long the venue's limiter asks to wait, 0 where it says nothing.
    """

    command: str
    client_id: str
    symbol: str
    outcome: Outcome
    code: str = ""
    reason: str = ""
    venue_id: str = ""
    order: Order | None = None
    retry_after_ns: int = 0


class OrderReport(Message):
    """The venue's view of one order, pushed or fetched."""

    order: Order


class FillReport(Message):
    """One execution, pushed or fetched; the same one may be reported twice."""

    fill: Fill


class PaymentReport(Message):
    """Cash that moved without a trade, pushed or fetched; the same one may be reported twice.

    ``kind`` is ``funding``, or ``insurance``: what a fund paid for a loss beyond the equity. ``amount`` is positive
    when received. The balances the venue reports hold it already.
    """

    payment_id: str
    kind: str
    symbol: str
    amount: Decimal
    currency: str
    ts_ns: int


class PriceReport(Message):
    """The last price alone, for what the connection watches itself: it is not passed on.

    A backtest tells it, on the way that a bar is taken to have gone; the bar itself is told when it is over.
    """

    symbol: str
    price: float


class VenuePosition(Message):
    """The venue's view of a position; ``quantity`` signed."""

    symbol: str
    quantity: Decimal
    average_price: Decimal
    mark_price: Decimal = Decimal(0)


class BalanceReport(Message):
    balances: tuple[Balance, ...]


class VenueState(Message):
    """The answer to ``FetchState``. ``complete`` is false when a part could not be fetched.

    ``started_ns`` is when fetching began: what the streams reported since may be newer.
    """

    complete: bool
    started_ns: int
    orders: tuple[Order, ...] = ()
    fills: tuple[Fill, ...] = ()
    positions: tuple[VenuePosition, ...] = ()
    balances: tuple[Balance, ...] = ()
    reason: str = ""


class HistoryReport(Message):
    """The answer to ``FetchHistory``, oldest bar first; fewer where there were no more.

    ``reason`` is empty unless the venue could not be asked or has no such bars.
    """

    asker: str
    symbol: str
    interval_ns: int
    bars: tuple[Bar, ...]
    reason: str = ""
    mark: tuple[int, int] = (0, 0)


class InstrumentsReport(Message):
    """The instruments of the subscribed symbols, once after each connect."""

    instruments: tuple[Instrument, ...]


class StreamStatus(Message):
    """A stream (``public`` or ``private``) came up or went down."""

    lane: ClassVar[Lane] = Lane.CONTROL
    stream: str
    up: bool
    reason: str = ""
