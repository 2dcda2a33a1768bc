"""What can be wrong with a simulator's settings, files or surroundings."""

from __future__ import annotations

from runtime.errors import SetupError


class SimulatorError(SetupError):
    """The simulator can't start or go on; the text says what to change."""


class FeedError(SimulatorError):
    """Recorded market data can't be played."""
