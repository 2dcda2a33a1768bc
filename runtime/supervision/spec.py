"""What a supervisor is told to keep alive, and how. Persisted with its state."""

from __future__ import annotations

import enum

import msgspec

from runtime.errors import SupervisionError
from runtime.supervision.assignment import CellAssignment
from runtime.supervision.policy import Intensity, Restart
from runtime.tape.format import TapeRules
from runtime.telemetry.logs import LogRules


class Strategy(enum.StrEnum):
    """Which siblings are started again with a child that ended."""

    ONE_FOR_ONE = "one_for_one"
    """None."""
    REST_FOR_ONE = "rest_for_one"
    """Those that come after it, in order; children are also first started one after the other."""


class ChildSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One child. Times are in seconds.

    Args:
        name: The logical name, unique among the siblings.
        kind: What it is called in status, and which children are stopped together.
        actor_class: ``module:Class`` of the actor, importable on every node.
        restart: Which ends are followed by a new start.
        critical: Escalate to the parent when it exceeds ``intensity``, instead of giving it up.
        cells: Template of the host's cells (without snapshots).
        settings: Opaque settings of the host; for a child supervisor its encoded ``SupervisorSpec``.
        journal: Path of the log that this host owns.
        journal_bytes: The most that log may grow to; 0 for the kernel's default.
        spares: Warm spares kept for all children of the same actor class and ``env``.
        heartbeat_s: How often it is asked for a sign of life.
        hang_after_s: An unanswered ask of this age means that it hangs.
        start_deadline_s: A start that takes longer has failed.
        stop_deadline_s: How long it may take to stop before it is killed.
        lease_s: How long it may still act after its death was reported but not proven (another
            node); the successor waits this long.
        intensity: Its restart intensity; the supervisor's where absent.
        resources: Custom Ray resources. With any, Ray places the child and no spare serves it.
        env: Environment variables of its process.
    """

    name: str
    kind: str
    actor_class: str
    restart: Restart = Restart.PERMANENT
    critical: bool = False
    cells: tuple[CellAssignment, ...] = ()
    settings: bytes = b""
    journal: str = ""
    journal_bytes: int = 0
    spares: int = 0
    heartbeat_s: float = 1.0
    hang_after_s: float = 10.0
    start_deadline_s: float = 60.0
    stop_deadline_s: float = 5.0
    lease_s: float = 0.0
    intensity: Intensity | None = None
    resources: dict[str, float] = {}
    env: dict[str, str] = {}

    def __post_init__(self) -> None:
        if not self.name or "#" in self.name:
            raise ValueError(f"expected a child name without '#', found {self.name!r}; '#' separates the generation")
        if self.actor_class.count(":") != 1:
            raise ValueError(f"expected actor_class as 'module:Class', found {self.actor_class!r} for {self.name}")
        if min(self.heartbeat_s, self.hang_after_s, self.start_deadline_s) <= 0 or self.lease_s < 0 or self.spares < 0:
            raise ValueError(
                f"expected positive heartbeat_s, hang_after_s and start_deadline_s and no negative lease_s or spares "
                f"for {self.name}, found {self.heartbeat_s}, {self.hang_after_s}, {self.start_deadline_s}, "
                f"{self.lease_s} and {self.spares}"
            )


class SupervisorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One supervisor and its children, in the order of their start.

    ``parent`` is empty for the root. ``namespace``, ``parent``, ``logs``, ``tapes`` and an empty ``run_dir`` of
    a child supervisor are filled in by its parent. ``starts_at_once`` bounds how many children
    are started cold at the same time (a start is about a second of one core); 0 means one
    for each core. ``seed`` is where the backoff's jitter comes from.
    """

    name: str
    kind: str = "supervisor"
    children: tuple[ChildSpec, ...] = ()
    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: Intensity = Intensity()
    parent: str = ""
    namespace: str = ""
    run_dir: str = ""
    logs: LogRules = LogRules()
    starts_at_once: int = 0
    seed: int = 0
    tapes: TapeRules = TapeRules()

    def __post_init__(self) -> None:
        names = [child.name for child in self.children]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"expected child names unique under {self.name}, found {twice} twice; rename them")


def encode_spec(spec: SupervisorSpec | ChildSpec) -> bytes:
    """The bytes that ``Supervisor`` and its ``add`` take."""
    return msgspec.msgpack.encode(spec)


def decode_supervisor(data: bytes) -> SupervisorSpec:
    """The spec in ``data``.

    Raises:
        SupervisionError: the bytes are no valid supervisor spec; the text says why.
    """
    try:
        return msgspec.msgpack.decode(data, type=SupervisorSpec)
    except msgspec.DecodeError as error:
        raise SupervisionError(f"expected an encoded SupervisorSpec, found {len(data)} bytes: {error}") from error


def decode_child(data: bytes) -> ChildSpec:
    """The spec in ``data``.

    Raises:
        SupervisionError: the bytes are no valid child spec; the text says why.
    """
    try:
        return msgspec.msgpack.decode(data, type=ChildSpec)
    except msgspec.DecodeError as error:
        raise SupervisionError(f"expected an encoded ChildSpec, found {len(data)} bytes: {error}") from error
