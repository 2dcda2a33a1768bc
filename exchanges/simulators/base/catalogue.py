"""What a simulated venue lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from exchanges.model.instrument import Instrument


class Catalogue(Protocol):
    """The instruments of one venue, known and made up.

    A *key* is an instrument's symbol without the venue (``BTCUSDT``, ``BTC/USD``,
    ``KXHIGHNY-24AUG08-T85``): what settings, feeds and the simulator's books call it. It is the
    native name except where a venue has one name for two instruments (``BTCUSDT.SPOT``).
    """

    @property
    def default(self) -> tuple[str, ...]:
        """The keys that are listed when the settings name none."""

    def listed(self, key: str) -> Instrument:
        """The instrument of ``key``.

        Raises:
            SimulatorError: the venue lists no such thing; the text names the nearest.
        """

    def observed(self, key: str, prices: Sequence[float], sizes: Sequence[float]) -> Instrument:
        """The instrument of ``key`` on steps that fit recorded prices and sizes."""

    def start_price(self, key: str) -> float:
        """Where generated prices of ``key`` start."""
