"""Bybit's candles and recent trades over REST.

Candles are fetched in blocks that begin at multiples of a page, so that whoever asks for whatever
range asks for the same blocks: those that are over are kept, the last one as far as it is settled.
"""

from __future__ import annotations

from exchanges.bybit import wire
from exchanges.bybit.endpoints import CLOSED_BARS, FRESH_BARS, RECENT_BARS, TRADES
from exchanges.bybit.rest import Rest
from exchanges.bybit.settings import INTERVALS
from exchanges.bybit.symbols import native
from exchanges.model.market import Bar, Trade
from exchanges.resilience import Endpoint

PAGE = 1000
_SECOND = 1_000_000_000
_SETTLED_NS = 5 * _SECOND
"""How long after its end a candle may still change."""


class History:
    """Reads what has happened; answers are oldest first."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def trades(self, symbol: str, limit: int) -> list[Trade]:
        """The most recent public trades (1000 at most)."""
        category, name = native(symbol)
        found: list[Trade] = await self._rest.ask(
            TRADES,
            lambda session: session.get_public_trade_history(category=category, symbol=name, limit=PAGE),
            key=symbol,
            read=lambda result: wire.recent_trades(result["list"], self._rest.skew.now_ns(), category),
        )
        return found[-limit:] if limit > 0 else []

    async def bars(self, symbol: str, interval_ns: int, start_ns: int, end_ns: int) -> list[Bar]:
        """Closed candles in ``[start_ns, end_ns)``.

        Raises:
            ValueError: the venue has no candles of that length.
            VenueError: a call failed.
        """
        seconds = interval_ns // _SECOND
        if seconds not in INTERVALS or interval_ns % _SECOND:
            raise ValueError(f"expected an interval in seconds among {sorted(INTERVALS)}, found {interval_ns} ns")
        now = self._rest.skew.now_ns()
        closed_ns = now // interval_ns * interval_ns
        settled_ns = (now - _SETTLED_NS) // interval_ns * interval_ns
        found = await self._fresh(symbol, interval_ns, max(start_ns, settled_ns), min(end_ns, closed_ns))
        upper = min(end_ns, settled_ns)
        while upper > start_ns:
            block_ns = interval_ns * PAGE
            first = (upper - 1) // block_ns * block_ns
            block = await self._block(symbol, interval_ns, first, min(first + block_ns, settled_ns))
            found.extend(block)
            upper = first if block else await self._end_before(symbol, interval_ns, start_ns, first)
        return sorted((bar for bar in found if start_ns <= bar.ts_ns < end_ns), key=lambda bar: bar.ts_ns)

    async def _block(self, symbol: str, interval_ns: int, first_ns: int, end_ns: int) -> list[Bar]:
        """The settled candles of one block; one that is whole will never change."""
        whole = end_ns - first_ns == interval_ns * PAGE
        return await self._candles(CLOSED_BARS if whole else RECENT_BARS, symbol, interval_ns, first_ns, end_ns)

    async def _fresh(self, symbol: str, interval_ns: int, first_ns: int, end_ns: int) -> list[Bar]:
        """Candles that have just ended and may still be corrected."""
        if first_ns >= end_ns:
            return []
        return list(await self._candles(FRESH_BARS, symbol, interval_ns, first_ns, end_ns))

    async def _end_before(self, symbol: str, interval_ns: int, start_ns: int, end_ns: int) -> int:
        """Just after the last candle in ``[start_ns, end_ns)``, or ``start_ns``: over a gap in one call."""
        if start_ns >= end_ns:
            return start_ns
        last = await self._candles(FRESH_BARS, symbol, interval_ns, start_ns, end_ns, limit=1)
        return last[-1].ts_ns + 1 if last else start_ns

    async def _candles(
        self, endpoint: Endpoint, symbol: str, interval_ns: int, first_ns: int, end_ns: int, limit: int = PAGE
    ) -> list[Bar]:
        """The newest ``limit`` candles that begin in ``[first_ns, end_ns)``."""
        category, name = native(symbol)
        first_ms, last_ms = -(-first_ns // wire.MS), -(-end_ns // wire.MS) - 1
        found: list[Bar] = await self._rest.ask(
            endpoint,
            lambda session: session.get_kline(
                category=category,
                symbol=name,
                interval=INTERVALS[interval_ns // _SECOND],
                start=first_ms,
                end=last_ms,
                limit=limit,
            ),
            key=(symbol, interval_ns, first_ms, last_ms),
            read=lambda result: wire.kline_rows(result["list"], symbol, interval_ns, self._rest.skew.now_ns()),
        )
        return found
