"""One backtest's brains, assembled as the supervision tree assembles them, around the driver."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import NamedTuple

from actors import names
from actors.bus.brain import BusBrain
from actors.bus.configuration import times
from actors.exchange.brain import KINDS as EXCHANGE_KINDS
from actors.exchange.brain import ExchangeBrain
from actors.exchange.configuration import connection
from actors.learner.brain import KINDS as LEARNER_KINDS
from actors.learner.brain import LearnerBrain
from actors.learner.configuration import terms
from actors.risk.brain import KINDS as RISK_KINDS
from actors.risk.brain import RiskBrain
from actors.risk.configuration import limits
from actors.strategy import factory
from actors.strategy.brain import KINDS as STRATEGY_KINDS
from actors.strategy.plan import StrategyPlan
from bigwheel.backtests.conduct import Conduct
from bigwheel.backtests.driver import Driver, Seat
from bigwheel.backtests.errors import BacktestError
from bigwheel.backtests.feed import Opening
from bigwheel.backtests.ledger import Ledger
from bigwheel.backtests.prices import Prices
from bigwheel.backtests.venue import BacktestVenue
from conf import Settings
from exchanges.model.instrument import Instrument
from exchanges.model.market import Bar, MarketData
from runtime.lanes import Delivery
from strategies.strategy import Strategy

SECOND = 1_000_000_000
LEAD_NS = 10 * SECOND
"""How long before the first piece of data everything starts, so that the connections are reconciled by then."""


class Terms(NamedTuple):
    """What a run is made with, besides the configuration."""

    instruments: dict[str, tuple[Instrument, ...]]
    cash: Decimal
    conduct: Conduct
    seed: int
    intervals: dict[str, int]


class Session:
    """Owns everything of one run."""

    def __init__(self, settings: Settings, plans: list[StrategyPlan], owner: type[Strategy], told: Terms) -> None:
        self.settings = settings
        listed = [each for own in told.instruments.values() for each in own]
        self.ledger = Ledger(told.cash * len(told.instruments), listed, told.intervals)
        self.driver = Driver(self._quiet, self.ledger.written)
        self.prices = Prices()
        self.counts: Counter[str] = Counter()
        self.venues = {
            venue: BacktestVenue(self.driver, venue, own, told.cash, told.conduct, told.seed)
            for venue, own in told.instruments.items()
        }
        self._exchanges: list[ExchangeBrain] = []
        self._assemble(plans, owner)
        self.conduct = told.conduct

    def _assemble(self, plans: list[StrategyPlan], owner: type[Strategy]) -> None:
        settings, driver = self.settings, self.driver
        connections = [names.exchange(venue) for venue in self.venues]
        driver.seat(Seat(names.BUS, BusBrain(times(settings)), (), (names.RISK,)))
        driver.seat(Seat(names.RISK, RiskBrain(limits(settings)), RISK_KINDS, (names.BUS, *connections)))
        driver.seat(Seat(names.LEARNER, LearnerBrain(terms(settings)), LEARNER_KINDS, (names.BUS, *connections)))
        for venue in self.venues:
            brain = ExchangeBrain(connection(settings, venue))
            self._exchanges.append(brain)
            watched = (names.BUS, names.RISK, f"{names.STRATEGY}/*")
            driver.seat(Seat(names.exchange(venue), brain, EXCHANGE_KINDS, watched))
        for plan in plans:
            peers = (names.BUS, *dict.fromkeys(map(names.exchange_of, plan.every)))
            strategy = factory.build(settings, plan, owner, delivery=Delivery.ALL)
            symbol = "" if plan.symbols else plan.symbol
            driver.seat(Seat(plan.cell, strategy, STRATEGY_KINDS, peers, symbol))

    def _quiet(self) -> bool:
        """Whether nothing is under way: no signal, no order, no flow."""
        if self.ledger.under_way:
            return False
        states = (brain.state for brain in self._exchanges)
        return not any(state.active or state.unconfirmed or state.flows for state in states)

    # -- the run ---------------------------------------------------------------------------

    def start(self, first_ns: int) -> None:
        """Bring everyone up before the first piece of data."""
        driver = self.driver
        driver.start(first_ns - LEAD_NS)
        for venue in self.venues.values():
            venue.open()
        driver.drain()

    def take(self, at_ns: int, item: MarketData | Opening) -> None:
        """Let time pass until ``at_ns``, and what is known then arrive."""
        driver = self.driver
        driver.advance(at_ns)
        driver.now = at_ns
        self.venues[item.symbol.partition(":")[0]].take(item)
        driver.drain()
        if not isinstance(item, Opening):
            self.counts[type(item).__name__] += 1
            if isinstance(item, Bar):
                self.prices.take(item)
            self.ledger.sample(at_ns, self.mark)

    def finish(self) -> None:
        """Let what is known to come and the answers on their way arrive, and see that the accounts agree.

        Raises:
            BacktestError: the journal's fills and the matching engine's accounts come to something else.
        """
        driver = self.driver
        last_ns = max(driver.now, *(venue.last_ns for venue in self.venues.values()))
        driver.advance(last_ns + self.conduct.latency.longest_ns + SECOND)
        self.ledger.sample(last_ns, self.mark, last=True)
        engine = sum((venue.equity for venue in self.venues.values()), Decimal(0))
        ours = self.ledger.value(self.mark)
        if abs(engine - ours) > Decimal("0.00000001"):
            raise BacktestError(
                f"expected the equity by the journal's fills to be that of the matching engine, found {ours} and "
                f"{engine}; this is a defect of the program, please report it with the data"
            )

    def mark(self, symbol: str) -> Decimal:
        """The price that ``symbol`` is valued at."""
        return self.venues[symbol.partition(":")[0]].mark(symbol)
