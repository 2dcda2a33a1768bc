"""Bars for a chart: as many as can be seen, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exchanges.model.market import Bar

MOST = 5_000


class Prices:
    """Keeps at most ``MOST`` bars of each symbol: when there are more, each two become one."""

    def __init__(self) -> None:
        self._rows: dict[str, list[list[float]]] = {}
        self._each: dict[str, int] = {}
        self._room: dict[str, int] = {}
        """How many bars the last row still takes."""

    def extend(self, symbol: str, bars: Sequence[Bar]) -> None:
        """Take closed bars of a symbol."""
        rows, each = self._rows.setdefault(symbol, []), self._each.setdefault(symbol, 1)
        room, place = self._room.get(symbol, 0), 0
        while place < len(bars):
            if not room:
                if len(rows) == MOST:
                    rows = self._rows[symbol] = [_merged(rows[at : at + 2]) for at in range(0, MOST, 2)]
                    each = self._each[symbol] = each * 2
                bar, room = bars[place], each
                rows.append([bar.ts_ns, bar.open, bar.high, bar.low, bar.close])
            own, last = bars[place : place + room], rows[-1]
            last[2] = max(last[2], max([bar.high for bar in own]))
            last[3] = min(last[3], min([bar.low for bar in own]))
            last[4] = own[-1].close
            room, place = room - len(own), place + len(own)
        self._room[symbol] = room

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the table of prices, by symbol and time."""
        names = ("ts_ns", "open", "high", "low", "close")
        return [
            {"symbol": symbol, **dict(zip(names, row, strict=True))}
            for symbol, rows in self._rows.items()
            for row in rows
        ]


def _merged(rows: list[list[float]]) -> list[float]:
    return [rows[0][0], rows[0][1], max(row[2] for row in rows), min(row[3] for row in rows), rows[-1][4]]
