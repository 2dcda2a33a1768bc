"""The market as the learner has seen it: the last price, and a thin history of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from exchanges.model.market import Bar, MarketData, last_price

POINTS = 256


class Track(msgspec.Struct):
    """One symbol's prices. Times in ns: ``times`` and ``last_ns`` the data's own, ``heard_ns`` ours.

    ``epoch`` and ``seq`` are of the last piece of data, to ask for what follows it. ``prices`` are
    what held at ``times``; ``highs`` and ``lows`` the extremes from each of them to the next.
    """

    epoch: int = 0
    seq: int = 0
    last: float = 0.0
    last_ns: int = 0
    heard_ns: int = 0
    times: list[int] = []
    prices: list[float] = []
    highs: list[float] = []
    lows: list[float] = []

    def add(self, data: MarketData, price: float, now: int, spacing_ns: int) -> None:
        """Take in one price; the history keeps one every ``spacing_ns`` at most."""
        at = moment(data)
        self.heard_ns = now
        self.epoch, self.seq = data.epoch, data.seq
        if at < self.last_ns:
            return
        high, low = self._extremes(data, price)
        self.last, self.last_ns = price, at
        if self.times and at - self.times[-1] < spacing_ns:
            self.highs[-1] = max(self.highs[-1], high)
            self.lows[-1] = min(self.lows[-1], low)
            return
        self.times.append(at)
        self.prices.append(price)
        self.highs.append(high)
        self.lows.append(low)
        if len(self.times) > POINTS:
            del self.times[0], self.prices[0], self.highs[0], self.lows[0]

    def extend(self, data: Sequence[MarketData], spacing_ns: int) -> None:
        """Take in many pieces of data, each as of when it was received; those without a usable price are passed over."""
        for each in data:
            price = last_price(each)
            if 0 < price < math.inf:
                self.add(each, price, each.recv_ns, spacing_ns)

    def _extremes(self, data: MarketData, price: float) -> tuple[float, float]:
        """A bar's own, unless something newer than its beginning was seen already."""
        if isinstance(data, Bar) and data.closed and data.ts_ns >= self.last_ns:
            return max(data.high, price), min(data.low, price)
        return price, price

    def at(self, due_ns: int) -> tuple[int, float] | None:
        """The first known (time, price) at or after ``due_ns``."""
        for time, price in zip(self.times, self.prices, strict=True):
            if time >= due_ns:
                return time, price
        return (self.last_ns, self.last) if self.last_ns >= due_ns and self.last else None

    def range(self, after_ns: int, until_ns: int) -> tuple[float, float] | None:
        """The (lowest, highest) price between two moments, to within one spacing; ``None`` if none is known."""
        found = [
            (low, high)
            for time, low, high in zip(self.times, self.lows, self.highs, strict=True)
            if after_ns < time <= until_ns
        ]
        if not found:
            return None
        return min(low for low, _ in found), max(high for _, high in found)

    def complete(self) -> None:
        """Give a history from before extremes were kept its prices as extremes."""
        if len(self.highs) != len(self.times):
            self.highs, self.lows = list(self.prices), list(self.prices)


def moment(data: MarketData) -> int:
    """When the price of ``data`` held: a closed bar's close, else its timestamp."""
    return data.ts_ns + data.interval_ns if isinstance(data, Bar) and data.closed else data.ts_ns
