"""What a message has to say to a recording: market data as it is, orders and fills each time they change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from exchanges.model.order import Fill, Order, OrderStatus
from exchanges.model.venue import (
    CommandResult,
    FillReport,
    OrderReport,
    Outcome,
    PaymentReport,
    PlaceOrder,
    VenueState,
)
from exchanges.recording.schemas import FILLS, ORDERS, PAYMENTS, SeenFill, SeenOrder, SeenPayment
from runtime.message import Message

REMEMBERED = 50_000
"""Orders and executions known, so that what is reported again is not written again."""

_FAILED = {
    Outcome.REJECTED: OrderStatus.REJECTED,
    Outcome.NOT_SENT: OrderStatus.PENDING,
    Outcome.UNKNOWN: OrderStatus.UNKNOWN,
}


class Entry(NamedTuple):
    """One row and where it belongs; ``symbol`` is the full name."""

    table: str
    symbol: str
    ts_ns: int
    row: Any


class Accounts:
    """Our orders, fills and payments as they are sent, answered and reported; each state once."""

    def __init__(self) -> None:
        self._orders: OrderedDict[tuple[str, str], Order] = OrderedDict()
        self._reported: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._handlers: dict[type[Message], Callable[[Any, int], Iterator[Entry]]] = {
            PlaceOrder: self._placed,
            CommandResult: self._answered,
            OrderReport: lambda report, now_ns: self._order(report.order, now_ns),
            FillReport: lambda report, now_ns: self._fill(report.fill, now_ns),
            PaymentReport: self._payment,
            VenueState: self._state,
        }

    def concerns(self, message: Message) -> bool:
        """Whether the message is about orders or fills."""
        return type(message) in self._handlers

    def entries(self, message: Message, now_ns: int) -> Iterator[Entry]:
        """The rows of a message that came or went at ``now_ns``."""
        return self._handlers[type(message)](message, now_ns)

    def _placed(self, command: PlaceOrder, now_ns: int) -> Iterator[Entry]:
        fields = {name: getattr(command, name) for name in command.__struct_fields__}
        return self._order(Order(**fields, status=OrderStatus.SENT, updated_ns=now_ns), now_ns)

    def _answered(self, result: CommandResult, now_ns: int) -> Iterator[Entry]:
        """The answer to a placing, which names the order alone; its other fields are those it was sent with."""
        if result.order is not None:
            return self._order(result.order, now_ns)
        sent = self._orders.get((result.symbol, result.client_id))
        if result.command != PlaceOrder.__name__ or sent is None or sent.status is not OrderStatus.SENT:
            return iter(())
        status = _FAILED.get(result.outcome, OrderStatus.SENT)
        reason = f"{result.code} {result.reason}".strip()
        answered = msgspec.structs.replace(
            sent, status=status, venue_id=result.venue_id or sent.venue_id, reason=reason, updated_ns=now_ns
        )
        return self._order(answered, now_ns)

    def _state(self, state: VenueState, now_ns: int) -> Iterator[Entry]:
        for order in state.orders:
            yield from self._order(order, now_ns)
        for fill in state.fills:
            yield from self._fill(fill, now_ns)

    def _order(self, order: Order, now_ns: int) -> Iterator[Entry]:
        key = order.symbol, order.client_id or order.venue_id
        before = self._orders.get(key)
        if before is not None and _same(before, order):
            return
        _remember(self._orders, key, order)
        ts_ns = order.updated_ns or now_ns
        yield Entry(ORDERS, order.symbol, ts_ns, SeenOrder(ts_ns, now_ns, order))

    def _fill(self, fill: Fill, now_ns: int) -> Iterator[Entry]:
        entry = Entry(FILLS, fill.symbol, fill.ts_ns, SeenFill(fill.ts_ns, now_ns, fill))
        return self._once((FILLS, fill.symbol, fill.execution_id), entry)

    def _payment(self, payment: PaymentReport, now_ns: int) -> Iterator[Entry]:
        entry = Entry(PAYMENTS, payment.symbol, payment.ts_ns, SeenPayment(payment.ts_ns, now_ns, payment))
        return self._once((PAYMENTS, payment.kind, payment.payment_id), entry)

    def _once(self, key: tuple[str, str, str], entry: Entry) -> Iterator[Entry]:
        if key not in self._reported:
            _remember(self._reported, key, None)
            yield entry


def _same(before: Order, after: Order) -> bool:
    """Whether nothing but the time of the report has changed."""
    return msgspec.structs.replace(after, updated_ns=before.updated_ns) == before


def _remember(known: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > REMEMBERED:
        known.popitem(last=False)
