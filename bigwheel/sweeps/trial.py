"""One run of a sweep: what it is told, how it is run, and what is kept of it."""

from __future__ import annotations

from typing import Any

import msgspec

from bigwheel.backtests.result import BacktestResult
from bigwheel.backtests.run import backtest
from bigwheel.reports.figures import plain
from bigwheel.reports.returns import calendar_of
from bigwheel.reports.statistics import integers, statistics
from bigwheel.sweeps.grid import Params
from conf import Settings
from runtime.errors import BigwheelError
from strategies.strategy import Strategy

Metrics = dict[str, float | int | None]


class Job(msgspec.Struct, frozen=True):
    """What all runs share. ``strategy`` is a name; ``pickled`` the class where it has none."""

    strategy: str
    data: str
    symbols: tuple[str, ...]
    config: str
    """The settings as JSON."""
    cash: str | None = None
    costs: dict[str, Any] | None = None
    pickled: bytes = b""


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
        owner: the strategy's class, where it need not be found by name or unpickled.
    """

    def __init__(self, job: Job, owner: type[Strategy] | None = None) -> None:
        self._job, self._owner = job, owner
        self._settings: Settings | None = None

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
        if self._settings is None:
            self._settings = Settings.model_validate_json(job.config)
        if self._owner is None and job.pickled:
            from ray import cloudpickle  # here: a worker has it anyway, nobody else should wait for it

            self._owner = cloudpickle.loads(job.pickled)
        return backtest(
            self._owner or job.strategy,
            data=job.data,
            symbols=job.symbols,
            start=case.start_ns,
            end=case.end_ns,
            params=case.params,
            config=self._settings,
            cash=job.cash,
            costs=job.costs,
            latency_ms=case.latency_ms,
            seed=case.seed,
        )


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
