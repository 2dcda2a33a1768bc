"""A signal as numbers: what patterns are found in, and looked for in."""

from __future__ import annotations

from collections.abc import Mapping

from strategies.signal import Cause

_HOUR_NS = 3_600 * 1_000_000_000

CONVICTION = "conviction"
HOUR = "hour"
REGIME = "regime:"
"""Begins the trait that is 1 in the regime named after it, and 0 in others."""


def moment(cause: Cause) -> int:
    """When the price of a signal's cause held, in ns: a bar is stamped with its beginning, and comes at its end."""
    return cause.recv_ns if cause.kind == "Bar" else cause.ts_ns


def traits(features: Mapping[str, float], conviction: float, at_ns: int, regime: str = "") -> dict[str, float]:
    """Its features, its conviction, the hour of the day (UTC, with fractions) and the market's regime.

    ``at_ns`` is the time of the market data it came from.
    """
    found = {**features, CONVICTION: conviction, HOUR: at_ns / _HOUR_NS % 24}
    if regime:
        found[f"{REGIME}{regime}"] = 1.0
    return found
