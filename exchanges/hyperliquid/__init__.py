"""Hyperliquid: perpetuals, over the official SDK's REST and a WebSocket under our own supervision."""

from exchanges.hyperliquid.adapter import HyperliquidExchange
from exchanges.hyperliquid.settings import HyperliquidSettings

__all__ = ["HyperliquidExchange", "HyperliquidSettings"]
