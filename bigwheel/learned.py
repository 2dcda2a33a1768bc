"""What a session has learned, from its journal alone: while it runs, and after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from actors.learner import fold, report
from actors.learner.configuration import terms
from actors.learner.state import LearnerState
from bigwheel.errors import UsageError
from conf import Settings
from runtime.journal.base import History
from runtime.journal.record import Record

PAGE = 2_000


def show(journal: History, settings: Settings, version: int | None = None) -> dict[str, Any]:
    """What was learned, JSON-ready, with ``detail``: all of the policy ``version`` (``None``: the one in force).

    Folds every record that the learner folds, so it takes seconds for each hundred thousand signals.

    Raises:
        UsageError: there is no such version, or it is too old to be remembered.
    """
    told, state = terms(settings), LearnerState()
    for record in _records(journal):
        fold.fold(state, told, record.entry())
    wanted = state.full if version is None else version
    if wanted != 0 and wanted not in state.versions:
        known = ", ".join(str(number) for number in (0, *sorted(state.versions)))
        raise UsageError(f"expected a version that is remembered ({known}), found {wanted}")
    return {
        "records": state.seq,
        "lessons": state.taught,
        **report.learned(state, told),
        "detail": report.policy(state.policy(wanted), state.now_ns),
    }


def _records(journal: History) -> Iterator[Record]:
    after = 0
    while page := journal.read(after, PAGE, kinds=fold.KINDS):
        yield from page
        after = page[-1].seq
