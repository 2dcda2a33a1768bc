"""Market data while nothing is under way: strategies see them one by one, everyone else gets them together afterwards.

No signal, order or flow is open then, so nobody but a strategy can answer to market data, as long as nothing falls due.
What falls due (a timer, a question to the venue, a new day, a limit on losses that comes near) ends the lull before the
data that reach it. The same data taken one by one lead to the same decisions at the same moments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple

from actors import names
from actors.exchange.brain import ExchangeBrain
from actors.learner.brain import LearnerBrain
from actors.risk.book import DAY_NS
from actors.risk.brain import RiskBrain
from bigwheel.backtests.driver import NEVER, Driver, Seat
from bigwheel.backtests.feed import Item, Opening
from exchanges.model.market import MarketData, last_price

_BANDS = (0.05, 0.01, 0.002)
"""How far prices may move, as a fraction, before it is asked again whether a limit on losses is near."""
_MOST = 4_096
"""Pieces of data in one lull."""


class Audience(NamedTuple):
    """Who is sent one kind of a symbol's data, and by whom."""

    sender: str
    strategies: tuple[Seat, ...]
    risk: bool
    learner: bool


class Lull:
    """Passes over data as far as a lull lasts.

    Args:
        exchanges: the connections' brains by venue.
        passed: takes data into the venues' books and the tables.
        carries: whether it is sure that nothing is liquidated by a piece of data.
    """

    def __init__(
        self,
        driver: Driver,
        exchanges: dict[str, ExchangeBrain],
        risk: RiskBrain,
        learner: LearnerBrain,
        passed: Callable[[Sequence[Item]], None],
        carries: Callable[[MarketData | Opening], bool],
    ) -> None:
        self._driver, self._exchanges, self._risk, self._learner = driver, exchanges, risk, learner
        self._passed, self._carries = passed, carries
        self._audiences: dict[tuple[str, type], Audience] = {}
        self._revision = -1

    def take(self, items: Sequence[Item], start: int) -> int:
        """Take in the data from ``start`` on as far as the lull lasts; returns the place of the first that was not.

        One that leads to a message of a strategy or the learner is the last of them.
        """
        driver, until = self._driver, self._until()
        bands = self._bands() if until else None
        if bands is None:
            return start
        planned, audiences, due_ns = driver.planned, self._audiences, self._learner.due_ns()
        end = min(start + _MOST, len(items))
        for place in range(start, end):
            at, item = items[place]
            if at >= until or (planned and planned[0][0] < at):
                end = place
                break
            if bands and not self._carries(item):
                end = place
                break
            if isinstance(item, Opening):
                continue
            if bands and item.symbol in bands:
                low, high = bands[item.symbol]
                if not low <= (last_price(item) or low) <= high:
                    end = place
                    break
            audience = audiences.get((item.symbol, type(item))) or self._audience(item)
            driver.now = at
            for seat in audience.strategies:
                driver.hand(seat, item, audience.sender)
            if driver.queue or at >= due_ns:
                self._answered(items, start, place)
                return place + 1
        self._absorb(items[start:end])
        return end

    def _answered(self, items: Sequence[Item], start: int, place: int) -> None:
        """Let everyone else catch up with a strategy that may have something to say, and then hear it."""
        driver = self._driver
        said = list(driver.queue)
        driver.queue.clear()
        if said:
            self._absorb(items[start:place])
            driver.advance(items[place][0])
            start = place
        self._absorb(items[start : place + 1], answered=True)
        driver.queue.extend(said)
        driver.drain()

    # -- how long it lasts -----------------------------------------------------------------

    def _until(self) -> int:
        """The moment that ends the lull; 0 if there is none."""
        driver, brains = self._driver, self._exchanges.values()
        revision = sum(brain.feed.revision for brain in brains)
        if revision != self._revision:
            self._revision = revision
            self._audiences.clear()
        if not all(brain.idle for brain in brains):
            return 0
        asked = min(brain.due_ns or NEVER for brain in brains)
        return min(asked, (driver.now // DAY_NS + 1) * DAY_NS)

    def _bands(self) -> dict[str, tuple[float, float]] | None:
        """Between which prices of what is held no limit on losses is reached; ``None`` if that is not sure."""
        prices = self._risk.held
        if not prices:
            return {}
        for width in _BANDS:
            bands = {symbol: (price * (1 - width), price * (1 + width)) for symbol, price in prices.items()}
            if self._risk.bears(bands):
                return bands
        return None

    def _audience(self, data: MarketData) -> Audience:
        symbol, kind = data.symbol, type(data)
        found = self._audiences.get((symbol, kind))
        if found is None:
            told = self._exchanges[symbol.partition(":")[0]].feed.audience(symbol, kind.__name__)
            seats = tuple(self._driver.seats[name] for name in told if name not in (names.RISK, names.LEARNER))
            found = Audience(names.exchange_of(symbol), seats, names.RISK in told, names.LEARNER in told)
            self._audiences[symbol, kind] = found
        return found

    # -- afterwards ------------------------------------------------------------------------

    def _absorb(self, items: Sequence[Item], *, answered: bool = False) -> None:
        """Bring everyone but the strategies up to date; the last piece of data the learner may answer."""
        if not items:
            return
        driver = self._driver
        driver.now = items[-1][0]
        self._passed(items)
        by_symbol: dict[str, list[MarketData]] = {}
        for _, item in items:
            if not isinstance(item, Opening):
                by_symbol.setdefault(item.symbol, []).append(item)
        self._look(by_symbol)
        for symbol, data in by_symbol.items():
            self._exchanges[symbol.partition(":")[0]].absorb(data)
            followed = self._for(data, "learner")
            last = followed.pop() if answered and followed and followed[-1] is items[-1][1] else None
            if followed:
                self._learner.absorb(followed)
            if last is not None:
                driver.hand(driver.seats[names.LEARNER], last, names.exchange_of(symbol))

    def _for(self, data: list[MarketData], who: str) -> list[MarketData]:
        """What of a symbol's data is sent to risk or to the learner."""
        told = {kind: getattr(self._audience(each), who) for kind, each in {type(each): each for each in data}.items()}
        return [each for each in data if told[type(each)]]

    def _look(self, by_symbol: dict[str, list[MarketData]]) -> None:
        """Bring the risk supervisor up to date, with the looks its timer would have taken on the way."""
        told = [self._for(data, "risk") for data in by_symbol.values()]
        data = told[0] if len(told) == 1 else sorted(chain.from_iterable(told), key=lambda each: each.recv_ns)
        looks, turn = [], -1
        due, period = self._driver.period(names.RISK)
        # The timer comes round before data that are there a turn later than those before; where nothing is held it
        # has nothing to note.
        for place, each in enumerate(data if self._risk.held else ()):
            passed = (each.recv_ns - 1 - due) // period
            if passed > turn:
                turn = passed
                looks.append(place - 1)
        self._risk.absorb(data, looks)
