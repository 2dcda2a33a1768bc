"""The Ray actor of symbol strategies: one strategy each, or several where they are pooled."""

from __future__ import annotations

import msgspec
from ray import cloudpickle

from actors.host import TradingHost
from actors.strategy import factory
from actors.strategy.plan import StrategyPlan
from runtime.behavior import Behavior
from runtime.errors import BigwheelError
from runtime.lanes import Delivery
from runtime.supervision.assignment import CellAssignment
from strategies.registry import resolve
from strategies.strategy import Strategy


class SymbolStrategy(TradingHost):
    """Hosts a user's strategy, for one symbol or for several together."""

    def build(self, cell: CellAssignment) -> Behavior:
        plan = msgspec.msgpack.decode(cell.config, type=StrategyPlan)
        delivery = Delivery.ALL if self.settings.simulator.replay else Delivery.OLDEST
        return factory.build(self.settings, plan, strategy_class(plan), delivery=delivery)


def strategy_class(plan: StrategyPlan) -> type[Strategy]:
    """The class of a plan: unpickled, or found by its name.

    Raises:
        BigwheelError: it can't be unpickled here, or it is no strategy.
    """
    if not plan.pickled:
        return resolve(plan.name)
    try:
        found = cloudpickle.loads(plan.pickled)
    except Exception as error:
        # Unpickling runs the user's module: anything may come out of it.
        raise BigwheelError(
            f"expected the strategy {plan.name} to load in its actor's process, found {type(error).__name__}: {error}; "
            "can everything it imports be imported on this node?"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise BigwheelError(f"expected a subclass of Strategy, found {found!r}")
    return found
