"""The one typed configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from conf.hosting import BusSettings, GatewaySettings, LoggingSettings, RaySettings, SupervisionSettings
from conf.section import Names, Section
from conf.trading import LearnerSettings, RiskSettings, StrategySettings, check_symbols
from conf.venues import SimulatorSettings, Venue, VenueSettings, default_venues

Mode = Literal["sim", "paper", "demo", "live"]
RUNNABLE = ("sim",)


def _default_strategies() -> tuple[StrategySettings, ...]:
    return (StrategySettings(name="trend"),)


class Settings(Section):
    """Everything a session can be told. Immutable; travels as ``model_dump_json()``."""

    mode: Mode = Field(default="sim", description="sim: embedded venues; paper, demo and live do not run yet")
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
    simulator: SimulatorSettings = Field(default_factory=SimulatorSettings, description="the embedded venue")
    exchange: dict[Venue, VenueSettings] = Field(
        default_factory=default_venues, description="the connections, by venue"
    )
    risk: RiskSettings = Field(default_factory=RiskSettings, description="the limits no order gets past")
    learner: LearnerSettings = Field(default_factory=LearnerSettings, description="how outcomes change decisions")
    bus: BusSettings = Field(default_factory=BusSettings, description="the signal bus and its journal")
    gateway: GatewaySettings = Field(default_factory=GatewaySettings, description="the API and the dashboard")
    supervision: SupervisionSettings = Field(default_factory=SupervisionSettings, description="restarts")
    logging: LoggingSettings = Field(default_factory=LoggingSettings, description="log files")

    @field_validator("mode")
    @classmethod
    def _runs(cls, value: str) -> str:
        if value not in RUNNABLE:
            raise ValueError(
                f"expected sim, the only mode this version runs, found {value!r}; set mode: sim (it trades the same "
                "strategies against an embedded venue, without keys)"
            )
        return value

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
            raise ValueError(f"expected a label of its own for each strategy, found {twice[0]!r} twice; set `label`")
        traded = info.data.get("symbols")
        for symbol in (symbol for entry in value for symbol in entry.symbols if traded and symbol not in traded):
            raise ValueError(f"expected symbols of the session, found {symbol!r}; add it to `symbols`")
        return value

    @field_validator("exchange")
    @classmethod
    def _venues(cls, value: dict[Venue, VenueSettings], info: ValidationInfo) -> dict[Venue, VenueSettings]:
        for symbol in info.data.get("symbols", ()):
            venue = symbol.partition(":")[0]
            if venue not in value:
                raise ValueError(f"expected a section {venue!r} for {symbol}, found none; add `exchange.{venue}`")
        return value

    def symbols_of(self, entry: StrategySettings) -> tuple[str, ...]:
        """The symbols ``entry`` trades: its own, or all of the session's."""
        return entry.symbols or self.symbols
