"""What every feed delivers: public trades."""

from __future__ import annotations

from typing import Final

from exchanges.model.order import Side

Row = tuple[int, str, float, float, Side, str]
"""Time in nanoseconds, key (the symbol without its venue), price, size, taker side, trade id."""

TS: Final = 0
SYMBOL: Final = 1
PRICE: Final = 2
SIZE: Final = 3
SIDE: Final = 4
TRADE_ID: Final = 5
