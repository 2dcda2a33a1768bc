"""Our names of Hyperliquid's perpetuals: ``hyperliquid:BTC`` is the coin ``BTC`` of its own perpetuals.

Spot pairs (``PURR/USDC``, ``@107``) and perpetuals that others have deployed (``xyz:TSLA``) are not offered.
"""

from __future__ import annotations

from exchanges.fields import WireError

VENUE = "hyperliquid"


def full(coin: str) -> str:
    """``BTC`` as ``hyperliquid:BTC``."""
    return f"{VENUE}:{coin}"


def native(symbol: str) -> str:
    """``hyperliquid:BTC`` as ``BTC``; raises ``WireError`` for another venue's symbol."""
    venue, _, coin = symbol.partition(":")
    if venue != VENUE or not is_perpetual(coin):
        raise WireError(f"expected a perpetual such as {full('BTC')}, found {symbol!r}")
    return coin


def is_perpetual(coin: str) -> bool:
    """Whether ``coin`` is a name of the venue's own perpetuals (``BTC``, ``kPEPE``)."""
    return coin.isascii() and coin.isalnum()
