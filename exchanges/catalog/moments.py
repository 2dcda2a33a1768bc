"""Times as files write them, as nanoseconds since the epoch."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from exchanges.catalog.errors import DataError

AUTO, ISO = "auto", "iso"
UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
FORMATS = f"{AUTO}, {', '.join(UNITS)}, {ISO} or a pattern such as %d.%m.%Y %H:%M"
_LONGEST = {"s": 10**11, "ms": 10**14, "us": 10**17}
"""Numbers below these are taken for that unit: seconds up to the year 5138."""
_ZONED = re.compile(r".*\d(?:Z|[+-]\d\d:?\d\d)\s*", re.DOTALL)


def sniffed(values: Any) -> str:
    """The format of a column: of numbers the unit that their size speaks for, else ISO."""
    first = next((value for value in values.to_pylist() if value not in (None, "")), None)
    if first is None or (isinstance(first, str) and not _number(first)):
        return ISO
    size = abs(float(first))
    return next((unit for unit, limit in _LONGEST.items() if size < limit), "ns")


def nanoseconds(values: Any, how: str, timezone: str) -> Any:
    """An int64 array of ``values``, numbers, text or Arrow timestamps; nulls stay nulls.

    Args:
        values: an Arrow array.
        how: ``ns``, ``us``, ``ms``, ``s``, ``iso`` or a pattern of strptime.
        timezone: of what names none, such as ``America/New_York``.

    Raises:
        pyarrow.ArrowException, ValueError: a value is of another form.
    """
    if pa.types.is_timestamp(values.type):
        return _in_zone(values.cast(pa.timestamp("ns", values.type.tz)), timezone)
    if pa.types.is_date(values.type):
        return _in_zone(values.cast(pa.timestamp("ns")), timezone)
    if how in UNITS:
        return _scaled(values, UNITS[how])
    text = values.cast(pa.string())
    if how != ISO:
        return _in_zone(pc.strptime(text, format=how, unit="ns"), timezone)
    text = pc.utf8_trim_whitespace(text)
    first = next((value for value in text.to_pylist() if value), "")
    zoned = _ZONED.fullmatch(first) is not None and ":" in first
    return _in_zone(text.cast(pa.timestamp("ns", "UTC" if zoned else None)), timezone)


def check_timezone(name: str) -> None:
    """See that a time zone is known.

    Raises:
        DataError: it is not.
    """
    try:
        pc.assume_timezone(pa.array([0], pa.timestamp("ns")), name)
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"expected a time zone such as UTC or America/New_York, found {name!r}: {error}") from None


def _in_zone(moments: Any, timezone: str) -> Any:
    if moments.type.tz is None:
        moments = pc.assume_timezone(moments, timezone)
    return moments.cast(pa.int64())


def _scaled(values: Any, factor: int) -> Any:
    """Exact for text and whole numbers, however many digits; a float has some 100 ns to it at best."""
    if pa.types.is_integer(values.type):
        return pc.multiply_checked(values.cast(pa.int64()), factor)
    exact = values.cast(pa.decimal256(50, 20), safe=False)
    return pc.multiply(exact, pa.scalar(factor).cast(pa.decimal256(19, 0))).cast(pa.int64(), safe=False)


def _number(text: str) -> bool:
    return re.fullmatch(r"\s*-?\d+(?:\.\d*)?\s*", text) is not None
