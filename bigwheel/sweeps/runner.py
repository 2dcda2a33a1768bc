"""Runs what has not been run yet, notes each outcome as it comes, and says how far it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence

import msgspec

from bigwheel.sweeps.crew import Crew
from bigwheel.sweeps.folder import Folder
from bigwheel.sweeps.trial import Case, Outcome


class Tally(msgspec.Struct):
    """How far a sweep is. ``kept`` runs of those done were there from before."""

    total: int
    done: int = 0
    failed: int = 0
    kept: int = 0


Progress = Callable[[Tally], None]


class Runner:
    """The cases of one sweep.

    Args:
        folder: where outcomes are noted.
        crew: who runs what is missing.
        total: how many runs there will be.
        progress: told after each of them.
    """

    def __init__(self, folder: Folder, crew: Crew, total: int, progress: Progress | None = None) -> None:
        self.tally = Tally(total)
        self._folder, self._crew, self._progress = folder, crew, progress

    def run(self, cases: Sequence[Case]) -> list[Outcome]:
        """The outcomes of ``cases``, in their order."""
        found: dict[str, Outcome] = {}
        waiting: deque[Case] = deque()
        for case in {case.key: case for case in cases}.values():
            known = self._folder.outcome(case)
            if known is None:
                waiting.append(case)
            else:
                found[case.key] = known
        self._count(found.values(), kept=len(found))

        def take(case: Case, outcome: Outcome) -> None:
            self._folder.note(case, outcome)
            found[case.key] = outcome
            self._count((outcome,))

        self._crew.run(waiting, take)
        return [found[case.key] for case in cases]

    def _count(self, outcomes: Collection[Outcome], kept: int = 0) -> None:
        tally = self.tally
        tally.done += len(outcomes)
        tally.kept += kept
        tally.failed += sum(bool(outcome.error) for outcome in outcomes)
        if self._progress is not None:
            self._progress(tally)
