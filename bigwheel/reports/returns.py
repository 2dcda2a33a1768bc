"""Returns of days and months, from a curve of equity at any times."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

DAY_NS = 86_400 * 1_000_000_000
ALWAYS_OPEN = 365
"""Days in a year of a venue that never closes."""
EQUITIES = 252
"""Trading days in a year of an exchange that closes at night, at weekends and on holidays."""

_EPOCH = dt.date(1970, 1, 1)
_THURSDAY = 3
"""The weekday of the first day of the epoch, Monday being 0."""
_FRIDAY = 4

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Daily(NamedTuple):
    """``returns`` as fractions, one for each of ``days`` (days since the epoch, UTC)."""

    days: Integers
    returns: Floats

    def date(self, place: int) -> dt.date:
        return _EPOCH + dt.timedelta(days=int(self.days[place]))


class Month(NamedTuple):
    year: int
    month: int
    value: float


def daily_returns(ts_ns: Integers, equity: Floats, start: float, days_a_year: int = ALWAYS_OPEN) -> Daily:
    """The change of equity from one day's close to the next, over what it was before.

    A day ends with its midnight: what stands at 00:00 is the close of the day before, but for a first point that
    is still ``start``: that is the opening balance. With 365 days in a year each day between the first and the
    last has a return, 0 where no equity was noted; with fewer, only the days on which some was, and what was noted
    on a weekend belongs to Friday. After equity has come to 0 or below there are no returns to speak of: they are 0.

    Args:
        ts_ns: ascending times, shape (n,).
        equity: in the quote currency, shape (n,).
        start: the equity before the first of them.
        days_a_year: 365 for venues that are always open, 252 for equities.
    """
    if len(ts_ns) > 1 and ts_ns[0] % DAY_NS == 0 and equity[0] == start:
        ts_ns, equity = ts_ns[1:], equity[1:]  # the opening balance, not the close of a day
    if not len(ts_ns):
        return Daily(np.empty(0, np.int64), np.empty(0))
    noted = (ts_ns - 1) // DAY_NS
    if days_a_year == ALWAYS_OPEN:
        days = np.arange(noted[0], noted[-1] + 1)
    else:
        noted = noted - np.maximum(_weekday(noted) - _FRIDAY, 0)
        days = np.unique(noted)
    closes = equity[np.searchsorted(noted, days, side="right") - 1]
    before = np.concatenate(([start], closes[:-1]))
    changes = np.divide(closes - before, before, out=np.zeros(len(days)), where=before > 0)
    return Daily(days, changes)


def calendar_of(ts_ns: Integers) -> int:
    """252 where a weekend lies within the times and nothing was noted on it, else 365.

    The first and the last point don't count: they may be the ends of the span that was asked for.
    """
    if len(ts_ns) <= 2:
        return ALWAYS_OPEN
    noted = np.unique((ts_ns[1:-1] - 1) // DAY_NS)
    spanned = np.arange(noted[0], noted[-1] + 1)
    weekends = _weekday(spanned) > _FRIDAY
    return EQUITIES if weekends.any() and not (_weekday(noted) > _FRIDAY).any() else ALWAYS_OPEN


def _weekday(days: Integers) -> Integers:
    return (days + _THURSDAY) % 7


def monthly_returns(daily: Daily) -> list[Month]:
    """The days of each month compounded, oldest first (empyrical's ``aggregate_returns(..., "monthly")``)."""
    months: dict[tuple[int, int], float] = {}
    for place, change in enumerate(daily.returns.tolist()):
        date = daily.date(place)
        key = (date.year, date.month)
        months[key] = months.get(key, 1.0) * (1.0 + change)
    return [Month(year, month, level - 1.0) for (year, month), level in months.items()]


def by_year(months: list[Month]) -> list[dict[str, object]]:
    """The monthly returns as a table: ``{"year", "months": twelve or None, "total"}``, oldest first."""
    table: dict[int, list[float | None]] = {}
    for year, month, value in months:
        table.setdefault(year, [None] * 12)[month - 1] = value
    return [
        {"year": year, "months": row, "total": float(np.prod([1.0 + v for v in row if v is not None])) - 1.0}
        for year, row in table.items()
    ]
