"""Settings of what the actors run on: Ray, bus, gateway, supervision, logging, audit."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from conf.section import Seconds, Section

Count = Annotated[int, Field(ge=1)]


class RaySettings(Section):
    """The cluster the actors run on."""

    address: str = Field(
        default="", description="a running cluster's address, or auto; empty starts one on this machine"
    )
    num_cpus: Annotated[int, Field(ge=0)] = Field(
        default=0, description="CPUs of a local cluster; 0 takes the machine's"
    )
    object_store_mb: Annotated[int, Field(ge=80)] = Field(default=128, description="the local object store, in MiB")
    dashboard: bool = Field(default=True, description="true starts Ray's own dashboard")
    loopback: bool = Field(
        default=True,
        description="a local cluster listens on the loopback interface alone; false lets other nodes join it",
    )
    namespace: str = Field(default="bigwheel", min_length=1, description="keeps two sessions on one cluster apart")


class BusSettings(Section):
    """The signal bus and its journal."""

    ttl_s: Seconds = Field(default=10.0, description="how long a signal lives when its strategy does not say")
    max_ttl_s: Seconds = Field(default=3600.0, description="the longest life a strategy may ask for")
    redeliver_ms: Annotated[float, Field(gt=0)] = Field(
        default=1000.0, description="milliseconds without an answer after which a request is sent again"
    )
    stuck_s: Seconds = Field(default=30.0, description="a signal in one state for this long is reported as stuck")
    linger_ms: Annotated[float, Field(ge=0)] = Field(
        default=2.0, description="milliseconds a record that is not urgent waits for company before it is flushed"
    )
    map_size_mb: Annotated[int, Field(ge=64)] = Field(
        default=65536, description="the most the journal may grow to, in MiB; address space, not disk"
    )

    @model_validator(mode="after")
    def _lives(self) -> BusSettings:
        if self.ttl_s > self.max_ttl_s:
            raise ValueError(f"expected ttl_s <= max_ttl_s, found {self.ttl_s} > {self.max_ttl_s}; raise max_ttl_s")
        return self


class GatewaySettings(Section):
    """The HTTP and WebSocket API and the dashboard."""

    host: str = Field(default="127.0.0.1", min_length=1, description="the address it listens on")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(default=8780, description="the port; 0 takes a free one")
    token_file: str = Field(
        default="", description="file with the token of those who may give orders; empty: in the store"
    )


class SpareSettings(Section):
    """Warm processes, by kind, that take a dead actor's place without waiting for a start."""

    strategy: Annotated[int, Field(ge=0)] = Field(default=1, description="spares for symbol strategies")
    exchange: Annotated[int, Field(ge=0)] = Field(default=1, description="spares for exchange connections")
    core: Annotated[int, Field(ge=0)] = Field(default=1, description="spares for bus, risk and learner")


class SupervisionSettings(Section):
    """When a crashed or hung actor is replaced, and when its supervisor gives up."""

    intensity: Count = Field(default=5, description="restarts within the window before the supervisor itself gives up")
    window_s: Seconds = Field(default=30.0, description="the window of intensity")
    backoff_base_s: Annotated[float, Field(ge=0)] = Field(
        default=0.1, description="wait before a second restart; doubles"
    )
    backoff_cap_s: Seconds = Field(default=10.0, description="the longest wait between two restarts")
    heartbeat_s: Seconds = Field(default=1.0, description="how often each actor is asked for a sign of life")
    hang_after_s: Seconds = Field(default=5.0, description="an actor without a sign of life for this long is replaced")
    stop_timeout_s: Seconds = Field(default=5.0, description="how long a stopping actor has before it is killed")
    snapshot_interval_s: Seconds = Field(default=1.0, description="how often a changed state is put into the store")
    symbols_per_actor: Count = Field(default=1, description="symbol strategies that share one Ray actor")
    spares: SpareSettings = Field(default_factory=SpareSettings, description="warm processes kept, by kind")

    @model_validator(mode="after")
    def _deadlines(self) -> SupervisionSettings:
        if self.hang_after_s <= self.heartbeat_s:
            raise ValueError(
                f"expected hang_after_s > heartbeat_s, found {self.hang_after_s} and {self.heartbeat_s}; "
                "one missed sign of life must not be a hang: raise hang_after_s"
            )
        return self


class LoggingSettings(Section):
    """What is written to the log files under the store folder, one JSON object a line."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least severity written"
    )
    max_mb: Count = Field(default=50, description="a log file is rotated at this size, in MiB")
    keep: Annotated[int, Field(ge=0)] = Field(default=5, description="rotated files kept")


class AuditSettings(Section):
    """The tapes: what each actor was given and did, from which `bigwheel replay` runs it again."""

    enabled: bool = Field(default=True, description="true keeps a tape of every actor, in the store")
    max_mb: Annotated[int, Field(ge=8)] = Field(
        default=64, description="the most that one actor's tapes may take, in MiB; the oldest go first"
    )
    effects: Literal["full", "digest"] = Field(
        default="full", description="full keeps what an actor did; digest a checksum of it, which takes less room"
    )
