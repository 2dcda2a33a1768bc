"""When the market is open: always, or as the New York Stock Exchange is."""

from __future__ import annotations

import datetime as dt
import enum
from abc import ABC, abstractmethod
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

from exchanges.model.order import OrderType, TimeInForce

NEW_YORK = ZoneInfo("America/New_York")
Hours = Literal["always", "nyse"]
HOURS: tuple[Hours, ...] = get_args(Hours)
_ONE_DAY = dt.timedelta(days=1)
_SECOND_NS = 1_000_000_000
_YEAR_NS = 365 * 86_400 * _SECOND_NS
FAR_AHEAD = 20
"""Days in which there is a trading day at the latest: the longest closing on record was shorter."""


class Phase(enum.StrEnum):
    """Part of the trading day; orders for extended hours also work before and after the regular session."""

    CLOSED = "closed"
    PRE = "pre"
    REGULAR = "regular"
    POST = "post"


class Session(NamedTuple):
    """One trading day; times are New York's. Extended hours reach from ``early`` to ``late``."""

    date: dt.date
    early: dt.datetime
    opens: dt.datetime
    closes: dt.datetime
    late: dt.datetime

    def phase(self, now: dt.datetime) -> Phase:
        if not self.early <= now < self.late:
            return Phase.CLOSED
        if now < self.opens:
            return Phase.PRE
        return Phase.REGULAR if now < self.closes else Phase.POST


class TradingHours(ABC):
    """A trading calendar. All times in nanoseconds are since the epoch."""

    @abstractmethod
    def session(self, day: dt.date) -> Session | None:
        """The trading day, ``None`` where there is none."""

    @abstractmethod
    def phase(self, now_ns: int) -> Phase:
        """What part of the day it is."""

    @abstractmethod
    def next_open(self, now_ns: int) -> int:
        """When the regular session opens next."""

    @abstractmethod
    def next_close(self, now_ns: int) -> int:
        """When the regular session closes next."""

    @abstractmethod
    def day_end(self, now_ns: int, *, extended: bool) -> int:
        """When a day order placed now expires; 0 means never."""

    def sessions(self, first: dt.date, last: dt.date) -> Iterator[Session]:
        """The trading days from ``first`` to ``last``, both included."""
        day = first
        while day <= last:
            found = self.session(day)
            if found is not None:
                yield found
            day += _ONE_DAY


class AlwaysOpen(TradingHours):
    """A market that never closes. Its next close is told as a year ahead, its days run from midnight on."""

    def session(self, day: dt.date) -> Session:
        start, end = _at(day, 0, 0), _at(day, 23, 59)
        return Session(day, start, start, end, end)

    def phase(self, now_ns: int) -> Phase:
        return Phase.REGULAR

    def next_open(self, now_ns: int) -> int:
        return self.next_close(now_ns)

    def next_close(self, now_ns: int) -> int:
        return now_ns - now_ns % _SECOND_NS + _YEAR_NS

    def day_end(self, now_ns: int, *, extended: bool) -> int:
        return 0


class NyseHours(TradingHours):
    """Weekdays 09:30 to 16:00 in New York, extended hours 04:00 to 20:00.

    Holidays and the days that close at 13:00 (extended hours then end at 17:00) are those
    the ``holidays`` package knows of the NYSE.
    """

    def session(self, day: dt.date) -> Session | None:
        if day.weekday() >= 5 or day in _holidays(day.year):
            return None
        close, late = (13, 17) if day in _half_days(day.year) else (16, 20)
        return Session(day, _at(day, 4, 0), _at(day, 9, 30), _at(day, close, 0), _at(day, late, 0))

    def phase(self, now_ns: int) -> Phase:
        now = local(now_ns)
        found = self.session(now.date())
        return found.phase(now) if found is not None else Phase.CLOSED

    def next_open(self, now_ns: int) -> int:
        now = local(now_ns)
        return _ns(next(s.opens for s in self._ahead(now) if s.opens > now))

    def next_close(self, now_ns: int) -> int:
        now = local(now_ns)
        return _ns(next(s.closes for s in self._ahead(now) if s.closes > now))

    def day_end(self, now_ns: int, *, extended: bool) -> int:
        now = local(now_ns)
        ends = (s.late if extended else s.closes for s in self._ahead(now))
        return _ns(next(end for end in ends if end > now))

    def _ahead(self, now: dt.datetime) -> Iterator[Session]:
        return self.sessions(now.date(), now.date() + FAR_AHEAD * _ONE_DAY)


def ends_with_the_day(quantity: Decimal, type_: OrderType, force: TimeInForce, *, extended: bool) -> bool:
    """Whether Alpaca takes an order for stocks as a day order alone.

    It does so with fractions of a share, and with good-till-cancelled orders for extended hours. Market orders are
    made day orders, so that none waits for the next day.
    """
    fraction = quantity % 1 != 0
    return fraction or (force is TimeInForce.GTC and (extended or type_ is OrderType.MARKET))


def trading_hours(hours: Hours) -> TradingHours:
    return AlwaysOpen() if hours == "always" else NyseHours()


def local(now_ns: int) -> dt.datetime:
    """A time as New York's clocks show it."""
    return dt.datetime.fromtimestamp(now_ns / _SECOND_NS, NEW_YORK)


def _at(day: dt.date, hour: int, minute: int) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK)


def _ns(moment: dt.datetime) -> int:
    return int(moment.timestamp()) * _SECOND_NS


@lru_cache
def _holidays(year: int) -> frozenset[dt.date]:
    return _told(year, "public")


@lru_cache
def _half_days(year: int) -> frozenset[dt.date]:
    return _told(year, "half_day")


def _told(year: int, category: str) -> frozenset[dt.date]:
    import holidays  # here: no command that needs no calendar has to wait for it

    return frozenset(holidays.financial_holidays("NYSE", years=year, categories=(category,)))
