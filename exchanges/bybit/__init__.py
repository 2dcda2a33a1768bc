"""Bybit: linear perpetuals and spot, over the official SDK."""

from exchanges.bybit.adapter import BybitExchange
from exchanges.bybit.settings import BybitMode, BybitSettings

__all__ = ["BybitExchange", "BybitMode", "BybitSettings"]
