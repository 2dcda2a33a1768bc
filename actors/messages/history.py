"""Bars of the past, for a strategy that wants some before it begins."""

from __future__ import annotations

from exchanges.model.market import Bar
from runtime.message import Message


class AskHistory(Message):
    """Strategy to exchange connection: the last ``count`` closed bars of ``symbol``, please."""

    symbol: str
    interval_ns: int
    count: int


class HistoryTold(Message):
    """The answer, oldest bar first; see ``exchanges.model.venue.HistoryReport``.

    ``mark`` is the last ``(epoch, seq)`` of the symbol's market data when it was asked for: what came
    after it may be newer than the bars.
    """

    symbol: str
    interval_ns: int
    bars: tuple[Bar, ...]
    reason: str = ""
    mark: tuple[int, int] = (0, 0)
