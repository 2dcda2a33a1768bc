"""Market data while nothing is under way: strategies see them one by one, everyone else gets them together afterwards.

No signal, order or flow is open then, so nobody but a strategy can answer to market data, as long as nothing falls due.
What falls due (a timer, a question to the venue, a new day, a limit on losses that comes near) ends the lull before the
data that reach it. The same data taken one by one lead to the same decisions at the same moments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import msgspec

from actors import names
from actors.exchange.brain import ExchangeBrain
from actors.learner.brain import LearnerBrain
from actors.risk.book import DAY_NS
from actors.risk.brain import RiskBrain
from bigwheel.backtests.driver import NEVER, Driver, Seat, failure
from bigwheel.backtests.feed import Item, Opening
from exchanges.model.market import Bar, MarketData, Ticker, last_price

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


class Bounds(NamedTuple):
    """Of one symbol: between which last prices no limit on losses is reached, and between which all is carried."""

    low: float
    high: float
    lowest: float
    highest: float


def _beyond(bounds: Mapping[str, Bounds], item: MarketData | Opening) -> bool:
    """Whether a piece of data leaves the bounds of its symbol."""
    known = bounds.get(item.symbol)
    if known is None:
        return False
    low, high, lowest, highest = known
    if type(item) is Bar:
        return not (low <= item.close <= high and lowest < item.low and item.high < highest)
    if isinstance(item, Opening | Ticker):
        return not lowest < (item.mark if isinstance(item, Ticker) else item.price) < highest
    price = last_price(item)
    return price > 0 and not (low <= price <= high and lowest < price < highest)


def _late(at: int, item: MarketData | Opening, late_ns: int) -> Item:
    """A piece of data as it is heard; an opening nobody hears of."""
    if isinstance(item, Opening):
        return at, item
    return at + late_ns, msgspec.structs.replace(item, recv_ns=at + late_ns)


class Due:
    """When the learner may have something to say while data are passed over; ``ns`` is when to look into it next.

    A horizon is reached by data of its symbol. That a symbol has been silent for long is for the learner's timer to
    find.
    """

    def __init__(self, learner: LearnerBrain, items: Sequence[Item], start: int) -> None:
        self._items, self._start, self._silence_ns = items, start, learner.silence_ns
        waits = learner.waits()
        self._horizons = {symbol: wait.horizon_ns for symbol, wait in waits.items()}
        self._heard = {symbol: wait.heard_ns for symbol, wait in waits.items()}
        self._next()

    def _next(self) -> None:
        silent = (heard_ns + self._silence_ns for heard_ns in self._heard.values())
        self.ns = min(*self._horizons.values(), *silent, NEVER, NEVER)

    def silent(self, place: int) -> bool:
        """Whether a symbol may have been silent for too long before the data at ``place`` came."""
        at = self._items[place][0]
        for symbol, heard_ns in self._heard.items():
            if at > heard_ns + self._silence_ns:
                heard_ns = self._heard[symbol] = max(heard_ns, self._last(symbol, place))
                if at > heard_ns + self._silence_ns:
                    return True
        self._next()
        return False

    def _last(self, symbol: str, place: int) -> int:
        """When the lull brought the last price of a symbol."""
        for at, item in reversed(self._items[self._start : place]):
            if item.symbol == symbol and not isinstance(item, Opening) and last_price(item) > 0:
                return at
        return 0

    def reached(self, at: int, symbol: str) -> bool:
        """Whether data of a symbol reach a horizon."""
        return at >= self._horizons.get(symbol, NEVER)


class Lull:
    """Passes over data as far as a lull lasts.

    Args:
        exchanges: the connections' brains by venue.
        passed: takes data into the venues' books and the tables; without the openings also by symbol.
        carried: between which prices of a symbol it is sure that nothing is liquidated.
        announced: takes in what a ticker says of funding, which may then fall due while the lull lasts.
        alone: the symbol, if there is but one.
        late_ns: how long market data take to us.
    """

    def __init__(
        self,
        driver: Driver,
        exchanges: dict[str, ExchangeBrain],
        risk: RiskBrain,
        learner: LearnerBrain,
        passed: Callable[[Sequence[Item], Mapping[str, Sequence[MarketData]]], None],
        carried: Callable[[str], tuple[float, float]],
        announced: Callable[[Ticker], None],
        alone: str,
        late_ns: int,
    ) -> None:
        self._driver, self._exchanges, self._risk, self._learner = driver, exchanges, risk, learner
        self._passed, self._carried, self._announced, self._alone = passed, carried, announced, alone
        self._late_ns = late_ns
        self._chunk: tuple[Sequence[Item], Sequence[Item]] = ((), ())
        self._audiences: dict[tuple[str, type], Audience] = {}
        self._revision = -1

    def take(self, items: Sequence[Item], start: int) -> int:
        """Take in the data from ``start`` on as far as the lull lasts; returns the place of the first that was not.

        One that leads to a message of a strategy or the learner is the last of them.
        """
        driver, until = self._driver, self._until()
        bounds = self._bounds() if until else None
        if bounds is None:
            return start
        planned, queue, audiences, told = driver.planned, driver.queue, self._audiences, self._told(items)
        due, taught, end = Due(self._learner, told, start), start, min(start + _MOST, len(items))
        late = 1 if self._late_ns else 0  # data on their way come before what is handed over later
        for place in range(start, end):
            at, item = told[place]
            if at >= until or (planned and planned[0][0] < at + late) or (bounds and _beyond(bounds, item)):
                end = place
                break
            if (at >= due.ns and due.silent(place)) or (self._late_ns and not self._alone_by(items, place, at, bounds)):
                end = place
                break
            if type(item) is not Opening:
                audience = audiences.get((item.symbol, type(item))) or self._audience(item)
                if type(item) is Ticker:
                    driver.now = items[place][0]
                    self._announced(item)
                driver.now = at
                for seat in audience.strategies:
                    context = seat.context
                    context.now, context.sender = at, audience.sender
                    try:
                        seat.receive(item, context)
                    except Exception as error:
                        raise failure(seat, item, error) from error
                driver.handled += len(audience.strategies)
                if queue:
                    return self._said(items, start, place, taught)
                if at >= due.ns and due.reached(at, item.symbol):
                    taught = self._teach(told, taught, place)
                    if queue:
                        end = self._before(items, place, at)
                        self._absorb(items[start:end], told[start:end], taught - start)
                        driver.now = at
                        driver.drain()
                        return end
                    due = Due(self._learner, told, taught)
        self._absorb(items[start:end], told[start:end], taught - start)
        return end

    def _said(self, items: Sequence[Item], start: int, place: int, taught: int) -> int:
        """Let everyone else catch up with a strategy that has something to say, and then hear it; the place after."""
        driver, told = self._driver, self._told(items)
        said, (at, item), end = list(driver.queue), told[place], self._before(items, place, told[place][0])
        driver.queue.clear()
        # Timers that are due before it know nothing of other data of the same moment.
        first = place
        while first > start and told[first - 1][0] >= at:
            first -= 1
        self._absorb(items[start:first], told[start:first], taught - start)
        driver.advance(at)
        self._absorb(items[first:place], told[first:place], max(taught - first, 0))
        self._absorb(items[place:end], told[place:end], end - place)
        driver.now = at
        self._answer(item)
        driver.queue.extend(said)
        driver.drain()
        return end

    def _teach(self, items: Sequence[Item], start: int, place: int) -> int:
        """Let the learner catch up, with the data at ``place`` as the last; returns the place after it.

        A lesson goes to the bus and, journaled, back to the learner. Nobody else need be there as long as nothing
        more comes of it.
        """
        driver = self._driver
        driver.now = items[place][0]
        for data in self._by_symbol(items[start:place]).values():
            self._learn(data)
        self._answer(items[place][1])
        driver.drain((driver.seats[names.BUS], driver.seats[names.LEARNER]))
        return place + 1

    # -- data that take time to us ---------------------------------------------------------

    def _told(self, items: Sequence[Item]) -> Sequence[Item]:
        """The data as they are heard: later than the venue has them by ``late_ns``."""
        if not self._late_ns:
            return items
        if self._chunk[0] is not items:
            self._chunk = items, [_late(at, item, self._late_ns) for at, item in items]
        return self._chunk[1]

    def _before(self, items: Sequence[Item], place: int, at: int) -> int:
        """The place of the first data after ``place`` that the venue has after ``at``."""
        place += 1
        while self._late_ns and place < len(items) and items[place][0] <= at:
            place += 1
        return place

    def _alone_by(self, items: Sequence[Item], place: int, at: int, bounds: Mapping[str, Bounds]) -> bool:
        """Whether the venue has nothing but openings within bounds before the data at ``place`` are heard at ``at``."""
        end = self._before(items, place, at)
        others = [item for _, item in items[place + 1 : end]]
        return end < len(items) and all(type(item) is Opening and not _beyond(bounds, item) for item in others)

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

    def _bounds(self) -> dict[str, Bounds] | None:
        """Between which prices of what is held nothing happens by itself; ``None`` if that is not sure.

        No limit on losses is reached, and nothing is liquidated.
        """
        prices = self._risk.held
        if not prices:
            return {}
        carried = {symbol: self._carried(symbol) for symbol in prices}
        for width in _BANDS:
            bands = {symbol: (price * (1 - width), price * (1 + width)) for symbol, price in prices.items()}
            if self._risk.bears(bands):
                return {symbol: Bounds(*band, *carried[symbol]) for symbol, band in bands.items()}
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

    def _absorb(self, items: Sequence[Item], told: Sequence[Item], taught: int) -> None:
        """Bring everyone but the strategies up to date; of the first ``taught`` pieces the learner knows already.

        Args:
            items: the data as the venue has them.
            told: the same as they are heard.
        """
        if not items:
            return
        self._driver.now = told[-1][0]
        by_symbol = self._by_symbol(told)
        self._passed(items, by_symbol)
        self._look(by_symbol)
        for symbol, data in by_symbol.items():
            self._exchanges[symbol.partition(":")[0]].absorb(data)
        if taught < len(items):
            for data in (self._by_symbol(told[taught:]) if taught else by_symbol).values():
                self._learn(data)

    def _by_symbol(self, items: Sequence[Item]) -> dict[str, list[MarketData]]:
        """What is known to more than the venue."""
        found: dict[str, list[MarketData]] = {}
        if self._alone:
            if alone := [item for _, item in items if type(item) is not Opening]:
                found[self._alone] = alone
            return found
        for _, item in items:
            if not isinstance(item, Opening):
                found.setdefault(item.symbol, []).append(item)
        return found

    def _learn(self, data: list[MarketData]) -> None:
        if followed := self._for(data, "learner"):
            self._learner.absorb(followed)

    def _answer(self, item: MarketData | Opening) -> None:
        """Hand the learner a piece of data that it may say something about."""
        if not isinstance(item, Opening) and self._audience(item).learner:
            self._driver.hand(self._driver.seats[names.LEARNER], item, names.exchange_of(item.symbol))

    def _for(self, data: list[MarketData], who: str) -> list[MarketData]:
        """What of a symbol's data is sent to risk or to the learner."""
        if len(set(map(type, data))) == 1:
            return data if getattr(self._audience(data[0]), who) else []
        told = {kind: getattr(self._audience(each), who) for kind, each in {type(each): each for each in data}.items()}
        return [each for each in data if told[type(each)]]

    def _look(self, by_symbol: dict[str, list[MarketData]]) -> None:
        """Bring the risk supervisor up to date, with the looks its timer would have taken on the way."""
        told = [self._for(data, "risk") for data in by_symbol.values()]
        data = told[0] if len(told) == 1 else sorted(chain.from_iterable(told), key=lambda each: each.recv_ns)
        if not data:
            return
        if not self._risk.held:
            self._risk.absorb(data)
            return
        looks, turn = [], -1
        due, period = self._driver.period(names.RISK)
        # The timer comes round before data that are there a turn later than those before; where nothing is held it
        # has nothing to note.
        for place, each in enumerate(data):
            passed = (each.recv_ns - 1 - due) // period
            if passed > turn:
                turn = passed
                looks.append(place - 1)
        self._risk.absorb(data, looks)
