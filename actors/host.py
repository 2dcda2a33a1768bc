"""What every host of the trading tree has in common: its settings, and how long its records linger."""

from __future__ import annotations

from actors.names import BUS
from conf import Settings
from runtime.host.engine import Engine
from runtime.host.host import Host


class TradingHost(Host):
    """Base of the tree's actors; ``settings`` is the whole configuration of the session."""

    log_name = BUS

    def __init__(self, assignment: bytes = b"", spare: str = "") -> None:
        super().__init__(assignment, spare)
        self.settings = Settings.model_validate_json(self.assignment.settings)
        self.linger_ns = int(self.settings.bus.linger_ms * 1e6)

    def engine_or_fail(self) -> Engine:
        """The engine of a running host."""
        if self.engine is None:
            raise RuntimeError(f"{self.name} is not running yet: its engine is made when run() begins")
        return self.engine
