"""Order books kept from snapshots and deltas, by price level."""

from __future__ import annotations

import heapq

from exchanges.bybit import wire
from exchanges.model.market import Book, Quote


class OrderBook:
    """One symbol's book at one depth. Prices and sizes are float64."""

    __slots__ = ("asks", "bids", "symbol", "update", "valid")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.bids: dict[float, float] = {}
        self.asks: dict[float, float] = {}
        self.update = 0
        self.valid = False

    def apply(self, message: wire.BookMessage) -> bool:
        """Take in a snapshot or a delta; ``False`` if it can't be used (stale, or no snapshot yet).

        A book whose sides cross, or of which a part could not be read, is not ``valid`` until the next snapshot.

        Raises:
            ValueError: a price or size is none.
        """
        try:
            return self._apply(message)
        except ValueError:
            self.valid = False
            raise

    def _apply(self, message: wire.BookMessage) -> bool:
        data = message.data
        if message.type == "snapshot":
            self.bids = {wire.price(at): wire.size(many) for at, many in data.b if wire.size(many)}
            self.asks = {wire.price(at): wire.size(many) for at, many in data.a if wire.size(many)}
            self.valid = True
        elif not self.valid or data.u <= self.update:
            return False
        else:
            _merge(self.bids, data.b)
            _merge(self.asks, data.a)
        self.update = data.u
        if self.bids and self.asks and max(self.bids) >= min(self.asks):
            self.valid = False
            return False
        return True

    def quote(self, ts_ns: int, recv_ns: int) -> Quote | None:
        """The best bid and ask, ``None`` while a side is empty."""
        if not self.bids or not self.asks:
            return None
        bid, ask = max(self.bids), min(self.asks)
        return Quote(self.symbol, 0, 0, ts_ns, recv_ns, bid, self.bids[bid], ask, self.asks[ask])

    def book(self, ts_ns: int, recv_ns: int, levels: int) -> Book:
        """The best ``levels`` of each side."""
        bids = tuple((price, self.bids[price]) for price in heapq.nlargest(levels, self.bids))
        asks = tuple((price, self.asks[price]) for price in heapq.nsmallest(levels, self.asks))
        return Book(self.symbol, 0, 0, ts_ns, recv_ns, bids, asks)


def _merge(side: dict[float, float], levels: list[tuple[str, str]]) -> None:
    """Size 0 removes a level; removing one that isn't there changes nothing."""
    for at, many in levels:
        amount = wire.size(many)
        if amount:
            side[wire.price(at)] = amount
        else:
            side.pop(wire.price(at), None)
