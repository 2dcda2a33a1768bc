"""Whether market data can be right, before it is kept; and what of it is not there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from exchanges.model.market import Bar, Trade
from exchanges.recording.coverage import Span, by_day, union
from exchanges.recording.errors import RecordingError
from exchanges.recording.layout import Partition, day_of, parts
from exchanges.recording.schemas import bars_interval_ns


def check(symbol: str, table: str, rows: Sequence[Any], span: Span) -> tuple[list[Any], int]:
    """``rows`` without those that are there twice, and how many those were.

    Raises:
        RecordingError: they are not in time order, not of ``span``, or a value can't be right.
    """
    for earlier, later in pairwise(rows):
        if later.ts_ns < earlier.ts_ns:
            raise _wrong(symbol, table, f"rows oldest first, found {later.ts_ns} after {earlier.ts_ns}")
    kept: dict[Any, Any] = {}
    for number, row in enumerate(rows):
        if not span.start_ns <= row.ts_ns < span.end_ns:
            raise _wrong(symbol, table, f"rows of [{span.start_ns}, {span.end_ns}), found one of {row.ts_ns}")
        fault = _fault(row)
        if fault:
            raise _wrong(symbol, table, f"{fault} at {row.ts_ns}")
        key = _identity(row, number)
        if key in kept and _values(kept[key]) != _values(row):
            raise _wrong(symbol, table, f"one row for {key}, found {_values(kept[key])} and {_values(row)}")
        kept.setdefault(key, row)
    return list(kept.values()), len(rows) - len(kept)


def _wrong(symbol: str, table: str, text: str) -> RecordingError:
    return RecordingError(f"expected of {symbol} ({table}) {text}; the answer can't be trusted and is not kept")


def _identity(row: Any, number: int) -> Any:
    if isinstance(row, Trade):
        return (row.ts_ns, row.trade_id) if row.trade_id else (row.ts_ns, number)
    return row.ts_ns


def _values(row: Any) -> tuple[Any, ...]:
    if isinstance(row, Trade):
        return row.price, row.size, row.side
    if isinstance(row, Bar):
        return row.open, row.high, row.low, row.close, row.volume
    return (row.rate,)


def _fault(row: Any) -> str:
    """What is wrong with the values of a row; empty if nothing is."""
    if isinstance(row, Trade):
        return "" if _all_positive((row.price, row.size)) else f"a price and a size above 0, found {_values(row)}"
    if isinstance(row, Bar):
        prices = (row.open, row.high, row.low, row.close)
        inside = row.low <= min(row.open, row.close) and max(row.open, row.close) <= row.high
        fits = _all_positive(prices) and inside and math.isfinite(row.volume) and row.volume >= 0
        return "" if fits else f"low <= open, close <= high above 0 and a volume, found {_values(row)}"
    return "" if math.isfinite(row.rate) else f"a rate, found {row.rate}"


def _all_positive(values: Iterable[float]) -> bool:
    return all(math.isfinite(value) and value > 0 for value in values)


class Gaps(NamedTuple):
    """Bars that are there, and how many are not, in which spans."""

    found: int
    missing: int
    spans: tuple[Span, ...]


def gaps(root: Path, venue: str, symbol: str, table: str, span: Span) -> Gaps:
    """Which bars of ``span`` are not on the disk. A period without a trade has none at most venues.

    Args:
        root: the recording's folder.
        venue: whose.
        symbol: as it stands after the venue in the full name.
        table: of the bars, such as ``bars_60s``.
        span: what is looked at.

    Raises:
        RecordingError: a file can't be read.
    """
    interval_ns = bars_interval_ns(table)
    times: set[int] = set()
    for day in by_day(span):
        for part in parts(Partition(venue, symbol, day_of(day.start_ns)).folder(root), table):
            found = pq.ParquetFile(part.path).read(columns=["ts_ns"])["ts_ns"].to_pylist()
            times.update(ts_ns for ts_ns in found if span.start_ns <= ts_ns < span.end_ns)
    there = union((ts_ns, ts_ns + interval_ns) for ts_ns in times)
    edges = [Span(span.start_ns, span.start_ns), *there, Span(span.end_ns, span.end_ns)]
    between = (Span(earlier.end_ns, later.start_ns) for earlier, later in pairwise(edges))
    open_spans = tuple(piece for piece in between if piece.length_ns >= interval_ns)
    return Gaps(len(times), sum(piece.length_ns // interval_ns for piece in open_spans), open_spans)
