"""Kalshi's event contracts, over the official SDK's transport and the venue's own WebSocket."""

from exchanges.kalshi.adapter import KalshiExchange
from exchanges.kalshi.settings import KalshiSettings

__all__ = ["KalshiExchange", "KalshiSettings"]
