"""What can be wrong with a strategy."""

from __future__ import annotations

from runtime.errors import SetupError


class StrategyError(SetupError):
    """A strategy can't be found, built, or asked something impossible."""


class HookError(StrategyError):
    """A strategy's own code raised; the text names the hook, the strategy and the symbol."""


class StateError(StrategyError):
    """A strategy's attributes can't be saved, or what was saved can't be read back."""
