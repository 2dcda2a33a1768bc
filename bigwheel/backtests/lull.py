"""Market data while nothing is under way: strategies see them one by one, everyone else gets them together afterwards.

No signal, order or flow is open then, so nobody but a strategy can answer to market data, as long as nothing falls due.
What falls due (a timer, a lesson, a question to the venue, a new day, a limit on losses) ends the lull before the data
that reach it. The same data taken one by one lead to the same decisions at the same moments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from actors import names
from actors.exchange.brain import ExchangeBrain
from actors.learner.brain import LearnerBrain
from actors.risk.book import DAY_NS
from actors.risk.brain import RiskBrain
from bigwheel.backtests.driver import NEVER, Driver, Seat
from bigwheel.backtests.feed import Item, Opening
from exchanges.model.market import MarketData, last_price

_MOST = 64
"""Pieces of data of which the range of prices is looked at together."""


class Audience(NamedTuple):
    """Who is sent one kind of a symbol's data."""

    sender: str
    strategies: tuple[Seat, ...]
    risk: bool
    learner: bool


class Lull:
    """Passes over data as far as a lull lasts.

    Args:
        exchanges: the connections' brains by venue.
        passed: takes data into the venues' books and the tables.
    """

    def __init__(
        self,
        driver: Driver,
        exchanges: dict[str, ExchangeBrain],
        risk: RiskBrain,
        learner: LearnerBrain,
        passed: Callable[[Sequence[Item]], None],
    ) -> None:
        self._driver, self._exchanges, self._risk, self._learner = driver, exchanges, risk, learner
        self._passed = passed
        self._audiences: dict[tuple[str, type], Audience] = {}
        self._revision = -1

    def take(self, items: Sequence[Item], start: int) -> int:
        """Take in the data from ``start`` on as far as the lull lasts; returns the place of the first that was not.

        The one that a strategy has answered to is the last of them.
        """
        driver = self._driver
        until, end = self._until(items, start)
        queue, planned, audiences = driver.queue, driver.planned, self._audiences
        place = start
        for place in range(start, end):
            at, item = items[place]
            if at >= until or (planned and planned[0][0] < at):
                break
            if type(item) is Opening:
                continue
            audience = audiences.get((item.symbol, type(item))) or self._audience(item)
            driver.now = at
            for seat in audience.strategies:
                driver.hand(seat, item, audience.sender)
            if queue:
                self._answered(items, start, place)
                return place + 1
        else:
            place = end
        self._absorb(items[start:place])
        return place

    def _answered(self, items: Sequence[Item], start: int, place: int) -> None:
        """Let everyone else catch up with a strategy that has something to say, and then hear it."""
        driver = self._driver
        said = list(driver.queue)
        driver.queue.clear()
        self._absorb(items[start:place])
        at = items[place][0]
        driver.advance(at)
        driver.now = at
        self._absorb(items[place : place + 1])
        driver.queue.extend(said)
        driver.drain()

    # -- how long it lasts -----------------------------------------------------------------

    def _until(self, items: Sequence[Item], start: int) -> tuple[int, int]:
        """The moment that ends the lull, and the place after the last piece of data that may be in it."""
        driver, risk = self._driver, self._risk
        end = min(start + _MOST, len(items))
        revision = sum(brain.feed.revision for brain in self._exchanges.values())
        if revision != self._revision:
            self._revision = revision
            self._audiences.clear()
        if not all(brain.idle for brain in self._exchanges.values()):
            return 0, start
        held = risk.held
        if held and not risk.bears(*_range(items[start:end], held)):
            return 0, start
        asked = min(brain.due_ns or NEVER for brain in self._exchanges.values())
        tomorrow = (driver.now // DAY_NS + 1) * DAY_NS
        return min(asked, tomorrow, self._learner.due_ns()), end

    def _audience(self, data: MarketData) -> Audience:
        symbol, kind = data.symbol, type(data)
        told = self._exchanges[symbol.partition(":")[0]].feed.audience(symbol, kind.__name__)
        seats = tuple(self._driver.seats[name] for name in told if name not in (names.RISK, names.LEARNER))
        found = self._audiences[symbol, kind] = Audience(names.exchange_of(symbol), seats, names.RISK in told, names.LEARNER in told)
        return found

    # -- afterwards ------------------------------------------------------------------------

    def _absorb(self, items: Sequence[Item]) -> None:
        """Bring everyone but the strategies up to date."""
        if not items:
            return
        self._passed(items)
        by_symbol: dict[str, list[MarketData]] = {}
        for _, item in items:
            if type(item) is not Opening:
                by_symbol.setdefault(item.symbol, []).append(item)
        self._look(items)
        for symbol, data in by_symbol.items():
            self._exchanges[symbol.partition(":")[0]].absorb(data)
            if followed := [each for each in data if self._audiences[symbol, type(each)].learner]:
                self._learner.absorb(followed)
        self._driver.now = items[-1][0]

    def _look(self, items: Sequence[Item]) -> None:
        """Bring the risk supervisor up to date, with the looks its timer would have taken on the way."""
        data: list[MarketData] = []
        looks: list[int] = []
        due, period = self._driver.period(names.RISK) if self._risk.held else (NEVER, 1)
        turn = -1
        for at, item in items:
            passed = (at - 1 - due) // period
            if passed > turn:
                turn = passed
                looks.append(len(data) - 1)
            if type(item) is not Opening and self._audiences[item.symbol, type(item)].risk:
                data.append(item)
        if data or looks:
            self._risk.absorb(data, looks)


def _range(items: Sequence[Item], symbols: Sequence[str]) -> tuple[dict[str, float], dict[str, float]]:
    """The lowest and the highest price of each of these symbols, where there are any."""
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}
    for _, item in items:
        symbol = item.symbol
        if symbol in symbols and type(item) is not Opening and 0 < (price := last_price(item)) < math.inf:
            lows[symbol], highs[symbol] = min(lows.get(symbol, price), price), max(highs.get(symbol, price), price)
    return lows, highs
