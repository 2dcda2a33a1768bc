"""Resting orders of one instrument in price-time priority."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from decimal import Decimal

from exchanges.matching.record import ZERO, OrderRecord
from exchanges.model.order import Side


class BookSide:
    """One side: price levels, the best first, and in each the orders that came first, first."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self._keys: list[Decimal] = []
        self._levels: dict[Decimal, dict[str, OrderRecord]] = {}

    def __bool__(self) -> bool:
        return bool(self._keys)

    def _key(self, price: Decimal) -> Decimal:
        return -price if self.side is Side.BUY else price

    def best(self) -> Decimal | None:
        """The best price, or ``None`` when the side is empty."""
        if not self._keys:
            return None
        return -self._keys[0] if self.side is Side.BUY else self._keys[0]

    def add(self, record: OrderRecord) -> None:
        """Put a limit order last in the queue of its price."""
        price = _limit(record)
        level = self._levels.get(price)
        if level is None:
            level = self._levels[price] = {}
            insort(self._keys, self._key(price))
        level[record.id] = record

    def remove(self, record: OrderRecord) -> None:
        price = _limit(record)
        level = self._levels[price]
        del level[record.id]
        if not level:
            del self._levels[price]
            self._keys.pop(bisect_left(self._keys, self._key(price)))

    def at(self, price: Decimal) -> list[OrderRecord]:
        """The orders at ``price``, first come first; a copy that may outlive changes."""
        return list(self._levels.get(price, {}).values())

    def quantity_at(self, price: Decimal) -> Decimal:
        return sum((record.open for record in self._levels.get(price, {}).values()), ZERO)

    def quantity_of_others(self, price: Decimal, account: str) -> Decimal:
        """What stands at ``price`` and isn't of ``account``."""
        return sum((r.open for r in self._levels.get(price, {}).values() if r.account != account), ZERO)

    def prices(self) -> Iterator[Decimal]:
        """All prices, the best first."""
        for key in self._keys:
            yield -key if self.side is Side.BUY else key

    def prices_until(self, limit: Decimal) -> list[Decimal]:
        """The prices at ``limit`` or better, the best first."""
        end = self._key(limit)
        return [-key if self.side is Side.BUY else key for key in self._keys if key <= end]


class Book:
    """Both sides. It is never crossed: what would cross is matched before it rests."""

    def __init__(self) -> None:
        self.bids = BookSide(Side.BUY)
        self.asks = BookSide(Side.SELL)

    def side(self, side: Side) -> BookSide:
        return self.bids if side is Side.BUY else self.asks


def _limit(record: OrderRecord) -> Decimal:
    if record.price is None:
        raise ValueError(
            f"expected a limit order in the book, found market order {record.id}; market orders never rest"
        )
    return record.price
