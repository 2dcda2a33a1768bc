"""How values of parameters are written on the command line."""

from __future__ import annotations

import json
import re
from decimal import Decimal

from bigwheel.sweeps.errors import SweepError
from bigwheel.sweeps.grid import Value

_NUMBER = r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER}):({_NUMBER})(?::({_NUMBER}))?")
_COMMA = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)')
"""A comma outside of quotes."""
_MOST = 100_000


def axis(text: str) -> tuple[str, list[Value]]:
    """``fast=5,10`` or ``slow=20:60:10`` as a name and its values; a range has both its ends.

    A value is JSON where it is any (numbers, true, null, ``"a,b"``), else text.

    Raises:
        SweepError: it is neither.
    """
    name, equals, told = (part.strip() for part in text.partition("="))
    parts = [part.strip() for part in _COMMA.split(told)]
    if not name or not equals or not all(parts):
        raise SweepError(f"expected --param as name=values such as fast=5,10,20 or slow=20:60:10, found {text!r}")
    return name, [value for part in parts for value in _values(part, text)]


def value(text: str) -> Value:
    """JSON where it is a number, text, truth value or null, else the text itself."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return found if found is None or isinstance(found, bool | int | float | str) else text


def _values(part: str, whole: str) -> list[Value]:
    match = _RANGE.fullmatch(part)
    if match is None:
        return [value(part)]
    start, stop, step = Decimal(match[1]), Decimal(match[2]), Decimal(match[3] or 1)
    if step <= 0 or stop < start or (stop - start) / step >= _MOST:
        raise SweepError(
            f"expected a range start:end:step that rises, in at most {_MOST:,} steps above 0, found {part!r} in "
            f"{whole!r}"
        )
    whole_numbers = all(re.fullmatch(r"[+-]?\d+", each or "1") for each in match.groups())
    count = int((stop - start) / step) + 1
    exact = [start + number * step for number in range(count)]
    return [int(each) if whole_numbers else float(each) for each in exact]
