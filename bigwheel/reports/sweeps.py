"""A sweep's results as a map over two parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from bigwheel.errors import UsageError

METRICS = ("sharpe", "total_return", "return", "pnl", "realized_pnl", "final_equity")
"""What is shown where nothing is asked for: the first of these, else the last column."""
LEVELS = 40
"""The most values on an axis; of more, the first ones are shown."""


def heat_map(sweep: pa.Table, params: Iterable[str], metric: str | None = None) -> dict[str, Any] | None:
    """The best result for each pair of values of the two parameters that took the most values.

    Args:
        sweep: a row for each run, with its parameters and its metrics as columns.
        params: the names of the strategy's parameters; where none is a column, all columns but the metrics are.
        metric: the column to show, see ``METRICS``.

    Returns:
        ``metric``, ``x`` and ``y`` (``{"name", "values"}``, ``y`` without a name for a single parameter),
        ``z`` with a row for each value of ``y`` (``None`` where there was no run), ``best`` (the parameters and
        the metric of the best run) and ``others`` (parameters of which each cell shows the best);
        ``None`` where no parameter varied.

    Raises:
        UsageError: the sweep has no such metric.
    """
    shown = metric or next((name for name in METRICS if name in sweep.column_names), None) or _last(sweep)
    if shown not in sweep.column_names:
        raise UsageError(f"expected a metric of the sweep ({', '.join(sweep.column_names)}), found {shown!r}")
    columns = {name: sweep[name].to_pylist() for name in _parameters(sweep, set(params), shown)}
    varied = {name: len(set(values)) for name, values in columns.items() if len(set(values)) > 1}
    if not varied:
        return None
    axes = sorted(varied, key=lambda name: -varied[name])[:2]
    axes.sort(key=list(columns).index)
    xs = columns[axes[0]]
    ys = columns[axes[1]] if len(axes) > 1 else [""] * len(xs)
    return {
        "metric": shown,
        "x": {"name": axes[0], "values": _levels(xs)},
        "y": {"name": axes[1] if len(axes) > 1 else "", "values": _levels(ys)},
        "z": _grid(xs, ys, sweep[shown].to_pylist()),
        "best": _best(columns, sweep[shown].to_pylist(), shown),
        "others": [name for name in varied if name not in axes],
    }


def _last(sweep: pa.Table) -> str:
    return str(sweep.column_names[-1]) if sweep.column_names else ""


def _parameters(sweep: pa.Table, params: set[str], metric: str) -> list[str]:
    named = [name for name in sweep.column_names if name in params and name != metric]
    return named or [name for name in sweep.column_names if name != metric and name not in METRICS]


def _levels(values: list[Any]) -> list[Any]:
    present = {value for value in values if value is not None}
    try:
        ordered = sorted(present)
    except TypeError:
        ordered = sorted(present, key=str)  # a parameter that was a number and a word
    return ordered[:LEVELS]


def _known(value: Any) -> bool:
    return value is not None and math.isfinite(value)


def _grid(xs: list[Any], ys: list[Any], values: list[Any]) -> list[list[float | None]]:
    best: dict[tuple[Any, Any], float] = {}
    for x, y, value in zip(xs, ys, values, strict=True):
        if _known(value):
            best[x, y] = max(float(value), best.get((x, y), -math.inf))
    return [[best.get((x, y)) for x in _levels(xs)] for y in _levels(ys)]


def _best(columns: Mapping[str, list[Any]], values: list[Any], metric: str) -> dict[str, Any] | None:
    known = [place for place, value in enumerate(values) if _known(value)]
    if not known:
        return None
    place = max(known, key=lambda at: values[at])
    return {**{name: column[place] for name, column in columns.items()}, metric: values[place]}
