"""Bars made of trades, as the venue has no channel of candles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from exchanges.model.market import Bar, Trade


class _Open:
    """The bar of the present interval; ``whole`` is whether all its trades were seen."""

    __slots__ = ("close", "high", "low", "open", "recv_ns", "start_ns", "volume", "whole")

    def __init__(self, trade: Trade, start_ns: int, *, whole: bool) -> None:
        self.start_ns, self.whole = start_ns, whole
        self.open = self.high = self.low = self.close = trade.price
        self.volume, self.recv_ns = trade.size, trade.recv_ns

    def add(self, trade: Trade) -> None:
        self.high, self.low = max(self.high, trade.price), min(self.low, trade.price)
        self.close, self.recv_ns = trade.price, trade.recv_ns
        self.volume += trade.size


class BarBuilder:
    """Bars of one length for every symbol, closed by the data's own time.

    An interval without a trade gives no bar. An interval of which something may have been missed
    (the stream began or broke in it) gives none either, unless the trades were fetched later.
    ``grace_ns`` is how much later than a bar's end other data must be to close it: channels don't
    keep step to the millisecond.
    """

    def __init__(self, interval_ns: int, counters: Counter[str], grace_ns: int = 250_000_000) -> None:
        self._interval_ns = interval_ns
        self._counters = counters
        self._grace_ns = grace_ns
        self._open: dict[str, _Open] = {}
        self._ended_ns: dict[str, int] = {}
        """By symbol, up to when bars have been given: what comes for before is late."""
        self._seen_from: dict[str, int] = {}
        """By symbol, the moment from which on every trade has been seen."""
        self._clock_ns = 0

    def missed(self, symbol: str) -> None:
        """Trades of ``symbol`` may have been missed: what is complete begins anew with the data to come."""
        self._seen_from.pop(symbol, None)
        bar = self._open.get(symbol)
        if bar is not None:
            bar.whole = False

    def seen(self, symbols: Iterable[str], ts_ns: int) -> None:
        """The data has come to ``ts_ns``, and trades of ``symbols`` are being watched."""
        for symbol in symbols:
            self._seen_from.setdefault(symbol, ts_ns)

    def trade(self, trade: Trade) -> Iterator[Bar]:
        """Take a trade; gives the bar it closes and the present one as it stands."""
        symbol, start = trade.symbol, trade.ts_ns - trade.ts_ns % self._interval_ns
        bar = self._open.get(symbol)
        if bar is not None and start > bar.start_ns:
            yield from self._close(symbol)
            bar = None
        if start < (bar.start_ns if bar is not None else self._ended_ns.get(symbol, 0)):
            self._counters["trades_late"] += 1
            return
        if bar is None:
            whole = self._seen_from.setdefault(symbol, trade.ts_ns) <= start
            bar = self._open[symbol] = _Open(trade, start, whole=whole)
        else:
            bar.add(trade)
        if bar.whole:
            yield self._made(symbol, bar, closed=False)

    def reached(self, ts_ns: int) -> Iterator[Bar]:
        """The data has come to ``ts_ns``: gives every bar that ended well before."""
        if ts_ns <= self._clock_ns:
            return
        self._clock_ns = ts_ns
        due = ts_ns - self._interval_ns - self._grace_ns
        for symbol in [symbol for symbol, bar in self._open.items() if bar.start_ns <= due]:
            yield from self._close(symbol)

    def _close(self, symbol: str) -> Iterator[Bar]:
        bar = self._open.pop(symbol)
        self._ended_ns[symbol] = bar.start_ns + self._interval_ns
        if bar.whole:
            yield self._made(symbol, bar, closed=True)
        else:
            self._counters["bars_incomplete"] += 1

    def _made(self, symbol: str, bar: _Open, *, closed: bool) -> Bar:
        values = (bar.open, bar.high, bar.low, bar.close, bar.volume)
        return Bar(symbol, 0, 0, bar.start_ns, bar.recv_ns, *values, self._interval_ns, closed)
