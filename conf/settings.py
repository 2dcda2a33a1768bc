"""The one typed configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from conf import modes
from conf.hosting import AuditSettings, BusSettings, GatewaySettings, LoggingSettings, RaySettings, SupervisionSettings
from conf.risk import RiskSettings
from conf.section import Names, Section
from conf.trading import LearnerSettings, StrategySettings, check_symbols
from conf.venues import BacktestSettings, PaperSettings, SimulatorSettings, VenueSections

Mode = Literal["sim", "paper", "demo", "live"]


def _default_strategies() -> tuple[StrategySettings, ...]:
    return (StrategySettings(name="trend"),)


class Settings(Section):
    """Everything a session can be told. Immutable; travels as ``model_dump_json()``."""

    mode: Mode = Field(default="sim", description="sim: embedded venues; paper, demo, live")
    symbols: Annotated[Names, Field(min_length=1)] = Field(
        default=("bybit:BTCUSDT", "bybit:ETHUSDT", "bybit:SOLUSDT"), description="what is traded, each as venue:NATIVE"
    )
    strategies: Annotated[tuple[StrategySettings, ...], Field(strict=False)] = Field(
        default_factory=_default_strategies, description="the strategies, and the symbols each of them trades"
    )
    store: Annotated[Path, Field(strict=False)] = Field(
        default_factory=lambda: Path.cwd() / ".bigwheel",
        validate_default=False,
        description="folder of the journal, snapshots and logs",
    )
    ray: RaySettings = Field(default_factory=RaySettings, description="the cluster the actors run on")
    simulator: SimulatorSettings = Field(default_factory=SimulatorSettings, description="the embedded venues")
    paper: PaperSettings = Field(default_factory=PaperSettings, description="orders of mode paper")
    backtest: BacktestSettings = Field(default_factory=BacktestSettings, description="runs on recorded data")
    exchange: VenueSections = Field(default_factory=VenueSections, description="the connections, by venue")
    risk: RiskSettings = Field(default_factory=RiskSettings, description="the limits no order gets past")
    learner: LearnerSettings = Field(default_factory=LearnerSettings, description="how outcomes change decisions")
    bus: BusSettings = Field(default_factory=BusSettings, description="the signal bus and its journal")
    gateway: GatewaySettings = Field(default_factory=GatewaySettings, description="the API and the dashboard")
    supervision: SupervisionSettings = Field(default_factory=SupervisionSettings, description="restarts")
    logging: LoggingSettings = Field(default_factory=LoggingSettings, description="log files")
    audit: AuditSettings = Field(default_factory=AuditSettings, description="the tapes that a replay runs")

    @field_validator("symbols")
    @classmethod
    def _symbols(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return check_symbols(value)

    @field_validator("store")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("strategies")
    @classmethod
    def _strategies(cls, value: tuple[StrategySettings, ...], info: ValidationInfo) -> tuple[StrategySettings, ...]:
        tags = [entry.tag for entry in value]
        twice = sorted({tag for tag in tags if tags.count(tag) > 1})
        if twice:
            raise ValueError(
                f"expected a label of its own for each strategy, found {twice[0]!r} twice; set `label` (on the command "
                "line LABEL=NAME)"
            )
        traded = info.data.get("symbols")
        for symbol in (symbol for entry in value for symbol in entry.symbols if traded and symbol not in traded):
            raise ValueError(f"expected symbols of the session, found {symbol!r}; add it to `symbols`")
        return value

    @field_validator("simulator")
    @classmethod
    def _embedded(cls, value: SimulatorSettings, info: ValidationInfo) -> SimulatorSettings:
        mode = info.data.get("mode", "sim")
        for name in ("replay", "faults"):
            if mode != "sim" and getattr(value, name):
                raise ValueError(
                    f"expected no simulator.{name} in mode {mode}, which has no embedded venues, found "
                    f"{getattr(value, name)!r}; remove it, or set mode: sim"
                )
        traded = {symbol.partition(":")[0] for symbol in info.data.get("symbols", ())}
        if value.port and len(traded) > 1:
            raise ValueError(
                f"expected simulator.port 0 with {len(traded)} venues, which can't share a port, found {value.port}; "
                "set it to 0"
            )
        return value

    @field_validator("exchange")
    @classmethod
    def _venues(cls, value: VenueSections, info: ValidationInfo) -> VenueSections:
        mode = info.data.get("mode")
        traded = dict.fromkeys(symbol.partition(":")[0] for symbol in info.data.get("symbols", ()))
        faults = [fault for venue in traded if mode for fault in value.faults(venue, modes.Mode(mode))]
        if faults:
            raise ValueError("; ".join(faults))
        return value

    @property
    def venues(self) -> tuple[str, ...]:
        """The venues that are traded, each once, in the order of the symbols."""
        return tuple(dict.fromkeys(symbol.partition(":")[0] for symbol in self.symbols))

    def symbols_of(self, entry: StrategySettings) -> tuple[str, ...]:
        """The symbols ``entry`` trades: its own, or all of the session's."""
        return entry.symbols or self.symbols
