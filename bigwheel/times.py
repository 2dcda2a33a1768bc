"""Times as people write and read them."""

from __future__ import annotations

import datetime as dt
import re
import time

from bigwheel.errors import UsageError

_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def stamp(ns: int) -> str:
    """``2026-03-01 12:00:00.123456`` (UTC) for nanoseconds since the epoch."""
    whole, rest = divmod(ns, 1_000_000_000)
    return f"{dt.datetime.fromtimestamp(whole, dt.UTC):%Y-%m-%d %H:%M:%S}.{rest // 1_000:06d}"


def duration_s(text: str) -> float:
    """Seconds in ``90``, ``60s``, ``5m``, ``2h``, ``500ms`` or ``1d``.

    Raises:
        UsageError: the text is no positive duration.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*", text)
    if match is None or float(match[1]) <= 0:
        raise UsageError(f"expected a duration such as 60s, 5m or 2h, found {text!r}")
    return float(match[1]) * _UNITS[match[2] or "s"]


def moment_ns(text: str, now: float | None = None) -> int:
    """Nanoseconds since the epoch for an ISO time (UTC where it names no zone) or a duration ago.

    Raises:
        UsageError: the text is neither.
    """
    try:
        return int(((time.time() if now is None else now) - duration_s(text)) * 1e9)
    except UsageError:
        pass_on = text.strip().replace("Z", "+00:00")
    try:
        moment = dt.datetime.fromisoformat(pass_on)
    except ValueError:
        raise UsageError(
            f"expected a time such as 2026-03-01T12:00 or a duration ago such as 10m, found {text!r}"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return int(moment.timestamp() * 1e9)
