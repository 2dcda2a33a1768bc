"""Request limits: token buckets, one for reads and one for writes, for each account."""

from __future__ import annotations

import time
from collections.abc import Callable

from exchanges.simulators.kalshi.errors import limited
from exchanges.simulators.settings import SimulatorSettings

READ, WRITE = "read", "write"
BASIC = {READ: 200, WRITE: 100}
"""Tokens a second of the venue's lowest tier."""
COST, CANCEL_COST = 10.0, 2.0


class Limits:
    """A bucket holds one second's tokens. A limit of 0 lets everything through."""

    def __init__(self, limits: dict[str, int], clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    @classmethod
    def of(cls, settings: SimulatorSettings) -> Limits:
        """What the settings say: ``query_limit`` for reads, ``order_limit`` for writes, in tokens."""
        given = {READ: settings.query_limit, WRITE: settings.order_limit}
        return cls({group: BASIC[group] if limit is None else limit for group, limit in given.items()})

    def take(self, account: str, group: str, cost: float) -> None:
        """Spend ``cost`` tokens. What costs more than a full bucket needs a full one.

        Raises:
            ApiError: 429, there aren't as many; none is spent.
        """
        rate = float(self.limits.get(group, 0))
        if not rate:
            return
        now = self._clock()
        left, at = self._buckets.get((account, group), (rate, now))
        left = min(rate, left + (now - at) * rate)
        self._buckets[account, group] = (left, now)
        if left < min(cost, rate):
            raise limited()
        self._buckets[account, group] = (left - cost, now)
