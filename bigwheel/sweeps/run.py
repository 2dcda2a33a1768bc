"""``bigwheel.sweep``: many backtests with other parameters, side by side on Ray."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from bigwheel.backtests.roster import Strategies
from bigwheel.sweeps.grid import Grid, Value
from bigwheel.sweeps.montecarlo import MonteCarlo
from bigwheel.sweeps.plan import plan_of, wanted_of
from bigwheel.sweeps.result import SweepResult
from bigwheel.sweeps.runner import Progress
from bigwheel.sweeps.stages import Labour, carry_out
from bigwheel.sweeps.terms import Options, terms_of
from bigwheel.sweeps.windows import WalkForward

METRIC = "sharpe"
TIMEOUT_S = 1_800.0


def sweep(
    strategy: Strategies = None,
    *,
    data: str | Path,
    symbols: str | Sequence[str] | None = None,
    grid: Mapping[str, Iterable[Any] | Value],
    out: str | Path,
    where: str | Sequence[str] = (),
    samples: int | None = None,
    metric: str = METRIC,
    walk_forward: WalkForward | str | None = None,
    monte_carlo: MonteCarlo | str | int | None = None,
    report: str | Path | None = None,
    jobs: int | None = None,
    address: str | None = None,
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
    **options: Unpack[Options],
) -> SweepResult:
    """Run strategies with each combination of ``grid``. Each finished run is kept; the same call runs what is missing.

    Args:
        strategy, data, symbols: see ``bigwheel.backtest``.
        grid: by parameter its values: ``{"fast": [5, 10], "slow": range(20, 60, 10)}``; of several strategies by
            ``LABEL.name``.
        out: the sweep's folder: an empty one, or that of the same sweep.
        where: conditions on parameters, ``"fast < slow"``; all must hold.
        samples: so many combinations at random instead of all.
        metric: what the best run is best by; ``-max_drawdown`` asks for the lowest.
        walk_forward: choose on one stretch of time, test on the next: ``"train=30d,test=7d"``.
        monte_carlo: how many paths are drawn from the best run, or from a walk-forward's tests; see ``MonteCarlo``.
        report: a folder for ``report.html`` and ``figures.json`` of the same.
        jobs: the most runs at a time; by default one for each CPU. 0 runs all in this process, without Ray.
        address: a Ray to join; else, unless this process is connected to one, one is started and stopped.
        timeout_s: how long a run may take, in seconds; then it is ended, a row with its error. 0 sets no limit.
        progress: told after each run how far it is.
        options: the other keywords of ``bigwheel.backtest``. ``params`` are those that all runs share; ``seed`` is
            also that of ``samples`` and of Monte Carlo.

    Raises:
        BigwheelError: no run is possible with these arguments, the folder holds something else, or Ray can't be had.
    """
    wanted = wanted_of(metric, walk_forward, monte_carlo, report)
    terms = terms_of(strategy, data, symbols, Path(out), options)
    plan = plan_of(terms, Grid(grid), dict(options.get("params") or {}), where, samples)
    return carry_out(plan, Path(out), wanted, Labour(jobs, address, progress, timeout_s))
