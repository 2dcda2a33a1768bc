"""What can go wrong with a sweep."""

from __future__ import annotations

from runtime.errors import BigwheelError


class SweepError(BigwheelError):
    """It can't be run with these arguments or in this folder, or its workers don't stay alive."""
