"""Market data: float64 prices and sizes, stamped by the venue and by our receiver.

``symbol`` is the full name, ``bybit:BTCUSDT``. ``epoch`` and ``seq`` number what one
exchange connection hands out for one symbol: together with the symbol they identify a
piece of market data for ever (``tick_id``). ``ts_ns`` is the venue's time, ``recv_ns`` ours.
"""

from __future__ import annotations

from typing import ClassVar

from runtime.lanes import Lane
from runtime.message import Message


class MarketData(Message, array_like=True, gc=False):
    """What every piece of market data starts with."""

    lane: ClassVar[Lane] = Lane.DATA
    symbol: str
    epoch: int
    seq: int
    ts_ns: int
    recv_ns: int

    @property
    def tick_id(self) -> str:
        """The identity of this piece of data: ``bybit:BTCUSDT@3.1042``."""
        return f"{self.symbol}@{self.epoch}.{self.seq}"

    @property
    def conflation_key(self) -> str:
        return f"{type(self).__name__}/{self.symbol}"


class Trade(MarketData, array_like=True, gc=False):
    """A public trade; ``side`` is the taker's, ``buy`` or ``sell``, empty where the venue does not tell."""

    price: float
    size: float
    side: str
    trade_id: str = ""


class Quote(MarketData, array_like=True, gc=False):
    """Best bid and ask."""

    bid: float
    bid_size: float
    ask: float
    ask_size: float

    @property
    def mid(self) -> float:
        return (self.bid + self.ask) / 2


class Bar(MarketData, array_like=True, gc=False):
    """A candle; ``ts_ns`` is its open time. Only a ``closed`` bar is final."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    interval_ns: int
    closed: bool = True


class Book(MarketData, array_like=True):
    """The top levels of the book, best first, each ``(price, size)``."""

    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]


class Ticker(MarketData, array_like=True, gc=False):
    """What a perpetual is settled by; no price anyone traded at.

    ``mark`` is what margin and liquidation are counted with, ``index`` the spot price behind it (0.0 where
    the venue doesn't say). ``funding_rate`` is the fraction of a position's value that longs pay
    shorts (negative: receive) at ``funding_ns``, 0 where it isn't known.
    """

    mark: float
    index: float = 0.0
    funding_rate: float = 0.0
    funding_ns: int = 0


def last_price(data: MarketData) -> float:
    """The price this piece of data implies: trade price, close, or mid (0.0 if it has none)."""
    if type(data) is Bar:
        return data.close
    if isinstance(data, Trade):
        return data.price
    if isinstance(data, Bar):
        return data.close
    if isinstance(data, Quote):
        return data.mid
    if isinstance(data, Book) and data.bids and data.asks:
        return (data.bids[0][0] + data.asks[0][0]) / 2
    return 0.0
