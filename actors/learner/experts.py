"""How far each source of signals is believed, by regime."""

from __future__ import annotations

import math

import msgspec

from actors.learner import drift
from actors.learner.settings import LearnerSettings

_CLIP = 3.0


class Expert(msgspec.Struct):
    """One source in one regime. ``score`` is its faded sum of payoffs, each in units of ``scale``.

    ``square`` and ``weight`` are the faded sum of squared payoffs and of their weights, ``detector``
    the state of its drift detector, ``cuts`` how often that cut the memory, last at ``cut_ns``.
    """

    score: float = 0.0
    square: float = 0.0
    weight: float = 0.0
    count: int = 0
    detector: bytes = b""
    cuts: int = 0
    cut_ns: int = 0

    @property
    def scale(self) -> float:
        """The root mean square of its payoffs, 0 before the first."""
        return math.sqrt(self.square / self.weight) if self.weight else 0.0

    def take(self, payoff: float, settings: LearnerSettings, at_ns: int, importance: float = 1.0) -> None:
        """Add what its opinion returned net of costs, as a fraction; what was before fades."""
        fade = 0.5 ** (importance / settings.source_half_life)
        self.square = self.square * fade + payoff * payoff * importance
        self.weight = self.weight * fade + importance
        self.count += 1
        value = max(-_CLIP, min(_CLIP, payoff / self.scale)) if self.scale else 0.0
        self.score = self.score * fade + value * importance
        alarm, self.detector = drift.fallen(self.detector, value, settings)
        if alarm:
            # A source that never paid has no credit to lose: cutting its record would absolve it.
            self.score = min(self.score, 0.0)
            self.cuts, self.cut_ns = self.cuts + 1, at_ns


def weight(expert: Expert, settings: LearnerSettings) -> float:
    """The source's weight: ``exp(rate * score)`` within its bounds, 1 before there are enough outcomes.

    Hedge (Y. Freund and R. E. Schapire, J. Comput. Syst. Sci. 55, 1997) with payoffs that are
    discounted, so that a source may come and go.
    """
    if expert.count < settings.minimum_outcomes:
        return 1.0
    power = settings.source_rate * expert.score
    bounded = min(max(power, math.log(settings.weight_min)), math.log(settings.weight_max))
    return math.exp(bounded)


def key(source: str, regime: str) -> str:
    """The key of a source in a regime; without one, in any."""
    return f"{source}|{regime}"
