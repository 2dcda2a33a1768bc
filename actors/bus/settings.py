"""What the bus is told: its patience and the size of its memory."""

from __future__ import annotations

import msgspec

_SECOND = 1_000_000_000


class BusSettings(msgspec.Struct, frozen=True):
    """Times in nanoseconds.

    The bus remembers ``recent_signals`` closed signals for at most ``recent_ns`` and refuses a
    signal older than what it has forgotten, so no id is ever taken twice. Executions are
    recognised among the last ``recent_executions``.
    """

    sweep_ns: int = _SECOND // 4
    """How often time-to-live, redelivery and stuck signals are looked after."""
    redeliver_ns: int = 2 * _SECOND
    """A signal without a verdict is put to risk again after this."""
    stuck_evaluating_ns: int = 10 * _SECOND
    stuck_approved_ns: int = 10 * _SECOND
    """Counted from the approval's own expiry: the exchange should have spoken by then."""
    stuck_executing_ns: int = 60 * _SECOND
    missing_fills_ns: int = 30 * _SECOND
    """A final order whose fills have not come in by then ends its signal on its own totals."""
    max_ahead_ns: int = 60 * _SECOND
    """A signal made further in the future than this comes from a broken clock."""
    recent_signals: int = 5_000
    recent_ns: int = 7 * 86_400 * _SECOND
    recent_executions: int = 10_000
    recent_orders: int = 5_000
    recent_reports: int = 20_000
    recent_repairs: int = 1_000
    recent_payments: int = 5_000
    recent_controls: int = 1_000
    recent_policies: int = 1_000
    equity_step: float = 0.01
    """A change of cash or equity by less than this fraction is not journaled by itself."""
