"""The market as the learner has seen it: the last price, and a thin history of it."""

from __future__ import annotations

import msgspec

from exchanges.model.market import Bar, MarketData

POINTS = 256


class Track(msgspec.Struct):
    """One symbol's prices. Times in ns: ``times`` and ``last_ns`` the data's own, ``heard_ns`` ours.

    ``epoch`` and ``seq`` are of the last piece of data, to ask for what follows it.
    """

    epoch: int = 0
    seq: int = 0
    last: float = 0.0
    last_ns: int = 0
    heard_ns: int = 0
    times: list[int] = []
    prices: list[float] = []

    def add(self, data: MarketData, price: float, now: int, spacing_ns: int) -> None:
        """Take in one price; the history keeps one every ``spacing_ns`` at most."""
        at = moment(data)
        self.heard_ns = now
        self.epoch, self.seq = data.epoch, data.seq
        if at < self.last_ns:
            return
        self.last, self.last_ns = price, at
        if not self.times or at - self.times[-1] >= spacing_ns:
            self.times.append(at)
            self.prices.append(price)
            if len(self.times) > POINTS:
                del self.times[0], self.prices[0]

    def at(self, due_ns: int) -> tuple[int, float] | None:
        """The first known (time, price) at or after ``due_ns``."""
        for time, price in zip(self.times, self.prices, strict=True):
            if time >= due_ns:
                return time, price
        return (self.last_ns, self.last) if self.last_ns >= due_ns and self.last else None


def moment(data: MarketData) -> int:
    """When the price of ``data`` held: a closed bar's close, else its timestamp."""
    return data.ts_ns + data.interval_ns if isinstance(data, Bar) and data.closed else data.ts_ns
