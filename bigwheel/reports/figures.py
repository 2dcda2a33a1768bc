"""All figures of a report as one JSON object: what the page shows, and nothing that it does not have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from bigwheel.reports import attribution, curves
from bigwheel.reports.result import BacktestResult
from bigwheel.reports.returns import by_year, calendar_of, monthly_returns
from bigwheel.reports.statistics import daily_of, integers, statistics
from bigwheel.reports.sweeps import heat_map

VERSION = 1
"""The form of the object; it rises with each change that is not an addition."""

Json = dict[str, Any]


def figures(
    result: BacktestResult,
    *,
    sweep: pa.Table | None = None,
    metric: str | None = None,
    days_a_year: int | None = None,
    more: Mapping[str, Any] | None = None,
) -> Json:
    """The figures of a backtest, JSON-ready: what is undefined is ``None``.

    Args:
        result: the backtest.
        sweep: a row for each run of a sweep that the backtest is one of; see ``sweeps.heat_map``.
        metric: the column of it to show.
        days_a_year: 365 or 252; ``None`` goes by whether equity was noted on weekends.
        more: what else is known of it: ``walk_forward`` and ``monte_carlo``, as ``bigwheel.sweeps`` makes them.
    """
    if days_a_year is None:
        days_a_year = calendar_of(integers(result.equity, "ts_ns"))
    done: Json = plain(
        {
            "version": VERSION,
            "strategy": result.strategy,
            "params": result.params,
            "summary": result.summary,
            "statistics": statistics(result, days_a_year),
            "monthly_returns": by_year(monthly_returns(daily_of(result, days_a_year))),
            "account": curves.account(result),
            "fees": curves.fees(result.fills),
            "profit": curves.profit(result.trades),
            "liquidity": attribution.liquidity(result.fills),
            "attribution": attribution.attribution(result),
            "orders": {
                "count": result.orders.num_rows,
                "statuses": attribution.counted(result.orders["status"]),
            },
            "signals": {
                "count": result.signals.num_rows,
                "states": attribution.counted(result.signals["state"]),
                "denials": attribution.denials(result.signals),
            },
            "symbols": curves.symbols(result),
            "sweep": heat_map(sweep, result.params, metric) if sweep is not None else None,
            "walk_forward": None,
            "monte_carlo": None,
            **(more or {}),
        }
    )
    return done


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it: numbers that are not finite become ``None``, what is no JSON its text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)
