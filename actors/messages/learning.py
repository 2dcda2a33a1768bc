"""Outcomes, and what is learned from them."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from runtime.message import Message


class Lesson(Message):
    """Learner to bus: what became of one signal.

    ``value`` is the return from the reference price (of the fill, or of the market for a
    signal that was not executed) to the market at the horizon, in the signal's direction and
    net of fees, as a fraction. ``counterfactual`` says that it was not executed. ``reason`` is
    empty unless the price is not one from the horizon.

    ``favourable`` and ``adverse`` are the best and the worst return on the way (at least and at most
    0), ``slippage`` what was paid more than the reference price, ``fees`` what was paid or is
    reckoned, all as fractions of the stake. ``sources`` are the signal's opinions, ``policy``,
    ``arm`` and ``regime`` what it was judged by and in. ``code`` is the gate's. ``stake`` is what was
    put at risk, or would have been, in the quote currency. ``reduces``: it could only close, so that
    its outcome says nothing of an entry.
    """

    signal_id: str
    strategy: str
    symbol: str
    state: str
    entry_price: float
    exit_price: float
    value: float
    horizon_ns: int
    counterfactual: bool
    gate: str = ""
    reason: str = ""
    favourable: float = 0.0
    adverse: float = 0.0
    slippage: float = 0.0
    fees: float = 0.0
    holding_ns: int = 0
    conviction: float = 0.0
    sources: dict[str, float] = {}
    regime: str = ""
    policy: int = 0
    arm: str = ""
    stake: float = 0.0
    code: str = ""
    reduces: bool = False


class Stage(enum.StrEnum):
    """How far a policy's word reaches.

    ``SHADOW``: it is reckoned beside and decides nothing. ``TRIAL``: it decides a share of the
    signals, chosen by their id. ``FULL``: it decides all. ``WITHDRAWN``: none any more.
    """

    SHADOW = "shadow"
    TRIAL = "trial"
    FULL = "full"
    WITHDRAWN = "withdrawn"


class Ban(msgspec.Struct, frozen=True):
    """No entries by its scope until then: a strategy, ``strategy|symbol``, a source or ``Pattern.scope``."""

    until_ns: int
    reason: str


class Condition(msgspec.Struct, frozen=True):
    """A feature's range: ``low <= value < high`` (infinite where open)."""

    feature: str
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.6g}<={self.feature}<{self.high:.6g}"


class Pattern(msgspec.Struct, frozen=True):
    """A subgroup of signals whose outcomes differ from the rest's.

    The features are those of ``actors.traits``. ``effect`` is the difference of mean returns on
    signals it was not found by, ``mean`` the subgroup's own mean return there, ``p_value`` corrected
    for all that was looked at.
    """

    strategy: str
    conditions: tuple[Condition, ...]
    count: int
    effect: float
    p_value: float
    mean: float = 0.0

    @property
    def scope(self) -> str:
        """What a ban on it is kept under."""
        return f"{self.strategy}[{' '.join(str(condition) for condition in self.conditions)}]"

    def holds(self, traits: Mapping[str, float]) -> bool:
        """Whether a signal with these traits belongs to it; one that lacks a trait does not."""
        return all(
            (value := traits.get(each.feature)) is not None and each.low <= value < each.high
            for each in self.conditions
        )


class Policy(msgspec.Struct, frozen=True):
    """Everything that was learned and decides: immutable, one version after the other.

    ``weights`` of sources are by ``source|regime`` (``source|`` in any other regime), 0 to
    ``weight_max``, 1 before anything is known. ``calibration`` maps, by ``strategy|symbol``, a
    conviction to the probability of a win: ascending knots, linear between them. ``thresholds`` and
    ``sizes`` are by ``strategy|symbol``, as in ``FeedbackIssued``. ``bans`` are by scope.
    """

    version: int
    weights: dict[str, float] = {}
    calibration: dict[str, tuple[tuple[float, float], ...]] = {}
    thresholds: dict[str, float] = {}
    sizes: dict[str, float] = {}
    bans: dict[str, Ban] = {}
    patterns: tuple[Pattern, ...] = ()


class PolicyIssued(Message):
    """Learner to bus, journaled: a policy takes a stage. The same version may pass through several.

    ``share`` is the part of the signals a trial decides, 0 to 1. ``base`` is the version it was
    made from and is compared with, ``evidence`` what the step rests on.
    """

    policy: Policy
    stage: Stage
    share: float = 0.0
    base: int = 0
    reason: str = ""
    evidence: dict[str, float] = {}


class FeedbackIssued(Message):
    """What a strategy's next signals on a symbol are measured by, journaled by version.

    ``size_multiplier`` scales the order, ``conviction_threshold`` is the least conviction that
    passes; both bounded. ``wins``, ``losses`` and ``mean_return`` are over executed signals.
    """

    strategy: str
    symbol: str
    version: int
    size_multiplier: float
    conviction_threshold: float
    wins: int
    losses: int
    mean_return: float
    reason: str = ""
