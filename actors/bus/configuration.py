"""The bus's settings from the configuration of a session."""

from __future__ import annotations

from actors.bus.settings import BusSettings
from conf import Settings


def times(settings: Settings) -> BusSettings:
    """What the session's configuration means to the brain: durations in nanoseconds."""
    bus = settings.bus
    return BusSettings(
        redeliver_ns=int(bus.redeliver_ms * 1e6),
        stuck_evaluating_ns=int(bus.stuck_s * 1e9),
        stuck_approved_ns=int(bus.stuck_s * 1e9),
        stuck_executing_ns=int(bus.stuck_s * 1e9),
    )
