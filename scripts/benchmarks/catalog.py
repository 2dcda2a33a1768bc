"""Rows a second out of a catalog: as columns and as messages, of one and of many series."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from exchanges.catalog import Catalog, Series
from exchanges.catalog.importing import import_rows
from exchanges.catalog.shaping import Portion
from exchanges.catalog.stream import MarketStream
from exchanges.catalog.validation import Limits

ROWS = 2_000_000
AIM = 500_000
SECOND = 1_000_000_000
START_NS = 1_767_225_600 * SECOND
"""2026-01-01T00:00:00Z."""
SHAPES = {
    "bars of one symbol": [Series("bench:S0", "bars_60s")],
    "bars of 20 symbols": [Series(f"bench:S{number}", "bars_60s") for number in range(20)],
    "trades and quotes of 4 symbols": [
        Series(f"bench:T{number}", kind) for number in range(4) for kind in ("trades", "quotes")
    ],
}


def run(rows: int = ROWS) -> list[dict[str, Any]]:
    """Three shapes of data, each read as columns in order and as messages, beside the aim of a whole backtest."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, series) in enumerate(SHAPES.items()):
            root = Path(folder) / str(number)
            portions = (Portion(each, _rows(each, rows // len(series), seed)) for seed, each in enumerate(series))
            report = import_rows(root, name, portions, limits=Limits(deviations=0))
            if report.refused:
                raise SystemExit(f"expected rows without a fault, found: {report.refused}")
            stream = MarketStream(Catalog(root), series)
            for way, count in (("columns", _columns), ("messages", _messages)):
                found.append(_row(f"{name}: {way}", _rate(stream, count)))
    return found


def _columns(stream: MarketStream) -> int:
    total = 0
    for window in stream.windows():
        which, _ = window.order()
        total += len(which)
    return total


def _messages(stream: MarketStream) -> int:
    return sum(1 for _ in stream.messages())


def _rate(stream: MarketStream, count: Callable[[MarketStream], int]) -> float:
    began = time.perf_counter()
    total = count(stream)
    return total / (time.perf_counter() - began)


def _row(name: str, rate: float) -> dict[str, Any]:
    return {
        "name": name,
        "figure": rate,
        "unit": "rows/s",
        "baseline": AIM,
        "baseline_name": "the aim of a backtest",
        "ratio": rate / AIM,
    }


def _rows(series: Series, count: int, seed: int) -> pa.Table:
    """A random walk in ticks of a cent."""
    random = np.random.default_rng(seed)
    walk = np.maximum(1_000, 1_000_000 + np.cumsum(random.integers(-5, 6, count))) / 100
    sizes = random.integers(1, 1_000, count) / 1_000
    if series.interval_ns:
        at = START_NS + np.arange(count) * series.interval_ns
        prices = {"open": walk, "high": walk + 0.05, "low": walk - 0.05, "close": walk + 0.01, "volume": sizes}
        return pa.table({"ts_ns": at, **prices, "recv_ns": at + series.interval_ns})
    at = START_NS + np.cumsum(random.integers(1, 50_000_000, count))
    if series.kind == "quotes":
        columns = {"bid_price": walk, "bid_size": sizes, "ask_price": walk + 0.01, "ask_size": sizes}
        return pa.table({"ts_ns": at, **columns, "recv_ns": at})
    sides, ids = np.where(sizes > 0.5, "buy", "sell"), np.arange(count).astype(str)
    return pa.table({"ts_ns": at, "price": walk, "size": sizes, "side": sides, "trade_id": ids, "recv_ns": at})
