"""What Alpaca's messages are made of: exact numbers, times to the nanosecond, symbols."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

VENUE = "alpaca"
SECOND = 1_000_000_000
MICROSECOND = 1_000

_ZERO = Decimal(0)
_NUMBER = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
_LARGEST = Decimal(10) ** 18
_INSTANT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))",
    re.ASCII,
)
_EPOCH = dt.datetime(1970, 1, 1)
_QUOTES = ("USDT", "USDC", "USDG", "USD", "BTC")
"""What crypto pairs are quoted in; a longer name before the one it ends in."""

Fields = Mapping[str, Any]


class WireError(ValueError):
    """A message that isn't what the venue's documentation says."""


# -- fields ----------------------------------------------------------------------------------


def fields_of(value: object, what: str) -> dict[str, Any]:
    """``value`` if it is a JSON object."""
    if not isinstance(value, dict):
        raise WireError(f"expected {what} as an object, found {type(value).__name__}")
    return value


def rows_of(value: object, what: str) -> list[Any]:
    """``value`` if it is a JSON array."""
    if not isinstance(value, list):
        raise WireError(f"expected {what} as a list, found {type(value).__name__}")
    return value


def text(fields: Fields, name: str) -> str:
    """A text that must be there and not be empty."""
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise WireError(f"expected a text in {name}, found {_shown(value)}")
    return value


def optional_text(fields: Fields, name: str) -> str:
    """A text, or ``""`` where there is none."""
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise WireError(f"expected a text in {name}, found {_shown(value)}")
    return value


def flag(fields: Fields, name: str, default: bool = False) -> bool:
    """A truth value; ``default`` where there is none."""
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise WireError(f"expected true or false in {name}, found {_shown(value)}")
    return value


# -- numbers ---------------------------------------------------------------------------------


def number(value: object, name: str) -> Decimal:
    """A number exactly as it was written: a text, an integer, or the shortest form of a float."""
    if isinstance(value, str):
        written = value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        written = repr(value)
    else:
        raise WireError(f"expected a number in {name}, found {_shown(value)}")
    if len(written) > 64 or _NUMBER.fullmatch(written) is None:
        raise WireError(f"expected a finite number in {name}, found {_shown(value)}")
    exact = Decimal(written)
    if abs(exact) > _LARGEST:
        raise WireError(f"expected a number up to {_LARGEST:.0e} in {name}, found {_shown(value)}")
    return exact


def amount(fields: Fields, name: str) -> Decimal:
    """A number, 0 where there is none."""
    value = fields.get(name)
    return _ZERO if value is None or value == "" else number(value, name)


def natural(fields: Fields, name: str) -> Decimal:
    """A number that is not negative, 0 where there is none."""
    found = amount(fields, name)
    if found < 0:
        raise WireError(f"expected {name} not to be negative, found {found}")
    return found


def positive(fields: Fields, name: str) -> Decimal:
    """A number above 0 that must be there."""
    found = amount(fields, name)
    if found <= 0:
        raise WireError(f"expected {name} above 0, found {_shown(fields.get(name))}")
    return found


def price(value: object, name: str) -> float:
    """A market data price or size: finite and above 0."""
    found = measure(value, name)
    if found <= 0.0:
        raise WireError(f"expected {name} above 0, found {value!r}")
    return found


def measure(value: object, name: str) -> float:
    """A market data number: finite and not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WireError(f"expected a number in {name}, found {_shown(value)}")
    try:
        found = float(value)
    except OverflowError as error:
        raise WireError(f"expected a finite number in {name}, found {_shown(value)}") from error
    if not math.isfinite(found) or found < 0.0:
        raise WireError(f"expected a finite number that is not negative in {name}, found {value!r}")
    return found


def plain(value: Decimal) -> str:
    """A number without an exponent and without trailing zeros: ``1.5``."""
    written = format(value, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


# -- times -----------------------------------------------------------------------------------


def instant(value: object, name: str) -> int:
    """An RFC 3339 time as ns since the epoch, none of its digits lost."""
    found = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise WireError(f"expected a time such as 2022-01-18T23:09:42.151875584Z in {name}, found {_shown(value)}")
    year, month, day, hour, minute, second, fraction, sign, off_hours, off_minutes = found.groups()
    try:
        moment = dt.datetime(int(year), int(month), int(day), int(hour), int(minute), int(second))
        offset = dt.timedelta(hours=int(off_hours or 0), minutes=int(off_minutes or 0))
        since = moment - _EPOCH - (-offset if sign == "-" else offset)
    except (ValueError, OverflowError) as error:
        raise WireError(f"expected a time in {name}, found {_shown(value)}: {error}") from error
    return (since.days * 86_400 + since.seconds) * SECOND + int((fraction or "").ljust(9, "0"))


def moment(fields: Fields, *names: str) -> int:
    """The first of ``names`` that is there, as ns since the epoch; 0 if none is."""
    for name in names:
        value = fields.get(name)
        if value is not None and value != "":
            return instant(value, name)
    return 0


def rfc3339(ns: int) -> str:
    """A time as the venue reads it, to the nanosecond."""
    seconds, fraction = divmod(ns, SECOND)
    base = (_EPOCH + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{base}.{fraction:09d}Z" if fraction else f"{base}Z"


# -- symbols ---------------------------------------------------------------------------------


def full(native: str) -> str:
    """``AAPL`` as ``alpaca:AAPL``."""
    return f"{VENUE}:{native}"


def native(symbol: str) -> str:
    """``alpaca:BTC/USD`` as ``BTC/USD``; raises ``WireError`` for another venue's symbol."""
    venue, _, name = symbol.partition(":")
    if venue != VENUE or not name:
        raise WireError(f"expected a symbol such as alpaca:AAPL or alpaca:BTC/USD, found {symbol!r}")
    return name


def is_crypto(name: str) -> bool:
    """Whether a native symbol is a crypto pair: only those have a slash."""
    return "/" in name


def listed(fields: Fields) -> str:
    """The native symbol of a row; positions write crypto pairs without their slash (``BTCUSD``)."""
    name = text(fields, "symbol")
    if fields.get("asset_class") != "crypto" or is_crypto(name):
        return name
    for quote in _QUOTES:
        if name.endswith(quote) and len(name) > len(quote):
            return f"{name[: -len(quote)]}/{quote}"
    raise WireError(f"expected a crypto pair quoted in one of {', '.join(_QUOTES)}, found {name!r}")


def _shown(value: object) -> str:
    return repr(value)[:80]
