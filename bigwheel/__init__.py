"""Bigwheel: an actor-model runtime for trading bots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bigwheel.shadow import ensure_not_shadowed

ensure_not_shadowed()

from strategies.params import StrategyParams  # noqa: E402
from strategies.signal import Signal  # noqa: E402
from strategies.strategy import Strategy  # noqa: E402

if TYPE_CHECKING:
    from bigwheel.backtests.run import backtest
    from bigwheel.reruns.run import rerun
    from bigwheel.runtime import Runtime
    from bigwheel.sweeps.run import sweep

__all__ = ["Runtime", "Signal", "Strategy", "StrategyParams", "backtest", "rerun", "sweep"]


def __getattr__(name: str) -> Any:
    # Ray takes a second to import: a command that does not need it should not wait for it.
    if name == "Runtime":
        from bigwheel.runtime import Runtime

        return Runtime
    if name == "backtest":
        from bigwheel.backtests.run import backtest

        return backtest
    if name == "sweep":
        from bigwheel.sweeps.run import sweep

        return sweep
    if name == "rerun":
        from bigwheel.reruns.run import rerun

        return rerun
    raise AttributeError(f"module 'bigwheel' has no attribute {name!r}; it offers {', '.join(__all__)}")
