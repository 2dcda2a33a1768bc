"""Curves thinned out to what a screen can show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bigwheel.reports.result import BacktestResult, prices_of
from bigwheel.reports.returns import Floats, Integers
from bigwheel.reports.statistics import floats, integers

POINTS = 2_000
"""The most points of a curve."""
CANDLES = 1_000
"""The most bars of a price chart."""
CHARTS = 12
"""The most symbols with a price chart."""
MARKS = 1_000
"""The most round trips shown on one price chart."""

Columns = dict[str, list[Any]]


def places(*series: Floats) -> Integers:
    """Which points of curves over the same times to keep, at most ``POINTS``, so that no peak is lost.

    First and last, and of each stretch those where one of the curves is lowest or highest.
    """
    count = len(series[0])
    if count <= POINTS:
        return np.arange(count)
    edges = np.linspace(0, count, POINTS // (2 * len(series))).astype(np.int64)
    kept = {0, count - 1}
    for values in series:
        for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            stretch = values[start:end]
            kept.add(start + int(stretch.argmin()))
            kept.add(start + int(stretch.argmax()))
    return np.array(sorted(kept), np.int64)


def account(result: BacktestResult) -> Columns:
    """Equity, cash, exposure and drawdown over time, thinned out by equity and exposure."""
    table = result.equity
    kept = places(floats(table, "equity"), floats(table, "exposure"))
    columns: Columns = {"ts_ns": integers(table, "ts_ns")[kept].tolist()}
    for name in ("equity", "cash", "exposure", "gross_exposure", "drawdown"):
        columns[name] = floats(table, name)[kept].tolist()
    return columns


def fees(fills: pa.Table) -> Columns:
    """Fees added up over time."""
    ordered = fills.sort_by("ts_ns")
    total = np.cumsum(floats(ordered, "fee"))
    kept = places(total)
    return {"ts_ns": integers(ordered, "ts_ns")[kept].tolist(), "fees": total[kept].tolist()}


def profit(trades: pa.Table) -> Columns:
    """The profit of round trips added up as they end, before fees and after them."""
    ordered = trades.sort_by("exit_ns")
    gross, net = np.cumsum(floats(ordered, "gross")), np.cumsum(floats(ordered, "pnl"))
    kept = places(gross, net)
    return {
        "ts_ns": integers(ordered, "exit_ns")[kept].tolist(),
        "gross": gross[kept].tolist(),
        "pnl": net[kept].tolist(),
    }


def symbols(result: BacktestResult) -> list[dict[str, Any]]:
    """A price chart for each of the symbols with prices, those with the most round trips first, at most ``CHARTS``.

    Of more than ``MARKS`` round trips those are shown that won or lost the most; ``trades`` counts them all.
    """
    prices = prices_of(result)
    if prices is None:
        return []
    traded = {
        row["values"]: row["counts"] for row in result.trades["symbol"].cast(pa.string()).value_counts().to_pylist()
    }
    names = prices["symbol"].cast(pa.string()).unique().to_pylist()
    names.sort(key=lambda name: (-traded.get(name, 0), name))
    return [
        {
            "symbol": name,
            "trades": traded.get(name, 0),
            "candles": _candles(_of(prices, name)),
            "marks": _marks(_of(result.trades, name)),
        }
        for name in names[:CHARTS]
    ]


def _of(table: pa.Table, symbol: str) -> pa.Table:
    return table.filter(pc.equal(table["symbol"].cast(pa.string()), symbol))


def _candles(prices: pa.Table) -> Columns:
    """Bars of one symbol, several made one where there are too many."""
    ordered = prices.sort_by("ts_ns")
    size = -(-ordered.num_rows // CANDLES)
    starts = np.arange(0, ordered.num_rows, size)
    ends = np.append(starts[1:], ordered.num_rows) - 1
    low, high = floats(ordered, "low"), floats(ordered, "high")
    return {
        "ts_ns": integers(ordered, "ts_ns")[starts].tolist(),
        "open": floats(ordered, "open")[starts].tolist(),
        "high": np.maximum.reduceat(high, starts).tolist(),
        "low": np.minimum.reduceat(low, starts).tolist(),
        "close": floats(ordered, "close")[ends].tolist(),
    }


def _marks(trades: pa.Table) -> Columns:
    names = ("side", "quantity", "entry_ns", "exit_ns", "entry_price", "exit_price", "pnl")
    largest = np.argsort(-np.abs(floats(trades, "pnl")), kind="stable")[:MARKS]
    shown = trades.take(np.sort(largest))
    return {name: shown[name].to_pylist() for name in names}
