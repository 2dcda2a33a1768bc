"""When bars are to be expected of a market that closes."""

from __future__ import annotations

import datetime as dt

import numpy as np
import numpy.typing as npt

from exchanges.hours import Session, TradingHours, local
from exchanges.recording.schemas import SECOND

DAY_NS = 86_400 * SECOND


def expected_opens(hours: TradingHours, interval_ns: int, start_ns: int, end_ns: int) -> npt.NDArray[np.int64]:
    """The times in ``[start_ns, end_ns)`` at which bars of the regular sessions begin.

    Bars of a day or more are not expected at a time: see ``trading_days``.
    """
    pieces = [
        np.arange(_ns(session.opens), _ns(session.closes), interval_ns)
        for session in _sessions(hours, start_ns, end_ns)
    ]
    opens = np.concatenate(pieces) if pieces else np.empty(0, np.int64)
    return opens[(opens >= start_ns) & (opens < end_ns)]


def trading_days(hours: TradingHours, start_ns: int, end_ns: int) -> npt.NDArray[np.int64]:
    """Midnight (UTC) of the date of each trading day from that of ``start_ns`` to that of ``end_ns``, without the last.

    Daily bars are stamped with midnight or the opening, in New York or UTC; ``date_of`` brings them together.
    """
    first, last = date_of(start_ns), date_of(end_ns)
    days = (session.date for session in hours.sessions(_date(first), _date(last - DAY_NS)))
    return np.array([(day - dt.date(1970, 1, 1)).days * DAY_NS for day in days], np.int64)


def date_of(ts_ns: int) -> int:
    """Midnight (UTC) of the date that a daily bar with that time is of: of UTC's at its midnight, else New York's."""
    if ts_ns % DAY_NS == 0:
        return ts_ns
    return (local(ts_ns).date() - dt.date(1970, 1, 1)).days * DAY_NS


def _sessions(hours: TradingHours, start_ns: int, end_ns: int) -> list[Session]:
    return list(hours.sessions(_date(start_ns - DAY_NS), _date(end_ns))) if end_ns > start_ns else []


def _date(ts_ns: int) -> dt.date:
    return dt.date(1970, 1, 1) + dt.timedelta(days=ts_ns // DAY_NS)


def _ns(moment: dt.datetime) -> int:
    return int(moment.timestamp()) * SECOND
