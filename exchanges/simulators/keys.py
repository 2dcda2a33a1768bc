"""How simulators call an instrument among their own."""

from __future__ import annotations


def key_of(symbol: str) -> str:
    """``bybit:BTCUSDT`` as ``BTCUSDT``: the symbol without its venue."""
    return symbol.partition(":")[2]
