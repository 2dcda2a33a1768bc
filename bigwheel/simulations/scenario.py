"""The whole trading tree in a simulated world.

Use it as ``Scenario(Script("trading", 7)).run()``.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

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
from bigwheel.simulations.audit import Audit
from bigwheel.simulations.script import Script
from bigwheel.simulations.simulation import Simulation
from bigwheel.simulations.tempo import BRISK, CALM, LONG, Tempo
from bigwheel.simulations.traders import (
    OPERATOR,
    PERIODS_NS,
    ROGUE,
    Gambler,
    OperatorBrain,
    Pair,
    Planner,
    Protector,
    RogueBrain,
)
from bigwheel.simulations.venue import BTC, ETH, OTHER, SYMBOLS, VenueFaults
from exchanges.model.order import OrderType
from exchanges.model.venue import VENUE_PORT
from runtime.behavior import Behavior
from runtime.lifecycle import Subscribe
from runtime.simulation.faults import SECOND, FaultPlan
from runtime.simulation.process import CellSpec
from runtime.simulation.supervision import Supervision
from runtime.supervision.policy import Intensity
from strategies.registry import resolve
from strategies.strategy import Strategy


class Trader(NamedTuple):
    """A strategy on one symbol."""

    label: str
    symbol: str
    owner: type[Strategy]
    params: dict[str, object] = {}

    @property
    def cell(self) -> str:
        return names.strategy(self.label, self.symbol)


class Layout(NamedTuple):
    """What is traded, and by whom."""

    symbols: tuple[str, ...]
    traders: tuple[Trader, ...]
    supervised: bool = False
    """Whether restarts are the supervisors' business, and these may fall too."""
    tempo: Tempo = BRISK

    @property
    def pair(self) -> str:
        """The cell of the strategy on all symbols together."""
        return names.strategy_together("pair", self.symbols)


def _four(one: str, other: str) -> tuple[Trader, ...]:
    return (
        Trader("gambler", one, Gambler),
        Trader("trend", other, resolve("trend"), {"fast": 3, "slow": 8, "enter": 0.3, "patience": 3}),
        Trader("planner", other, Planner),
        Trader("reversion", one, resolve("reversion"), {"window": 8, "enter": 0.8, "patience": 3, "hold": 30}),
    )


LAYOUTS: dict[str, Layout] = {
    "trading": Layout(SYMBOLS, _four(BTC, ETH)),
    "flows": Layout(SYMBOLS, tuple(Trader(label, on, Planner) for label in ("planner", "schemer") for on in SYMBOLS)),
    "outage": Layout(SYMBOLS, tuple(Trader("protector", on, Protector) for on in SYMBOLS)),
    "tree": Layout((BTC, OTHER), _four(BTC, OTHER), supervised=True),
    "calm": Layout((BTC, OTHER), _four(BTC, OTHER), supervised=True, tempo=CALM),
    "long": Layout((BTC, OTHER), _four(BTC, OTHER), supervised=True, tempo=LONG),
}
"""By the scenario's name."""
_CARE = Intensity(restarts=5, window_s=30.0, base_s=0.1, cap_s=10.0)
"""What the configurations come with (``supervision`` in ``sim.yaml``)."""


class Scenario(Simulation):
    """One seeded run of bus, risk, learner, exchange connections, strategies and an operator.

    Args:
        script: Which scenario and seed, and how much of it.
        plan: What goes wrong; by default drawn from the seed.
        venue: How each venue misbehaves; by default drawn from the seed.
        exchange, bus: Make the brains; others than ours show what the audit finds.
        trace: Lines of history to keep.
    """

    SECONDS = 8.0

    def __init__(
        self,
        script: Script,
        *,
        plan: FaultPlan | None = None,
        venue: VenueFaults | None = None,
        exchange: Callable[[ExchangeSettings], Behavior] = ExchangeBrain,
        bus: Callable[[BusSettings], Behavior] = BusBrain,
        trace: int = 4_000,
    ) -> None:
        seed = script.seed
        self.layout = LAYOUTS[script.scenario]
        rng = random.Random(f"scenario {seed}")
        self.tempo = tempo = self.layout.tempo
        self.world = self._world(script, plan or tempo.plan(seed), rng, trace)
        self.venues = self._market(self.layout.symbols, lambda name: venue or tempo.venue(seed, name))
        self.limits = RiskSettings(
            symbols=self.layout.symbols,
            order_type=rng.choice((OrderType.LIMIT, OrderType.MARKET)),
            cooldown_ns=rng.choice((0, SECOND // 5)),
            symbol_notional=Decimal(rng.choice((2_500, 5_000))),
            total_notional=Decimal(6_000),
            orders_per_minute=rng.choice((120, 100_000)),
            equity_fraction=Decimal("0.02"),
            tick_ns=SECOND * tempo.beat,
            max_state_age_ns=10 * SECOND * tempo.beat,
        )
        self.period_ns = rng.choice(PERIODS_NS) * tempo.pace
        self.connections = tuple(names.exchange(each.name) for each in self.venues)
        self.audit = Audit(self.world, self.venues, self.limits)
        self._core(bus)
        self._exchanges(exchange)
        self._traders()
        self._operator(rng)
        if self.layout.supervised:
            told = (script.seed, self.world.scheduler, self.world.occurrences, _CARE, _supervisor_of)
            self.world.supervision = Supervision(*told)

    @property
    def parts(self) -> tuple[str, ...]:
        every = (*(trader.cell for trader in self.layout.traders), self.layout.pair, ROGUE, OPERATOR)
        return (*(cell for cell in every if cell in self.world.hosts_by_cell), *self.layout.symbols)

    def _core(self, bus: Callable[[BusSettings], Behavior]) -> None:
        told = BusSettings(sweep_ns=SECOND // 4 * self.tempo.beat, missing_fills_ns=60 * SECOND)
        self._host("bus-host", (CellSpec(names.BUS, lambda: bus(told), None, (names.RISK,)),), journal=True)
        peers = (names.BUS, *self.connections)
        self._host(names.RISK, (_cell(names.RISK, lambda: RiskBrain(self.limits), RISK_KINDS, peers),))
        terms = LearnerSettings(
            symbols=self.layout.symbols,
            horizon_ns=SECOND,
            silence_ns=3 * SECOND,
            minimum_outcomes=2,
            policy_every=1,
            shadow_samples=2,
            trial_samples=2,
            tick_ns=SECOND * self.tempo.beat,
        )
        self._host(names.LEARNER, (_cell(names.LEARNER, lambda: LearnerBrain(terms), LEARNER_KINDS, peers),))

    def _exchanges(self, exchange: Callable[[ExchangeSettings], Behavior]) -> None:
        for venue, name in zip(self.venues, self.connections, strict=True):
            told = ExchangeSettings(
                venue.name,
                venue.symbols,
                tick_ns=SECOND // 4 * self.tempo.beat,
                state_ns=SECOND * self.tempo.beat,
                reconcile_ns=5 * SECOND * self.tempo.beat,
                answer_ns=5 * SECOND,
                query_max_ns=SECOND,
            )
            build = functools.partial(exchange, told)
            cell = _cell(name, build, EXCHANGE_KINDS, (names.BUS, names.RISK))
            self._host(name, (cell,), ports={VENUE_PORT: venue})

    def _traders(self) -> None:
        self._strategies()
        build = functools.partial(_strategy, "pair", self.layout.symbols[0], Pair, {}, self.layout.symbols)
        pair = _cell(self.layout.pair, build, STRATEGY_KINDS, (names.BUS, *self.connections))
        self._host(pair.name, (pair,))
        wanted = Subscribe(0, ("Generated", "DeadLetter"))
        self._host(ROGUE, (CellSpec(ROGUE, lambda: RogueBrain(self.period_ns), wanted, (names.BUS,)),))

    def _strategies(self) -> None:
        """Those on one symbol each."""
        cells = []
        for label, symbol, owner, params in self.layout.traders:
            build = functools.partial(_strategy, label, symbol, owner, params)
            peers = (names.BUS, names.exchange_of(symbol))
            cells.append(_cell(names.strategy(label, symbol), build, STRATEGY_KINDS, peers, symbol))
        self._host(cells[0].name, cells[:1])
        self._host("strategies/pool/0", cells[1:])

    def _operator(self, rng: random.Random) -> None:
        """In half of the runs somebody interferes; with a panic in some of them."""
        period, targets = int(rng.uniform(0.5, 3.0) * SECOND) * self.tempo.pace, (names.RISK, *self.connections)
        actions = rng.choice((("halt",), ("reduce", "halt"), ("panic", "halt", "reduce"), ("panic",)))
        if rng.random() < 0.5:
            self._host(OPERATOR, (CellSpec(OPERATOR, lambda: OperatorBrain(period, actions, targets)),))

    def play(self, seconds: float) -> None:
        world = self.world
        world.start()
        world.run(int(seconds * SECOND))
        self.rest(seconds)

    def rest(self, seconds: float) -> None:
        """Heal at that moment of the run, come to rest, check."""
        world = self.world
        self.heal()
        seconds += 4.0
        world.run(int(seconds * SECOND))
        while not all(process.alive for process in world.processes.values()):
            seconds += 1.0
            world.run(int(seconds * SECOND))
        self._stop()
        world.run(int((seconds + self.tempo.rest_s) * SECOND))
        self.audit.finish()

    def _stop(self) -> None:
        """Nobody emits any more; the venues' data come more slowly."""
        for cell in self.parts:
            if cell in (ROGUE, OPERATOR):
                self.audit.brain(cell).stopped = True
            elif cell in self.world.hosts_by_cell:
                self.audit.brain(cell).paused = True
        for venue in self.venues:
            venue.faults = VenueFaults(delay_ns=venue.faults.delay_ns, tick_ns=max(SECOND // 2, venue.faults.tick_ns))


def _supervisor_of(host: str) -> str:
    """As in the live tree (``actors.tree``)."""
    if host.startswith("exchange/"):
        return names.EXCHANGES
    return names.STRATEGIES if host.startswith((names.STRATEGY, names.STRATEGIES)) else names.ROOT


def _cell(
    name: str, build: Callable[[], Behavior], kinds: tuple[str, ...], peers: tuple[str, ...], symbol: str = ""
) -> CellSpec:
    return CellSpec(name, build, Subscribe(0, kinds, "symbol" if symbol else "", symbol), peers)


def _strategy(
    label: str, symbol: str, owner: type[Strategy], params: dict[str, object], symbols: tuple[str, ...] = ()
) -> Behavior:
    return StrategyBrain(BrainSettings(), owner.create(symbol, params, label, symbols))
