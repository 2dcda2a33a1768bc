"""Bars made of trades, quotes or shorter bars: exact, and the same however the rows come in portions.

A bar begins at a whole multiple of its length since the epoch (UTC). A span without a row has none. The first and the
last bar are made of what there is of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exchanges.catalog.catalog import FOR_EVER_NS, Catalog
from exchanges.catalog.checks import PRICES, floats, prices, times
from exchanges.catalog.errors import DataError
from exchanges.catalog.importing import import_rows
from exchanges.catalog.report import Report
from exchanges.catalog.series import Series, kind_named
from exchanges.catalog.sessions import DAY_NS
from exchanges.catalog.shaping import Portion
from exchanges.catalog.validation import Limits, Policy
from exchanges.recording.schemas import QUOTES, TRADES

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MOST_DECIMALS = 12
_NONE = _MOST_DECIMALS + 1
_EXACT = 2.0**53
"""Whole numbers below this are exact as floats."""


def resample(
    catalog: Catalog,
    source: Series,
    kind: str,
    start_ns: int = 0,
    end_ns: int = FOR_EVER_NS,
    *,
    policy: Policy = Policy.REFUSE,
    limits: Limits | None = None,
) -> Report:
    """Make bars of ``source`` and take them into the catalog. The same again changes nothing.

    Raises:
        DataError: such bars can't be made of it, or a file can't be read.
    """
    target = Series(source.symbol, kind_named(kind))
    check(source, target)
    rows = resampled(catalog.portions(source, start_ns, end_ns), source, target.interval_ns)
    return import_rows(catalog.root, str(source), (Portion(target, bars) for bars in rows), policy, limits)


def check(source: Series, target: Series) -> None:
    """See that bars of one can be made of the other.

    Raises:
        DataError: they can't.
    """
    if not target.interval_ns or DAY_NS % target.interval_ns:
        raise DataError(f"expected bars that divide a day to be made, such as 5m or 1d, found {target.kind}")
    if source.kind in (TRADES, QUOTES):
        return
    if not source.interval_ns or target.interval_ns % source.interval_ns or target.kind == source.kind:
        raise DataError(
            f"expected trades, quotes, or bars that {target.kind} are a multiple of, found {source}; choose another"
        )


def resampled(portions: Iterable[pa.Table], source: Series, interval_ns: int) -> Iterator[pa.Table]:
    """Bars of ``interval_ns`` from rows of ``source`` in time order. One bar's rows at most are kept in memory.

    Of quotes the bars are those of the mid price, without a volume. A bar's volume is the exact sum of the decimal
    numbers that the floats stand for, to the nearest float.

    Raises:
        DataError: a bar reaches over the edge of one that is to be made.
    """
    kept: list[pa.Table] = []
    for rows in portions:
        if not rows.num_rows:
            continue
        starts = times(rows) // interval_ns
        _within(rows, source, interval_ns)
        if kept and starts[-1] == times(kept[0])[0] // interval_ns:
            kept.append(rows)
            continue
        whole = int(np.searchsorted(starts, starts[-1]))
        ended = pa.concat_tables([*kept, rows.slice(0, whole)])
        kept = [rows.slice(whole)]
        if ended.num_rows:
            yield _bars(ended, source, interval_ns)
    if kept:
        yield _bars(pa.concat_tables(kept), source, interval_ns)


def _within(rows: pa.Table, source: Series, interval_ns: int) -> None:
    over = np.flatnonzero(times(rows) % interval_ns + source.interval_ns > interval_ns)
    if source.interval_ns and len(over):
        at = int(times(rows)[over[0]])
        raise DataError(
            f"expected bars of {source} within bars of {interval_ns} ns, found one at {at} that reaches over an edge; "
            f"choose another length"
        )


def _bars(rows: pa.Table, source: Series, interval_ns: int) -> pa.Table:
    starts = times(rows) // interval_ns * interval_ns
    edges = np.concatenate([[0], np.flatnonzero(starts[1:] != starts[:-1]) + 1])
    if source.interval_ns:
        opens, highs, lows, closes = (floats(rows, name) for name in PRICES)
    else:
        opens = highs = lows = closes = prices(rows, source.kind)
    sizes = {TRADES: "size", QUOTES: ""}.get(source.kind, "volume")
    last = np.concatenate([edges[1:], [len(starts)]]) - 1
    return pa.table(
        {
            "ts_ns": starts[edges],
            "open": opens[edges],
            "high": np.maximum.reduceat(highs, edges),
            "low": np.minimum.reduceat(lows, edges),
            "close": closes[last],
            "volume": exact_sums(floats(rows, sizes), edges) if sizes else np.zeros(len(edges)),
            "recv_ns": starts[edges] + interval_ns,
        }
    )


def exact_sums(values: Floats, edges: Ints) -> Floats:
    """The sums of ``values`` from each edge to the next, as if the numbers were decimal.

    0.1 + 0.2 is 0.3: where the values of a sum have at most 12 decimals it is made of whole numbers of their smallest
    unit, and is the float nearest to the true one; elsewhere the floats themselves are summed exactly.
    """
    decimals = np.maximum.reduceat(_decimals(values), edges)
    rough = np.add.reduceat(values, edges)
    sums = np.empty(len(edges))
    for digits in np.unique(decimals).tolist():
        chosen = decimals == digits
        scale = 10.0**digits
        fits = chosen & (np.abs(rough) * scale < _EXACT) & (digits < _NONE)
        if fits.any():
            with np.errstate(over="ignore", invalid="ignore"):
                units = np.add.reduceat(np.rint(values * scale), edges)
            sums[fits] = units[fits] / scale
        for place in np.flatnonzero(chosen & ~fits).tolist():
            end = edges[place + 1] if place + 1 < len(edges) else len(values)
            sums[place] = math.fsum(values[edges[place] : end].tolist())
    return sums


def _decimals(values: Floats) -> Ints:
    """How many decimals each value has at least; ``_NONE`` where they are too many."""
    found = np.full(len(values), _NONE)
    open_places = np.arange(len(values))
    for digits in range(_NONE):
        rest = values[open_places]
        scaled = rest * 10.0**digits
        whole = np.rint(scaled)
        fits = (whole / 10.0**digits == rest) & (np.abs(scaled) < _EXACT)
        found[open_places[fits]] = digits
        open_places = open_places[~fits]
        if not len(open_places):
            break
    return found
