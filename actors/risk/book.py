"""What is held and what may yet be: positions, outstanding orders, marks, the day's loss."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.messages.orders import Filled, OrderChanged, Repaired
from actors.messages.signals import ApprovedOrder
from exchanges.model.order import OrderStatus, Side
from exchanges.model.position import Position

_ZERO = Decimal(0)
_DAY_NS = 86_400 * 1_000_000_000


class Mark(msgspec.Struct, frozen=True):
    """The last price of a symbol; ``recv_ns`` is 0 for the price of a fill."""

    price: Decimal
    bid: Decimal
    ask: Decimal
    recv_ns: int


class Commitment(msgspec.Struct):
    """An order that may still fill. ``firm`` once its approval is journaled.

    ``price`` is the worst price it was approved at. ``until_ns`` ends a reservation the bus
    never confirms.
    """

    signal_id: str
    strategy: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    reduce_only: bool
    until_ns: int
    firm: bool = False
    status: OrderStatus = OrderStatus.PENDING
    reported: Decimal = _ZERO
    filled: Decimal = _ZERO

    @property
    def outstanding(self) -> Decimal:
        """The most that can still be added to the position by this order."""
        most = self.reported if self.status.final else max(self.quantity, self.reported)
        return max(most - self.filled, _ZERO)


class Bounds(msgspec.Struct, frozen=True):
    """The least and the greatest position that the outstanding orders can lead to."""

    low: Decimal
    high: Decimal

    @property
    def worst(self) -> Decimal:
        return max(abs(self.low), abs(self.high))

    def stake(self, dearest: Decimal, cheapest: Decimal, contract: Decimal | None) -> Decimal:
        """The worst-case notional between two prices.

        A binary contract of the value ``contract`` that is sold can lose only what is missing to
        that value: less the dearer it is.
        """
        if contract is None:
            return self.worst * dearest
        return max(self.high * dearest, -self.low * (contract - cheapest), _ZERO)


class Book(msgspec.Struct):
    """The exposure. Commitments are by client order id, the rest by symbol.

    ``contracts`` is what one contract pays, for those that pay all or nothing; ``lots`` are the
    quantity steps of what was filled.
    """

    positions: dict[str, Position] = {}
    commitments: dict[str, Commitment] = {}
    marks: dict[str, Mark] = {}
    contracts: dict[str, Decimal] = {}
    day: int = 0
    day_start: Decimal = _ZERO
    lots: dict[str, Decimal] = {}

    def position(self, symbol: str) -> Position:
        return self.positions.get(symbol) or Position(symbol)

    def outstanding(self, symbol: str) -> list[tuple[str, Commitment]]:
        """The symbol's orders that may still fill, with their client ids."""
        return [(key, order) for key, order in self.commitments.items() if order.symbol == symbol]

    def bounds(self, symbol: str) -> Bounds:
        """What the position can become in the worst order of events.

        Reduce-only orders can bring it to zero and no further, and the others may fill after.
        """
        held = self.position(symbol).quantity
        orders = [order for _, order in self.outstanding(symbol)]
        buys = sum((o.outstanding for o in orders if o.side is Side.BUY and not o.reduce_only), _ZERO)
        sells = sum((o.outstanding for o in orders if o.side is Side.SELL and not o.reduce_only), _ZERO)
        covers = sum((o.outstanding for o in orders if o.side is Side.BUY and o.reduce_only), _ZERO)
        closes = sum((o.outstanding for o in orders if o.side is Side.SELL and o.reduce_only), _ZERO)
        low = max(held - closes, _ZERO) if held > 0 else held
        high = min(held + covers, _ZERO) if held < 0 else held
        return Bounds(low - sells, high + buys)

    def closable(self, symbol: str, side: Side) -> Decimal:
        """How much an order of ``side`` can surely take off the position, in base units."""
        held = self.position(symbol).quantity
        if held * side.sign >= 0:
            return _ZERO
        same = sum((o.outstanding for _, o in self.outstanding(symbol) if o.side is side), _ZERO)
        return max(abs(held) - same, _ZERO)

    def price(self, symbol: str) -> Decimal:
        """The price exposure is valued at: the mark, or the dearest price it was committed at."""
        return max(self._prices(symbol))

    def _prices(self, symbol: str) -> list[Decimal]:
        mark = self.marks.get(symbol)
        if mark is not None:
            return [mark.price]
        prices = [order.price for _, order in self.outstanding(symbol)]
        return [*prices, abs(self.position(symbol).average_price)]

    def exposure(self, symbol: str) -> Decimal:
        """Worst-case notional of one symbol."""
        return self.stake(symbol, self.bounds(symbol))

    def stake(self, symbol: str, bounds: Bounds, *prices: Decimal) -> Decimal:
        """What ``bounds`` put at stake, at the worst of the symbol's price and ``prices``."""
        known = [*self._prices(symbol), *prices]
        return bounds.stake(max(known), min(known), self.contracts.get(symbol))

    def symbols(self) -> list[str]:
        """Every symbol that is held or may come to be, in a fixed order; less than a lot is not held."""
        named = set(self.positions) | {order.symbol for order in self.commitments.values()}
        worst = {symbol: self.bounds(symbol).worst for symbol in named}
        return sorted(symbol for symbol in named if worst[symbol] > 0 and worst[symbol] >= self.lots.get(symbol, 0))

    def profit(self) -> Decimal:
        """Realised and unrealised profit over all time, with fees and payments."""
        total = _ZERO
        for symbol, position in self.positions.items():
            total += position.net
            if position.quantity:
                total += position.unrealized(self.price(symbol))
        return total

    def loss(self) -> Decimal:
        """What was lost since the UTC day began; negative is a gain."""
        return self.day_start - self.profit()

    def roll(self, now: int) -> None:
        """Begin a new UTC day's account, if ``now`` is in one."""
        day = now // _DAY_NS
        if day > self.day:
            self.day, self.day_start = day, self.profit()


def reserve(book: Book, order: ApprovedOrder, until_ns: int, worst: Decimal) -> None:
    """Hold the room a decision grants, until the bus confirms it or says otherwise."""
    known = book.commitments.get(order.client_id)
    if known is not None:
        known.until_ns = until_ns
        return
    book.commitments[order.client_id] = Commitment(
        signal_id=order.signal_id,
        strategy=order.strategy,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        price=worst,
        reduce_only=order.reduce_only,
        until_ns=until_ns,
    )


def confirm(book: Book, order: ApprovedOrder) -> None:
    """The approval is journaled: the order may be out from now on."""
    reserve(book, order, 0, order.price or order.reference_price)
    commitment = book.commitments[order.client_id]
    commitment.firm = True
    commitment.quantity, commitment.reduce_only = order.quantity, order.reduce_only


def order_changed(book: Book, event: OrderChanged) -> None:
    """Fold an order's new state; it is let go once it is final and its fills are in."""
    order = event.order
    commitment = book.commitments.get(order.client_id)
    if commitment is None:
        if order.status.final:
            return
        commitment = Commitment(
            event.signal_id,
            event.strategy,
            order.symbol,
            order.side,
            order.quantity,
            order.price or _ZERO,
            order.reduce_only,
            0,
            True,
            filled=order.filled,
        )
        book.commitments[order.client_id] = commitment
    commitment.firm = True
    commitment.status, commitment.reported = order.status, order.filled
    commitment.quantity = max(commitment.quantity, order.quantity)
    _let_go(book, order.client_id)


def filled(book: Book, event: Filled) -> None:
    """Fold a fill; the position after it is the exchange connection's."""
    fill = event.fill
    book.positions[fill.symbol] = event.position
    if event.lot:
        book.lots[fill.symbol] = event.lot
    mark = book.marks.get(fill.symbol)
    if mark is None or mark.recv_ns == 0:
        book.marks[fill.symbol] = Mark(fill.price, fill.price, fill.price, 0)
    commitment = book.commitments.get(fill.client_id)
    if commitment is not None:
        commitment.firm = True
        commitment.filled += fill.quantity
        _let_go(book, fill.client_id)


def repaired(book: Book, event: Repaired) -> None:
    """Fold what reconciliation made of a position, or an execution that was none of ours.

    A restated position is no gain or loss of the day, so the day's account moves with it.
    """
    if event.position is not None:
        before = book.profit()
        book.positions[event.symbol] = event.position
        book.day_start += book.profit() - before
    elif event.fill is not None:
        book.positions[event.symbol] = book.position(event.symbol).apply(event.fill)


def release(book: Book, signal_id: str) -> None:
    """The signal has ended: none of its orders can fill any more."""
    for client_id in [key for key, order in book.commitments.items() if order.signal_id == signal_id]:
        del book.commitments[client_id]


def lapse(book: Book, now: int) -> list[str]:
    """Drop the reservations the bus never confirmed; returns their signals."""
    dead = [(key, order) for key, order in book.commitments.items() if not order.firm and order.until_ns <= now]
    for client_id, _ in dead:
        del book.commitments[client_id]
    return [order.signal_id for _, order in dead]


def _let_go(book: Book, client_id: str) -> None:
    commitment = book.commitments[client_id]
    if commitment.status.final and commitment.outstanding == 0:
        del book.commitments[client_id]
