"""Trading on paper: a venue's real prices, and our own matching engine for the orders."""

from exchanges.paper.exchange import PaperExchange
from exchanges.paper.settings import PaperSettings

__all__ = ["PaperExchange", "PaperSettings"]
