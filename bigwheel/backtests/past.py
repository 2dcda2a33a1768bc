"""Bars from before a moment, of the data of a backtest."""

from __future__ import annotations

from collections.abc import Iterator

from exchanges.catalog import Catalog, Series
from exchanges.catalog.resampling import resampled
from exchanges.model.market import Bar
from exchanges.recording.schemas import TRADES, bars_name

_FURTHER = 3
"""How often a span too short is extended, each time to four times what was looked at so far."""


class Past:
    """Answers questions about the past, also from before a run's start.

    Bars are those of the data, or made of shorter ones, the longest that fit, or else of trades.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._sources: dict[tuple[str, int], Series | None] = {}
        self._first: dict[Series, int] = {}

    def bars(self, symbol: str, interval_ns: int, count: int, until_ns: int) -> tuple[Bar, ...] | None:
        """The last ``count`` bars that were over at ``until_ns``, oldest first; ``None`` where none can be made.

        Raises:
            DataError, RecordingError: a file can't be read.
        """
        source = self._source(symbol, interval_ns)
        if source is None:
            return None
        found: list[Bar] = []
        upper = until_ns // interval_ns * interval_ns if source.interval_ns != interval_ns else until_ns
        span_ns = interval_ns * count
        for _ in range(_FURTHER + 1):
            lower = max(upper // interval_ns * interval_ns - span_ns, 0)
            found = [*self._between(source, interval_ns, lower, upper, until_ns), *found]
            if len(found) >= count or lower <= self._first[source]:
                break
            upper, span_ns = lower, span_ns * 4
        return tuple(found[-count:])

    def _source(self, symbol: str, interval_ns: int) -> Series | None:
        key = symbol, interval_ns
        if key not in self._sources:
            there = self._catalog.series(symbols=[symbol])
            fitting = [each for each in there if each.interval_ns and interval_ns % each.interval_ns == 0]
            trades = [each for each in there if each.kind == TRADES]
            own = [each for each in fitting if each.kind == bars_name(interval_ns)]
            chosen = (*own, *sorted(fitting, key=lambda each: -each.interval_ns), *trades)
            self._sources[key] = source = next(iter(chosen), None)
            if source is not None:
                self._first[source] = self._catalog.holding(source).first_ns
        return self._sources[key]

    def _between(self, source: Series, interval_ns: int, lower: int, upper: int, until_ns: int) -> Iterator[Bar]:
        """Bars that begin in ``[lower, upper)`` and were over at ``until_ns``, but none that the data begin within."""
        portions = self._catalog.portions(source, lower, upper)
        if source.interval_ns != interval_ns:
            portions = resampled(portions, source, interval_ns)
        for rows in portions:
            columns = (rows[name].to_pylist() for name in ("ts_ns", "open", "high", "low", "close", "volume"))
            for ts_ns, opened, high, low, close, volume in zip(*columns, strict=True):
                over_ns = ts_ns + interval_ns
                if over_ns <= until_ns and ts_ns >= self._first[source]:
                    yield Bar(source.symbol, 0, 0, ts_ns, over_ns, opened, high, low, close, volume, interval_ns)
