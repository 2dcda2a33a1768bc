"""A bar's way from its open to its close, where nothing finer is known and something waits for prices on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

from actors.exchange.flows.watching import Watched
from bigwheel.backtests.floor import Floor
from exchanges.matching.bars import path
from exchanges.model.market import Bar
from exchanges.model.order import Side
from exchanges.model.venue import PriceReport

Watching = Callable[[str], Sequence[Watched]]
"""What flows under way wait for in a symbol's price."""

_PARTS = 16
_TURNS = (4, 8, 12, 15)
"""The parts of a bar's length after which its open is left and its turns are reached, the close last.

What begins with the bar has time to get to the venue before the price moves, and what the close sets off before the
next bar opens.
"""
_CLOSE = len(_TURNS) - 1


class _Leg(NamedTuple):
    """The way to one turn: where it ends and when, what is traded on it and from which side."""

    price: float
    size: float
    taker: Side
    ends_ns: int


class Walk:
    """One bar, from the moment its first price is known.

    The market stands at the open. At each turn it is looked whether an order rests or a flow waits; if so the price
    moves to the next turn on a straight line in time, and stands on the way at each price that a flow waits for, which
    the connection is then told. Where nothing waits the market stays where it is, and the bar is taken as a whole when
    it is over. Of a leg's quarter of the volume each piece of the way has its share.
    """

    def __init__(self, floor: Floor, bar: Bar, watching: Watching) -> None:
        self._floor, self.bar, self._watching = floor, bar, watching
        self._instrument = floor.books.engine.markets[bar.symbol].instrument
        self._price = bar.open
        self._closed = not self._instrument.trading
        self._trades: list[tuple[float, float, Side]] = []
        self._leg: _Leg | None = None
        self._stage = -1
        self._over = self._awake = False
        self.moved = False
        """Whether the market has left the open."""

    @property
    def size(self) -> float:
        """What is traded at each of its four prices."""
        return next(size for _, size, _ in self._path())

    @property
    def taker(self) -> Side:
        """From which side the market comes to the close from where it stands."""
        return Side.BUY if self.bar.close > self._price else Side.SELL

    @property
    def done(self) -> bool:
        """Whether the market has come to the close."""
        return self.moved and self._stage == _CLOSE and self._leg is None and self._price == self.bar.close

    def begin(self) -> None:
        """Await the first turn, if something is under way that may wait for a price by then."""
        if self._works() or not self._floor.driver.quiet():
            self.wake()

    def wake(self) -> None:
        """Come to the turns that are still ahead, each at its time: a flow has begun."""
        if self._awake or self._over:
            return
        self._awake = True
        now, at = self._floor.driver.now, [self._at(stage) for stage in range(len(_TURNS))]
        ahead = next((stage for stage, due in enumerate(at) if due >= now), None)
        if ahead is not None:
            self._floor.at(at[ahead], self._turn, ahead)

    def end(self) -> None:
        """The bar is over."""
        self._over, self._leg = True, None

    def _at(self, stage: int) -> int:
        return self.bar.ts_ns + self.bar.interval_ns * _TURNS[stage] // _PARTS

    # -- turns -----------------------------------------------------------------------------

    def _turn(self, stage: int) -> None:
        """A turn of the bar is there: go on from it, if something waits."""
        if self._over:
            return
        if stage == 0 and self._closed:
            # The market opened with the bar, after its first price was there.
            self._floor.changed(self._floor.books.open_bar(self.bar.symbol, self.bar.open, self.size))
        leg, self._leg, self._stage = self._leg, None, stage
        if leg is not None:
            self._move(leg.price, leg.size, leg.taker)
        if stage == _CLOSE:
            return
        # What the price leads to is heard of by everyone first.
        self._floor.at(self._floor.driver.now, self._leave, stage)

    def _leave(self, stage: int) -> None:
        symbol = self.bar.symbol
        waiting = self._watching(symbol)
        if self._over or self._stage != stage:
            return
        needed = bool(waiting) or self._works()
        self._awake = needed or not self._floor.driver.quiet()
        if self._awake:
            self._floor.at(self._at(stage + 1), self._turn, stage + 1)
        if not needed:
            return
        if not self._trades:
            self._trades = self._path(_low_first(self.bar, waiting, first=stage == 0))
        price, size, taker = self._trades[stage + 1]
        if price != self._price:
            taker = Side.BUY if price > self._price else Side.SELL
        self._leg = _Leg(price, size, taker, self._at(stage + 1))
        self._onward(stage)

    def _works(self) -> bool:
        """Whether the venue has something to do on the way: for an order that rests, or a position that may fail."""
        books, bar = self._floor.books, self.bar
        return books.resting(bar.symbol) or not books.engine.carries(bar.symbol, bar.low, bar.high)

    def _path(self, low_first: bool | None = None) -> list[tuple[float, float, Side]]:
        return list(path(self.bar, self.bar.open, float(self._instrument.lot), low_first=low_first))

    # -- between them ----------------------------------------------------------------------

    def _onward(self, stage: int) -> None:
        """Set out for the next price that a flow waits for, if there is one before the turn."""
        leg = self._leg
        if self._over or self._stage != stage or leg is None:
            return
        level = self._next(leg)
        if level is not None:
            now = self._floor.driver.now
            part = (level - self._price) / (leg.price - self._price)
            at = min(now + int((leg.ends_ns - now) * part), leg.ends_ns - 1)
            self._floor.at(at, self._reach, stage, level, part)

    def _next(self, leg: _Leg) -> float | None:
        """The nearest price before the leg's end that a flow waits for, on the tick at which it is met."""
        ahead, symbol = leg.taker.sign, self.bar.symbol
        # A market that falls meets a price at the tick below it, one that rises at the tick above.
        levels = (level for each in self._watching(symbol) for level in each.levels)
        prices = [float(self._instrument.round_price(level, leg.taker.opposite)) for level in levels]
        prices += self._failing(leg)
        met = [price for price in prices if (price - self._price) * ahead > 0 and (leg.price - price) * ahead > 0]
        return min(met, key=lambda price: price * ahead) if met else None

    def _failing(self, leg: _Leg) -> list[float]:
        """Where it has to be looked next whether what is held is carried."""
        engine, symbol = self._floor.books.engine, self.bar.symbol
        if engine.carries(symbol, *sorted((self._price, leg.price))) or engine.markets[symbol].marked:
            return []
        falls, now = leg.taker is Side.SELL, Decimal(repr(self._price))
        least = now + leg.taker.sign * self._instrument.tick_at(now)
        edges = [Decimal(repr(found.low if falls else found.high)) for found in engine.carried(symbol)]
        beyond = [self._instrument.round_price(edge, leg.taker.opposite) for edge in edges]
        return [float(min(edge, least) if falls else max(edge, least)) for edge in beyond]

    def _reach(self, stage: int, price: float, part: float) -> None:
        """Stand at a price that is waited for."""
        leg = self._leg
        if self._over or self._stage != stage or leg is None:
            return
        self._move(price, leg.size * part, leg.taker)
        self._leg = leg._replace(size=leg.size * (1 - part))
        self._floor.at(self._floor.driver.now, self._onward, stage)

    def _move(self, price: float, size: float, taker: Side) -> None:
        """Trade at a price, and let the connection know it."""
        self.moved, self._price = True, price
        self._floor.changed(self._floor.books.walk(self.bar.symbol, price, size, taker))
        if self._watching(self.bar.symbol):
            self._floor.hear(PriceReport(self.bar.symbol, price))


def _low_first(bar: Bar, waiting: Sequence[Watched], *, first: bool) -> bool | None:
    """Which extreme comes first: where exits have both stop and target in the bar, the stop's side comes next.

    ``None`` leaves it to the bar: where there are none, or they differ. ``first`` says that no extreme is over yet.
    """
    low, high = bar.low, bar.high
    sides = {
        (float(each.stop) < float(each.target)) is first
        for each in waiting
        if each.stop is not None and each.target is not None
        if all(low <= float(level) <= high for level in (each.stop, each.target))
    }
    return sides.pop() if len(sides) == 1 else None
