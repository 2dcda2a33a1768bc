"""The logical names of the tree's actors."""

from __future__ import annotations

ROOT = "root"
BUS = "bus"
RISK = "risk"
LEARNER = "learner"
GATEWAY = "gateway"
EXCHANGES = "exchanges"
STRATEGIES = "strategies"
STRATEGY = "strategy"

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


def strategy_pool(label: str, number: int) -> str:
    """A host that several symbol strategies share."""
    return f"{STRATEGY}/{label}/pool-{number}"
