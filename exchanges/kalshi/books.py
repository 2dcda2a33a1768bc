"""One YES book for each market, kept from snapshots and deltas of both legs."""

from __future__ import annotations

import heapq
from decimal import Decimal

from exchanges.kalshi.amounts import WireError
from exchanges.kalshi.direction import complement
from exchanges.kalshi.market import Levels
from exchanges.model.market import Book, Quote

_ZERO = Decimal(0)


class YesBook:
    """Bids and asks of YES, by exact price. A bid for NO at ``q`` is an ask at ``1 - q``.

    ``valid`` turns false when a delta can't be true of the book we have; a snapshot makes it
    valid again. While it is ``crossed`` a change is under way, level by level, or something is
    wrong: nothing of it is given then.
    """

    __slots__ = ("asks", "bids", "symbol", "valid")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.bids: Levels = {}
        self.asks: Levels = {}
        self.valid = False

    def replace(self, bids: Levels, asks: Levels) -> bool:
        """Take a snapshot; ``False`` if it crosses, which no true one does."""
        self.bids, self.asks = bids, asks
        self.valid = not self.crossed
        return self.valid

    def change(self, side: str, price: Decimal, delta: Decimal, *, yes_scale: bool) -> bool:
        """Add ``delta`` contracts to a level of leg ``side``; ``False`` if less than nothing would be left.

        With ``yes_scale`` levels of NO come in prices of YES, otherwise in prices of NO.
        """
        if not self.valid:
            return False
        if side not in ("yes", "no"):
            raise WireError(f"expected side yes or no, found {side!r}")
        levels = self.bids if side == "yes" else self.asks
        at = complement(price) if side == "no" and not yes_scale else price
        left = levels.get(at, _ZERO) + delta
        if left > 0:
            levels[at] = left
        else:
            levels.pop(at, None)
        self.valid = left >= 0
        return self.valid

    @property
    def crossed(self) -> bool:
        """Whether somebody bids as much as somebody asks."""
        return bool(self.bids and self.asks) and max(self.bids) >= min(self.asks)

    @property
    def best_bid(self) -> Decimal | None:
        return max(self.bids) if self.valid and self.bids and not self.crossed else None

    @property
    def best_ask(self) -> Decimal | None:
        return min(self.asks) if self.valid and self.asks and not self.crossed else None

    def quote(self, ts_ns: int, recv_ns: int) -> Quote | None:
        """The best bid and ask, ``None`` while a side is empty."""
        bid, ask = self.best_bid, self.best_ask
        if bid is None or ask is None:
            return None
        sizes = float(self.bids[bid]), float(self.asks[ask])
        return Quote(self.symbol, 0, 0, ts_ns, recv_ns, float(bid), sizes[0], float(ask), sizes[1])

    def book(self, ts_ns: int, recv_ns: int, levels: int) -> Book:
        """The best ``levels`` of each side."""
        bids = tuple((float(price), float(self.bids[price])) for price in heapq.nlargest(levels, self.bids))
        asks = tuple((float(price), float(self.asks[price])) for price in heapq.nsmallest(levels, self.asks))
        return Book(self.symbol, 0, 0, ts_ns, recv_ns, bids, asks)
