"""What can be set of an exchange connection's brain."""

from __future__ import annotations

from decimal import Decimal

import msgspec

MILLISECOND = 1_000_000
SECOND = 1_000_000_000


class ExchangeSettings(msgspec.Struct, frozen=True):
    """Settings of one connection; every duration in nanoseconds.

    ``duplicate_codes`` are the venue's codes for a client order id it already has.
    """

    venue: str
    symbols: tuple[str, ...]
    ring: int = 4096
    """Pieces of market data kept for each symbol."""
    cash_currency: str = "USDT"
    tick_ns: int = 250 * MILLISECOND
    """How often due work is looked for."""
    state_ns: int = SECOND
    """How often ``ExchangeState`` is told when nothing has changed."""
    unknown_query_ns: int = 500 * MILLISECOND
    """The wait before the first question about an unknown outcome; it doubles from there."""
    query_max_ns: int = 30 * SECOND
    answer_ns: int = 30 * SECOND
    """A command without a result for this long is taken for lost."""
    grace_ns: int = 2 * SECOND
    """How far apart two answers must be before 'the venue knows no such order' is believed."""
    reconcile_ns: int = 30 * SECOND
    balance_ns: int = 0
    """How long after a fill the venue's state is asked for, where it does not push its balances (0: it does)."""
    refetch_ns: int = SECOND
    """The wait after an incomplete answer, and before the second look at a difference."""
    overlap_ns: int = 60 * SECOND
    """How far before the last known execution fills are fetched again."""
    fills_wait_ns: int = SECOND
    fills_tries: int = 5
    """Complete answers without the missing fills before the venue's own total is taken."""
    place_tries: int = 4
    resend_ns: int = 200 * MILLISECOND
    cancel_retry_ns: int = SECOND
    panic_retry_ns: int = SECOND
    panic_wait_ns: int = 5 * SECOND
    """How long one closing order of a panic may take before the next is sent."""
    conflate_ns: int = 10 * MILLISECOND
    """The least time between two pieces of a kind and symbol for who wants the latest alone."""
    leg_ns: int = 5 * SECOND
    """A taking order of a flow that could not leave within this time is not sent any more."""
    leg_retry_ns: int = SECOND
    """The wait before an order of a flow that came to nothing is tried anew."""
    leg_tries: int = 20
    exits_rest: bool = True
    """Whether the venue keeps a reduce-only order in its book; else taking profit waits here for its price."""
    patient: bool = False
    """Whether an order that takes stays at the venue when its time is over, until the market has a price again.

    For a backtest on bars alone, where a bar may be missing.
    """
    price_age_ns: int = 10 * SECOND
    """An older price is none for a trigger, a stop or a chase."""
    native_stops: bool = True
    """Whether stops rest at the venue where it has orders for that; else all are watched here."""
    stops_outlive: bool = True
    """Whether they stay there when the session ends."""
    stop_wait_ns: int = 2 * SECOND
    """How long the venue has, once a stop's price was seen here, before it is cancelled and sold from here."""
    trail_ns: int = SECOND
    """The least time between two moves of a trailing stop that rests at the venue."""
    trail_step: Decimal = Decimal("0.05")
    """The least such move, as a fraction of the distance it trails by."""
    require_public: bool = True
    cancel_on_stop: bool = True
    duplicate_codes: tuple[str, ...] = ("DUPLICATE_CLIENT_ID", "110072")
    orders_kept: int = 512
    executions_kept: int = 4096
    controls_kept: int = 256
    payments_kept: int = 4096
