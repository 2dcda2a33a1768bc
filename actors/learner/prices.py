"""The market as the learner has seen it: the last price, and a thin history of it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
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

    def add(self, data: MarketData, now: int, spacing_ns: int) -> None:
        """Take in one piece of data with a price, heard ``now``; see ``extend``."""
        self.extend((data,), spacing_ns)
        self.heard_ns = now

    def extend(self, data: Sequence[MarketData], spacing_ns: int) -> None:
        """Take in data that have a price, each as of when it was received.

        The history keeps one every ``spacing_ns`` at most.
        """
        times, prices, highs, lows = self.times, self.prices, self.highs, self.lows
        last_ns, kept_ns = self.last_ns, times[-1] if times else -spacing_ns
        for each in data:
            at, price = moment(each), last_price(each)
            if at < last_ns:
                continue
            high = low = price
            # A bar's own extremes, unless something newer than its beginning was seen already.
            if type(each) is Bar and each.closed and each.ts_ns >= last_ns:
                high = each.high if each.high > price else price
                low = each.low if each.low < price else price
            self.last, last_ns = price, at
            if at - kept_ns < spacing_ns:
                highs[-1], lows[-1] = max(highs[-1], high), min(lows[-1], low)
                continue
            kept_ns = at
            times.append(at)
            prices.append(price)
            highs.append(high)
            lows.append(low)
        if len(times) > POINTS:
            del times[:-POINTS], prices[:-POINTS], highs[:-POINTS], lows[:-POINTS]
        last, self.last_ns = data[-1], last_ns
        self.epoch, self.seq, self.heard_ns = last.epoch, last.seq, last.recv_ns

    def at(self, due_ns: int) -> tuple[int, float] | None:
        """The first known (time, price) at or after ``due_ns``."""
        place = bisect_left(self.times, due_ns)
        if place < len(self.times):
            return self.times[place], self.prices[place]
        return (self.last_ns, self.last) if self.last_ns >= due_ns and self.last else None

    def range(self, after_ns: int, until_ns: int) -> tuple[float, float] | None:
        """The (lowest, highest) price between two moments, to within one spacing; ``None`` if none is known."""
        first, end = bisect_right(self.times, after_ns), bisect_right(self.times, until_ns)
        return (min(self.lows[first:end]), max(self.highs[first:end])) if first < end else None

    def complete(self) -> None:
        """Give a history from before extremes were kept its prices as extremes."""
        if len(self.highs) != len(self.times):
            self.highs, self.lows = list(self.prices), list(self.prices)


def moment(data: MarketData) -> int:
    """When the price of ``data`` held: a closed bar's close, else its timestamp."""
    return data.ts_ns + data.interval_ns if type(data) is Bar and data.closed else data.ts_ns
