"""What profit, fees and denials are put down to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bigwheel.reports.result import BacktestResult

UNKNOWN = "(unknown)"
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
BY = ("strategy", "symbol", "source", "hour", "weekday", "side")
"""What round trips are attributed by; hours and weekdays (UTC) are those of the entry."""

_HOUR_NS = 3_600 * 1_000_000_000
_THURSDAY = 3

Row = dict[str, Any]


def attribution(result: BacktestResult) -> dict[str, list[Row]]:
    """Round trips by each of ``BY``: rows of ``key, count, pnl, gross, fees, hit_rate``.

    The rows of each table add up to the totals of the round trips. Names come with the best first, hours and
    weekdays in their order.
    """
    trades = result.trades
    entry = np.asarray(trades["entry_ns"].cast(pa.int64()).to_numpy(), np.int64)
    hours = entry // _HOUR_NS
    keys = {
        "strategy": _words(trades["strategy"]),
        "symbol": _words(trades["symbol"]),
        "source": pa.array(_sources(result), pa.string()),
        "hour": pa.array(hours % 24),
        "weekday": pa.array((hours // 24 + _THURSDAY) % 7),
        "side": _words(trades["side"]),
    }
    tables = {name: _grouped(trades, keys[name]) for name in BY}
    for name in ("hour", "weekday"):
        tables[name].sort(key=lambda row: row["key"])
    for row in tables["hour"]:
        row["key"] = f"{row['key']:02d}:00"
    for row in tables["weekday"]:
        row["key"] = WEEKDAYS[row["key"]]
    return tables


def _words(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(column.cast(pa.string()), UNKNOWN)


def _sources(result: BacktestResult) -> list[str]:
    """The source of each round trip: that of the signal whose fill opened it."""
    signals, fills, trades = result.signals, result.fills, result.trades
    source = dict(zip(signals["signal_id"].to_pylist(), signals["source"].to_pylist(), strict=True))
    opened: dict[tuple[str, str, int], str] = {}
    columns = ("strategy", "symbol", "ts_ns", "signal_id")
    for strategy, symbol, ts_ns, signal in zip(*(fills[name].to_pylist() for name in columns), strict=True):
        opened.setdefault((strategy, symbol, ts_ns), signal)
    entries = zip(*(trades[name].to_pylist() for name in ("strategy", "symbol", "entry_ns")), strict=True)
    return [source.get(opened.get(entry, "")) or UNKNOWN for entry in entries]


def _grouped(trades: pa.Table, key: pa.Array | pa.ChunkedArray) -> list[Row]:
    pnl = trades["pnl"].cast(pa.float64())
    table = pa.table(
        {"key": key, "pnl": pnl, "gross": trades["gross"], "fees": trades["fees"], "won": pc.greater(pnl, 0.0)}
    )
    groups = table.group_by("key", use_threads=False).aggregate(
        [("pnl", "count"), ("pnl", "sum"), ("gross", "sum"), ("fees", "sum"), ("won", "mean")]
    )
    rows = [
        {
            "key": row["key"],
            "count": row["pnl_count"],
            "pnl": row["pnl_sum"],
            "gross": row["gross_sum"],
            "fees": row["fees_sum"],
            "hit_rate": row["won_mean"],
        }
        for row in groups.to_pylist()
    ]
    return sorted(rows, key=lambda row: (-row["pnl"], str(row["key"])))


def denials(signals: pa.Table) -> list[Row]:
    """Signals that a gate stopped: rows of ``gate, code, count, mean_conviction, example``, the most first.

    ``example`` is the detail of the first.
    """
    gate, code = (pc.fill_null(signals[name].cast(pa.string()), "") for name in ("gate", "code"))
    stopped = pa.table(
        {
            "gate": gate,
            "code": code,
            "conviction": signals["conviction"],
            "detail": signals["detail"].cast(pa.string()),
        }
    ).filter(pc.or_(pc.not_equal(gate, ""), pc.not_equal(code, "")))
    groups = stopped.group_by(["gate", "code"], use_threads=False).aggregate(
        [("gate", "count"), ("conviction", "mean"), ("detail", "first")]
    )
    rows = [
        {
            "gate": row["gate"],
            "code": row["code"],
            "count": row["gate_count"],
            "mean_conviction": row["conviction_mean"],
            "example": row["detail_first"] or "",
        }
        for row in groups.to_pylist()
    ]
    return sorted(rows, key=lambda row: (-row["count"], row["gate"], row["code"]))


def counted(column: pa.ChunkedArray) -> list[Row]:
    """How often each word of a column stands in it: rows of ``key, count``, the most first."""
    counts = [(entry["values"], entry["counts"]) for entry in _words(column).value_counts().to_pylist()]
    return [{"key": key, "count": count} for key, count in sorted(counts, key=lambda pair: (-pair[1], pair[0]))]


def liquidity(fills: pa.Table) -> list[Row]:
    """Fills by whether they made or took: rows of ``key, count, traded, fees, bps``; ``bps`` of what was traded."""
    table = pa.table(
        {
            "key": _words(fills["liquidity"]),
            "traded": pc.multiply(fills["quantity"].cast(pa.float64()), fills["price"].cast(pa.float64())),
            "fees": fills["fee"].cast(pa.float64()),
        }
    )
    groups = table.group_by("key", use_threads=False).aggregate([("fees", "count"), ("traded", "sum"), ("fees", "sum")])
    return [
        {
            "key": row["key"],
            "count": row["fees_count"],
            "traded": row["traded_sum"],
            "fees": row["fees_sum"],
            "bps": row["fees_sum"] / row["traded_sum"] * 1e4 if row["traded_sum"] else None,
        }
        for row in sorted(groups.to_pylist(), key=lambda row: str(row["key"]))
    ]
