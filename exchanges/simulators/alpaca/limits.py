"""Request limits: so many a minute for an account and an interface."""

from __future__ import annotations

from exchanges.simulators.alpaca.errors import RATE_LIMITED, ApiError
from exchanges.simulators.settings import SimulatorSettings

REQUESTS_A_MINUTE = 200
MESSAGE = "rate limit exceeded"
_MINUTE_NS = 60_000_000_000


class Limits:
    """Windows of one minute for each account and interface (trading, data). A limit of 0 lets everything through."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._used: dict[tuple[str, str], tuple[int, int]] = {}

    @classmethod
    def of(cls, settings: SimulatorSettings) -> Limits:
        """The venue's own limit, or what ``query_limit`` a second comes to in a minute."""
        asked = settings.query_limit
        return cls(REQUESTS_A_MINUTE if asked is None else asked * 60)

    def take(self, account: str, interface: str, now_ns: int) -> dict[str, str]:
        """Count one request; returns the headers of its answer.

        Raises:
            ApiError: 429 when the window is used up.
        """
        if not self.per_minute:
            return {}
        window = now_ns // _MINUTE_NS
        start, used = self._used.get((account, interface), (window, 0))
        used = used + 1 if start == window else 1
        if used > self.per_minute:
            raise ApiError(RATE_LIMITED, MESSAGE)
        self._used[account, interface] = (window, used)
        return self.headers(self.per_minute - used, now_ns)

    def headers(self, left: int, now_ns: int) -> dict[str, str]:
        """Limit, what is left of it, and the second in which the window ends."""
        return {
            "X-RateLimit-Limit": str(self.per_minute or REQUESTS_A_MINUTE),
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Reset": str((now_ns // _MINUTE_NS + 1) * 60),
        }
