"""Prices on a fixed grid of time."""

from __future__ import annotations

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
        bucket = at_ns // grid_ns
        if bucket < self.bucket:
            return 0
        closed = bucket - self.bucket
        if self.bucket < 0 or closed > keep:
            self.closes, closed = [], 0
        elif closed:
            closes = self.closes
            closes.extend([self.price] * closed)
            del closes[:-keep]
        self.bucket, self.price = bucket, price
        return closed
