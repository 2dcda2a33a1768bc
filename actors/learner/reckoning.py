"""What a policy would have made of a signal, reckoned beside what was decided."""

from __future__ import annotations

from typing import NamedTuple

from actors.learner.experts import key
from actors.learner.settings import LearnerSettings
from actors.learner.state import Followed
from actors.messages.learning import Lesson, Policy
from actors.names import pair

ENSEMBLE = "ensemble"
POLICY_GATES = frozenset({ENSEMBLE, "conviction", "bans", "patterns"})
"""The gates that a policy decides at; what another one stopped, any policy would have seen stopped."""

NO_EDGE = "NO_EDGE"
"""The code of a sizing to nothing, by a calibrated probability."""


class Choice(NamedTuple):
    """``size`` is the multiplier a signal would have got, 0 if it would have been stopped at ``gate``."""

    size: float
    gate: str = ""


def decide(policy: Policy, followed: Followed, now: int, settings: LearnerSettings) -> Choice:
    """What risk would do under this policy at the gates that it decides at (``actors.risk.gates.learned``).

    The opinions are those that risk heard. Sizes by Kelly's formula are not reckoned; a trial
    measures them.
    """
    scopes = (followed.strategy, pair(followed.strategy, followed.symbol))
    if any(banned(policy, scope, now) for scope in scopes):
        return Choice(0.0, "bans")
    combined = strength(policy, followed, now)
    if combined is None or combined < 0:
        return Choice(0.0, ENSEMBLE)
    if combined < policy.thresholds.get(scopes[1], settings.base_threshold):
        return Choice(0.0, "conviction")
    shunned = [each for each in policy.patterns if banned(policy, each.scope, now)]
    if any(each.strategy == followed.strategy and each.holds(followed.traits) for each in shunned):
        return Choice(0.0, "patterns")
    return Choice(policy.sizes.get(scopes[1], 1.0))


def strength(policy: Policy, followed: Followed, now: int) -> float | None:
    """The weighted mean of the opinions in the signal's direction; ``None`` if none has weight."""
    opinions = followed.heard or followed.sources
    total = agreed = 0.0
    for source, opinion in opinions.items():
        each = 0.0 if banned(policy, source, now) else weight_of(policy, source, followed.regime)
        total += each
        agreed += each * opinion * followed.side.sign
    return agreed / total if total > 0 else None


def weight_of(policy: Policy, source: str, regime: str) -> float:
    """The policy's weight of a source in a regime, or in any, or 1."""
    return policy.weights.get(key(source, regime), policy.weights.get(key(source, ""), 1.0))


def banned(policy: Policy, scope: str, now: int) -> bool:
    ban = policy.bans.get(scope)
    return ban is not None and now < ban.until_ns


def comparable(lesson: Lesson) -> bool:
    """Whether the policy could have had a say in how the signal ended."""
    if lesson.reduces:
        return False
    return not lesson.counterfactual or lesson.gate in POLICY_GATES or lesson.code == NO_EDGE


def advantage(
    candidate: Policy, base: Policy, lesson: Lesson, followed: Followed, now: int, settings: LearnerSettings
) -> float:
    """The profit the candidate would have made more than its base on one signal, in the quote currency."""
    ours, theirs = decide(candidate, followed, now, settings), decide(base, followed, now, settings)
    executed = not lesson.counterfactual
    unit = lesson.stake / theirs.size if executed and theirs.size > 0 else lesson.stake
    return (ours.size - theirs.size) * lesson.value * unit
