"""Settings of one venue on paper."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec


class PaperSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How orders on paper are dealt with.

    ``latency_s`` is how long a command takes to the engine. ``folder`` is where the books are kept, so that
    a restart goes on with them; without it they end with the process. ``balance`` is the cash at the very
    start, in the quote currency. ``seed`` varies the depth that is made up where the venue's data is trades
    alone. ``poll_s`` is how often funding rates and the outcomes of events are asked for. ``leverage`` is
    that of every perpetual, as far as it allows so much; without it the engine's own.
    """

    balance: Decimal
    folder: Path | None = None
    latency_s: float = 0.05
    seed: int = 1
    poll_s: float = 30.0
    leverage: Decimal | None = None

    def __post_init__(self) -> None:
        if self.balance <= 0:
            raise ValueError(f"expected a balance above 0 to trade on paper with, found {self.balance}")
        if self.latency_s < 0 or self.poll_s <= 0:
            raise ValueError(
                f"expected a latency_s of at least 0 and a poll_s above 0, found {self.latency_s} and {self.poll_s}"
            )
