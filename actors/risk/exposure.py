"""The worst-case exposure of every symbol, reckoned in one pass over the book."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from actors.risk.book import Book, Bounds, Commitment, Mark, reach
from exchanges.model.order import Side
from exchanges.model.position import Position

_ZERO = Decimal(0)


class Line(msgspec.Struct, frozen=True):
    """One symbol in dollars: what it can come to ``long`` and ``short``, each at its worst price, and the worse."""

    symbol: str
    venue: str
    bounds: Bounds
    long: Decimal
    short: Decimal
    stake: Decimal


class Worth(msgspec.Struct, frozen=True):
    """What a holding was worth at a mark; good for as long as both, and the rate, are the same."""

    position: Position
    mark: Mark | None
    rate: Decimal
    line: Line
    profit: Decimal


class Worths:
    """Holdings already valued: of fifty that are held, few have another price than at the signal before."""

    def __init__(self) -> None:
        self._known: dict[str, Worth] = {}

    def of(self, book: Book, key: str, position: Position) -> Worth:
        """The worth of a position, with no orders; ``key`` is the symbol, or a strategy's own part of it."""
        known, symbol = self._known.get(key), position.symbol
        mark, rate = book.marks.get(symbol), book.rate(symbol)
        if known is not None and known.position is position and known.mark is mark and known.rate == rate:
            return known
        profit = position.realized - position.fees
        if position.quantity:
            profit += position.unrealized(mark.price if mark is not None else book.price(symbol))
        at_rest = Bounds(min(position.quantity, _ZERO), max(position.quantity, _ZERO))
        worth = Worth(position, mark, rate, line_of(book, symbol, at_rest), profit * rate)
        if mark is not None:
            self._known[key] = worth
        return worth


class Sheet:
    """A line for each symbol that is held or may come to be, in a fixed order; ``profit`` is that of the book."""

    def __init__(self, book: Book, worths: Worths) -> None:
        self._book, self._worths = book, worths
        self._orders: dict[str, list[Commitment]] = {}
        for order in book.commitments.values():
            self._orders.setdefault(order.symbol, []).append(order)
        self.profit = _ZERO
        lines: dict[str, Line] = {}
        for symbol, position in book.positions.items():
            worth = worths.of(book, symbol, position)
            self.profit += worth.profit
            if position.quantity:
                lines[symbol] = worth.line
        for symbol in self._orders:
            lines[symbol] = line_of(book, symbol, self.bounds(symbol))
        self.lines = {symbol: lines[symbol] for symbol in sorted(lines) if lines[symbol].bounds.worst > 0}

    def bounds(self, symbol: str) -> Bounds:
        """What the symbol's position can become."""
        return reach(self._book.position(symbol).quantity, self._orders.get(symbol, ()))

    def after(self, symbol: str, side: Side, quantity: Decimal, prices: Iterable[Decimal]) -> Line:
        """The symbol's line with one order more, valued at the worst of its prices and the order's."""
        bounds = self.bounds(symbol)
        if side is Side.BUY:
            reached = Bounds(bounds.low, bounds.high + quantity)
        else:
            reached = Bounds(bounds.low - quantity, bounds.high)
        return line_of(self._book, symbol, reached, *prices)

    def line(self, symbol: str) -> Line:
        """The symbol's line as it is."""
        return self.lines.get(symbol) or line_of(self._book, symbol, self.bounds(symbol))

    def strategy(self, strategy: str, holdings: dict[str, Position]) -> Decimal:
        """What one strategy's own holdings and orders can come to in dollars, over all symbols.

        ``holdings`` are by ``strategy|symbol``. An exit of its own only lowers it.
        """
        own, total = f"{strategy}|", _ZERO
        mine = {
            symbol: [order for order in orders if order.strategy == strategy] for symbol, orders in self._orders.items()
        }
        for key, held in holdings.items():
            if key.startswith(own) and not mine.get(held.symbol):
                total += self._worths.of(self._book, key, held).line.stake
        for symbol, orders in mine.items():
            if orders:
                part = holdings.get(own + symbol)
                quantity = part.quantity if part is not None else _ZERO
                total += line_of(self._book, symbol, reach(quantity, orders)).stake
        return total


def line_of(book: Book, symbol: str, bounds: Bounds, *prices: Decimal) -> Line:
    """What ``bounds`` put at stake, at the worst of the symbol's price and ``prices``."""
    known, rate, contract = [*book.prices(symbol), *prices], book.rate(symbol), book.contracts.get(symbol)
    dearest = max(known)
    lost = dearest if contract is None else contract - min(known)
    long, short = max(bounds.high, _ZERO) * dearest * rate, max(-bounds.low, _ZERO) * lost * rate
    return Line(symbol, symbol.partition(":")[0], bounds, long, short, max(long, short))
