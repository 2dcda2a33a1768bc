"""What a catalog is made of: one kind of market data of one symbol, by time."""

from __future__ import annotations

import re
from typing import NamedTuple

from exchanges.catalog.errors import DataError
from exchanges.recording.schemas import (
    BOOKS,
    FUNDING,
    QUOTES,
    SECOND,
    TICKERS,
    TRADES,
    Table,
    bars_interval_ns,
    bars_name,
    table_of,
)

BARS = "bars"
EVENTS = (FUNDING, TICKERS, BOOKS, QUOTES, TRADES)
"""All kinds but bars, in the order in which they come where their times are the same."""

_BARS = re.compile(r"(?:bars[_ -]?)?([0-9]+)(s|m|h|d)")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_HOUR_NS = 3_600 * SECOND
_MINUTE_NS = 60 * SECOND


class Series(NamedTuple):
    """One kind of data of one symbol: ``bybit:BTCUSDT`` and ``trades``, ``quotes``, ``bars_60s``."""

    symbol: str
    kind: str

    @property
    def venue(self) -> str:
        return self.symbol.partition(":")[0]

    @property
    def native(self) -> str:
        """The symbol as the venue calls it."""
        return self.symbol.partition(":")[2]

    @property
    def interval_ns(self) -> int:
        """The length of the bars; 0 if it has none."""
        return bars_interval_ns(self.kind)

    @property
    def table(self) -> Table:
        """Its columns."""
        return table_of(self.kind)

    @property
    def rank(self) -> tuple[int, int, str]:
        """Where it comes among what is known at the same moment.

        Bars first, the shorter before the longer: a bar ends before the moment that it ends at, while what happens at
        that moment is of the next one. Then ``EVENTS`` in their order, so that a trade meets the book and the quote of
        its moment. Within a kind by the symbol's full name.
        """
        interval_ns = self.interval_ns
        return (0, interval_ns, self.symbol) if interval_ns else (1 + EVENTS.index(self.kind), 0, self.symbol)

    @property
    def unit(self) -> str:
        """How much time goes into a file: a day of events, a month of minutes' bars, a year of what is rarer."""
        if self.interval_ns >= _HOUR_NS or self.kind == FUNDING:
            return "year"
        return "month" if self.interval_ns >= _MINUTE_NS else "day"

    def __str__(self) -> str:
        return f"{self.symbol} {self.kind}"


def is_market(kind: str) -> bool:
    """Whether a recording's table of that name is market data, not our own orders and fills."""
    return kind in EVENTS or bars_interval_ns(kind) > 0


def kind_named(text: str) -> str:
    """The kind that a person calls ``trades``, ``quotes``, ``bars_60s``, ``bars_1m`` or just ``1m``.

    Raises:
        DataError: there is none of that name.
    """
    found = _BARS.fullmatch(text)
    if found is not None and int(found[1]) > 0:
        return bars_name(int(found[1]) * _UNITS[found[2]] * SECOND)
    if text in EVENTS:
        return text
    raise DataError(
        f"expected a kind of data among {', '.join(EVENTS)}, or bars such as 1m, 15m, 1h or bars_60s, found {text!r}"
    )


def full_name(venue: str, symbol: str) -> str:
    """``bybit:BTCUSDT`` for a symbol that may have its venue's name already.

    Raises:
        DataError: one of them is empty, or the symbol is another venue's.
    """
    before, colon, after = symbol.rpartition(":")
    if not venue or ":" in venue or not after or (colon and before != venue):
        raise DataError(
            f"expected a venue and a symbol of it such as bybit and BTCUSDT, found {venue!r} and {symbol!r}"
        )
    return f"{venue}:{after}"
