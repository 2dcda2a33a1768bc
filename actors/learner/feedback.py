"""What strategies are told: the terms of the policy in force, and the outcomes so far."""

from __future__ import annotations

from actors.learner.calibration import start
from actors.learner.settings import LearnerSettings
from actors.learner.state import LearnerState
from actors.learner.statistics import Record
from actors.messages.learning import FeedbackIssued


def due(state: LearnerState, settings: LearnerSettings) -> list[FeedbackIssued]:
    """A new version for each strategy and symbol whose terms in force are not the ones it was last told.

    One at a time is on its way for each.
    """
    policy, plain = state.policy(state.full), start(settings)
    found = []
    for key in sorted({*policy.sizes, *policy.thresholds, *state.issued} - set(state.feedback)):
        size = policy.sizes.get(key, plain.size_multiplier)
        threshold = policy.thresholds.get(key, plain.conviction_threshold)
        known = state.issued.get(key)
        told = (known.size_multiplier, known.conviction_threshold) if known else (1.0, settings.base_threshold)
        if told == (size, threshold):
            continue
        strategy, _, symbol = key.partition("|")
        record = state.records.get(key) or Record()
        found.append(
            FeedbackIssued(
                strategy=strategy,
                symbol=symbol,
                version=known.version + 1 if known else 1,
                size_multiplier=size,
                conviction_threshold=threshold,
                wins=record.wins,
                losses=record.losses,
                mean_return=record.returns.mean,
                reason=f"policy={policy.version} lessons={record.lessons} deviation={record.returns.deviation:.6g}",
            )
        )
    return found
