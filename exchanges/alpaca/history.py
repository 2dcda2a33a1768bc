"""Candles and public trades of the past, page by page."""

from __future__ import annotations

import time
from typing import Any

from exchanges.alpaca import frames
from exchanges.alpaca.rest import BARS, CRYPTO, STOCKS, TRADES, Rest
from exchanges.alpaca.settings import INTERVALS, AlpacaSettings
from exchanges.alpaca.values import SECOND, WireError, fields_of, is_crypto, native, optional_text, rfc3339, rows_of
from exchanges.model.market import Bar, Trade
from exchanges.resilience import Endpoint

_PAGE = 10_000
_PAGES = 1_000
_RECENT_NS = 7 * 86_400 * SECOND
"""How far back the most recent trades are looked for: beyond a long weekend."""


class History:
    """Market data over REST."""

    def __init__(self, settings: AlpacaSettings, rest: Rest) -> None:
        self._settings = settings
        self._rest = rest

    async def bars(self, symbol: str, interval_ns: int, start_ns: int, end_ns: int) -> list[Bar]:
        """Closed bars in ``[start_ns, end_ns)``, oldest first; prices as they were traded, not adjusted.

        Raises:
            ValueError: the venue has no candles of that length.
            VenueError: a page can't be had.
        """
        seconds, rest = divmod(interval_ns, SECOND)
        if seconds not in INTERVALS or rest:
            raise ValueError(f"expected an interval in seconds among {sorted(INTERVALS)}, found {interval_ns} ns")
        name, now_ns = native(symbol), time.time_ns()
        params: dict[str, str | int] = {
            "symbols": name,
            "timeframe": INTERVALS[seconds],
            "start": rfc3339(start_ns),
            "end": rfc3339(end_ns),
            "limit": _PAGE,
            "sort": "asc",
        }
        if not is_crypto(name):
            params.update(feed=self._settings.feed, adjustment="raw")
        found: dict[int, Bar] = {}
        token = ""
        for _ in range(_PAGES):
            rows, token = await self._page(BARS, name, "bars", params, token)
            for row in rows:
                bar = frames.bar(name, fields_of(row, "a bar"), now_ns, interval_ns)
                if start_ns <= bar.ts_ns < end_ns and bar.ts_ns + interval_ns <= now_ns:
                    found[bar.ts_ns] = bar
            if not token:
                return [found[ts_ns] for ts_ns in sorted(found)]
        raise WireError(f"expected the bars to end within {_PAGES} pages, found more; ask for a shorter range")

    async def trades(self, symbol: str, limit: int) -> list[Trade]:
        """The most recent public trades of the last week, oldest first."""
        name, now_ns = native(symbol), time.time_ns()
        params: dict[str, str | int] = {
            "symbols": name,
            "start": rfc3339((now_ns - _RECENT_NS) // SECOND * SECOND),
            "limit": min(max(limit, 1), _PAGE),
            "sort": "desc",
        }
        if not is_crypto(name):
            params["feed"] = self._settings.feed
        found: list[Trade] = []
        token = ""
        for _ in range(_PAGES):
            rows, token = await self._page(TRADES, name, "trades", params, token)
            found += [frames.trade(name, fields_of(row, "a trade"), now_ns) for row in rows]
            if not token or len(found) >= limit:
                break
        return found[:limit][::-1]

    async def trades_between(self, symbol: str, start_ns: int, end_ns: int) -> list[Trade]:
        """All public trades in ``[start_ns, end_ns)``, oldest first.

        Raises:
            VenueError: a page can't be had.
        """
        name, now_ns = native(symbol), time.time_ns()
        params: dict[str, str | int] = {
            "symbols": name,
            "start": rfc3339(start_ns),
            "end": rfc3339(end_ns),
            "limit": _PAGE,
            "sort": "asc",
        }
        if not is_crypto(name):
            params["feed"] = self._settings.feed
        found: list[Trade] = []
        token = ""
        for _ in range(_PAGES):
            rows, token = await self._page(TRADES, name, "trades", params, token)
            made = (frames.trade(name, fields_of(row, "a trade"), now_ns) for row in rows)
            found += [trade for trade in made if start_ns <= trade.ts_ns < end_ns]
            if not token:
                return sorted(found, key=lambda trade: trade.ts_ns)
        raise WireError(f"expected the trades to end within {_PAGES} pages, found more; ask for a shorter range")

    async def _page(
        self, endpoint: Endpoint, name: str, what: str, params: dict[str, str | int], token: str
    ) -> tuple[list[Any], str]:
        """One page of a symbol's rows, and the token of the next."""
        client, path = (CRYPTO, f"/crypto/us/{what}") if is_crypto(name) else (STOCKS, f"/stocks/{what}")
        asked = {**params, "page_token": token} if token else params
        answer = fields_of(await self._rest.get(endpoint, path, asked, client), f"a page of {what}")
        by_symbol = fields_of(answer.get(what) or {}, what)
        following = optional_text(answer, "next_page_token")
        if following and following == token:
            raise WireError(f"expected another token than {token!r} of the page after it, found the same")
        return rows_of(by_symbol.get(name) or [], what), following
