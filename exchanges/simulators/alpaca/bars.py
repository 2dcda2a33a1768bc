"""Bars of any of the venue's time frames, from the minutes that trades made."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from exchanges.hours import NEW_YORK
from exchanges.simulators.alpaca.errors import BAD_REQUEST, ApiError
from exchanges.simulators.base.market import SymbolMarket
from exchanges.simulators.candles import MINUTE_MS, Candle
from exchanges.simulators.feeds.row import TS, Row

KEPT_MINUTES = 3_000
_FRAME = re.compile(r"(\d+)(Min|T|Hour|H|Day|D|Week|W|Month|M)")
_UNITS = {"T": "Min", "H": "Hour", "D": "Day", "W": "Week", "M": "Month"}
_MOST = {"Min": 59, "Hour": 23, "Day": 1, "Week": 1, "Month": 12}
_WIDTH_MS = {"Min": MINUTE_MS, "Hour": 60 * MINUTE_MS}

Start = Callable[[int], int]
"""A time in ms to the start of the bar it lies in."""


class CountedBar(NamedTuple):
    candle: Candle
    trades: int


class BarBook:
    """Counts trades by minute, and knows which ended minutes have been told of."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[int, int]] = {}
        self._told: dict[str, int] = {}

    def note(self, key: str, rows: Sequence[Row]) -> None:
        counts = self._counts.setdefault(key, {})
        for row in rows:
            minute = row[TS] // 1_000_000
            minute -= minute % MINUTE_MS
            counts[minute] = counts.get(minute, 0) + 1
        while len(counts) > KEPT_MINUTES:
            del counts[next(iter(counts))]

    def trades(self, key: str, minute: int) -> int:
        return self._counts.get(key, {}).get(minute, 0)

    def ended(self, market: SymbolMarket) -> list[CountedBar]:
        """The minutes that have ended since the last call, oldest first."""
        told, found = self._told.get(market.key, -1), []
        for candle in reversed(market.minutes.closed):
            if candle.start <= told:
                break
            found.append(CountedBar(candle, self.trades(market.key, candle.start)))
        if found:
            self._told[market.key] = found[0].candle.start
        return found[::-1]

    def series(self, market: SymbolMarket, start: Start) -> list[CountedBar]:
        """All minutes, the current one included, in a longer frame, oldest first."""
        bars: list[CountedBar] = []
        for candle in market.minutes.grouped(MINUTE_MS):
            begins, count = start(candle.start), self.trades(market.key, candle.start)
            if bars and bars[-1].candle.start == begins:
                bars[-1].candle.extend(candle)
                bars[-1] = CountedBar(bars[-1].candle, bars[-1].trades + count)
            else:
                bars.append(CountedBar(candle.copy(begins), count))
        return bars


def frame(name: str, *, crypto: bool) -> Start:
    """How the bars of a time frame (``5Min``, ``1Hour``, ``1Day``) are cut.

    Days, weeks and months are New York's for stocks and UTC's for crypto.

    Raises:
        ApiError: 400, there is no such frame.
    """
    match = _FRAME.fullmatch(name)
    count, unit = (int(match[1]), _UNITS.get(match[2], match[2])) if match else (0, "")
    if not match or not 1 <= count <= _MOST[unit]:
        raise ApiError(
            BAD_REQUEST, f"invalid timeframe: expected 1-59Min, 1-23Hour, 1Day, 1Week or 1-12Month, found {name!r}"
        )
    if unit in _WIDTH_MS:
        width = count * _WIDTH_MS[unit]
        return lambda ms: ms - ms % width
    zone = dt.UTC if crypto else NEW_YORK

    def starts(ms: int) -> int:
        day = dt.datetime.fromtimestamp(ms / 1_000, zone).replace(hour=0, minute=0, second=0, microsecond=0)
        if unit == "Week":
            day -= dt.timedelta(days=day.weekday())
        elif unit == "Month":
            day = day.replace(month=day.month - (day.month - 1) % count, day=1)
        return int(day.timestamp() * 1_000)

    return starts
