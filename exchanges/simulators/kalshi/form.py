"""Parameters of requests and messages, read with their types."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from exchanges.simulators.kalshi.errors import invalid

Json = dict[str, Any]
Params = Mapping[str, Any]
_COUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?")
_DOLLARS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")


def body(text: str) -> Json:
    """A request's body.

    Raises:
        ApiError: 400, it isn't a JSON object.
    """
    try:
        return msgspec.json.decode(text or "{}", type=Json)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise invalid(f"expected a JSON object, found something else ({error})") from error


def known(params: Params, names: Sequence[str]) -> None:
    """Refuse parameters that the simulator would have to pass over in silence.

    Raises:
        ApiError: 400, naming them.
    """
    strange = sorted(set(params) - set(names))
    if strange:
        raise invalid(f"expected parameters of {sorted(names)}, found {strange}")


def text(params: Params, name: str, default: str | None = None) -> str:
    """A string; ``default`` where it is absent (an error if ``None``)."""
    value = params.get(name)
    if value is None or value == "":
        if default is None:
            raise invalid(f"expected {name}, found none")
        return default
    if not isinstance(value, str):
        raise invalid(f"expected {name} as a string, found {value!r}")
    return value


def choice(params: Params, name: str, choices: Sequence[str], default: str | None = None) -> str:
    """One of ``choices``."""
    value = text(params, name, default)
    if value not in choices and value != default:
        raise invalid(f"expected {name} as one of {list(choices)}, found {value!r}")
    return value


def count(params: Params, name: str) -> Decimal:
    """A number of contracts: a string with at most two decimals."""
    return _number(params, name, _COUNT, "a count with at most two decimals")


def dollars(params: Params, name: str) -> Decimal:
    """A price: a string with at most six decimals."""
    return _number(params, name, _DOLLARS, "dollars with at most six decimals")


def _number(params: Params, name: str, form: re.Pattern[str], what: str) -> Decimal:
    value = params.get(name)
    if not isinstance(value, str) or not form.fullmatch(value):
        raise invalid(f"expected {name} as a string of {what}, found {value!r}")
    return Decimal(value)


def flag(params: Params, name: str) -> bool:
    """``true`` or ``false`` in a body, or as text in a query; absent is false."""
    value = params.get(name)
    if value in (None, False, "false"):
        return False
    if value in (True, "true"):
        return True
    raise invalid(f"expected {name} as true or false, found {value!r}")


def integer(params: Params, name: str, default: int, least: int = 0, most: int = 1 << 53) -> int:
    """A whole number in a body, or as text in a query."""
    value = params.get(name)
    if value is None or value == "":
        return default
    whole = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str) and value.isdecimal() and len(value) < 17:
        whole = int(value)
    if whole is None or not least <= whole <= most:
        raise invalid(f"expected {name} as a whole number of {least} to {most}, found {value!r}")
    return whole


def listed(params: Params, name: str) -> list[str]:
    """Texts with commas between them; empty where it is absent."""
    return [part for part in text(params, name, "").split(",") if part]


def rows(params: Params, name: str, most: int) -> list[Json]:
    """A list of objects, at least one."""
    value = params.get(name)
    if not isinstance(value, list) or not value or not all(isinstance(row, dict) for row in value):
        raise invalid(f"expected {name} as a list of objects, found {type(value).__name__}")
    if len(value) > most:
        raise invalid(f"expected at most {most} {name}, found {len(value)}")
    return value
