"""The Ray actor of the SignalBus: the journal's one writer."""

from __future__ import annotations

from actors.bus.brain import BusBrain
from actors.bus.configuration import times
from actors.host import TradingHost
from runtime.behavior import Behavior
from runtime.supervision.assignment import CellAssignment


class SignalBus(TradingHost):
    """Hosts the bus's brain and owns the journal."""

    def build(self, cell: CellAssignment) -> Behavior:
        return BusBrain(times(self.settings))
