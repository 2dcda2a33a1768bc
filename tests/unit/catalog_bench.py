"""What the tests of the catalog share: rows to import, and what a catalog holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exchanges.catalog import Catalog, Series
from exchanges.catalog.importing import import_rows
from exchanges.catalog.loading import load
from exchanges.catalog.report import Report
from exchanges.catalog.shaping import Told
from exchanges.catalog.validation import Limits, Policy
from tests.unit.recording_bench import MIDNIGHT_NS, SECOND

DATA = Path(os.environ.get("BIGWHEEL_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
recorded_data = pytest.mark.skipif(not DATA.is_dir(), reason="recorded data is not here; set BIGWHEEL_DATA")

MINUTE = 60 * SECOND
BTC = "bybit:BTCUSDT"
TRADES = Series(BTC, "trades")
BARS = Series(BTC, "bars_60s")
QUOTES = Series(BTC, "quotes")


def trade_columns(times: list[int], **more: list[Any]) -> dict[str, list[Any]]:
    n = len(times)
    return {
        "ts_ns": times,
        "price": [100.0 + i % 7 for i in range(n)],
        "size": [1.0 + i % 3 for i in range(n)],
        "side": ["buy", "sell"] * (n // 2) + ["buy"] * (n % 2),
        "trade_id": [f"t{i}" for i in range(n)],
        **more,
    }


def bar_columns(times: list[int], **more: list[Any]) -> dict[str, list[Any]]:
    n = len(times)
    return {
        "ts_ns": times,
        "open": [100.0] * n,
        "high": [110.0] * n,
        "low": [90.0] * n,
        "close": [105.0] * n,
        "volume": [8.0] * n,
        **more,
    }


def quote_columns(times: list[int], **more: list[Any]) -> dict[str, list[Any]]:
    n = len(times)
    sizes = [2.0] * n
    return {
        "ts_ns": times,
        "bid_price": [100.0 + i for i in range(n)],
        "bid_size": sizes,
        "ask_price": [101.0 + i for i in range(n)],
        "ask_size": sizes,
        **more,
    }


def minutes(count: int, first: int = 0) -> list[int]:
    """Whole minutes from midnight on."""
    return [MIDNIGHT_NS + (first + number) * MINUTE for number in range(count)]


def write(path: Path, columns: dict[str, list[Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def text(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def take(root: Path, path: Path, policy: Policy = Policy.REFUSE, limits: Limits | None = None, **told: Any) -> Report:
    """Import what is at ``path`` as Bybit's."""
    return import_rows(root, str(path), load(path, Told(**{"venue": "bybit", **told})), policy, limits)


def took(root: Path, columns: dict[str, list[Any]], policy: Policy = Policy.REFUSE, **told: Any) -> Report:
    """Import rows of BTCUSDT."""
    return take(root, write(root.parent / "source" / "BTCUSDT.parquet", columns), policy, **told)


def counts(report: Report) -> dict[str, int]:
    """How often each fault was found in all series."""
    found: dict[str, int] = {}
    for series in report.series:
        for fault, finding in series.findings.items():
            found[fault.value] = found.get(fault.value, 0) + finding.count
    return found


def column(root: Path, series: Series, name: str = "ts_ns") -> list[Any]:
    """One column of all rows of a series."""
    values: list[Any] = Catalog(root).table(series)[name].to_pylist()
    return values
