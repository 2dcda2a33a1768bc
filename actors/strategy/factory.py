"""Makes a strategy's brain from the session's settings and its plan."""

from __future__ import annotations

from actors.strategy.brain import StrategyBrain
from actors.strategy.plan import StrategyPlan
from actors.strategy.settings import SAMPLE_NS, SECOND, BrainSettings
from conf import Settings
from runtime.lanes import Delivery
from strategies.errors import StrategyError
from strategies.registry import resolve
from strategies.strategy import Strategy


def build(
    settings: Settings,
    plan: StrategyPlan,
    owner: type[Strategy] | None = None,
    *,
    delivery: Delivery = Delivery.OLDEST,
    sample_ns: int = SAMPLE_NS,
) -> StrategyBrain:
    """A fresh brain for ``plan``.

    Args:
        settings: the session's.
        plan: which strategy, on which symbols, with which parameters.
        owner: the class itself, where it travelled with the plan instead of being found by name.
        delivery: what becomes of market data when the strategy is slower than it comes.
        sample_ns: the grid on which its performance is measured.

    Raises:
        StrategyError: the class can't be found or built, or it needs data that is not subscribed to.
    """
    strategy = (owner or resolve(plan.name)).create(plan.symbol, plan.params, plan.label, plan.symbols)
    sections = {symbol: settings.exchange[symbol.partition(":")[0]] for symbol in plan.every}
    told = BrainSettings(
        ttl_ns=int(settings.bus.ttl_s * SECOND),
        max_ttl_ns=int(settings.bus.max_ttl_s * SECOND),
        threshold=settings.learner.base_threshold,
        dry_run=plan.dry_run,
        delivery=delivery,
        steps={
            symbol: section.bar_interval_s * SECOND for symbol, section in sections.items() if "bar" in section.streams
        },
        history=not settings.simulator.replay,
        capital=plan.capital,
        sample_ns=sample_ns,
    )
    brain = StrategyBrain(told, strategy)
    for symbol, section in sections.items():
        lacking = [kind for kind in brain.watched if kind.lower() not in section.streams]
        if lacking:
            venue = symbol.partition(":")[0]
            raise StrategyError(
                f"{plan.label} on {symbol} needs {', '.join(lacking)}, expected among the streams of {venue}, found "
                f"{', '.join(section.streams)}; add {lacking[0].lower()!r} to exchange.{venue}.streams"
            )
    return brain
