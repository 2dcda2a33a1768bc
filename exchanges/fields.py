"""Exact values out of a venue's JSON, or a `WireError`: text, amounts, rows. A number in floating point is none."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

MS = 1_000_000
SECOND = 1_000_000_000
ZERO = Decimal(0)
ONE = Decimal(1)
_DIGITS = 14
_PLACES = 9

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
