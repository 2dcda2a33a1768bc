"""Request limits: so much weight a minute for the address calls come from."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from exchanges.simulators.settings import SimulatorSettings

WEIGHT_A_MINUTE = 1_200
WINDOW_S = 60.0


class Limits:
    """The weight of the last minute. A limit of 0 lets everything through."""

    def __init__(self, limit: int = WEIGHT_A_MINUTE, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._spent: deque[tuple[float, float]] = deque()
        self._used = 0.0

    @classmethod
    def of(cls, settings: SimulatorSettings) -> Limits:
        """The venue's own limit, or 60 times the ``query_limit`` of the settings."""
        return cls(WEIGHT_A_MINUTE if settings.query_limit is None else settings.query_limit * 60)

    def take(self, weight: float) -> bool:
        """Spend ``weight``; whether there was as much left."""
        if not self._limit:
            return True
        now = self._clock()
        while self._spent and self._spent[0][0] <= now - WINDOW_S:
            self._used -= self._spent.popleft()[1]
        if self._used + weight > self._limit:
            return False
        self._spent.append((now, weight))
        self._used += weight
        return True
