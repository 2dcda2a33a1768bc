"""How a bar is walked when nothing finer is known."""

from __future__ import annotations

from collections.abc import Iterator

from exchanges.model.market import Bar
from exchanges.model.order import Side

TRADES = 4
"""The trades that a bar is walked by."""


def path(bar: Bar, before: float, lot: float, *, low_first: bool | None = None) -> Iterator[tuple[float, float, Side]]:
    """The bar as four trades: price, size and taker side.

    Open, high, low, close; or open, low, high, close where the open is nearer the low, or where
    ``low_first`` says so. Each carries a quarter of the volume (at least ``lot``); a trade below the
    one before it was sold into the market, one above it bought. ``before`` is the last price before
    the bar, 0 if unknown.
    """
    if low_first is None:
        low_first = bar.open - bar.low < bar.high - bar.open
    turns = (bar.low, bar.high) if low_first else (bar.high, bar.low)
    size = max(bar.volume / 4, lot)
    previous, side, up, down = before, Side.BUY, Side.BUY, Side.SELL
    for price in (bar.open, *turns, bar.close):
        if previous and price != previous:
            side = up if price > previous else down
        yield price, size, side
        previous = price
