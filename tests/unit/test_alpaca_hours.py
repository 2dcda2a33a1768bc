"""Market hours: what clock and calendar say of a moment, and when it changes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.alpaca.hours import NEW_YORK, Clock, Hours, Session, calendar, clock, dates
from exchanges.alpaca.instruments import instrument
from exchanges.alpaca.settings import AlpacaSettings
from exchanges.alpaca.values import SECOND, WireError
from exchanges.modes import Mode

DAYS = calendar([{"date": "2026-07-06", "open": "09:30", "close": "16:00"},
                 {"date": "2026-07-02", "open": "09:30", "close": "13:00", "session_open": "0400",
                  "session_close": "1700"}])  # fmt: skip
ASSET: dict[str, Any] = {
    "class": "us_equity", "symbol": "AAPL", "status": "active", "tradable": True, "shortable": True,
    "easy_to_borrow": True, "fractionable": True,
}  # fmt: skip


def ns(day: int, hour: int, minute: int = 0) -> int:
    return int(dt.datetime(2026, 7, day, hour, minute, tzinfo=NEW_YORK).timestamp()) * SECOND


def hours(now: int, is_open: bool, opens: int, closes: int, extended: bool = True) -> Hours:
    return Hours(Clock(now, is_open, opens, closes), DAYS, extended)


@pytest.mark.parametrize(
    ("day", "hour", "is_open", "expected"),
    [
        (2, 3, False, Session.CLOSED),
        (2, 5, False, Session.EXTENDED),
        (2, 10, True, Session.REGULAR),
        (2, 14, False, Session.EXTENDED),
        (2, 18, False, Session.CLOSED),
        (4, 12, False, Session.CLOSED),
        (6, 19, False, Session.EXTENDED),
        (6, 21, False, Session.CLOSED),
    ],
)
def test_the_session_of_a_moment(day: int, hour: int, is_open: bool, expected: Session) -> None:
    found = hours(ns(day, hour), is_open, ns(8, 9, 30), ns(day, 13) if is_open else ns(8, 16))
    assert found.session(ns(day, hour)) is expected


def test_the_clocks_word_ends_with_the_change_it_announces() -> None:
    opened = hours(ns(2, 10), True, ns(6, 9, 30), ns(2, 13))
    assert opened.session(ns(2, 12, 59)) is Session.REGULAR
    assert opened.session(ns(2, 13)) is Session.EXTENDED
    shut = hours(ns(2, 8), False, ns(2, 9, 30), ns(2, 13), extended=False)
    assert not shut.trading(ns(2, 9, 29))
    assert shut.session(ns(2, 9, 31)) is Session.CLOSED


def test_when_trading_begins_and_ends_next() -> None:
    plain = hours(ns(2, 10), True, ns(6, 9, 30), ns(2, 13), extended=False)
    assert (plain.opens_ns(ns(2, 10)), plain.closes_ns(ns(2, 10))) == (ns(6, 9, 30), ns(2, 13))
    longer = hours(ns(2, 10), True, ns(6, 9, 30), ns(2, 13))
    assert (longer.opens_ns(ns(2, 18)), longer.closes_ns(ns(2, 10))) == (ns(6, 4), ns(2, 17))
    for_ever = Hours(Clock(1, True, 10**18, 10**18))
    assert (for_ever.opens_ns(1), for_ever.closes_ns(1)) == (0, 0)


@given(st.integers(ns(1, 0), ns(8, 0)))
def test_nothing_changes_before_the_change_that_is_announced(now: int) -> None:
    found = hours(ns(1, 0), False, ns(9, 9, 30), ns(9, 16))
    change = found.changes_ns(now)
    assert change > now
    assert found.session(now) is found.session(change - 1)


def test_an_instrument_trades_when_the_session_and_its_asset_allow_it() -> None:
    settings, now = AlpacaSettings(mode=Mode.DEMO, key="k"), ns(2, 14)
    found = hours(now, False, ns(6, 9, 30), ns(6, 16))
    assert instrument(ASSET, settings, found, now, shorting=True).trading
    assert not instrument({**ASSET, "tradable": False}, settings, found, now, shorting=True).trading
    assert not instrument(
        ASSET, settings, hours(now, False, ns(6, 9, 30), ns(6, 16), False), now, shorting=True
    ).trading
    assert not instrument(ASSET, settings, found, now, shorting=False).short
    assert instrument({**ASSET, "fractionable": False}, settings, found, now, shorting=True).lot == 1


@pytest.mark.parametrize(
    "change",
    [{"class": "us_option"}, {"class": "crypto"}, {"symbol": None}, {"class": "crypto", "symbol": "BTC/USD"}],
)
def test_an_asset_that_is_no_instrument_is_refused(change: dict[str, Any]) -> None:
    found = hours(1, True, ns(6, 9), ns(6, 16))
    with pytest.raises(WireError):
        instrument({**ASSET, **change}, AlpacaSettings(mode=Mode.DEMO, key="k"), found, 1, shorting=True)


@pytest.mark.parametrize("change", [{"is_open": None}, {"is_open": "yes"}, {"timestamp": None}, {"next_open": "later"}])
def test_a_malformed_clock_is_refused(change: dict[str, Any]) -> None:
    when = "2026-07-02T10:00:00-04:00"
    good = {"timestamp": when, "is_open": True, "next_open": when, "next_close": when}
    assert clock(good).now_ns == ns(2, 10)
    with pytest.raises(WireError):
        clock({**good, **change})


@pytest.mark.parametrize("change", [{"date": "2026-02-30"}, {"date": "tomorrow"}, {"open": "25:00"}, {"close": None}])
def test_a_malformed_calendar_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        calendar([{"date": "2026-07-02", "open": "09:30", "close": "16:00", **change}])


def test_the_calendar_is_asked_for_by_new_yorks_dates() -> None:
    assert dates(ns(2, 23, 30), 7) == ("2026-07-01", "2026-07-09")
