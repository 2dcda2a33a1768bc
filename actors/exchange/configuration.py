"""A connection's settings from the configuration of a session."""

from __future__ import annotations

from actors.exchange.settings import ExchangeSettings
from conf import Settings
from conf.venues import VenueSettings
from runtime.errors import BigwheelError

CASH = {"bybit": "USDT", "alpaca": "USD", "kalshi": "USD", "hyperliquid": "USDC"}
"""What each venue's account is kept in."""

TAKES_AT_ONCE = ("kalshi",)
"""Where a reduce-only order is filled at once or cancelled."""

BALANCE_NS = {"bybit": 0, "alpaca": 2_000_000_000, "kalshi": 2_000_000_000, "hyperliquid": 10_000_000_000}
"""How long after a fill a venue is asked for its balances: a burst of fills is one question, well within its limits.

0 for one that pushes them.
"""


def section(settings: Settings, venue: str) -> VenueSettings:
    """What the configuration says of a venue.

    Raises:
        BigwheelError: it says nothing.
    """
    told = next((section for name, section in settings.exchange.items() if name == venue), None)
    if told is None:
        raise BigwheelError(f"expected a section exchange.{venue} in the configuration, found none; add it")
    return told


def own_symbols(settings: Settings, venue: str) -> tuple[str, ...]:
    """The symbols of a session that are a venue's."""
    return tuple(symbol for symbol in settings.symbols if symbol.startswith(f"{venue}:"))


def connection(settings: Settings, venue: str) -> ExchangeSettings:
    """What the session's configuration means to the brain of ``venue``'s connection."""
    told = section(settings, venue)
    return ExchangeSettings(
        venue=venue,
        symbols=own_symbols(settings, venue),
        cash_currency=CASH[venue],
        ring=told.ring,
        reconcile_ns=int(told.reconcile_s * 1e9),
        exits_rest=venue not in TAKES_AT_ONCE,
        balance_ns=BALANCE_NS[venue],
        native_stops=told.native_stops,
        stops_outlive=told.keep_stops,
    )
