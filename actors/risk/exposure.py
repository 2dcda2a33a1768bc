"""The worst-case exposure of every symbol, reckoned in one pass over the book."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from actors.risk.book import Book, Bounds, Commitment, reach
from exchanges.model.order import Side
from exchanges.model.position import Position

_ZERO = Decimal(0)


class Line(msgspec.Struct, frozen=True):
    """One symbol in dollars: what it can come to ``long`` and ``short``, each at its worst price."""

    symbol: str
    bounds: Bounds
    long: Decimal
    short: Decimal

    @property
    def stake(self) -> Decimal:
        """The worse of the two."""
        return max(self.long, self.short)

    @property
    def venue(self) -> str:
        return self.symbol.partition(":")[0]


class Sheet:
    """A line for each symbol that is held or may come to be, in a fixed order."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._orders: dict[str, list[Commitment]] = {}
        for order in book.commitments.values():
            self._orders.setdefault(order.symbol, []).append(order)
        held = {symbol for symbol, position in book.positions.items() if position.quantity}
        self.lines: dict[str, Line] = {}
        for symbol in sorted(held | self._orders.keys()):
            line = self._line(symbol, self.bounds(symbol))
            if line.bounds.worst > 0:
                self.lines[symbol] = line

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
        return self._line(symbol, reached, *prices)

    def line(self, symbol: str) -> Line:
        """The symbol's line as it is."""
        return self.lines.get(symbol) or self._line(symbol, self.bounds(symbol))

    def strategy(self, strategy: str, holdings: dict[str, Position]) -> dict[str, Decimal]:
        """What one strategy's own holdings and orders can come to in dollars, by symbol.

        ``holdings`` are by ``strategy|symbol``. An exit of its own only lowers it.
        """
        own = f"{strategy}|"
        held = {key.removeprefix(own): one.quantity for key, one in holdings.items() if key.startswith(own)}
        mine = {symbol: [o for o in orders if o.strategy == strategy] for symbol, orders in self._orders.items()}
        named = sorted(held.keys() | {symbol for symbol, orders in mine.items() if orders})
        return {
            symbol: self._line(symbol, reach(held.get(symbol, _ZERO), mine.get(symbol, ()))).stake for symbol in named
        }

    def _line(self, symbol: str, bounds: Bounds, *prices: Decimal) -> Line:
        book = self._book
        known, rate, contract = [*book.prices(symbol), *prices], book.rate(symbol), book.contracts.get(symbol)
        dearest = max(known)
        lost = dearest if contract is None else contract - min(known)
        return Line(symbol, bounds, max(bounds.high * dearest, _ZERO) * rate, max(-bounds.low * lost, _ZERO) * rate)
