"""How gates write down what they looked at."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal

from actors.messages.signals import Step
from actors.risk.case import Case

Gate = Callable[[Case], Step]

_READING = Context(prec=10, rounding=ROUND_HALF_EVEN)


def passed(name: str, seen: dict[str, str]) -> Step:
    return Step(name, True, "", seen)


def denied(name: str, code: str, seen: dict[str, str]) -> Step:
    return Step(name, False, code, seen)


def limited(
    case: Case, name: str, code: str, value: Decimal, limit: Decimal, *, spared: bool = False, **more: str
) -> Step:
    """Deny what would be above the limit, unless it only lowers a position or is ``spared``."""
    seen = {"exposure": short(value), "limit": short(limit), **more}
    return denied(name, code, seen) if value > limit and not case.lowers and not spared else passed(name, seen)


def short(value: Decimal) -> str:
    """At most ten significant digits, plainly written: for reading, not for reckoning."""
    return format(_READING.normalize(value), "f")


def yes(value: bool) -> str:
    return "yes" if value else "no"
