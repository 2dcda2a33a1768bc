"""The Ray actor of the learner."""

from __future__ import annotations

from actors.host import TradingHost
from actors.learner import discovery, drift
from actors.learner.brain import LearnerBrain
from actors.learner.configuration import terms
from runtime.behavior import Behavior
from runtime.supervision.assignment import CellAssignment

ASIDE = (discovery, drift.load())
"""What the brain imports where it first needs it: here at the start, so that no message waits for it."""


class Learner(TradingHost):
    """Hosts the brain that turns outcomes into policies and feedback."""

    def build(self, cell: CellAssignment) -> Behavior:
        return LearnerBrain(terms(self.settings))
