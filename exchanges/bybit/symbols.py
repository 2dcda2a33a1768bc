"""Our names of Bybit's instruments: ``bybit:BTCUSDT`` is the perpetual, ``bybit:BTCUSDT.SPOT`` the spot pair."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from runtime.errors import SetupError

VENUE = "bybit"
LINEAR, SPOT = "linear", "spot"
CATEGORIES = (LINEAR, SPOT)
_SPOT_SUFFIX = ".SPOT"
_QUOTES = ("USDT", "USDC", "USDE", "USD1", "EUR", "BRL", "TRY", "PLN", "BTC", "ETH", "DAI", "MNT")


class SymbolError(SetupError, ValueError):
    """Not a symbol of this venue's."""


class Native(NamedTuple):
    """What the venue calls an instrument, and in which of its categories."""

    category: str
    name: str


def full(name: str, category: str = LINEAR) -> str:
    """``BTCUSDT`` as ``bybit:BTCUSDT``, or as ``bybit:BTCUSDT.SPOT``."""
    return f"{VENUE}:{name}{_SPOT_SUFFIX}" if category == SPOT else f"{VENUE}:{name}"


def native(symbol: str) -> Native:
    """The venue's name and category of ``symbol``.

    Raises:
        SymbolError: it is another venue's, or none at all.
    """
    venue, _, name = symbol.partition(":")
    bare = name.removesuffix(_SPOT_SUFFIX)
    if venue != VENUE or not bare or not bare.isascii() or not bare.replace("-", "").isalnum():
        raise SymbolError(f"expected a symbol such as {full('BTCUSDT')} or {full('BTCUSDT', SPOT)}, found {symbol!r}")
    return Native(SPOT if bare != name else LINEAR, bare)


def by_category(symbols: Iterable[str]) -> dict[str, list[str]]:
    """The venue's names by category, without the categories that have none.

    Raises:
        SymbolError: one of them isn't of this venue.
    """
    found: dict[str, list[str]] = {}
    for symbol in symbols:
        category, name = native(symbol)
        found.setdefault(category, []).append(name)
    return found


def coins(name: str) -> tuple[str, str]:
    """Base and quote coin of a name such as ``BTCUSDT``, by the quote coins the venue has.

    ``("", "")`` where none fits; the instrument's own rules say it better where they are at hand.
    """
    for quote in _QUOTES:
        if name.endswith(quote) and name != quote:
            return name.removesuffix(quote), quote
    return "", ""
