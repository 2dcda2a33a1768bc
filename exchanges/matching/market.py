"""One instrument in the engine: its book, the external market, and its reduce-only orders."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from exchanges.matching.book import Book
from exchanges.matching.demand import is_paid
from exchanges.matching.liquidity import DepthModel, ExternalMarket, Level
from exchanges.matching.record import ZERO, OrderRecord
from exchanges.model.instrument import Instrument
from exchanges.model.order import Side


class Market:
    """Everything the engine holds for one instrument.

    ``external_quantity`` and ``external_cash`` are what the external market has gained
    from our accounts: with them quantity and cash of all sides add up to nothing.
    ``working`` are the open orders by account where positions are paid for; ``marked`` is the
    venue's own mark price, where it has one; ``stops`` are the orders whose trigger has not been met.
    While it is ``silent`` there is no price to trade at: orders are ``waiting`` for the next one.
    """

    def __init__(self, instrument: Instrument, depth: DepthModel | None) -> None:
        self.instrument = instrument
        self.book = Book()
        self.external = ExternalMarket(instrument, depth)
        self.reduce_only: dict[str, OrderRecord] = {}
        self.external_quantity = ZERO
        self.external_cash = ZERO
        self.paid = is_paid(instrument)
        self.working: dict[str, dict[str, OrderRecord]] = {}
        self.marked = ZERO
        self.stops: dict[str, OrderRecord] = {}
        self.silent = False
        self.waiting: dict[str, OrderRecord] = {}

    def relist(self, instrument: Instrument) -> None:
        """Go on with other trading hours, fees or steps."""
        self.instrument = self.external.instrument = instrument

    def enter(self, record: OrderRecord) -> None:
        """Note an order that is open, in the book or not."""
        if self.paid:
            self.working.setdefault(record.account, {})[record.id] = record

    def leave(self, record: OrderRecord) -> None:
        """Forget an order that has ended."""
        self.working.get(record.account, {}).pop(record.id, None)

    def rest(self, record: OrderRecord) -> None:
        self.book.side(record.side).add(record)
        if record.reduce_only:
            self.reduce_only[record.id] = record

    def withdraw(self, record: OrderRecord) -> None:
        self.book.side(record.side).remove(record)
        self.reduce_only.pop(record.id, None)

    def wait(self, record: OrderRecord) -> None:
        """Keep an order until its trigger is met: it is in no book, and nobody sees it."""
        record.waiting = True
        self.stops[record.id] = record
        if record.reduce_only:
            self.reduce_only[record.id] = record

    def release(self, record: OrderRecord) -> None:
        """Its trigger is met, or it has ended without that."""
        record.waiting = False
        del self.stops[record.id]
        self.reduce_only.pop(record.id, None)

    def mark(self) -> Decimal:
        """The venue's mark price, or the last trade's, or the middle of the best prices, or 0."""
        if self.marked:
            return self.marked
        last = self.external.last
        if last:
            return last
        bid, ask = self.book.bids.best(), self.book.asks.best()
        if bid is not None and ask is not None:
            return (bid + ask) / 2
        return bid or ask or ZERO

    def best(self, side: Side) -> Decimal | None:
        """The best price a taker finds on ``side``, from the book or the external market."""
        own, external = self.book.side(side).best(), self.external.side(side).best()
        if own is None or external is None:
            return external if own is None else own
        return max(own, external) if side is Side.BUY else min(own, external)

    def crossing(self, side: Side, price: Decimal) -> bool:
        """Whether an order of ``side`` at ``price`` would take."""
        opposite = self.best(side.opposite)
        if opposite is None:
            return False
        return opposite <= price if side is Side.BUY else opposite >= price

    def worst(self, side: Side, account: str, wanted: Decimal) -> Decimal:
        """The price an order of ``side`` for ``wanted`` would reach without a limit; the mark where nothing is."""
        levels = dict(self.external.side(side.opposite).remaining_until(wanted))
        book_side = self.book.side(side.opposite)
        for price in book_side.prices():
            levels[price] = levels.get(price, ZERO) + book_side.quantity_of_others(price, account)
        reached = ZERO
        for price in sorted(levels, reverse=side is Side.SELL):
            reached += levels[price]
            if reached >= wanted:
                return price
        return max(levels, key=lambda p: p * side.sign) if levels else self.mark()

    def available(
        self,
        side: Side,
        limit: Decimal | None,
        account: str,
        wanted: Decimal,
        reducible: Callable[[str, Side], Decimal],
    ) -> Decimal:
        """What ``account`` could take with an order of ``side`` up to ``limit``, at most ``wanted``.

        Its own orders don't count: they are cancelled, not matched. The reduce-only orders of another
        account fill no more in all than ``reducible`` says it can reduce.
        """
        total = ZERO
        for price, size in self.external.side(side.opposite).remaining():
            if total >= wanted or not within(side, price, limit):
                break
            total += size
        book_side = self.book.side(side.opposite)
        left: dict[str, Decimal] = {}
        for price in book_side.prices():
            if total >= wanted or not within(side, price, limit):
                break
            for resting in book_side.at(price):
                if resting.account == account:
                    continue
                rest = left.get(resting.account)
                if rest is None:
                    rest = reducible(resting.account, resting.side)
                fills = min(resting.open, rest) if resting.reduce_only else resting.open
                left[resting.account] = max(rest - fills, ZERO)
                total += fills
        return min(total, wanted)

    def depth(self, levels: int) -> tuple[list[Level], list[Level]]:
        """The visible book, best first: external levels and resting orders together.

        External levels that a resting order crosses are left out, so that what is shown
        is never crossed; the resting orders are what our accounts can trust.
        """
        return self._visible(Side.BUY, levels), self._visible(Side.SELL, levels)

    def _visible(self, side: Side, levels: int) -> list[Level]:
        own, other = self.book.side(side), self.book.side(side.opposite).best()
        shown: dict[Decimal, Decimal] = {}
        for price, size in self.external.side(side).remaining():
            if len(shown) >= levels:
                break
            if other is None or (price < other if side is Side.BUY else price > other):
                shown[price] = size
        for count, price in enumerate(own.prices()):
            if count >= levels:
                break
            shown[price] = shown.get(price, ZERO) + own.quantity_at(price)
        return sorted(shown.items(), reverse=side is Side.BUY)[:levels]


def within(side: Side, price: Decimal, limit: Decimal | None) -> bool:
    """Whether a taker of ``side`` with ``limit`` may trade at ``price``."""
    if limit is None:
        return True
    return price <= limit if side is Side.BUY else price >= limit
