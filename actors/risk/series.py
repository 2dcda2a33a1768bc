"""Prices on a fixed grid of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec


class Series(msgspec.Struct):
    """Closing prices, one for each bucket of the grid, oldest first; an empty bucket repeats the one before.

    ``bucket`` is the number of the open bucket (its start divided by the grid) and ``price`` the
    last price in it; ``closes[-1]`` belongs to ``bucket - 1``.
    """

    bucket: int = -1
    price: float = 0.0
    closes: list[float] = []

    def take(self, at_ns: int, price: float, grid_ns: int, keep: int) -> int:
        """Take in a price of the time ``at_ns``; returns how many buckets it has closed.

        One from before the open bucket changes nothing. A gap longer than the ``keep`` buckets that
        are kept begins the series anew: what lies before it says nothing of one step of the grid.
        """
        return sum(self.extend((at_ns,), (price,), grid_ns, keep))

    def extend(self, times: Iterable[int], prices: Iterable[float], grid_ns: int, keep: int) -> Iterator[int]:
        """Take in many prices; yields how many buckets each has closed of those that have closed any."""
        closes, last = self.closes, self.bucket
        for at_ns, price in zip(times, prices, strict=True):
            bucket = at_ns // grid_ns
            if bucket > last:
                closed = bucket - last
                if last < 0 or closed > keep:
                    closes.clear()
                    closed = 0
                elif closed == 1:
                    closes.append(self.price)
                else:
                    closes.extend([self.price] * closed)
                self.bucket = last = bucket
                self.price = price
                if closed:
                    del closes[:-keep]
                    yield closed
            elif bucket == last:
                self.price = price
