"""Hyperliquid's candles, recent trades and funding rates over REST.

Of each candle length the venue keeps the newest 5000 alone (documented): what lies further back it does not tell.
``recentTrades`` stands in its table of weights without a description (uncertain how many it answers with).
"""

from __future__ import annotations

import time

from exchanges.fields import MS, SECOND, WireError
from exchanges.hyperliquid import endpoints, market
from exchanges.hyperliquid.names import native
from exchanges.hyperliquid.rest import Rest
from exchanges.hyperliquid.settings import INTERVALS
from exchanges.hyperliquid.wire import instant, listed
from exchanges.model.market import Bar, Trade

_PAGE = 500
_SETTLED_NS = 2 * SECOND
"""How long after its end a candle may still change."""


class History:
    """Reads what has happened; answers are oldest first."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def bars(self, symbol: str, interval_ns: int, start_ns: int, end_ns: int) -> list[Bar]:
        """Closed candles in ``[start_ns, end_ns)``.

        Raises:
            ValueError: the venue has no candles of that length.
            VenueError: a call failed.
        """
        name = INTERVALS.get(interval_ns // SECOND) if interval_ns % SECOND == 0 else None
        if name is None:
            raise ValueError(f"expected an interval in seconds among {sorted(INTERVALS)}, found {interval_ns} ns")
        coin, recv_ns, made = native(symbol), time.time_ns(), {}
        first, last = start_ns, min(end_ns, (recv_ns - _SETTLED_NS) // interval_ns * interval_ns)
        while first < last:
            until = min(last, first + _PAGE * interval_ns)
            for bar in await self._page(coin, name, interval_ns, first, until):
                if start_ns <= bar.ts_ns < last:
                    made[bar.ts_ns] = bar
            first = until
        return [bar for _, bar in sorted(made.items())]

    async def _page(self, coin: str, name: str, interval_ns: int, first_ns: int, end_ns: int) -> list[Bar]:
        start, end = -(-first_ns // MS), -(-end_ns // MS) - 1
        answer = await self._rest.ask(
            endpoints.CANDLES,
            lambda info: info.candles_snapshot(coin, name, start, end),
            key=(coin, name, start, end),
        )
        recv_ns = time.time_ns()
        return [market.bar(row, name, interval_ns, recv_ns, closed=True) for row in listed(answer, "candles")]

    async def trades(self, symbol: str, limit: int) -> list[Trade]:
        """The most recent public trades, as many as the venue tells."""
        coin = native(symbol)
        answer = await self._rest.ask(endpoints.RECENT_TRADES, lambda info: info.recent_trades(coin), key=coin)
        recv_ns = time.time_ns()
        found = sorted((market.trade(row, recv_ns) for row in listed(answer, "trades")), key=lambda one: one.ts_ns)
        return found[-limit:] if limit > 0 else []

    async def funding(self, symbol: str, start_ns: int, end_ns: int) -> list[tuple[int, float]]:
        """Time and rate of each settlement in ``[start_ns, end_ns)``.

        Raises:
            VenueError: a page can't be had.
            WireError: it can't be read.
        """
        coin, found = native(symbol), dict[int, float]()
        first, last = -(-start_ns // MS), -(-end_ns // MS) - 1
        while first <= last:
            page = await self._rates(coin, first, last)
            found.update(page)
            if not page or max(page) < first * MS:
                break
            first = max(page) // MS + 1
        return [(at, rate) for at, rate in sorted(found.items()) if start_ns <= at < end_ns]

    async def _rates(self, coin: str, first_ms: int, last_ms: int) -> dict[int, float]:
        """The oldest settlements of a span: nanoseconds to rate."""
        answer = await self._rest.ask(
            endpoints.RATES,
            lambda info: info.funding_history(coin, first_ms, last_ms),
            key=(coin, first_ms, last_ms),
        )
        made = {instant(row, "time"): market.rate_of(row, "fundingRate") for row in listed(answer, "rates")}
        if any(at < first_ms * MS for at in made):
            raise WireError(f"expected settlements of {coin} since {first_ms} ms, found older ones")
        return made
