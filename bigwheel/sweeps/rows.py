"""Tables of runs: parameters and metrics as columns."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pyarrow as pa

from bigwheel.backtests import tables
from bigwheel.backtests.result import BacktestResult
from bigwheel.sweeps.errors import SweepError
from bigwheel.sweeps.trial import Case, Outcome, metrics

_LARGEST = 2**63
_TYPES = {
    frozenset({bool}): pa.bool_(),
    frozenset({int}): pa.int64(),
    frozenset({float}): pa.float64(),
    frozenset({int, float}): pa.float64(),
}


@cache
def metric_names() -> tuple[str, ...]:
    """The metrics of a run."""
    nothing = {"starting_cash": 0.0, "final_equity": 0.0, "realized_pnl": 0.0, "events": 0, "seconds": 0.0}
    schemas = (tables.ORDERS, tables.FILLS, tables.TRADES, tables.EQUITY, tables.SIGNALS)
    empty = BacktestResult("", {}, {**nothing, "signals": {}, "orders": {}}, *(each.empty_table() for each in schemas))
    return tuple(metrics(empty))


def ensure_metric(name: str) -> None:
    """See that runs have such a metric; ``-max_drawdown`` asks for the lowest.

    Raises:
        SweepError: they don't.
    """
    if name.removeprefix("-") not in metric_names():
        raise SweepError(
            f"expected a metric ({', '.join(metric_names())}), found {name.removeprefix('-')!r}; one with a minus "
            "before it asks for the lowest"
        )


def score(values: Mapping[str, Any], metric: str) -> float | None:
    """How good a run is by ``metric``, more being better; ``None`` where that is undefined."""
    value = values.get(metric.removeprefix("-"))
    if value is None or not math.isfinite(value):
        return None
    return -float(value) if metric.startswith("-") else float(value)


def best(outcomes: Sequence[Outcome], metric: str) -> int | None:
    """The place of the best outcome, the first of several; ``None`` if the metric is defined for none."""
    scores = {place: score(each.metrics, metric) for place, each in enumerate(outcomes) if not each.error}
    known = {place: told for place, told in scores.items() if told is not None}
    return max(known, key=lambda place: known[place]) if known else None


def named(name: str, params: Sequence[str]) -> str:
    """A metric's column: where a parameter has its name it is ``metric_NAME``."""
    return f"metric_{name}" if name in params else name


def sweep_table(cases: Sequence[Case], outcomes: Sequence[Outcome], extra: Mapping[str, Sequence[Any]]) -> pa.Table:
    """A row for each run: parameters, ``extra`` columns, metrics, ``seed``, ``run`` (its key) and ``error``."""
    names = tuple(cases[0].params)
    return table_of(
        {
            **{name: [case.params.get(name) for case in cases] for name in names},
            **extra,
            **{named(name, names): [each.metrics.get(name) for each in outcomes] for name in metric_names()},
            named("seed", names): [case.seed for case in cases],
            named("run", names): [case.key for case in cases],
            named("error", names): [each.error for each in outcomes],
        }
    )


def table_of(columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Columns as a table; one with values of several kinds holds them as JSON text."""
    return pa.table({name: _column(values) for name, values in columns.items()})


def _column(values: Sequence[Any]) -> pa.Array:
    kinds = frozenset(type(value) for value in values if value is not None)
    fits = all(abs(value) < _LARGEST for value in values if isinstance(value, int))
    if not kinds:
        return pa.array(values, pa.float64())
    if kinds == {str}:
        return pa.array(values, pa.string())
    if kinds in _TYPES and fits:
        return pa.array([float(v) if v is not None and float in kinds else v for v in values], _TYPES[kinds])
    return pa.array([None if value is None else json.dumps(value) for value in values], pa.string())
