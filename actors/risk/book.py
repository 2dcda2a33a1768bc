"""What is held and what may yet be: positions, outstanding orders, marks, the day's loss."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from actors.messages.orders import Filled, FlowEnded, LegPlanned, OrderChanged, Repaired
from actors.messages.signals import ApprovedOrder
from actors.names import pair
from exchanges.model.flow import protects
from exchanges.model.order import Fill, Order, OrderStatus, Side
from exchanges.model.position import Position

_ZERO, _ONE = Decimal(0), Decimal(1)
DAY_NS = 86_400 * 1_000_000_000


class Mark(msgspec.Struct, frozen=True):
    """The last price of a symbol; ``recv_ns`` is 0 for the price of a fill."""

    price: Decimal
    bid: Decimal
    ask: Decimal
    recv_ns: int


class Commitment(msgspec.Struct):
    """An order that may still fill. ``firm`` once its approval is journaled.

    ``price`` is the worst price it was approved at. ``until_ns`` ends a reservation the bus
    never confirms. A flow's approval is one commitment, until its entry has ended; its orders are
    commitments of no size, kept for their state, but for the exits that follow an entry. ``waits``:
    exits that wait for their price, and stand in no other exit's way.

    Fills are told in any order. ``passed``, of a reduce-only order, is what other orders have taken
    the same way since it may be out: it may have filled before them, and be told of after.
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
    waits: bool = False
    passed: Decimal = _ZERO

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


def reach(held: Decimal, orders: Iterable[Commitment]) -> Bounds:
    """What a position can become in the worst order of events.

    Reduce-only orders can bring it to zero and no further, and the others may fill after, or may have
    filled after: then what they were brought to zero from is more than is held by now.
    """
    buys = sells = covers = closes = over = under = _ZERO
    for order in orders:
        left = order.outstanding
        if not order.reduce_only:
            buys, sells = (buys + left, sells) if order.side is Side.BUY else (buys, sells + left)
        elif order.side is Side.BUY:
            covers, under = covers + left, max(under, order.passed)
        else:
            closes, over = closes + left, max(over, order.passed)
    low = held - min(closes, max(held + over, _ZERO))
    high = held + min(covers, max(under - held, _ZERO))
    return Bounds(low - sells, high + buys)


class Book(msgspec.Struct):
    """The exposure. Commitments are by client order id, the rest by symbol.

    ``contracts`` is what one contract pays, for those that pay all or nothing. ``frames`` are the
    flows under way: by signal, the client id its approval bears. ``lots`` are the quantity steps of
    what was filled.
    """

    positions: dict[str, Position] = {}
    commitments: dict[str, Commitment] = {}
    marks: dict[str, Mark] = {}
    contracts: dict[str, Decimal] = {}
    frames: dict[str, str] = {}
    day: int = 0
    day_start: Decimal = _ZERO
    lots: dict[str, Decimal] = {}
    rates: dict[str, Decimal] = {}
    """What one unit of a symbol's quote currency counts as in dollars, where that is known; 1 elsewhere."""
    owners: dict[str, str] = {}
    """By signal of a flow under way whose it is, ``strategy|symbol``."""

    def position(self, symbol: str) -> Position:
        return self.positions.get(symbol) or Position(symbol)

    def outstanding(self, symbol: str) -> list[tuple[str, Commitment]]:
        """The symbol's orders that may still fill, with their client ids."""
        return [(key, order) for key, order in self.commitments.items() if order.symbol == symbol]

    def bounds(self, symbol: str) -> Bounds:
        """What the position can become in the worst order of events; see ``reach``."""
        return reach(self.position(symbol).quantity, [order for _, order in self.outstanding(symbol)])

    def closable(self, symbol: str, side: Side) -> Decimal:
        """How much an order of ``side`` can surely take off the position, in base units."""
        held = self.position(symbol).quantity
        if held * side.sign >= 0:
            return _ZERO
        orders = [order for _, order in self.outstanding(symbol) if order.side is side and not order.waits]
        same = sum((order.outstanding for order in orders), _ZERO)
        return max(abs(held) - same, _ZERO)

    def leaving(self, strategy: str, symbol: str, side: Side) -> Decimal:
        """What a strategy's own orders of ``side`` may still come to, in base units."""
        own = [order for _, order in self.outstanding(symbol) if order.strategy == strategy and order.side is side]
        return sum((order.outstanding for order in own), _ZERO)

    def price(self, symbol: str) -> Decimal:
        """The price exposure is valued at: the mark, or the dearest price it was committed at."""
        return max(self.prices(symbol))

    def prices(self, symbol: str) -> list[Decimal]:
        """The prices exposure may have to be valued at; none may be the better one."""
        mark = self.marks.get(symbol)
        if mark is not None:
            return [mark.price]
        prices = [order.price for _, order in self.outstanding(symbol)]
        return [*prices, abs(self.position(symbol).average_price)]

    def exposure(self, symbol: str) -> Decimal:
        """Worst-case notional of one symbol, in dollars."""
        return self.stake(symbol, self.bounds(symbol))

    def stake(self, symbol: str, bounds: Bounds, *prices: Decimal) -> Decimal:
        """What ``bounds`` put at stake in dollars, at the worst of the symbol's price and ``prices``."""
        known = [*self.prices(symbol), *prices]
        return bounds.stake(max(known), min(known), self.contracts.get(symbol)) * self.rate(symbol)

    def rate(self, symbol: str) -> Decimal:
        """What one unit of the symbol's quote currency counts as, in dollars."""
        return self.rates.get(symbol, _ONE)

    def symbols(self) -> list[str]:
        """Every symbol that is held or may come to be, in a fixed order; less than a lot is not held."""
        named = set(self.positions) | {order.symbol for order in self.commitments.values()}
        worst = {symbol: self.bounds(symbol).worst for symbol in named}
        return sorted(symbol for symbol in named if worst[symbol] > 0 and worst[symbol] >= self.lots.get(symbol, 0))

    def profit(self) -> Decimal:
        """Realised and unrealised profit over all time, with fees and payments, in dollars."""
        total = _ZERO
        for symbol, position in self.positions.items():
            own = position.net
            if position.quantity:
                own += position.unrealized(self.price(symbol))
            total += own * self.rate(symbol)
        return total

    def loss(self) -> Decimal:
        """What was lost since the UTC day began; negative is a gain."""
        return self.day_start - self.profit()

    def roll(self, now: int) -> None:
        """Begin a new UTC day's account, if ``now`` is in one."""
        day = now // DAY_NS
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
        waits=protects(order.flow),
    )


def confirm(book: Book, order: ApprovedOrder) -> None:
    """The approval is journaled: the order may be out from now on."""
    reserve(book, order, 0, order.price or order.reference_price)
    commitment = book.commitments[order.client_id]
    commitment.firm = True
    commitment.quantity, commitment.reduce_only = order.quantity, order.reduce_only
    if order.flow is not None:
        book.frames[order.signal_id] = order.client_id
        book.owners[order.signal_id] = pair(order.strategy, order.symbol)


def leg_planned(book: Book, event: LegPlanned) -> None:
    """A flow's next order may be out from now on; what it can come to is in the flow's own commitment.

    Not so an exit that follows an entry: it is one of its own, which waits for its price.
    """
    if event.signal_id in book.frames:
        order, exits = event.order, _exits(book, event.signal_id, event.order)
        book.commitments[order.client_id] = Commitment(
            signal_id=event.signal_id,
            strategy=event.strategy,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity if exits else _ZERO,
            price=order.price or _ZERO,
            reduce_only=order.reduce_only,
            until_ns=0,
            firm=True,
            waits=exits,
        )


def _exits(book: Book, signal_id: str, order: Order) -> bool:
    """Whether an order of a flow under way closes what the flow's entry has got."""
    frame = book.commitments.get(book.frames[signal_id])
    return order.reduce_only and (frame is None or frame.side is not order.side)


def order_changed(book: Book, event: OrderChanged) -> None:
    """Fold an order's new state; it is let go once it is final and its fills are in."""
    order = event.order
    exits = event.signal_id in book.frames and _exits(book, event.signal_id, order)
    leg = event.signal_id in book.frames and not exits
    commitment = book.commitments.get(order.client_id)
    if commitment is None:
        if order.status.final:
            return
        commitment = Commitment(
            event.signal_id,
            event.strategy,
            order.symbol,
            order.side,
            _ZERO if leg else order.quantity,
            order.price or _ZERO,
            order.reduce_only,
            0,
            True,
            filled=order.filled,
            waits=exits,
        )
        book.commitments[order.client_id] = commitment
    commitment.firm = True
    commitment.status = order.status
    if not leg:
        commitment.reported = order.filled
        commitment.quantity = max(commitment.quantity, order.quantity)
    _let_go(book, order.client_id)


def filled(book: Book, event: Filled) -> None:
    """Fold a fill; the position after it is the exchange connection's."""
    fill = event.fill
    _pass_by(book, fill)
    book.positions[fill.symbol] = event.position
    if event.lot:
        book.lots[fill.symbol] = event.lot
    mark = book.marks.get(fill.symbol)
    if mark is None or mark.recv_ns == 0:
        book.marks[fill.symbol] = Mark(fill.price, fill.price, fill.price, 0)
    frame = book.commitments.get(book.frames.get(event.signal_id, ""))
    if frame is not None and frame.side is fill.side:
        frame.filled += fill.quantity
    elif fill.client_id in book.commitments:
        commitment = book.commitments[fill.client_id]
        commitment.firm = True
        commitment.filled += fill.quantity
        _let_go(book, fill.client_id)


def _pass_by(book: Book, fill: Fill) -> None:
    """An order that isn't reduce-only has filled: those that are, the same way, may have done so before it."""
    own = book.commitments.get(fill.client_id)
    if own is None or not own.reduce_only:
        for _, order in book.outstanding(fill.symbol):
            if order.reduce_only and order.side is fill.side:
                order.passed += fill.quantity


def flow_ended(book: Book, event: FlowEnded) -> None:
    """Fold the end of a flow; the room its entry held is given back when its signal ends."""
    if not event.lives_on:
        exits = _exits_of(book, event.signal_id)
        _end(book, event.signal_id)
        for client_id in exits:
            del book.commitments[client_id]


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


def release(book: Book, signal_id: str, *, executed: bool = False) -> None:
    """The signal has ended: none of its orders can fill any more, but for the exits of a flow that was executed."""
    kept = _exits_of(book, signal_id) if executed else set()
    if not executed:
        _end(book, signal_id)
    for client_id in [key for key, order in book.commitments.items() if order.signal_id == signal_id]:
        if client_id not in kept:
            del book.commitments[client_id]


def _end(book: Book, signal_id: str) -> None:
    """A flow is under way no more."""
    book.frames.pop(signal_id, None)
    book.owners.pop(signal_id, None)


def _exits_of(book: Book, signal_id: str) -> set[str]:
    """The orders of a flow under way that close what its entry has got."""
    frame = book.frames.get(signal_id)
    if frame is None:
        return set()
    own = ((key, order) for key, order in book.commitments.items() if order.signal_id == signal_id and key != frame)
    return {key for key, order in own if order.reduce_only and order.waits}


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
