"""What the journal says happened: signals, orders, fills and positions, folded from its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal

from actors.bus.lifecycle import STATE_OF
from actors.messages.orders import ExchangeState, Filled, LegPlanned, OrderChanged, Paid, Repaired
from actors.messages.signals import SignalEvent
from exchanges.model.order import Fill, Order
from exchanges.model.position import Position
from runtime.journal.base import History
from runtime.journal.record import Record
from runtime.message import Message
from strategies.signal import SignalState


def records(journal: History, after: int = 0, kinds: tuple[str, ...] = ()) -> Iterator[Record]:
    """Every record after ``after``, read in batches."""
    while batch := journal.read(after, 2_000, kinds=kinds):
        yield from batch
        after = batch[-1].seq


class Books:
    """The fold of a journal, or of the part of it that one session wrote.

    ``signals`` counts signals by the state they are in; ``passed`` counts those that ever
    reached each state. Positions are sums of fills over the whole journal.
    """

    def __init__(self) -> None:
        self.states: dict[str, SignalState] = {}
        self.passed: Counter[str] = Counter()
        self.orders: dict[str, Order] = {}
        self.planned: set[str] = set()
        """Client ids of orders that flows planned one by one: each attempt of a leg is an intent of its own."""
        self.executions: set[tuple[str, str]] = set()
        """By venue: two may have the same ids."""
        self.trades: list[Fill] = []
        """Every journaled execution, in its order, one that is there twice twice."""
        self.fills = 0
        self.positions: dict[str, Position] = {}
        self.repairs: list[Repaired] = []
        self.payments: dict[str, Paid] = {}
        """By venue and payment id."""
        self.accounts: dict[str, tuple[Decimal, Decimal]] = {}
        """Cash and equity by venue, as last told."""

    @classmethod
    def of(cls, source: Iterable[Record]) -> Books:
        books = cls()
        for record in source:
            books.apply(record)
        return books

    def apply(self, record: Record) -> None:
        self.take(record.event)

    def take(self, event: Message) -> None:
        """The same for who has decoded the record's event already."""
        if isinstance(event, SignalEvent):
            self._step(event)
        elif isinstance(event, OrderChanged):
            self.orders[event.order.client_id] = event.order
        elif isinstance(event, LegPlanned):
            self.planned.add(event.order.client_id)
        elif isinstance(event, Filled):
            self._fill(event)
        elif isinstance(event, Repaired):
            self.repairs.append(event)
            if event.fill is not None:
                self._book(event.fill)
            elif event.recharged:
                held = self._position(event.symbol)
                self.positions[event.symbol] = held.recharge(held.quantity + event.recharged)
        elif isinstance(event, Paid):
            self._paid(event)
        elif isinstance(event, ExchangeState):
            self.accounts[event.venue] = (event.cash, event.equity)

    def _step(self, event: SignalEvent) -> None:
        state = STATE_OF.get(type(event))
        if state is not None:  # a warning that a signal is stuck is no step
            self.states[event.signal_id] = state
            self.passed[state] += 1

    def _fill(self, event: Filled) -> None:
        if self._book(event.fill):
            self.fills += 1

    def _paid(self, event: Paid) -> None:
        key = f"{event.venue}/{event.payment_id}"
        if key not in self.payments:
            self.payments[key] = event
            self.positions[event.symbol] = self._position(event.symbol).pay(event.amount)

    def _position(self, symbol: str) -> Position:
        return self.positions.get(symbol) or Position(symbol)

    def has(self, fill: Fill) -> bool:
        """Whether the execution was there already."""
        return _key(fill) in self.executions

    def _book(self, fill: Fill) -> bool:
        """Move the position by an execution, once; whether it is new."""
        self.trades.append(fill)
        if self.has(fill):
            return False
        self.executions.add(_key(fill))
        self.positions[fill.symbol] = self._position(fill.symbol).apply(fill)
        return True

    @property
    def cash(self) -> Decimal:
        """The cash at all venues together."""
        return sum((cash for cash, _ in self.accounts.values()), Decimal(0))

    @property
    def equity(self) -> Decimal:
        """The equity at all venues together."""
        return sum((equity for _, equity in self.accounts.values()), Decimal(0))

    @property
    def signals(self) -> dict[str, int]:
        return dict(sorted(Counter(str(state) for state in self.states.values()).items()))

    @property
    def order_statuses(self) -> dict[str, int]:
        return dict(sorted(Counter(str(order.status) for order in self.orders.values()).items()))

    @property
    def realized(self) -> Decimal:
        """Realised profit over all positions, with fees and payments."""
        return sum((p.net for p in self.positions.values()), Decimal(0))


def _key(fill: Fill) -> tuple[str, str]:
    return fill.symbol.partition(":")[0], fill.execution_id
