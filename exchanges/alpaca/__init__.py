"""Alpaca: US equities with fractional quantities, and crypto pairs, over the official SDK."""

from exchanges.alpaca.adapter import AlpacaExchange
from exchanges.alpaca.settings import AlpacaSettings

__all__ = ["AlpacaExchange", "AlpacaSettings"]
