"""One run of a sweep: what it is told, how it is run, and what is kept of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from bigwheel.backtests.result import BacktestResult
from bigwheel.backtests.roster import Roster
from bigwheel.backtests.run import Told, played
from bigwheel.reports.figures import plain
from bigwheel.reports.returns import calendar_of
from bigwheel.reports.statistics import integers, statistics
from bigwheel.sweeps.grid import Params
from conf import Settings
from runtime.errors import BigwheelError
from strategies.registry import resolve

Metrics = dict[str, float | int | None]


class Job(msgspec.Struct, frozen=True):
    """What all runs share. ``pickled`` are classes by the place of their strategy, where that has no name."""

    data: str
    config: str
    """The settings as JSON, with the strategies and their symbols."""
    cash: str | None = None
    costs: dict[str, Any] | None = None
    pickled: dict[int, bytes] = {}


class Case(msgspec.Struct, frozen=True):
    """One run. ``key`` is a hash of all that its result depends on; ``tables`` asks for the whole result."""

    key: str
    params: Params
    start_ns: int
    end_ns: int
    seed: int
    latency_ms: float
    tables: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """What came of a run: metrics, or the error that ended it. ``lost``: its worker died, so it may be run again."""

    metrics: Metrics
    error: str = ""
    lost: bool = False
    result: BacktestResult | None = None


class Desk:
    """Runs one case after the other, in the process it lives in.

    Args:
        job: what all of them share.
        roster: the strategies, where they need not be found by name or unpickled.
    """

    def __init__(self, job: Job, roster: Roster | None = None) -> None:
        self._job, self._roster = job, roster

    def run(self, case: Case) -> Outcome:
        """The outcome; whatever goes wrong with the run is told in it."""
        try:
            result = self._backtest(case)
        except BigwheelError as error:
            return Outcome({}, str(error))
        except Exception as error:
            # A strategy's own code may raise anything at all; the other runs go on.
            return Outcome({}, f"{type(error).__name__}: {error}")
        return Outcome(metrics(result), result=result if case.tables else None)

    def _backtest(self, case: Case) -> BacktestResult:
        job = self._job
        if self._roster is None:
            self._roster = _roster(job)
        told = Told(job.cash, job.costs, case.latency_ms, seed=case.seed)
        return played(self._roster, case.params, Path(job.data), (case.start_ns, case.end_ns), told)


def _roster(job: Job) -> Roster:
    """The strategies in a process that knows nothing of them."""
    settings, classes = Settings.model_validate_json(job.config), {}
    if job.pickled:
        from ray import cloudpickle  # here: a worker has it anyway, nobody else should wait for it

        classes = {place: cloudpickle.loads(each) for place, each in job.pickled.items()}
    named = enumerate(settings.strategies)
    return Roster(settings, tuple(classes.get(place) or resolve(entry.name) for place, entry in named))


def metrics(result: BacktestResult) -> Metrics:
    """The figures of a run: those of ``bigwheel.reports.statistics``, and the sums of its summary.

    ``blocked`` counts the signals that a gate stopped; ``seconds`` is what the run took.
    """
    told = result.summary
    found: Metrics = plain(
        {
            "starting_cash": told["starting_cash"],
            "final_equity": told["final_equity"],
            "realized_pnl": told["realized_pnl"],
            **statistics(result, calendar_of(integers(result.equity, "ts_ns"))),
            "events": told["events"],
            "signals": sum(told["signals"].values()),
            "blocked": told["signals"].get("BLOCKED", 0),
            "orders": sum(told["orders"].values()),
            "seconds": told["seconds"],
        }
    )
    return found
