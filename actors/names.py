"""The logical names of the tree's actors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

ROOT = "root"
BUS = "bus"
RISK = "risk"
LEARNER = "learner"
GATEWAY = "gateway"
EXCHANGES = "exchanges"
STRATEGIES = "strategies"
STRATEGY = "strategy"
LONGEST = 80
"""Characters of symbols in a name, at most."""

SESSION_NOTE = "session.json"
"""In a store: the word a session leaves of itself while it is up."""


def exchange(venue: str) -> str:
    return f"exchange/{venue}"


def exchange_of(symbol: str) -> str:
    """The connection that trades ``symbol`` (``bybit:BTCUSDT`` gives ``exchange/bybit``)."""
    return f"exchange/{symbol.partition(':')[0]}"


def venue(name: str) -> str:
    """The embedded simulator of a venue."""
    return f"venue/{name}"


def strategy(label: str, symbol: str) -> str:
    return f"{STRATEGY}/{label}/{symbol}"


def strategy_together(label: str, symbols: Sequence[str]) -> str:
    """A strategy on several symbols at once; with many of them, a digest of their names stands for the rest."""
    joined = "+".join(symbols)
    if len(joined) > LONGEST:
        joined = f"{symbols[0]}+{hashlib.blake2b(joined.encode(), digest_size=6).hexdigest()}"
    return strategy(label, joined)


def strategy_pool(label: str, number: int) -> str:
    """A host that several symbol strategies share."""
    return f"{STRATEGY}/{label}/pool-{number}"


def pair(strategy: str, symbol: str) -> str:
    """The key of what is kept by strategy and symbol."""
    return f"{strategy}|{symbol}"
