"""One backtest's brains, assembled as the supervision tree assembles them, around the driver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from actors import names
from actors.bus.brain import BusBrain
from actors.bus.configuration import times
from actors.exchange.brain import KINDS as EXCHANGE_KINDS
from actors.exchange.brain import ExchangeBrain
from actors.exchange.configuration import connection
from actors.exchange.flows.watching import Watched
from actors.gateway.portfolio import strategies
from actors.learner.brain import KINDS as LEARNER_KINDS
from actors.learner.brain import LearnerBrain
from actors.learner.configuration import terms
from actors.messages.signals import Approved
from actors.risk.book import DAY_NS
from actors.risk.brain import KINDS as RISK_KINDS
from actors.risk.brain import RiskBrain
from actors.risk.configuration import limits
from actors.strategy import factory
from actors.strategy.brain import KINDS as STRATEGY_KINDS
from actors.strategy.brain import StrategyBrain
from actors.strategy.plan import StrategyPlan
from bigwheel.backtests.conduct import Conduct
from bigwheel.backtests.driver import Driver, Seat
from bigwheel.backtests.errors import BacktestError
from bigwheel.backtests.feed import Item, Opening
from bigwheel.backtests.ledger import Ledger
from bigwheel.backtests.lull import Lull
from bigwheel.backtests.prices import Prices
from bigwheel.backtests.venue import BacktestVenue
from conf import Settings
from exchanges.model.instrument import Instrument
from exchanges.model.market import Bar, MarketData, Ticker
from exchanges.paper.settings import PaperSettings
from runtime.lanes import Delivery
from runtime.lifecycle import Entry
from runtime.message import Message
from strategies.strategy import Strategy

SECOND = 1_000_000_000
LEAD_NS = 10 * SECOND
"""How long before the first piece of data everything starts, so that the connections are reconciled by then."""


Cast = tuple[StrategyPlan, type[Strategy]]
"""A strategy as it is planned, and its class."""


class Terms(NamedTuple):
    """What a run is made with, besides the configuration."""

    instruments: dict[str, tuple[Instrument, ...]]
    paper: PaperSettings
    conduct: Conduct
    intervals: dict[str, int]
    lulls: bool = True
    """Whether data may be passed over together while nothing is under way; the outcome is the same."""


class Session:
    """Owns everything of one run."""

    def __init__(self, settings: Settings, cast: Sequence[Cast], told: Terms) -> None:
        self.settings = settings
        paper = told.paper
        listed = [each for own in told.instruments.values() for each in own]
        self.ledger = Ledger(paper.balance * len(told.instruments), listed, told.intervals)
        self.driver = Driver(self._quiet, self._written, self._still)
        self.prices = Prices()
        self.counts: Counter[str] = Counter()
        self._closes: dict[str, float] = {}
        self.venues = {
            venue: BacktestVenue(
                self.driver, venue, own, told.conduct, msgspec.structs.replace(paper, prefix=venue), self._watching
            )
            for venue, own in told.instruments.items()
        }
        self._exchanges: dict[str, ExchangeBrain] = {}
        self._strategies: list[StrategyBrain] = []
        self._bus = BusBrain(times(settings))
        self._risk, self._learner = RiskBrain(limits(settings)), LearnerBrain(terms(settings))
        self._assemble(cast)
        self.conduct = told.conduct
        # A lull has one time between the venue's data and ours.
        ways = told.conduct.latency
        self._lulls = told.lulls and not (ways.feed_ns and ways.jitter_ns)
        symbols = [each.symbol for each in listed]
        self._alone = symbols[0] if len(symbols) == 1 else ""
        self._lull = Lull(
            self.driver,
            self._exchanges,
            self._risk,
            self._learner,
            self._passed,
            self._carried,
            self._announced,
            self._alone,
            ways.feed_ns,
        )

    def _assemble(self, cast: Sequence[Cast]) -> None:
        settings, driver = self.settings, self.driver
        connections = [names.exchange(venue) for venue in self.venues]
        driver.seat(Seat(names.BUS, self._bus, (), (names.RISK,)))
        driver.seat(Seat(names.RISK, self._risk, RISK_KINDS, (names.BUS, *connections)))
        driver.seat(Seat(names.LEARNER, self._learner, LEARNER_KINDS, (names.BUS, *connections)))
        for venue in self.venues:
            # What is not conflated reaches everyone at its own time.
            # Where data are bars alone, an order waits for the next one.
            own = msgspec.structs.replace(connection(settings, venue), conflate_ns=0, patient=True)
            brain = ExchangeBrain(own)
            self._exchanges[venue] = brain
            watched = (names.BUS, names.RISK, f"{names.STRATEGY}/*")
            driver.seat(Seat(names.exchange(venue), brain, EXCHANGE_KINDS, watched))
        for plan, owner in cast:
            peers = (names.BUS, *dict.fromkeys(map(names.exchange_of, plan.every)))
            strategy = factory.build(settings, plan, owner, delivery=Delivery.ALL, sample_ns=DAY_NS)
            self._strategies.append(strategy)
            symbol = "" if plan.symbols else plan.symbol
            driver.seat(Seat(plan.cell, strategy, STRATEGY_KINDS, peers, symbol))

    def _written(self, record: Entry, event: Message) -> None:
        """Take one record of the journal."""
        self.ledger.written(record, event)
        if isinstance(event, Approved) and event.order.flow is not None:
            self._venue(event.order.symbol).wake()

    def _watching(self, symbol: str) -> Sequence[Watched]:
        """What flows under way wait for in a symbol's price."""
        return self._exchanges[symbol.partition(":")[0]].watched(symbol)

    def _quiet(self) -> bool:
        """Whether nothing is under way: no signal, no order, no flow."""
        return not self.ledger.under_way and all(brain.quiet for brain in self._exchanges.values())

    def _still(self) -> int:
        """Until when brains have nothing to do by themselves, as where orders rest; 0 if that isn't known."""
        now = self.driver.now
        waits = self._learner.waits().values()
        return min(
            self._bus.still_ns(),
            self._risk.still_ns(now),
            *(brain.still_ns(now) for brain in self._exchanges.values()),
            *(wait.heard_ns + self._learner.silence_ns for wait in waits),
        )

    # -- the run ---------------------------------------------------------------------------

    def start(self, first_ns: int) -> None:
        """Bring everyone up before the first piece of data."""
        driver = self.driver
        driver.start(first_ns - LEAD_NS)
        for venue in self.venues.values():
            venue.open()
        driver.drain()

    def take(self, items: Sequence[Item]) -> None:
        """Let the data arrive, each at its time."""
        place = 0
        while place < len(items):
            passed = self._pass(items, place)
            if passed == place:
                self._one(*items[place])
                passed += 1
            place = passed

    def _pass(self, items: Sequence[Item], place: int) -> int:
        """Pass over data from ``place`` on as far as nothing is under way; returns the place after them."""
        if not self._lulls:
            return place
        at, planned = items[place][0], self.driver.planned
        if not self._quiet() or (planned and planned[0][0] < at):
            # What is under way may end before the data come.
            self.driver.advance(at, settled=True)
            if not self._quiet():
                return place
        return self._lull.take(items, place)

    def _one(self, at_ns: int, item: MarketData | Opening) -> None:
        """Let time pass until ``at_ns``, and what is known then arrive."""
        driver = self.driver
        driver.advance(at_ns)
        driver.now = at_ns
        self._venue(item.symbol).take(item)
        driver.drain()
        self._told(at_ns, item)

    def _passed(self, items: Sequence[Item], by_symbol: Mapping[str, Sequence[MarketData]]) -> None:
        """Take in what nobody has anything to do about."""
        if self.conduct.marked or not all(_barred(data) for data in by_symbol.values()):
            for at_ns, item in items:
                self._venue(item.symbol).move(item.symbol, (item,))
                self._told(at_ns, item)
            return
        if self._alone:
            own = [item for _, item in items]
            if by_symbol:
                self._bars(self._alone, own)
            self._venue(self._alone).move(self._alone, own)
            return
        moves: dict[str, list[MarketData | Opening]] = {}
        for at_ns, item in items:
            moves.setdefault(item.symbol, []).append(item)
            if isinstance(item, Bar):
                self._closes[item.symbol] = item.close
                self._told(at_ns, item)
        self._closes.clear()
        for symbol, own in moves.items():
            self._venue(symbol).move(symbol, own)

    def _bars(self, symbol: str, data: Sequence[MarketData | Opening]) -> None:
        """Note bars of one symbol while no other has any."""
        bars = [bar for bar in data if type(bar) is Bar]
        self.counts["Bar"] += len(bars)
        self.prices.extend(symbol, bars)
        times = [bar.recv_ns for bar in bars]
        if not self.ledger.equity.extend(symbol, times, [bar.close for bar in bars]):
            for bar in bars:
                self._closes[symbol] = bar.close
                self.ledger.sample(bar.recv_ns, self._price)
            self._closes.clear()

    def _told(self, at_ns: int, item: MarketData | Opening) -> None:
        """Note a piece of data, and what is held at its moment, for the tables."""
        if type(item) is Opening:
            return
        self.counts[type(item).__name__] += 1
        if isinstance(item, Bar):
            self.prices.extend(item.symbol, (item,))
        self.ledger.sample(at_ns, self._price)

    def finish(self) -> None:
        """Let what is known to come and the answers on their way arrive, and see that the accounts agree.

        Raises:
            BacktestError: the journal's fills and the matching engine's accounts come to something else.
        """
        driver = self.driver
        last_ns = max(driver.now, *(venue.last_ns for venue in self.venues.values()))
        driver.advance(last_ns + self.conduct.latency.longest_ns + SECOND)
        self.ledger.sample(last_ns, self._price, last=True)
        engine = sum((venue.equity for venue in self.venues.values()), Decimal(0))
        ours = self.ledger.value(self.mark)
        if abs(engine - ours) > Decimal("0.00000001"):
            raise BacktestError(
                f"expected the equity by the journal's fills to be that of the matching engine, found {ours} and "
                f"{engine}; this is a defect of the program, please report it with the data"
            )

    def performance(self) -> dict[str, dict[str, Any]]:
        """By label what a strategy did, as a session's overview has it; what is held is valued at the marks."""
        cells = []
        for brain in self._strategies:
            held = brain.desk.positions
            marks = {symbol: float(self.mark(symbol)) for symbol, position in held.items() if position.quantity}
            cells.append({**brain.status(), "performance": brain.performance.report(held, marks)})
        return strategies(cells)

    def mark(self, symbol: str) -> Decimal:
        """The price that ``symbol`` is valued at."""
        return self._venue(symbol).mark(symbol)

    def _carried(self, symbol: str) -> tuple[float, float]:
        """Between which prices of a symbol it is sure that nothing is liquidated."""
        return self._venue(symbol).carried(symbol)

    def _announced(self, ticker: Ticker) -> None:
        """Take in what a ticker says of funding."""
        self._venue(ticker.symbol).announced(ticker)

    def _venue(self, symbol: str) -> BacktestVenue:
        return self.venues[symbol.partition(":")[0]]

    def _price(self, symbol: str) -> float:
        """What rows of equity are valued at: the mark, or the close of a bar that the venue is still to be told of."""
        close = self._closes.get(symbol)
        return self._venue(symbol).price(symbol) if close is None else close


def _barred(data: Sequence[MarketData]) -> bool:
    """Whether data are bars and nothing else."""
    return set(map(type, data)) == {Bar}
