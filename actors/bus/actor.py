"""The Ray actor of the SignalBus: the journal's one writer."""

from __future__ import annotations

from actors.bus.brain import BusBrain
from actors.bus.settings import BusSettings
from actors.host import TradingHost
from runtime.behavior import Behavior
from runtime.supervision.assignment import CellAssignment


class SignalBus(TradingHost):
    """Hosts the bus's brain and owns the journal."""

    def build(self, cell: CellAssignment) -> Behavior:
        bus = self.settings.bus
        return BusBrain(
            BusSettings(
                redeliver_ns=int(bus.redeliver_ms * 1e6),
                stuck_evaluating_ns=int(bus.stuck_s * 1e9),
                stuck_approved_ns=int(bus.stuck_s * 1e9),
                stuck_executing_ns=int(bus.stuck_s * 1e9),
            )
        )
