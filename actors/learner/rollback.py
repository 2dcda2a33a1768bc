"""Back to an earlier policy, by hand."""

from __future__ import annotations

import msgspec

from actors.learner.settings import LearnerSettings
from actors.learner.state import LearnerState
from actors.messages.control import Control, ControlTaken
from actors.messages.learning import PolicyIssued, Stage
from actors.names import LEARNER

ACTION = "rollback"
"""Its target is the version to go back to; 0 is the one before anything was learned."""


def carry_out(
    state: LearnerState, settings: LearnerSettings, message: Control
) -> tuple[list[PolicyIssued], ControlTaken]:
    """What is to be journaled: the candidate's end, the new version equal to the old one, and the answer.

    A policy is never changed, so going back is a new version. Bans of the old one that are over
    stay over. Learning goes on from there, in its bounded steps.
    """
    wanted = _number(message.target)
    if wanted is None or (wanted not in state.versions and wanted != 0):
        known = ", ".join(str(version) for version in (0, *sorted(state.versions)))
        return [], _answer(message, f"REFUSED: expected a version that is remembered ({known}), found {message.target}")
    on_its_way = {each.policy.version for each in state.announced}
    latest = max([state.latest, *on_its_way])
    issued = []
    candidate = state.versions.get(state.candidate)
    why = f"ROLLBACK: to={wanted} by={message.by} reason={message.reason or 'none'}"
    if candidate is not None:
        issued.append(PolicyIssued(candidate.policy, Stage.WITHDRAWN, base=candidate.base, reason=why))
    old = msgspec.structs.replace(state.policy(wanted), version=latest + 1)
    issued.append(PolicyIssued(old, Stage.FULL, base=state.full, reason=why))
    return issued, _answer(message, f"version {old.version} is version {wanted} again; before it was {state.full}")


def _answer(message: Control, detail: str) -> ControlTaken:
    return ControlTaken(message.id, message.action, message.by, LEARNER, detail)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
