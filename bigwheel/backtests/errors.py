"""What can go wrong with a backtest."""

from __future__ import annotations

from runtime.errors import BigwheelError


class BacktestError(BigwheelError):
    """It can't be run with these arguments, or came to something that can't be right."""
