"""The whole trading tree in a simulated world.

Use it as ``from tests.simulation.scenario import Scenario``.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from decimal import Decimal

from actors import names
from actors.bus.brain import BusBrain
from actors.bus.settings import BusSettings
from actors.exchange.brain import KINDS as EXCHANGE_KINDS
from actors.exchange.brain import ExchangeBrain
from actors.exchange.settings import ExchangeSettings
from actors.learner.brain import KINDS as LEARNER_KINDS
from actors.learner.brain import LearnerBrain
from actors.learner.settings import LearnerSettings
from actors.risk.brain import KINDS as RISK_KINDS
from actors.risk.brain import RiskBrain
from actors.risk.settings import RiskSettings
from actors.strategy.brain import KINDS as STRATEGY_KINDS
from actors.strategy.brain import StrategyBrain
from actors.strategy.settings import BrainSettings
from exchanges.model.order import OrderType
from exchanges.model.venue import VENUE_PORT
from runtime.behavior import Behavior
from runtime.lifecycle import Subscribe
from runtime.simulation.faults import SECOND, FaultPlan
from runtime.simulation.process import CellSpec, HostSpec
from runtime.simulation.world import World
from strategies.registry import resolve
from strategies.strategy import Strategy
from tests.simulation.audit import Audit
from tests.simulation.traders import OPERATOR, PERIODS_NS, ROGUE, Gambler, OperatorBrain, Pair, Planner, RogueBrain
from tests.simulation.venue import BTC, ETH, SYMBOLS, SimulatedVenue, VenueFaults

EXCHANGE = names.exchange("bybit")
TRADERS: tuple[tuple[str, str, type[Strategy], dict[str, object]], ...] = (
    ("gambler", BTC, Gambler, {}),
    ("trend", ETH, resolve("trend"), {"fast": 3, "slow": 8, "enter": 0.3, "patience": 3}),
    ("planner", ETH, Planner, {}),
    ("reversion", BTC, resolve("reversion"), {"window": 8, "enter": 0.8, "patience": 3, "hold": 30}),
)
FLOW_TRADERS: tuple[tuple[str, str, type[Strategy], dict[str, object]], ...] = tuple(
    (label, symbol, Planner, {}) for label in ("planner", "schemer") for symbol in (BTC, ETH)
)
"""Nothing but flows."""
PAIR = names.strategy_together("pair", SYMBOLS)


class Scenario:
    """One seeded run: ``run`` it, and every invariant has held."""

    def __init__(
        self,
        seed: int,
        *,
        plan: FaultPlan | None = None,
        venue: VenueFaults | None = None,
        exchange: Callable[[ExchangeSettings], Behavior] = ExchangeBrain,
        bus: Callable[[BusSettings], Behavior] = BusBrain,
        traders: tuple[tuple[str, str, type[Strategy], dict[str, object]], ...] = TRADERS,
        trace: int = 4_000,
    ) -> None:
        self.traders = traders
        rng = random.Random(f"scenario {seed}")
        self.world = World(seed, plan, log=names.BUS, calls=rng.random() < 0.3, trace=trace)
        if traders is FLOW_TRADERS:
            self.world.replay = "scripts/simulate --scenario flows --seed {seed} --trace"
        self.venue = SimulatedVenue(self.world, venue or VenueFaults.from_seed(seed))
        self.limits = RiskSettings(
            symbols=SYMBOLS,
            order_type=rng.choice((OrderType.LIMIT, OrderType.MARKET)),
            cooldown_ns=rng.choice((0, SECOND // 5)),
            symbol_notional=Decimal(rng.choice((2_500, 5_000))),
            total_notional=Decimal(6_000),
            orders_per_minute=rng.choice((120, 100_000)),
            equity_fraction=Decimal("0.02"),
        )
        self.period_ns = rng.choice(PERIODS_NS)
        self.audit = Audit(self.world, self.venue, self.limits)
        self._core(bus)
        self._exchange(exchange)
        self._traders()
        self._operator(rng)

    def _host(
        self, name: str, build: Callable[[], Behavior], kinds: tuple[str, ...], peers: tuple[str, ...], symbol: str = ""
    ) -> CellSpec:
        wanted = Subscribe(0, kinds, "symbol" if symbol else "", symbol) if kinds else None
        return CellSpec(name, build, wanted, peers)

    def _core(self, bus: Callable[[BusSettings], Behavior]) -> None:
        told = BusSettings(missing_fills_ns=60 * SECOND)
        journal = self._host(names.BUS, lambda: bus(told), (), (names.RISK,))
        self.world.add_host(HostSpec("bus-host", (journal,), journal=True))
        risk = self._host(names.RISK, lambda: RiskBrain(self.limits), RISK_KINDS, (names.BUS, EXCHANGE))
        self.world.add_host(HostSpec(names.RISK, (risk,)))
        terms = LearnerSettings(
            symbols=SYMBOLS,
            horizon_ns=SECOND,
            silence_ns=3 * SECOND,
            minimum_outcomes=2,
            policy_every=1,
            shadow_samples=2,
            trial_samples=2,
        )
        learner = self._host(names.LEARNER, lambda: LearnerBrain(terms), LEARNER_KINDS, (names.BUS, EXCHANGE))
        self.world.add_host(HostSpec(names.LEARNER, (learner,)))

    def _exchange(self, exchange: Callable[[ExchangeSettings], Behavior]) -> None:
        told = ExchangeSettings("bybit", SYMBOLS, reconcile_ns=5 * SECOND, answer_ns=5 * SECOND, query_max_ns=SECOND)
        cell = self._host(EXCHANGE, lambda: exchange(told), EXCHANGE_KINDS, (names.BUS, names.RISK))
        self.world.add_host(HostSpec(EXCHANGE, (cell,), ports={VENUE_PORT: self.venue}))

    def _traders(self) -> None:
        cells = []
        for label, symbol, owner, params in self.traders:
            name, build = names.strategy(label, symbol), functools.partial(_strategy, label, symbol, owner, params)
            cells.append(self._host(name, build, STRATEGY_KINDS, (names.BUS, names.exchange_of(symbol)), symbol))
        self.world.add_host(HostSpec(cells[0].name, (cells[0],)))
        self.world.add_host(HostSpec("strategies/pool/0", tuple(cells[1:])))
        build = functools.partial(_strategy, "pair", SYMBOLS[0], Pair, {}, SYMBOLS)
        self.world.add_host(HostSpec(PAIR, (self._host(PAIR, build, STRATEGY_KINDS, (names.BUS, EXCHANGE)),)))
        wanted = Subscribe(0, ("Generated", "DeadLetter"))
        rogue = CellSpec(ROGUE, lambda: RogueBrain(self.period_ns), wanted, (names.BUS,))
        self.world.add_host(HostSpec(ROGUE, (rogue,)))

    def _operator(self, rng: random.Random) -> None:
        """In half of the runs somebody interferes; with a panic in some of them."""
        period, targets = int(rng.uniform(0.5, 3.0) * SECOND), (names.RISK, EXCHANGE)
        actions = rng.choice((("halt",), ("reduce", "halt"), ("panic", "halt", "reduce"), ("panic",)))
        if rng.random() < 0.5:
            cell = CellSpec(OPERATOR, lambda: OperatorBrain(period, actions, targets))
            self.world.add_host(HostSpec(OPERATOR, (cell,)))

    def run(self, seconds: float = 8.0) -> None:
        """Trade with faults, heal, come to rest, check."""
        try:
            self._run(seconds)
        finally:
            self.world.close()

    def _run(self, seconds: float) -> None:
        world = self.world
        world.start()
        world.run(int(seconds * SECOND))
        world.heal()
        self.venue.faults = self.venue.faults.healed()
        world.run(int((seconds + 4.0) * SECOND))
        self._stop()
        world.run(int((seconds + 50.0) * SECOND))
        self.audit.finish()

    def _stop(self) -> None:
        """Nobody emits any more; the venue's data comes more slowly."""
        self.audit.brain(ROGUE).stopped = True
        if OPERATOR in self.world.specs:
            self.audit.brain(OPERATOR).stopped = True
        for name in (PAIR, *(names.strategy(label, symbol) for label, symbol, _, _ in self.traders)):
            self.audit.brain(name).paused = True
        self.venue.faults = VenueFaults(delay_ns=self.venue.faults.delay_ns, tick_ns=SECOND // 2)


def _strategy(
    label: str, symbol: str, owner: type[Strategy], params: dict[str, object], symbols: tuple[str, ...] = ()
) -> Behavior:
    return StrategyBrain(BrainSettings(), owner.create(symbol, params, label, symbols))
