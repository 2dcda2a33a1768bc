"""The Ray actor of the risk supervisor."""

from __future__ import annotations

from actors.host import TradingHost
from actors.risk.brain import RiskBrain
from actors.risk.configuration import limits
from runtime.behavior import Behavior
from runtime.supervision.assignment import CellAssignment


class RiskSupervisor(TradingHost):
    """Hosts the one brain that can approve an order."""

    def build(self, cell: CellAssignment) -> Behavior:
        return RiskBrain(limits(self.settings))
