"""Exact amounts and times out of the venue's JSON, whichever of its forms they come in.

Current messages carry dollars and counts as strings (``*_dollars``, ``*_fp``); older ones cents and
whole counts as integers. A number in floating point is never taken.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from exchanges.fields import (
    MS,
    ONE,
    SECOND,
    ZERO,
    Fields,
    WireError,
    decimal_of,
    not_negative,
    optional_text,
    positive,
    rows,
    text,
)

__all__ = [
    "MS",
    "ONE",
    "SECOND",
    "ZERO",
    "Fields",
    "WireError",
    "count",
    "decimal_of",
    "dollars",
    "instant",
    "not_negative",
    "optional_text",
    "positive",
    "rows",
    "text",
    "traded_price",
]

_CENTS = Decimal(100)
_LATEST_NS = 32_503_680_000 * SECOND
"""The year 3000: a time beyond is a mistake."""


def dollars(fields: Fields, *names: str) -> Decimal | None:
    """An amount in dollars: ``<name>_dollars``, ``<name>_fixed``, or ``<name>`` in whole cents; ``None`` if absent."""
    for name in names:
        for form in (f"{name}_dollars", f"{name}_fixed"):
            if fields.get(form) not in (None, ""):
                return decimal_of(fields[form], form)
        cents = fields.get(name)
        if cents is not None:
            return decimal_of(cents, name) / _CENTS
    return None


def count(fields: Fields, *names: str) -> Decimal | None:
    """A number of contracts: ``<name>_fp``, or ``<name>`` itself; ``None`` if absent."""
    for name in names:
        for form in (f"{name}_fp", name):
            if fields.get(form) not in (None, ""):
                return decimal_of(fields[form], form)
    return None


def traded_price(value: Decimal | None, name: str) -> Decimal:
    """A price something can trade at: above $0 and below $1; raises ``WireError`` otherwise."""
    if value is None or not 0 < value < 1:
        raise WireError(f"expected {name} above 0 and below 1 dollar, found {value}")
    return value


def instant(fields: Fields, *names: str) -> int:
    """The first of ``names`` that is there, as nanoseconds; 0 if none is.

    ``*_ms`` are milliseconds, other integers seconds, text is a date and time of RFC 3339.
    """
    for name in names:
        value = fields.get(name)
        if value in (None, ""):
            continue
        found = _text_ns(value, name) if isinstance(value, str) else _number_ns(value, name)
        if not 0 <= found <= _LATEST_NS:
            raise WireError(f"expected a time between 1970 and 3000 in {name}, found {value!r}")
        return found
    return 0


def _number_ns(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise WireError(f"expected a time in {name}, found {value!r}")
    return value * (MS if name.endswith("_ms") else SECOND)


def _text_ns(value: str, name: str) -> int:
    """A date and time with any number of places, which ``datetime`` alone would not read."""
    head, dot, tail = value.partition(".")
    digits = tail.rstrip("Zz")
    offset = ""
    for sign in "+-":
        if sign in digits:
            digits, _, rest = digits.partition(sign)
            offset = sign + rest
    zone = offset or ("+00:00" if value[-1] in "Zz" else "")
    try:
        stamp = datetime.fromisoformat((head if dot else head.rstrip("Zz")) + zone)
        if stamp.tzinfo is None:
            stamp = stamp.replace(tzinfo=UTC)
        whole = int(stamp.timestamp()) * SECOND
        return whole + int(digits.ljust(9, "0")[:9]) if dot and digits.isdecimal() else whole
    except (ValueError, OverflowError) as error:
        raise WireError(f"expected a date and time in {name}, found {value!r}") from error
