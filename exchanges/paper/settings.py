"""Settings of one venue on paper."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Literal, get_args

import msgspec

Depth = Literal["synthetic", "exact"]
"""What stands around the last trade where nothing else is known: see ``SyntheticDepth`` and ``ExactDepth``."""
DEPTHS: tuple[Depth, ...] = get_args(Depth)


class PaperSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How orders on paper are dealt with.

    ``latency_s`` is how long a command takes to the engine. ``folder`` is where the books are kept, so that
    a restart goes on with them; without it they end with the process. ``balance`` is the cash at the very
    start, in the quote currency. ``depth`` is what is made up where the venue's data is trades alone, and
    ``seed`` varies it. ``poll_s`` is how often funding rates and the outcomes of events are asked for. ``prefix``
    is what the ids of orders and executions begin with. ``leverage`` is that of every perpetual, as far as it
    allows so much; without it the engine's own. ``insured`` is whether a fund pays what a liquidation loses
    beyond the equity.
    """

    balance: Decimal
    folder: Path | None = None
    latency_s: float = 0.05
    seed: int = 1
    depth: Depth = "synthetic"
    poll_s: float = 30.0
    prefix: str = "paper"
    leverage: Decimal | None = None
    insured: bool = False

    def __post_init__(self) -> None:
        if self.balance <= 0:
            raise ValueError(f"expected a balance above 0 to trade on paper with, found {self.balance}")
        if self.latency_s < 0 or self.poll_s <= 0:
            raise ValueError(
                f"expected a latency_s of at least 0 and a poll_s above 0, found {self.latency_s} and {self.poll_s}"
            )
