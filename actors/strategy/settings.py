"""What a strategy's brain is told."""

from __future__ import annotations

import msgspec

from runtime.lanes import Delivery

SECOND = 1_000_000_000


class BrainSettings(msgspec.Struct, frozen=True):
    """Times in nanoseconds."""

    ttl_ns: int = 10 * SECOND
    """How long a signal lives, from the arrival of the data it came from, unless the strategy says."""
    max_ttl_ns: int = 3_600 * SECOND
    """The longest life a signal may have, whatever the strategy says."""
    threshold: float = 0.0
    """The least conviction of an entry before any feedback has been issued, 0 to 1."""
    dry_run: bool = False
    delivery: Delivery = Delivery.OLDEST
    """What becomes of market data when the strategy is slower than it comes."""
    pending: int = 1_000
    """Signals kept until the journal has them, at most."""
    hooks: int = 1_000
    """Fills and feedback kept until the strategy's own code has seen them, at most."""
    controls: int = 64
    """Control ids remembered."""
    lines: int = 20
    """Lines of the strategy's log kept for status."""
