"""The newest prices of each symbol, as the connection's own market data has them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from exchanges.model.flow import Direction, Source, Trigger
from exchanges.model.market import Book, MarketData, Quote, Ticker, last_price
from exchanges.model.order import Side


class Prices:
    """Not part of a snapshot: what was seen before a crash is no price to act on.

    Args:
        age_ns: A price that came longer ago than this counts as none.
    """

    def __init__(self, age_ns: int) -> None:
        self._age_ns = age_ns
        self._seen: dict[tuple[str, Source], tuple[float, int]] = {}

    def take(self, data: MarketData, now: int) -> None:
        """Remember what one piece of market data says."""
        symbol = data.symbol
        if isinstance(data, Ticker):
            self._put(symbol, Source.MARK, data.mark, now)
            return
        if isinstance(data, Quote):
            self._put(symbol, Source.BID, data.bid, now)
            self._put(symbol, Source.ASK, data.ask, now)
        elif isinstance(data, Book):
            if data.bids and data.asks:
                self._put(symbol, Source.BID, data.bids[0][0], now)
                self._put(symbol, Source.ASK, data.asks[0][0], now)
        else:
            self._put(symbol, Source.LAST, last_price(data), now)

    def last(self, symbol: str, price: float, now: int) -> None:
        """Remember a last price that came without market data."""
        self._put(symbol, Source.LAST, price, now)

    def absorb(self, data: Sequence[MarketData]) -> None:
        """Remember what many pieces of data say, each as of when it was received: of each kind the newest prices."""
        newest: dict[type[MarketData], MarketData] = {}
        for each in data:
            if last_price(each) > 0 or isinstance(each, Ticker):
                newest.pop(type(each), None)
                newest[type(each)] = each
        for each in newest.values():
            self.take(each, each.recv_ns)

    def _put(self, symbol: str, source: Source, price: float, now: int) -> None:
        if price > 0:
            self._seen[symbol, source] = (price, now)

    def get(self, symbol: str, source: Source, now: int) -> Decimal | None:
        """The price, if one came lately; without quotes the last price stands for them, and the reverse."""
        found = self._fresh(symbol, source, now)
        if found is None and source in (Source.BID, Source.ASK):
            found = self._fresh(symbol, Source.LAST, now)
        elif found is None and source is Source.LAST:
            bid, ask = self._fresh(symbol, Source.BID, now), self._fresh(symbol, Source.ASK, now)
            found = (bid + ask) / 2 if bid and ask else None
        return Decimal(str(found)) if found is not None else None

    def _fresh(self, symbol: str, source: Source, now: int) -> float | None:
        price, at = self._seen.get((symbol, source), (0.0, 0))
        return price if price > 0 and now - at <= self._age_ns else None

    def own(self, symbol: str, side: Side, now: int) -> Decimal | None:
        """The best price of ``side``'s own side of the book."""
        return self.get(symbol, Source.BID if side is Side.BUY else Source.ASK, now)

    def met(self, trigger: Trigger, symbol: str, now: int) -> str:
        """How a trigger is met now; empty if it isn't."""
        name = trigger.symbol or symbol
        price = self.get(name, trigger.source, now)
        if price is None:
            return ""
        above = trigger.direction is Direction.ABOVE
        if not (price >= trigger.price if above else price <= trigger.price):
            return ""
        return f"{name} {trigger.source.value}={price} {trigger.direction.value} {trigger.price}"
