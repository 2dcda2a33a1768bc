"""What a strategy's brain is told."""

from __future__ import annotations

import msgspec

from runtime.lanes import Delivery

SECOND = 1_000_000_000
SAMPLE_NS = 60 * SECOND


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
    steps: dict[str, int] = {}
    """By symbol, the length in ns of the bars its venue streams; a symbol without: it streams none."""
    history: bool = True
    """Whether the past can be asked for; in a replay it can't."""
    history_wait_ns: int = 20 * SECOND
    """How long it waits for the past before it begins without."""
    history_bars: int = 5_000
    """Bars of one length it may ask for, at most."""
    capital: float = 10_000.0
    """What its return and drawdown are measured against, in the quote currency."""
    sample_ns: int = SAMPLE_NS
    """The grid on which its performance is measured."""
