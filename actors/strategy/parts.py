"""What a strategy's brain is made of, for those that keep it and those that tell of it."""

from __future__ import annotations

from collections import Counter, deque

from actors.strategy.facts import Facts
from actors.strategy.inlets import Inlets
from actors.strategy.settings import BrainSettings
from actors.strategy.warmup import WarmUp
from exchanges.model.market import last_price
from strategies.desk import Desk
from strategies.performance import Performance
from strategies.signal import Signal
from strategies.strategy import Strategy
from strategies.timeframes import Frames


class Parts:
    """The parts of a ``StrategyBrain``, which makes them, and what can be read off them."""

    settings: BrainSettings
    strategy: Strategy
    desk: Desk
    label: str
    symbol: str
    """The first of ``symbols``."""
    symbols: tuple[str, ...]
    made_for: str
    """The class and the parameters that attributes, timers and bars were kept of."""
    ticks: int
    live: bool
    paused: bool
    issued: dict[str, str]
    timers: dict[str, int]
    controls: deque[str]
    lines: deque[str]
    counts: Counter[str]
    frames: Frames
    inlets: Inlets
    performance: Performance
    facts: Facts
    warm: WarmUp

    @property
    def pending(self) -> dict[str, Signal]:
        """The signals whose journal entries have not come back, by id."""
        return self.facts.pending

    def prices(self) -> dict[str, float]:
        """By symbol, the last known price."""
        data = self.desk.data
        known = {symbol: last_price(latest) for symbol, latest in self.desk.latest.items()}
        if data is not None and (price := last_price(data)):
            known[data.symbol] = price
        return known
