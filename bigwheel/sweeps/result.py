"""What a sweep came to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from bigwheel.backtests.result import BacktestResult
from bigwheel.sweeps.rows import ensure_metric, named, score

TABLE, WINDOWS, PATHS, SUMMARY = "sweep.parquet", "walk_forward.parquet", "monte_carlo.parquet", "summary.json"


class SweepResult(msgspec.Struct, frozen=True):
    """Tables and figures of a sweep; they also lie in ``out``.

    ``table`` has a row for each run of the grid: parameters, metrics, ``run`` (its key) and ``error``. ``windows`` are
    those of a walk-forward, ``monte_carlo`` a row for each path. ``figures`` are plain JSON. ``chosen`` is the result
    of the best run, or the joined tests of a walk-forward, where something was made of it.
    """

    strategy: str
    out: Path
    metric: str
    params: tuple[str, ...]
    table: pa.Table
    figures: dict[str, Any]
    windows: pa.Table | None = None
    monte_carlo: pa.Table | None = None
    chosen: BacktestResult | None = None

    def best(self, metric: str | None = None) -> dict[str, Any] | None:
        """The row of the best run, by the sweep's own metric unless another is told; ``-max_drawdown`` is the lowest.

        ``None`` if the metric is defined for no run.

        Raises:
            SweepError: there is no such metric.
        """
        found = self.ranked(metric)
        return found[0] if found else None

    def ranked(self, metric: str | None = None) -> list[dict[str, Any]]:
        """The rows of the runs that have the metric, the best first.

        Raises:
            SweepError: there is no such metric.
        """
        wanted = metric or self.metric
        ensure_metric(wanted)
        bare = wanted.removeprefix("-")
        values = self.table[named(bare, self.params)].to_pylist()
        scores = [score({bare: value}, wanted) for value in values]
        known = [(-told, place) for place, told in enumerate(scores) if told is not None]
        return [self.table.slice(place, 1).to_pylist()[0] for _, place in sorted(known)]
