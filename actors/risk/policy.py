"""What was learned, as far as it decides: which policy a signal is judged by, and what it says.

The learner proposes; the bounds are the risk supervisor's own, whatever a policy holds. A value
that is no number is taken for the most careful one within them.
"""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise

import msgspec

from actors.messages.learning import Ban, Policy, PolicyIssued, Stage
from actors.risk.settings import RiskSettings

TRIAL, CONTROL = "trial", "control"
"""The two sides of a trial."""

_SHADOWS = 100
"""Versions in shadow that are remembered."""


class Policies(msgspec.Struct):
    """The policy that decides all signals, the candidate that decides a share of them, and those in shadow."""

    full: Policy | None = None
    trial: Policy | None = None
    share: float = 0.0
    shadows: list[int] = []

    def take(self, issued: PolicyIssued) -> None:
        """Fold a policy's new stage. A policy that decides all ends the trial there was."""
        version = issued.policy.version
        self.shadows = [known for known in self.shadows if known != version]
        if self.trial is not None and (issued.stage is Stage.FULL or self.trial.version == version):
            self.trial, self.share = None, 0.0
        if issued.stage is Stage.FULL:
            self.full = issued.policy
        elif issued.stage is Stage.TRIAL:
            self.trial, self.share = issued.policy, _within(issued.share, 0.0, 1.0, 0.0)
        elif issued.stage is Stage.SHADOW:
            self.shadows = [*self.shadows, version][-_SHADOWS:]
        elif self.full is not None and self.full.version == version:
            self.full = None

    def arm(self, signal_id: str) -> str:
        """Which side of the trial a signal falls on, by its id alone; empty without a trial."""
        if self.trial is None:
            return ""
        digest = hashlib.blake2b(signal_id.encode(), digest_size=8).digest()
        return TRIAL if int.from_bytes(digest, "big") < self.share * 2**64 else CONTROL

    def of(self, arm: str) -> Policy | None:
        """The policy that decides on that side."""
        return self.trial if arm == TRIAL else self.full


class Terms(msgspec.Struct, frozen=True):
    """One policy's word on one signal's regime, within the risk supervisor's bounds."""

    policy: Policy | None
    arm: str
    regime: str
    settings: RiskSettings
    now: int

    @property
    def version(self) -> int:
        """The policy's version; 0 where there is none."""
        return self.policy.version if self.policy else 0

    def weight(self, source: str) -> float:
        """How much a source counts in this regime; 1 where nothing was learned, 0 while it is banned."""
        if self.policy is None:
            return 1.0
        if self.ban(source):
            return 0.0
        weights = self.policy.weights
        said = weights.get(f"{source}|{self.regime}", weights.get(f"{source}|", 1.0))
        return _within(said, 0.0, self.settings.weight_max, 0.0)

    def threshold(self, pair: str) -> float | None:
        """The conviction that ``strategy|symbol`` needs, if the policy says."""
        said = self.policy.thresholds.get(pair) if self.policy else None
        if said is None:
            return None
        return _within(said, self.settings.threshold_min, self.settings.threshold_max, self.settings.threshold_max)

    def size(self, pair: str) -> float | None:
        """The size multiplier of ``strategy|symbol``, if the policy says."""
        said = self.policy.sizes.get(pair) if self.policy else None
        if said is None:
            return None
        return _within(said, self.settings.multiplier_min, self.settings.multiplier_max, self.settings.multiplier_min)

    def probability(self, pair: str, conviction: float) -> float | None:
        """The calibrated probability of a win, linear between the knots and constant beyond them.

        ``None`` without a calibration, and with one that is none: knots out of order, or a
        probability outside 0 to 1.
        """
        knots = self.policy.calibration.get(pair, ()) if self.policy else ()
        if not knots or not all(math.isfinite(x) and 0 <= p <= 1 for x, p in knots):
            return None
        if any(before >= after for (before, _), (after, _) in pairwise(knots)):
            return None
        if conviction <= knots[0][0]:
            return knots[0][1]
        for (x0, p0), (x1, p1) in pairwise(knots):
            if conviction <= x1:
                return p0 + (p1 - p0) * (conviction - x0) / (x1 - x0)
        return knots[-1][1]

    def ban(self, scope: str) -> Ban | None:
        """The ban on a scope that is still in force."""
        found = self.policy.bans.get(scope) if self.policy else None
        return found if found is not None and self.now < found.until_ns else None


def _within(value: float, low: float, high: float, otherwise: float) -> float:
    return min(max(value, low), high) if math.isfinite(value) else otherwise
