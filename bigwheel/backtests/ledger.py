"""What the journal of a backtest says happened, as rows of its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from actors.bus.lifecycle import OPEN, STATE_OF
from actors.messages.orders import Filled, OrderChanged, Paid, Repaired
from actors.messages.signals import Blocked, Expired, Generated, SignalEvent
from bigwheel.backtests.equity import Equity
from bigwheel.backtests.trips import Trips
from bigwheel.books import Books
from exchanges.matching.record import INSURANCE
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.order import Fill, Order
from exchanges.model.position import Position
from runtime.lifecycle import Entry
from runtime.message import Message
from strategies.signal import Signal, SignalState

MINUTE_NS = 60_000_000_000
_ZERO = Decimal(0)


class Ledger:
    """Folds the journal's records as they are written, positions by the product's own books.

    Args:
        cash: what all accounts together began with.
        instruments: what is traded.
        intervals: by symbol, the length of its bars.
        sample_ns: the least distance between two rows of equity.
    """

    def __init__(
        self,
        cash: Decimal,
        instruments: Iterable[Instrument],
        intervals: dict[str, int],
        sample_ns: int = MINUTE_NS,
    ) -> None:
        self.start = cash
        self.books = Books()
        self.trips = Trips(intervals)
        self.under_way: set[str] = set()
        """Signals that something is still expected of."""
        self.signals: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.fills: list[dict[str, Any]] = []
        self.payments: list[dict[str, Any]] = []
        self.insured = _ZERO
        """What the insurance fund has paid."""
        self.settlements = 0
        self.liquidations: set[str] = set()
        """The venue's own orders."""
        self.equity = Equity(float(cash), sample_ns)
        self._margined = {each.symbol for each in instruments if each.kind is ContractKind.LINEAR_PERPETUAL}

    def written(self, record: Entry, event: Message) -> None:
        """Take one record."""
        if isinstance(event, SignalEvent):
            self._signal(record, event)
        elif isinstance(event, OrderChanged):
            self._order(record, event)
        elif isinstance(event, Filled) and not self.books.has(event.fill):
            self._fill(event.signal_id, event.strategy, event.fill)
        elif isinstance(event, Paid):
            self._paid(event)
        self.books.take(event)
        if isinstance(event, Filled | Paid | Repaired):
            held = [position for position in self.books.positions.values() if position.quantity]
            base = self.start + self.books.realized - sum((each.cost for each in held), _ZERO)
            self.equity.holds(float(self.cash), float(base), [(each.symbol, float(each.quantity)) for each in held])

    # -- rows ------------------------------------------------------------------------------

    def _signal(self, record: Entry, event: SignalEvent) -> None:
        state = STATE_OF.get(type(event))
        if isinstance(event, Generated):
            self.signals[event.signal_id] = _signal_row(event.signal)
        if state is None or state is SignalState.LEARNED:
            return
        row = self.signals[event.signal_id]
        row["state"] = state.value
        if state in OPEN:
            self.under_way.add(event.signal_id)
            return
        self.under_way.discard(event.signal_id)
        row["ended_ns"] = record.ts
        if isinstance(event, Blocked):
            row |= {"gate": event.gate, "code": event.code, "detail": event.detail}
        elif isinstance(event, Expired):
            row["detail"] = event.reason

    def _order(self, record: Entry, event: OrderChanged) -> None:
        order = event.order
        known = self.orders.get(order.client_id)
        created = known["created_ns"] if known else event.attempted_ns or record.ts
        ended = record.ts if order.status.final else None
        self.orders[order.client_id] = _order_row(event, order, created, ended)

    def _fill(self, signal_id: str, strategy: str, fill: Fill) -> None:
        self.fills.append(_fill_row(signal_id, strategy, fill))
        if not fill.forced:
            self.trips.take(strategy, fill)
            return
        self.trips.forced(fill)
        self.settlements += fill.settles
        if not fill.settles:
            self.liquidations.add(fill.venue_id)

    def _paid(self, paid: Paid) -> None:
        self.insured += paid.amount if paid.kind == INSURANCE else _ZERO
        self.payments.append(
            {"ts_ns": paid.ts_ns, "symbol": paid.symbol, "kind": paid.kind, "amount": float(paid.amount)}
        )

    # -- money -----------------------------------------------------------------------------

    @property
    def cash(self) -> Decimal:
        """What the fills have left of the cash: perpetuals tie none of it up, what is paid in full does."""
        return self.start + sum(map(self._gained, self.books.positions.values()), _ZERO)

    def _gained(self, held: Position) -> Decimal:
        return held.net if held.symbol in self._margined else held.net - held.cost

    def value(self, mark: Callable[[str], Decimal]) -> Decimal:
        """Cash and what is held, at these prices."""
        held = (position for position in self.books.positions.values() if position.quantity)
        return self.start + self.books.realized + sum((p.unrealized(mark(p.symbol)) for p in held), _ZERO)

    def sample(self, now_ns: int, mark: Callable[[str], float], *, last: bool = False) -> None:
        """A row of equity, if the one before it is long enough ago or it is to be the ``last``."""
        if last or self.equity.due(now_ns):
            self.equity.add(now_ns, mark)


def _signal_row(signal: Signal) -> dict[str, Any]:
    opinions = signal.opinions
    return {
        "signal_id": signal.id,
        "strategy": signal.strategy,
        "symbol": signal.symbol,
        "side": signal.side.value,
        "conviction": signal.conviction,
        "state": SignalState.GENERATED.value,
        "gate": "",
        "code": "",
        "detail": "",
        "source": max(opinions, key=lambda name: abs(opinions[name])),
        "created_ns": signal.created_ns,
        "ended_ns": None,
        "price": signal.price,
    }


def _order_row(event: OrderChanged, order: Order, created_ns: int, ended_ns: int | None) -> dict[str, Any]:
    return {
        "client_id": order.client_id,
        "signal_id": event.signal_id,
        "strategy": event.strategy,
        "symbol": order.symbol,
        "side": order.side.value,
        "type": order.type.value,
        "quantity": float(order.quantity),
        "price": float(order.price) if order.price is not None else None,
        "status": order.status.value,
        "filled": float(order.filled),
        "average_price": float(order.average_price),
        "created_ns": created_ns,
        "ended_ns": ended_ns,
    }


def _fill_row(signal_id: str, strategy: str, fill: Fill) -> dict[str, Any]:
    return {
        "fill_id": fill.execution_id,
        "client_id": fill.client_id,
        "signal_id": signal_id,
        "strategy": strategy,
        "symbol": fill.symbol,
        "side": fill.side.value,
        "quantity": float(fill.quantity),
        "price": float(fill.price),
        "fee": float(fill.quote_fee),
        "liquidity": fill.liquidity.value,
        "ts_ns": fill.ts_ns,
    }
