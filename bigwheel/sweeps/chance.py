"""Monte Carlo of a sweep: the paths as a table and as figures, and the runs with other seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from bigwheel.backtests.result import BacktestResult
from bigwheel.reports.figures import plain
from bigwheel.sweeps.grid import Params
from bigwheel.sweeps.montecarlo import VENUE, MonteCarlo, Paths, distribution, resampled
from bigwheel.sweeps.runner import Runner
from bigwheel.sweeps.terms import Terms
from bigwheel.sweeps.trial import Case, Outcome

Json = dict[str, Any]

SCHEMA = pa.schema(
    [
        ("method", pa.string()),
        ("path", pa.int64()),
        ("seed", pa.int64()),
        ("latency_ms", pa.float64()),
        ("final_equity", pa.float64()),
        ("total_return", pa.float64()),
        ("max_drawdown", pa.float64()),
    ]
)
"""``seed`` and ``latency_ms`` are those of runs (method ``venue``); paths of a bootstrap have none of their own."""


def cases_of(terms: Terms, told: MonteCarlo, params: Params) -> list[Case]:
    """The runs with other seeds and latencies."""
    return [
        terms.case(params, seed=seed, latency_ms=latency) for seed, latency in told.seeds(terms.seed, terms.latency_ms)
    ]


def monte_carlo(
    result: BacktestResult, told: MonteCarlo, seed: int, cases: list[Case], runner: Runner
) -> tuple[pa.Table, Json]:
    """All paths, and what they are like by method: ``days``, ``trades`` and ``venue`` (see ``montecarlo``).

    A method without enough to draw from is ``None``. ``actual`` is what the backtest itself came to.
    """
    start = float(result.summary["starting_cash"])
    tables: list[pa.Table] = []
    figures: Json = {"actual": _actual(result, start), "days": None, "trades": None, VENUE: None}
    for method, (paths, made) in resampled(result, told, seed).items():
        tables.append(_rows(method, paths, start))
        figures[method] = {**distribution(paths, start), **made}
    outcomes = runner.run(cases)
    done = [(case, each) for case, each in zip(cases, outcomes, strict=True) if not each.error]
    if done:
        paths = Paths(_metric(done, "final_equity"), _metric(done, "max_drawdown"))
        tables.append(_rows(VENUE, paths, start, [case for case, _ in done]))
        figures[VENUE] = {**distribution(paths, start), "failed": len(cases) - len(done)}
    found: Json = plain(figures)
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table(), found


def _metric(done: list[tuple[Case, Outcome]], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([float(each.metrics[name] or 0.0) for _, each in done])


def _actual(result: BacktestResult, start: float) -> Json:
    final = float(result.summary["final_equity"])
    drawdowns = result.equity["drawdown"].to_pylist()
    return {"starting_cash": start, "final_equity": final, "max_drawdown": max(drawdowns, default=0.0)}


def _rows(method: str, paths: Paths, start: float, cases: list[Case] | None = None) -> pa.Table:
    count = len(paths.final)
    columns = {
        "method": [method] * count,
        "path": list(range(count)),
        "seed": [case.seed for case in cases] if cases else [None] * count,
        "latency_ms": [case.latency_ms for case in cases] if cases else [None] * count,
        "final_equity": paths.final,
        "total_return": paths.final / start - 1.0,
        "max_drawdown": paths.drawdown,
    }
    return pa.table(columns, SCHEMA)
