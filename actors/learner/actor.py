"""The Ray actor of the learner."""

from __future__ import annotations

from actors.host import TradingHost
from actors.learner.brain import LearnerBrain
from actors.learner.settings import LearnerSettings
from runtime.behavior import Behavior
from runtime.supervision.assignment import CellAssignment


class Learner(TradingHost):
    """Hosts the brain that turns outcomes into feedback."""

    def build(self, cell: CellAssignment) -> Behavior:
        told = self.settings.learner
        return LearnerBrain(
            LearnerSettings(
                symbols=self.settings.symbols,
                horizon_ns=int(told.horizon_s * 1e9),
                taker_fee=float(self.settings.simulator.taker_fee),
                minimum_outcomes=told.minimum_outcomes,
                prior_wins=told.prior_wins,
                prior_losses=told.prior_losses,
                half_life=told.half_life,
                base_threshold=told.base_threshold,
                threshold_min=told.threshold_min,
                threshold_max=told.threshold_max,
                size_min=told.size_min,
                size_max=told.size_max,
                max_step=told.max_step,
            )
        )
