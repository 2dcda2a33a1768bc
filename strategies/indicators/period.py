"""What every indicator asks of its period."""

from __future__ import annotations

from strategies.errors import StrategyError


def checked(period: int, least: int = 1, name: str = "period") -> int:
    """``period``, when it is a whole number of at least ``least`` values.

    Raises:
        StrategyError: it is not.
    """
    if isinstance(period, bool) or not isinstance(period, int) or period < least:
        raise StrategyError(f"expected {name} to be a whole number of at least {least}, found {period!r}; correct it")
    return period
