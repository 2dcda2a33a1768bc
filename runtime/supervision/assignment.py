"""What a host is told to be: its name, its epoch, and the cells it runs."""

from __future__ import annotations

import msgspec

from runtime.tape.format import TapeRules
from runtime.telemetry.logs import LogRules


class CellAssignment(msgspec.Struct, frozen=True):
    """One cell of a host: what it is built from, what it listens to, where it left off.

    ``config`` is opaque to the kernel. ``kinds``, ``index`` and ``value`` narrow the log
    subscription (see ``runtime.lifecycle.Subscribe``) and count only where ``subscribe`` is
    set. ``snapshots`` are the stored states, newest first; the supervisor fills them in.
    """

    name: str
    config: bytes = b""
    kinds: tuple[str, ...] = ()
    index: str = ""
    value: str = ""
    subscribe: bool = False
    peers: tuple[str, ...] = ()
    snapshots: tuple[bytes, ...] = ()
    snapshot_interval_s: float = 1.0


class Assignment(msgspec.Struct, frozen=True):
    """Everything a host needs to start, made anew for each incarnation.

    ``host`` is the logical name and ``supervisor`` the Ray actor to which snapshots go, in
    ``namespace``. ``settings`` are opaque to the kernel; ``journal`` is the path of the log
    this host owns, empty for all but one, and ``journal_bytes`` the most it may grow to (0: the
    kernel's default).
    """

    host: str
    kind: str
    epoch: int
    supervisor: str
    namespace: str
    run_dir: str
    cells: tuple[CellAssignment, ...]
    settings: bytes = b""
    journal: str = ""
    journal_bytes: int = 0
    logs: LogRules = LogRules()
    tapes: TapeRules = TapeRules()
