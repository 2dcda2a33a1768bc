"""Exact amounts and times out of the venue's JSON, whichever of its forms they come in.

Current messages carry dollars and counts as strings (``*_dollars``, ``*_fp``); older ones cents and
whole counts as integers. A number in floating point is never taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

MS = 1_000_000
SECOND = 1_000_000_000
ZERO = Decimal(0)
ONE = Decimal(1)
_CENTS = Decimal(100)
_DIGITS = 14
_PLACES = 9
_LATEST_NS = 32_503_680_000 * SECOND
"""The year 3000: a time beyond is a mistake."""

Fields = Mapping[str, Any]


class WireError(ValueError):
    """A message that isn't what the venue's documentation says."""


def decimal_of(value: object, name: str) -> Decimal:
    """``value`` (a string or an integer) exactly.

    Raises:
        WireError: it is neither, not finite, or out of all proportion.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise WireError(f"expected a number as a string in {name}, found {value!r}")
    text = str(value)
    if "_" in text or not text.isascii():
        raise WireError(f"expected a number in {name}, found {value!r}")
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise WireError(f"expected a number in {name}, found {value!r}") from error
    exponent = number.as_tuple().exponent
    # Looked at by its exponent alone: arithmetic with a number of a million digits is an error of its own.
    if not isinstance(exponent, int) or number.adjusted() > _DIGITS or exponent < -_PLACES:
        raise WireError(f"expected a number of at most {_PLACES} places in {name}, found {text[:80]!r}")
    return number


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


def positive(value: Decimal | None, name: str) -> Decimal:
    """``value`` where it is above 0; raises ``WireError`` otherwise."""
    if value is None or value <= 0:
        raise WireError(f"expected {name} above 0, found {value}")
    return value


def not_negative(value: Decimal | None, name: str) -> Decimal:
    """``value``, 0 where it is absent; raises ``WireError`` below 0."""
    if value is None:
        return ZERO
    if value < 0:
        raise WireError(f"expected {name} of at least 0, found {value}")
    return value


def traded_price(value: Decimal | None, name: str) -> Decimal:
    """A price something can trade at: above $0 and below $1; raises ``WireError`` otherwise."""
    if value is None or not 0 < value < 1:
        raise WireError(f"expected {name} above 0 and below 1 dollar, found {value}")
    return value


def text(fields: Fields, *names: str) -> str:
    """The first of ``names`` that is there and not empty, as text; raises ``WireError`` if none is."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value:
            return value
    raise WireError(f"expected {' or '.join(names)} as text, found {[fields.get(name) for name in names]!r}")


def optional_text(fields: Fields, name: str) -> str:
    """The text in ``name``, empty where it is absent or null; raises ``WireError`` for anything else."""
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise WireError(f"expected text in {name}, found {value!r}")
    return value


def rows(fields: Fields, name: str) -> list[dict[str, Any]]:
    """The list of objects in ``name``, empty where it is absent or null; raises ``WireError`` for anything else."""
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise WireError(f"expected a list of objects in {name}, found {type(value).__name__}")
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
