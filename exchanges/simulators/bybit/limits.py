"""Request limits: so many a second for an account and a kind of request."""

from __future__ import annotations

from exchanges.simulators.bybit.errors import MESSAGES, RATE_LIMIT, ApiError
from exchanges.simulators.settings import SimulatorSettings

ORDERS_A_SECOND = 10
QUERIES_A_SECOND = 50


class Limits:
    """Windows of one second, for each account and call. A limit of 0 lets everything through."""

    UNLIMITED = 100_000

    def __init__(self, limits: dict[str, int]) -> None:
        self._limits = limits
        self._used: dict[tuple[str, str], tuple[int, int]] = {}

    @classmethod
    def of(cls, settings: SimulatorSettings) -> Limits:
        """The venue's own limits, or those the settings ask for."""
        wanted = {
            "order": (settings.order_limit, ORDERS_A_SECOND),
            "query": (settings.query_limit, QUERIES_A_SECOND),
        }
        return cls({group: own if asked is None else asked for group, (asked, own) in wanted.items()})

    def take(self, account: str, group: str, call: str, now_ms: int) -> dict[str, str]:
        """Count one request of ``call`` (a path or operation); returns the headers of its answer.

        Raises:
            ApiError: 10006 when the window is used up.
        """
        limit = self._limits.get(group, 0) or self.UNLIMITED
        window = now_ms // 1_000
        start, used = self._used.get((account, call), (window, 0))
        used = used + 1 if start == window else 1
        if used > limit:
            raise ApiError(RATE_LIMIT, MESSAGES[RATE_LIMIT])
        self._used[account, call] = (window, used)
        return self.headers(limit, limit - used, (window + 1) * 1_000)

    def exhausted(self, group: str, now_ms: int) -> dict[str, str]:
        """The headers of a refusal."""
        return self.headers(self._limits.get(group, 0) or self.UNLIMITED, 0, (now_ms // 1_000 + 1) * 1_000)

    @staticmethod
    def headers(limit: int, left: int, reset_ms: int) -> dict[str, str]:
        return {
            "X-Bapi-Limit": str(limit),
            "X-Bapi-Limit-Status": str(left),
            "X-Bapi-Limit-Reset-Timestamp": str(reset_ms),
        }
