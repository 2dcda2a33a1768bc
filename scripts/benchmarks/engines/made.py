"""Made data for all engines: files of bars, trades or quotes of one symbol, as a user has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scripts.benchmarks.backtest import START_NS, SYMBOL, write_bars

SECOND_NS = 1_000_000_000
SIZE = 50.0
"""Of each trade, and at each best price: more than any order."""


def write(folder: Path, kind: str, rows: int) -> str:
    """The path of a file with so many rows of ``bars``, ``trades`` or ``quotes``; the same ones at each call.

    Raises:
        ValueError: it is none of these kinds.
    """
    path = folder / f"{kind}-{rows}" / f"{SYMBOL}.parquet"
    if path.exists():
        return str(path)
    if kind == "bars":
        write_bars(path, rows)
        return str(path)
    if kind not in _COLUMNS:
        raise ValueError(f"expected bars, {' or '.join(_COLUMNS)}, found {kind!r}; name one of these")
    path.parent.mkdir()
    moments = START_NS + np.arange(rows) * SECOND_NS
    pq.write_table(pa.table({"ts_ns": moments, **_COLUMNS[kind](_walk(rows))}), path)
    return str(path)


def _walk(rows: int) -> np.ndarray:
    """Prices with steps of a basis point or so, on ticks of 0.1."""
    return np.round(30_000 * np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.0001, rows))), 1)


def _trades(prices: np.ndarray) -> dict[str, object]:
    rising = np.diff(prices, prepend=prices[0]) >= 0
    numbers = [str(number) for number in range(len(prices))]
    return {
        "price": prices,
        "size": np.full(len(prices), SIZE),
        "side": np.where(rising, "buy", "sell"),
        "trade_id": numbers,
    }


def _quotes(prices: np.ndarray) -> dict[str, object]:
    """One tick wide."""
    sizes = np.full(len(prices), SIZE)
    return {"bid_price": prices, "bid_size": sizes, "ask_price": np.round(prices + 0.1, 1), "ask_size": sizes}


_COLUMNS = {"trades": _trades, "quotes": _quotes}
