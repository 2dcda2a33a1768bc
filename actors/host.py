"""What every host of the trading tree has in common: its settings, and how long its records linger."""

from __future__ import annotations

from collections.abc import Callable

from actors.names import BUS
from conf import Settings
from runtime.behavior import Behavior
from runtime.host.engine import Engine
from runtime.host.host import Host
from runtime.supervision.assignment import Assignment, CellAssignment


class TradingHost(Host):
    """Base of the tree's actors; ``settings`` is the whole configuration of the session."""

    log_name = BUS

    def __init__(self, assignment: bytes = b"", spare: str = "") -> None:
        super().__init__(assignment, spare)
        self.settings = Settings.model_validate_json(self.assignment.settings)
        self.linger_ns = int(self.settings.bus.linger_ms * 1e6)

    @classmethod
    def builder(cls, assignment: Assignment) -> Callable[[CellAssignment], Behavior]:
        """``build`` of a host that is never started: what a replay makes its brains with.

        Raises:
            ValueError: the assignment's settings are none of this program's.
        """
        host = cls.__new__(cls)
        host.assignment, host.name = assignment, assignment.host
        host.settings = Settings.model_validate_json(assignment.settings)
        return host.build

    def engine_or_fail(self) -> Engine:
        """The engine of a running host."""
        if self.engine is None:
            raise RuntimeError(f"{self.name} is not running yet: its engine is made when run() begins")
        return self.engine
