"""Decisions written once, for every engine: what to hold after a bar, in units of one size."""

from __future__ import annotations

from collections import deque
from statistics import fmean, pstdev
from typing import NamedTuple, Protocol


class Candle(NamedTuple):
    """A bar that is over."""

    open: float
    high: float
    low: float
    close: float


class Rule(Protocol):
    """Decides bar by bar, and keeps what it needs of the past."""

    def wanted(self, candle: Candle, held: int) -> int:
        """What to hold from the next bar on, while ``held`` units are held: above 0 long, below short."""


class Crossover:
    """Long while the average of the last ``fast`` closes is above that of the last ``slow``, else flat."""

    def __init__(self, fast: int = 5, slow: int = 20) -> None:
        self.fast: deque[float] = deque(maxlen=fast)
        self.slow: deque[float] = deque(maxlen=slow)

    def wanted(self, candle: Candle, held: int) -> int:
        self.fast.append(candle.close)
        self.slow.append(candle.close)
        if len(self.slow) < (self.slow.maxlen or 0):
            return 0
        return 1 if fmean(self.fast) > fmean(self.slow) else 0


class Reversion:
    """Against a close that is far from its average, in standard deviations; from one side straight to the other."""

    def __init__(self, window: int = 20, enter: float = 1.5) -> None:
        self.closes: deque[float] = deque(maxlen=window)
        self.enter = enter

    def wanted(self, candle: Candle, held: int) -> int:
        self.closes.append(candle.close)
        if len(self.closes) < (self.closes.maxlen or 0):
            return 0
        away = candle.close - fmean(self.closes)
        reach = self.enter * pstdev(self.closes)
        if away < -reach:
            return 1
        return -1 if away > reach else held


class Breakout:
    """Two units with a close beyond the last highs or lows, one after half of ``patience`` bars, none after all of it.

    A close that has lost ``stop`` of the price the break happened at ends it at once.
    """

    def __init__(self, window: int = 15, stop: float = 0.004, patience: int = 12) -> None:
        self.highs: deque[float] = deque(maxlen=window)
        self.lows: deque[float] = deque(maxlen=window)
        self.stop, self.patience = stop, patience
        self.broke_at, self.bars = 0.0, 0

    def wanted(self, candle: Candle, held: int) -> int:
        target = self._held(candle, held) if held else self._break(candle)
        self.highs.append(candle.high)
        self.lows.append(candle.low)
        return target

    def _break(self, candle: Candle) -> int:
        self.broke_at, self.bars = candle.close, 0
        if len(self.highs) < (self.highs.maxlen or 0):
            return 0
        if candle.close > max(self.highs):
            return 2
        return -2 if candle.close < min(self.lows) else 0

    def _held(self, candle: Candle, held: int) -> int:
        side = 1 if held > 0 else -1
        self.bars += 1
        if (candle.close / self.broke_at - 1) * side < -self.stop or self.bars >= self.patience:
            return 0
        return side if self.bars >= self.patience // 2 else held


RULES: dict[str, type[Crossover | Reversion | Breakout]] = {
    "crossover": Crossover,
    "reversion": Reversion,
    "breakout": Breakout,
}


class Pilot:
    """One rule on one series of ``count`` bars, trades or quotes: says what to trade after each.

    The order of the last one would have nothing to be filled by, so none is given. ``flat``: what is held is closed
    with that of the last but one.
    """

    def __init__(self, rule: str, count: int, *, flat: bool = False) -> None:
        self.rule: Rule = RULES[rule]()
        self.left, self.flat = count, flat

    def change(self, candle: Candle, held: int) -> int:
        """Units to buy (above 0) or to sell (below) at the next bar's open."""
        self.left -= 1
        wanted = self.rule.wanted(candle, held)
        if self.left == 1 and self.flat:
            wanted = 0
        return wanted - held if self.left > 0 else 0


def point(price: float) -> Candle:
    """One price as a bar."""
    return Candle(price, price, price, price)
