"""The matching engine of an exchange whose markets can pause."""

from __future__ import annotations

from exchanges.matching.engine import MatchingEngine
from exchanges.matching.record import NOTHING, Changes
from exchanges.model.order import Side


class EventEngine(MatchingEngine):
    """Where a market takes no orders, nothing trades: what rests through a pause isn't filled in it.

    A first price is taken all the same: positions of a market that is closed have a mark after a restart.
    """

    def on_trade(self, symbol: str, price: float, size: float, taker: Side, now_ns: int) -> Changes:
        market = self.markets.get(symbol)
        if market is not None and not market.instrument.trading and market.external.last_price:
            return NOTHING
        return super().on_trade(symbol, price, size, taker, now_ns)
