"""Candles built from trades."""

from __future__ import annotations

from collections import deque

MINUTE_MS = 60_000


class Candle:
    """One candle; times in milliseconds, ``turnover`` in the quote currency."""

    __slots__ = ("close", "high", "low", "open", "start", "turnover", "volume")

    def __init__(self, start: int, price: float, size: float) -> None:
        self.start = start
        self.open = self.high = self.low = self.close = price
        self.volume, self.turnover = size, size * price

    def add(self, price: float, size: float) -> None:
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.volume += size
        self.turnover += size * price

    def extend(self, other: Candle) -> None:
        """Take in a later candle of a shorter interval."""
        self.high, self.low = max(self.high, other.high), min(self.low, other.low)
        self.close = other.close
        self.volume += other.volume
        self.turnover += other.turnover

    def copy(self, start: int) -> Candle:
        new = Candle(start, self.open, 0.0)
        new.high, new.low, new.close = self.high, self.low, self.close
        new.volume, new.turnover = self.volume, self.turnover
        return new


class Candles:
    """The candles of one interval. An interval without a trade has none."""

    def __init__(self, interval_ms: int = MINUTE_MS, keep: int = 3_000) -> None:
        self.interval_ms = interval_ms
        self.current: Candle | None = None
        self.closed: deque[Candle] = deque(maxlen=keep)

    def add(self, ts_ms: int, price: float, size: float) -> Candle | None:
        """Count a trade; returns the candle that ended with it, if one did."""
        current = self.current
        start = ts_ms - ts_ms % self.interval_ms
        if current is not None and start <= current.start:
            current.add(price, size)
            return None
        self.current = Candle(start, price, size)
        if current is not None:
            self.closed.append(current)
        return current

    def end_before(self, ts_ms: int) -> Candle | None:
        """Close the current candle if its time is over at ``ts_ms``."""
        current = self.current
        if current is None or current.start + self.interval_ms > ts_ms:
            return None
        self.current = None
        self.closed.append(current)
        return current

    def grouped(self, interval_ms: int) -> list[Candle]:
        """All candles, the current one included, in a longer interval, oldest first."""
        groups: list[Candle] = []
        for candle in (*self.closed, *((self.current,) if self.current else ())):
            start = candle.start - candle.start % interval_ms
            if groups and groups[-1].start == start:
                groups[-1].extend(candle)
            else:
                groups.append(candle.copy(start))
        return groups
