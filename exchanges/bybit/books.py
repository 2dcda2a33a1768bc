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
        """Take in a snapshot or a delta; ``False`` if it can't be used (stale, or no snapshot yet)."""
        data = message.data
        if message.type == "snapshot":
            self.bids = {float(price): float(size) for price, size in data.b if float(size)}
            self.asks = {float(price): float(size) for price, size in data.a if float(size)}
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
    for price, size in levels:
        amount = float(size)
        if amount:
            side[float(price)] = amount
        else:
            side.pop(float(price), None)
