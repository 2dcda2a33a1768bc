"""The matching engine of a market that closes."""

from __future__ import annotations

from collections.abc import Callable

from exchanges.matching.engine import MatchingEngine
from exchanges.matching.liquidity import DepthModel
from exchanges.matching.market import Market
from exchanges.matching.record import NOTHING, Changes, OrderRecord
from exchanges.model.order import Side


class SessionEngine(MatchingEngine):
    """An engine that holds back the orders which may not trade now.

    ``admits`` says whether an order may trade at the moment, ``moves`` whether the external
    market of a symbol does. A held order is open, reserves what it needs, and isn't in the
    book; `turn` lets it in or takes it out when the answer has changed.
    """

    def __init__(self, *, depth: DepthModel | None = None, id_prefix: str = "") -> None:
        super().__init__(depth=depth, id_prefix=id_prefix)
        self.admits: Callable[[OrderRecord], bool] = lambda record: True
        self.moves: Callable[[str], bool] = lambda symbol: True

    @classmethod
    def adopting(cls, other: MatchingEngine, depth: DepthModel | None, now_ns: int) -> SessionEngine:
        """An engine with the instruments, accounts and orders of ``other``, and its last prices."""
        engine = cls(depth=depth)
        for market in other.markets.values():
            engine.list_instrument(market.instrument)
        orders = [record for name in other.accounts for record in other.orders(name)]
        engine.restore(other.counters(), other.accounts.values(), orders)
        for symbol, market in other.markets.items():
            if market.external.last_price:
                engine.on_trade(symbol, market.external.last_price, 0.0, Side.BUY, now_ns)
        engine._reserve_again(orders)  # of held market orders only now that there are prices
        return engine

    def _match(self, market: Market, record: OrderRecord, now: int, changes: Changes) -> None:
        if self.admits(record):
            super()._match(market, record, now, changes)

    def on_trade(self, symbol: str, price: float, size: float, taker: Side, now_ns: int) -> Changes:
        if not self.moves(symbol):
            return NOTHING
        return super().on_trade(symbol, price, size, taker, now_ns)

    def turn(self, now_ns: int) -> Changes:
        """Let in the held orders that may trade now, and take out of the book those that no longer may."""
        changes = Changes()
        for name in self.accounts:
            for record in self.working(name):
                admitted = self.admits(record)
                if admitted and not record.resting:
                    changes.touch(record)
                    super()._match(self.markets[record.symbol], record, now_ns, changes)
                elif record.resting and not admitted:
                    self.markets[record.symbol].withdraw(record)
                    record.resting = False
                    changes.touch(record)
        return self._settle(changes)
