"""The external market: what the venue's other participants offer, as market data shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import ROUND_DOWN, Decimal
from typing import Protocol

from exchanges.matching.record import ZERO
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.order import Side

Level = tuple[Decimal, Decimal]
"""Price and quantity."""

UNLIMITED = Decimal(10) ** 15
_ONE = Decimal(1)


class Ladder:
    """One side's levels, best first, produced as far as they are needed.

    What a taker consumed stays consumed until fresh data brings a new ladder.
    """

    def __init__(self, supply: Callable[[int], Level], depth: int) -> None:
        """``supply(i)`` gives level ``i``; ``depth`` is how many there are."""
        self._supply = supply
        self._depth = depth
        self._levels: list[list[Decimal]] = []
        self._head = 0

    def thinned(self, instrument: Instrument, share: Decimal) -> Ladder:
        """The same prices with ``share`` of the sizes, at least a lot (of shares, a whole one)."""
        if share == 1:
            return self
        lot = max(instrument.lot, _ONE) if instrument.kind is ContractKind.EQUITY else instrument.lot

        def supply(index: int) -> Level:
            price, size = self._supply(index)
            return price, max((size * share / lot).to_integral_value(ROUND_DOWN), _ONE) * lot

        return Ladder(supply, self._depth)

    def _level(self, index: int) -> list[Decimal] | None:
        if index >= self._depth:
            return None
        while len(self._levels) <= index:
            self._levels.append(list(self._supply(len(self._levels))))
        return self._levels[index]

    def best(self) -> Decimal | None:
        """The best price with something left."""
        level = self._level(self._head)
        while level is not None and level[1] <= 0:
            self._head += 1
            level = self._level(self._head)
        return level[0] if level is not None else None

    def take(self, quantity: Decimal) -> Decimal:
        """Consume up to ``quantity`` of the best level; returns how much there was."""
        if self.best() is None:
            return ZERO
        level = self._levels[self._head]
        taken = min(quantity, level[1])
        level[1] -= taken
        return taken

    def remaining(self) -> Iterator[Level]:
        """The levels with something left, best first."""
        index = self._head
        level = self._level(index)
        while level is not None:
            if level[1] > 0:
                yield level[0], level[1]
            index += 1
            level = self._level(index)

    def remaining_until(self, wanted: Decimal) -> Iterator[Level]:
        """The best levels that together hold ``wanted``, or all there are."""
        for price, size in self.remaining():
            yield price, size
            wanted -= size
            if wanted <= 0:
                return

    def size_at(self, price: Decimal) -> Decimal:
        """What stands at ``price``; beyond the known depth, as much as at the last known level."""
        first = self._level(0)
        if first is None:
            return ZERO
        descending = self._depth > 1 and (self._level(1) or first)[0] < first[0]
        last = first
        for index in range(self._depth):
            last = self._level(index) or last
            if last[0] == price:
                return last[1]
            if (last[0] < price) if descending else (last[0] > price):
                return ZERO
        return last[1] if self._depth > 1 else ZERO


EMPTY = Ladder(lambda index: (ZERO, ZERO), 0)


class DepthModel(Protocol):
    """Makes ladders where market data is trades alone."""

    def ladders(self, instrument: Instrument, last: Decimal, taker: Side, generation: int) -> tuple[Ladder, Ladder]:
        """Bids and asks around ``last``; ``taker`` is the last trade's taker side."""


class ExternalMarket:
    """The external side of one instrument.

    Levels come from a book, from a quote (its best level, and without limit one tick
    behind it), or, where only trades are known, from the depth model around the last one.
    """

    def __init__(self, instrument: Instrument, depth: DepthModel | None) -> None:
        self.instrument = instrument
        self.generation = 0
        self._depth = depth
        self._last = 0.0
        self._taker = Side.BUY
        self._bids = EMPTY
        self._asks = EMPTY
        self._stale = False
        self._quoted = False
        self._share = _ONE

    def traded(self, price: float, taker: Side) -> None:
        """Note the last trade. Without a book or quotes of its own the depth is fresh again."""
        self._last = price
        self._taker = taker
        self.generation += 1
        if not self._quoted:
            self._stale = True

    def passed(self, moves: int, price: float) -> None:
        """As many trades as that, the last at ``price``; ``traded`` must follow before a ladder is asked for."""
        self._last = price
        self.generation += moves

    def quoted(self, bid: Level, ask: Level) -> None:
        """Fresh best levels."""
        below, above = (self.instrument.tick_at(price) for price in (bid[0], ask[0]))
        self._bids = self._listed([bid, (bid[0] - below, UNLIMITED)])
        self._asks = self._listed([ask, (ask[0] + above, UNLIMITED)])
        self._quoted, self._stale = True, False
        self.generation += 1
        if not self._last:
            self._last = float((bid[0] + ask[0]) / 2)

    def booked(self, bids: list[Level], asks: list[Level]) -> None:
        """Fresh levels, best first."""
        self._bids, self._asks = self._listed(bids), self._listed(asks)
        self._quoted, self._stale = True, False
        self.generation += 1
        if not self._last and bids and asks:
            self._last = float((bids[0][0] + asks[0][0]) / 2)

    def exact(self, price: float) -> Decimal:
        """A market price as the exact multiple of the tick it stands for."""
        value = Decimal(repr(price))
        tick = self.instrument.tick_at(value)
        return (value / tick).to_integral_value() * tick

    @property
    def last(self) -> Decimal:
        """The last trade's price on the tick, 0 before there was any."""
        return self.exact(self._last) if self._last else ZERO

    @property
    def last_price(self) -> float:
        return self._last

    def thin(self, share: Decimal) -> None:
        """Leave ``share`` of the synthetic depth."""
        if share != self._share:
            self._share = share
            self._stale = not self._quoted and bool(self._last)

    def side(self, side: Side) -> Ladder:
        """The ladder of resting ``side`` orders: bids for ``BUY``."""
        if self._stale and self._depth is not None:
            bids, asks = self._depth.ladders(self.instrument, self.last, self._taker, self.generation)
            self._bids, self._asks = (side.thinned(self.instrument, self._share) for side in (bids, asks))
            self._stale = False
        return self._bids if side is Side.BUY else self._asks

    def _listed(self, levels: list[Level]) -> Ladder:
        """A ladder of the levels that can be traded at: none at 0, none at an event contract's full value."""
        top = self.instrument.contract_value if self.instrument.kind is ContractKind.BINARY_EVENT else UNLIMITED
        possible = [level for level in levels if 0 < level[0] < top]
        return Ladder(possible.__getitem__, len(possible))
