"""Sums over fills that the engine's books don't hold: by the side of liquidity, by market."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from exchanges.matching.record import ZERO, Changes, Execution
from exchanges.model.order import Fill, Side

ONE = Decimal(1)


class OrderTally:
    """What one order's fills cost, in dollars, as taker and as maker."""

    __slots__ = ("maker_cost", "maker_fees", "taker_cost", "taker_fees")

    def __init__(self) -> None:
        self.taker_cost = self.maker_cost = self.taker_fees = self.maker_fees = ZERO

    def add(self, done: Execution) -> None:
        cost = outlay(done.fill)
        if done.is_maker:
            self.maker_cost += cost
            self.maker_fees += done.fill.fee
        else:
            self.taker_cost += cost
            self.taker_fees += done.fill.fee


NO_FILLS = OrderTally()


class Tallies:
    """Kept up to date as a listener of the venue, made anew from the stored executions."""

    def __init__(self, executions: Iterable[Execution]) -> None:
        self._orders: dict[str, OrderTally] = {}
        self._traded: dict[tuple[str, str], Decimal] = {}
        self._updated: dict[tuple[str, str], int] = {}
        for done in executions:
            self._add(done)

    def note(self, changes: Changes) -> None:
        for done in changes.executions:
            self._add(done)

    def _add(self, done: Execution) -> None:
        fill, key = done.fill, (done.account, done.fill.symbol)
        self._updated[key] = fill.ts_ns
        if done.settlement:
            return
        self._orders.setdefault(fill.venue_id, OrderTally()).add(done)
        self._traded[key] = self._traded.get(key, ZERO) + outlay(fill)

    def order(self, order_id: str) -> OrderTally:
        return self._orders.get(order_id, NO_FILLS)

    def traded(self, account: str, symbol: str) -> Decimal:
        """What the account's fills in a market cost in all."""
        return self._traded.get((account, symbol), ZERO)

    def updated_ns(self, account: str, symbol: str) -> int:
        """When the account's position last changed."""
        return self._updated.get((account, symbol), 0)


def outlay(fill: Fill) -> Decimal:
    """What a fill's contracts cost: a bid's YES at its price, an ask's NO at what is missing to $1."""
    return fill.quantity * (fill.price if fill.side is Side.BUY else ONE - fill.price)
