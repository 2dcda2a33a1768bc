"""Price and quantity steps seen in data."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal


def decimals(values: Iterable[float], most: int = 10) -> int:
    """How many decimals the values have, at most ``most``."""
    found = 0
    for value in values:
        exponent = Decimal(repr(value)).normalize().as_tuple().exponent
        found = max(found, -int(exponent))
        if found >= most:
            return most
    return found


def on_step(values: Iterable[float], step: Decimal) -> bool:
    """Whether every value is a multiple of ``step``."""
    return all(Decimal(repr(value)) % step == 0 for value in values)
