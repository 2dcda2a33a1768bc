"""What can't be right in the values of rows, looked for in whole columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from exchanges.catalog.report import Fault
from exchanges.recording.schemas import BOOKS, FUNDING, QUOTES, TICKERS, TRADES

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Found = Iterator[tuple[Fault, Mask, tuple[str, ...]]]

PRICES = ("open", "high", "low", "close")
QUOTED = ("bid_price", "bid_size", "ask_price", "ask_size")
LEVELS = ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes")


def floats(table: pa.Table, name: str) -> Floats:
    """A column of numbers, without a copy where it lies in one piece."""
    found: Floats = table[name].to_numpy()
    return found


def times(table: pa.Table) -> Ints:
    """``ts_ns``."""
    found: Ints = table["ts_ns"].to_numpy()
    return found


def faults(table: pa.Table, kind: str) -> Found:
    """Each fault that some row has: in which rows, and the columns that show it."""
    yield Fault.TIME, times(table) <= 0, ("ts_ns",)
    yield from _CHECKS.get(kind, _bars)(table)


def prices(table: pa.Table, kind: str) -> Floats:
    """The one price of each row that jumps are looked for in: close, trade, mid or mark; none of other kinds."""
    if kind == TRADES:
        return floats(table, "price")
    if kind == QUOTES:
        return (floats(table, "bid_price") + floats(table, "ask_price")) / 2
    if kind == TICKERS:
        return floats(table, "mark")
    return floats(table, "close") if kind not in (BOOKS, FUNDING) else np.empty(0)


def _above_0(values: Floats) -> Mask:
    return np.isfinite(values) & (values > 0)


def _not_below_0(values: Floats) -> Mask:
    return np.isfinite(values) & (values >= 0)


def _bars(table: pa.Table) -> Found:
    opened, high, low, close = (floats(table, name) for name in PRICES)
    right = _above_0(opened) & _above_0(high) & _above_0(low) & _above_0(close)
    yield Fault.PRICE, ~right, PRICES
    inside = (low <= np.minimum(opened, close)) & (np.maximum(opened, close) <= high)
    yield Fault.RANGE, right & ~inside, PRICES
    yield Fault.SIZE, ~_not_below_0(floats(table, "volume")), ("volume",)


def _trades(table: pa.Table) -> Found:
    yield Fault.PRICE, ~_above_0(floats(table, "price")), ("price",)
    yield Fault.SIZE, ~_above_0(floats(table, "size")), ("size",)
    known = pc.is_in(table["side"], value_set=pa.array(["buy", "sell", ""]))
    yield Fault.SIDE, ~known.to_numpy(), ("side",)


def _quotes(table: pa.Table) -> Found:
    bid, bid_size, ask, ask_size = (floats(table, name) for name in QUOTED)
    right = _above_0(bid) & _above_0(ask)
    yield Fault.PRICE, ~right, ("bid_price", "ask_price")
    yield Fault.CROSSED, right & (bid > ask), ("bid_price", "ask_price")
    yield Fault.SIZE, ~(_not_below_0(bid_size) & _not_below_0(ask_size)), ("bid_size", "ask_size")


def _tickers(table: pa.Table) -> Found:
    mark, index = floats(table, "mark"), floats(table, "index")
    yield Fault.PRICE, ~(_above_0(mark) & _not_below_0(index)), ("mark", "index")
    yield Fault.SIZE, ~np.isfinite(floats(table, "funding_rate")), ("funding_rate",)


def _funding(table: pa.Table) -> Found:
    yield Fault.PRICE, ~np.isfinite(floats(table, "rate")), ("rate",)


def _books(table: pa.Table) -> Found:
    sides = [_side(table, side, step) for side, step in (("bid", -1.0), ("ask", 1.0))]
    (bid_prices, bid_sizes, bid_order, bids), (ask_prices, ask_sizes, ask_order, asks) = sides
    yield Fault.PRICE, bid_prices | ask_prices, ("bid_prices", "ask_prices")
    yield Fault.SIZE, bid_sizes | ask_sizes, ("bid_sizes", "ask_sizes")
    yield Fault.LEVELS, bid_order | ask_order, ("bid_prices", "ask_prices")
    with np.errstate(invalid="ignore"):
        yield Fault.CROSSED, bids > asks, ("bid_prices", "ask_prices")


def _side(table: pa.Table, side: str, step: float) -> tuple[Mask, Mask, Mask, Floats]:
    """Rows of one side with a wrong price, a wrong size, a wrong order; and each row's best price (NaN: none)."""
    lists: list[Any] = [table[f"{side}_{name}"].combine_chunks() for name in ("prices", "sizes")]
    starts = lists[0].offsets.to_numpy()
    counts = np.diff(starts)
    parents = np.repeat(np.arange(len(counts)), counts)
    values, sizes = lists[0].flatten().to_numpy(), lists[1].flatten().to_numpy()
    uneven = np.asarray(lists[1].value_lengths().to_numpy() != counts)

    def rows(wrong: Mask, parents: Ints) -> Mask:
        found = np.zeros(len(counts), np.bool_)
        found[parents[wrong]] = True
        return found

    unordered = (np.diff(values) * step <= 0) & (parents[1:] == parents[:-1])
    sized = np.repeat(np.arange(len(counts)), lists[1].value_lengths().to_numpy())
    best = np.full(len(counts), np.nan)
    filled = counts > 0
    best[filled] = values[(starts[:-1] - starts[0])[filled]]
    order = rows(unordered, parents[1:]) | uneven
    return rows(~_above_0(values), parents), rows(~_above_0(sizes), sized), order, best


_CHECKS: dict[str, Callable[[pa.Table], Found]] = {
    TRADES: _trades,
    QUOTES: _quotes,
    BOOKS: _books,
    TICKERS: _tickers,
    FUNDING: _funding,
}
