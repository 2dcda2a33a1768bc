"""The supervision tree of a session: who there is, under whom, listening to what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from actors import names
from actors.exchange.brain import KINDS as EXCHANGE_KINDS
from actors.learner.brain import KINDS as LEARNER_KINDS
from actors.risk.brain import KINDS as RISK_KINDS
from actors.strategy.brain import KINDS as STRATEGY_KINDS
from actors.strategy.plan import StrategyPlan, entered
from conf import Settings
from runtime.supervision.assignment import CellAssignment
from runtime.supervision.policy import Intensity
from runtime.supervision.spec import ChildSpec, SupervisorSpec, encode_spec
from runtime.tape.format import TapeRules
from runtime.telemetry.logs import LogRules
from strategies.registry import resolve

SUPERVISOR = "actors.supervisor:TradingSupervisor"
BUS_SNAPSHOT_S = 5.0
"""The bus's state is large and its own journal is at hand, so it is captured less often."""


class Planner:
    """Makes the specs of one session's actors."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._json = settings.model_dump_json().encode()
        care = settings.supervision
        self.intensity = Intensity(
            restarts=care.intensity, window_s=care.window_s, base_s=care.backoff_base_s, cap_s=care.backoff_cap_s
        )

    def child(
        self,
        name: str,
        kind: str,
        actor_class: str,
        cells: Sequence[CellAssignment] = (),
        *,
        spares: int = 0,
        journal: str = "",
        critical: bool = False,
    ) -> ChildSpec:
        """A child that hosts ``cells``."""
        care = self.settings.supervision
        return ChildSpec(
            name=name,
            kind=kind,
            actor_class=actor_class,
            critical=critical,
            cells=tuple(cells),
            settings=self._json,
            journal=journal,
            journal_bytes=self.settings.bus.map_size_mb << 20 if journal else 0,
            spares=spares,
            heartbeat_s=care.heartbeat_s,
            hang_after_s=care.hang_after_s,
            stop_deadline_s=care.stop_timeout_s,
        )

    def cell(
        self,
        name: str,
        kinds: tuple[str, ...],
        peers: Iterable[str],
        *,
        index: str = "",
        value: str = "",
        config: bytes = b"",
        interval_s: float = 0.0,
    ) -> CellAssignment:
        """A cell that subscribes to ``kinds`` of the log (to none of them when it is empty)."""
        return CellAssignment(
            name=name,
            config=config,
            kinds=kinds,
            index=index,
            value=value,
            subscribe=bool(kinds),
            peers=tuple(peers),
            snapshot_interval_s=interval_s or self.settings.supervision.snapshot_interval_s,
        )

    def supervisor(self, name: str, children: Sequence[ChildSpec]) -> ChildSpec:
        """A supervisor as a child of the root."""
        care = self.settings.supervision
        spec = SupervisorSpec(
            name=name,
            children=tuple(children),
            intensity=self.intensity,
            parent=names.ROOT,
            run_dir=str(self.settings.store),
        )
        return ChildSpec(
            name=name,
            kind="supervisor",
            actor_class=SUPERVISOR,
            settings=encode_spec(spec),
            heartbeat_s=care.heartbeat_s,
            hang_after_s=care.hang_after_s * 2,
            start_deadline_s=90.0,
            stop_deadline_s=care.stop_timeout_s * 2,
        )

    def core(self) -> list[ChildSpec]:
        """Bus, risk and learner."""
        spares = self.settings.supervision.spares.core
        connections = [names.exchange(venue) for venue in self.settings.venues]
        bus = self.cell(names.BUS, (), (names.RISK,), interval_s=BUS_SNAPSHOT_S)
        risk = self.cell(names.RISK, RISK_KINDS, (names.BUS, *connections))
        learner = self.cell(names.LEARNER, LEARNER_KINDS, (names.BUS, *connections))
        journal = str(self.settings.store / "journal")
        return [
            self.child(names.BUS, "bus", "actors.bus.actor:SignalBus", [bus], spares=spares, journal=journal),
            self.child(names.RISK, "risk", "actors.risk.actor:RiskSupervisor", [risk], spares=spares),
            self.child(names.LEARNER, "learner", "actors.learner.actor:Learner", [learner], spares=spares),
        ]

    def embedded(self) -> list[ChildSpec]:
        """The venues' simulators; there are none outside of ``sim``."""
        if self.settings.mode != "sim":
            return []
        return [
            self.child(names.venue(venue), "venue", "actors.venue.actor:VenueSimulator")
            for venue in self.settings.venues
        ]

    def connections(self) -> ChildSpec:
        """The supervisor of the exchange connections."""
        children = []
        for venue in self.settings.venues:
            name = names.exchange(venue)
            cell = self.cell(name, EXCHANGE_KINDS, (names.BUS, names.RISK, f"{names.STRATEGY}/*"))
            spares = self.settings.supervision.spares.exchange
            children.append(
                self.child(name, "exchange", "actors.exchange.actor:ExchangeConnection", [cell], spares=spares)
            )
        return self.supervisor(names.EXCHANGES, children)

    def strategy_cell(self, plan: StrategyPlan) -> CellAssignment:
        """The cell of one strategy on its symbols; see ``actors.strategy.brain.KINDS`` for what it subscribes to."""
        connections = dict.fromkeys(map(names.exchange_of, plan.every))
        return self.cell(
            plan.cell,
            STRATEGY_KINDS,
            (names.BUS, *connections),
            index="" if plan.symbols else "symbol",
            value="" if plan.symbols else plan.symbol,
            config=msgspec.msgpack.encode(plan),
        )

    def strategy_hosts(self, plans: Sequence[StrategyPlan], *, group: str = "") -> list[ChildSpec]:
        """One host for each ``symbols_per_actor`` plans."""
        size = self.settings.supervision.symbols_per_actor
        hosts = []
        for start in range(0, len(plans), size):
            cells = [self.strategy_cell(plan) for plan in plans[start : start + size]]
            name = cells[0].name if size == 1 else names.strategy_pool(group or plans[start].label, start // size)
            spares = self.settings.supervision.spares.strategy
            hosts.append(self.child(name, "strategy", "actors.strategy.actor:SymbolStrategy", cells, spares=spares))
        return hosts

    def configured(self) -> list[StrategyPlan]:
        """A plan for each configured strategy and symbol; one for all symbols of a strategy that has them together.

        Raises:
            StrategyError: a strategy's class can't be found.
        """
        plans: list[StrategyPlan] = []
        for entry in self.settings.strategies:
            plans += entered(entry, self.settings.symbols_of(entry), together=resolve(entry.name).together)
        return plans

    def strategies(self, plans: Sequence[StrategyPlan]) -> ChildSpec:
        """The supervisor of the strategies."""
        return self.supervisor(names.STRATEGIES, self.strategy_hosts(plans))

    def root(self, *, strategies: bool) -> SupervisorSpec:
        """The whole tree, in the order of its start; it is stopped in the reverse order."""
        children = [
            *self.embedded(),
            *self.core(),
            self.connections(),
            self.strategies(self.configured() if strategies else []),
            self.child(names.GATEWAY, "gateway", "actors.gateway.actor:Gateway"),
        ]
        told, audit = self.settings.logging, self.settings.audit
        return SupervisorSpec(
            name=names.ROOT,
            kind="root",
            children=tuple(children),
            intensity=self.intensity,
            run_dir=str(self.settings.store),
            logs=LogRules(told.level.upper(), told.max_mb << 20, told.keep),
            tapes=TapeRules(audit.enabled, audit.max_mb << 20, audit.effects),
        )
