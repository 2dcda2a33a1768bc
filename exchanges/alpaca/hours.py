"""When US equities trade: the venue's clock and calendar, and what they say at a moment."""

from __future__ import annotations

import datetime as dt
import enum
import re
from zoneinfo import ZoneInfo

import msgspec

from exchanges.alpaca.values import SECOND, Fields, WireError, fields_of, flag, moment, optional_text, rows_of, text

NEW_YORK = ZoneInfo("America/New_York")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)
_TIME = re.compile(r"([0-9]{2}):?([0-9]{2})", re.ASCII)
_FOR_EVER_NS = 30 * 86_400 * SECOND
"""A change further ahead than any holiday is none: the market does not close."""

_FIRST, _LAST = "04:00", "20:00"
"""Extended hours, where the calendar doesn't say."""


class Session(enum.StrEnum):
    REGULAR = "regular"
    EXTENDED = "extended"
    CLOSED = "closed"


class Clock(msgspec.Struct, frozen=True):
    """The venue's word on the market's hours; ns since the epoch."""

    now_ns: int
    is_open: bool
    next_open_ns: int
    next_close_ns: int


class Day(msgspec.Struct, frozen=True):
    """One trading day of the calendar: when orders can trade at all, and its regular hours within."""

    first_ns: int
    open_ns: int
    close_ns: int
    last_ns: int


class Hours(msgspec.Struct, frozen=True):
    """Clock and calendar together. Without word of the clock everything is closed."""

    clock: Clock
    days: tuple[Day, ...] = ()
    extended: bool = False

    def session(self, now_ns: int) -> Session:
        """What is traded at ``now_ns`` (the venue's time).

        The clock's word ends with the change it announces: after it, until there is a newer one, the
        market counts as closed, or open at its extended hours.
        """
        clock = self.clock
        if clock.is_open and now_ns < clock.next_close_ns:
            return Session.REGULAR
        before_open = not clock.is_open and clock.now_ns <= now_ns < clock.next_open_ns
        outside = any(day.first_ns <= now_ns < day.open_ns or day.close_ns <= now_ns < day.last_ns for day in self.days)
        return Session.EXTENDED if outside and (before_open or clock.is_open) else Session.CLOSED

    def trading(self, now_ns: int) -> bool:
        """Whether an equity order can be taken and traded at ``now_ns``."""
        session = self.session(now_ns)
        return session is Session.REGULAR or (self.extended and session is Session.EXTENDED)

    def opens_ns(self, now_ns: int) -> int:
        """When trading begins next, 0 if it never stops or that is not known."""
        starts = [self.clock.next_open_ns]
        if self.extended:
            starts += [day.first_ns for day in self.days] + [day.close_ns for day in self.days if day.close_ns > now_ns]
        return min((start for start in starts if now_ns < start < now_ns + _FOR_EVER_NS), default=0)

    def closes_ns(self, now_ns: int) -> int:
        """When trading ends next, 0 if it never does or that is not known."""
        lasts = [day.last_ns for day in self.days if self.extended] or [self.clock.next_close_ns]
        return min((last for last in lasts if now_ns < last < now_ns + _FOR_EVER_NS), default=0)

    def changes_ns(self, now_ns: int) -> int:
        """When the session may be another one, 0 if that is not known."""
        marks = [self.clock.next_open_ns, self.clock.next_close_ns]
        for day in self.days:
            marks += [day.first_ns, day.open_ns, day.close_ns, day.last_ns]
        return min((mark for mark in marks if mark > now_ns), default=0)


def clock(value: object) -> Clock:
    """The answer of ``/v2/clock``."""
    fields = fields_of(value, "the clock")
    found = Clock(
        moment(fields, "timestamp"), flag(fields, "is_open"), moment(fields, "next_open"), moment(fields, "next_close")
    )
    if not isinstance(fields.get("is_open"), bool) or not (found.now_ns and found.next_open_ns and found.next_close_ns):
        raise WireError("expected timestamp, is_open, next_open and next_close of the clock, found one missing")
    return found


def calendar(value: object) -> tuple[Day, ...]:
    """The answer of ``/v2/calendar``, oldest day first."""
    return tuple(sorted((_day(fields_of(row, "a day")) for row in rows_of(value, "the calendar")), key=_opening))


def dates(now_ns: int, days: int) -> tuple[str, str]:
    """Yesterday's date in New York, and that of ``days`` later."""
    today = dt.datetime.fromtimestamp(now_ns // SECOND, NEW_YORK).date()
    return (today - dt.timedelta(days=1)).isoformat(), (today + dt.timedelta(days=days)).isoformat()


def _opening(day: Day) -> int:
    return day.open_ns


def _day(fields: Fields) -> Day:
    found = _DATE.fullmatch(text(fields, "date"))
    if found is None:
        raise WireError(f"expected a date such as 2026-07-02, found {fields.get('date')!r}")
    try:
        date = dt.date(*(int(part) for part in found.groups()))
    except ValueError as error:
        raise WireError(f"expected a date, found {fields.get('date')!r}: {error}") from error
    first, last = optional_text(fields, "session_open") or _FIRST, optional_text(fields, "session_close") or _LAST
    marks = [_at(date, part) for part in (first, text(fields, "open"), text(fields, "close"), last)]
    return Day(min(marks[0], marks[1]), marks[1], marks[2], max(marks[2], marks[3]))


def _at(date: dt.date, written: str) -> int:
    found = _TIME.fullmatch(written)
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise WireError(f"expected a time of day such as 09:30, found {written!r}")
    local = dt.datetime(date.year, date.month, date.day, int(found[1]), int(found[2]), tzinfo=NEW_YORK)
    return int(local.timestamp()) * SECOND
