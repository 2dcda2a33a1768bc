"""Funding rates of Bybit's perpetuals as they were settled."""

from __future__ import annotations

from exchanges.bybit import wire
from exchanges.bybit.rest import Rest
from exchanges.bybit.symbols import LINEAR, native
from exchanges.resilience import Endpoint

FUNDING = Endpoint("funding_history", bucket="ip")
PAGE = 200


async def funding(rest: Rest, symbol: str, start_ns: int, end_ns: int) -> list[tuple[int, float]]:
    """Time and rate of each settlement in ``[start_ns, end_ns)``, oldest first.

    Raises:
        SymbolError: not a symbol of this venue.
        ValueError: not a perpetual.
        VenueError: a page can't be had.
    """
    category, name = native(symbol)
    if category != LINEAR:
        raise ValueError(f"expected a perpetual such as bybit:BTCUSDT, found {symbol}, which has no funding")
    found: dict[int, float] = {}
    first_ms, last_ms = -(-start_ns // wire.MS), -(-end_ns // wire.MS) - 1
    while first_ms <= last_ms:
        page = await _page(rest, name, first_ms, last_ms)
        found.update(page)
        oldest_ms = min(page, default=first_ms)
        if len(page) < PAGE or oldest_ms > last_ms:
            break
        last_ms = oldest_ms - 1
    return [(at * wire.MS, rate) for at, rate in sorted(found.items()) if start_ns <= at * wire.MS < end_ns]


async def _page(rest: Rest, name: str, first_ms: int, last_ms: int) -> dict[int, float]:
    """The newest settlements of a span: milliseconds to rate."""
    found: dict[int, float] = await rest.ask(
        FUNDING,
        lambda session: session.get_funding_rate_history(
            category=LINEAR, symbol=name, startTime=first_ms, endTime=last_ms, limit=PAGE
        ),
        key=(name, first_ms, last_ms),
        read=lambda result: {int(row["fundingRateTimestamp"]): float(row["fundingRate"]) for row in result["list"]},
    )
    return found
