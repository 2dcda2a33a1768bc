"""What the risk supervisor knows of one symbol's market besides its price."""

from __future__ import annotations

import math
from itertools import pairwise

import msgspec

from actors.risk.regime import Regime
from actors.risk.series import Series
from actors.risk.settings import GridSettings, RiskSettings
from exchanges.model.market import Bar, MarketData, Quote
from exchanges.model.market import Book as Depth

_DAY_NS = 86_400 * 1_000_000_000


class Touch(msgspec.Struct, frozen=True):
    """The best bid and ask with their sizes, as received at ``recv_ns``."""

    bid: float
    bid_size: float
    ask: float
    ask_size: float
    recv_ns: int

    @property
    def spread_bps(self) -> float:
        """The spread in basis points of the mid price; infinite where there is no mid."""
        mid = (self.bid + self.ask) / 2
        return (self.ask - self.bid) / mid * 10_000 if mid > 0 else math.inf


class Traded(msgspec.Struct, frozen=True):
    """The volume of the last closed bar in base units, received at ``recv_ns``."""

    volume: float
    interval_ns: int
    recv_ns: int


class Market(msgspec.Struct):
    """``closes`` are prices on the grid that correlation and volatility are measured on."""

    regime: Regime = msgspec.field(default_factory=Regime)
    closes: Series = msgspec.field(default_factory=Series)
    touch: Touch | None = None
    traded: Traded | None = None

    def take(self, data: MarketData, price: float, settings: RiskSettings) -> None:
        """Take in a piece of market data that implies ``price``."""
        at, grid = min(data.ts_ns, data.recv_ns), settings.grid
        self.regime.take(at, price, settings.regime)
        self.closes.take(at, price, grid.step_ns, grid.window + 1)
        if isinstance(data, Quote):
            self.touch = Touch(data.bid, data.bid_size, data.ask, data.ask_size, data.recv_ns)
        elif isinstance(data, Depth):
            self.touch = Touch(*data.bids[0], *data.asks[0], data.recv_ns)
        elif isinstance(data, Bar) and data.closed:
            self.traded = Traded(data.volume, data.interval_ns, data.recv_ns)


def volatility(closes: Series, grid: GridSettings) -> float | None:
    """The daily volatility of log returns, as a fraction; ``None`` without enough of them or any change.

    ``sqrt(mean(r^2) * steps a day)``: of returns with mean 0, scaled by the square root of time (Hull,
    Options, Futures, and Other Derivatives, "Estimating volatility from historical data").
    """
    squares = [math.log(after / before) ** 2 for before, after in pairwise(closes.closes)]
    if len(squares) < grid.least:
        return None
    mean = sum(squares) / len(squares)
    return math.sqrt(mean * _DAY_NS / grid.step_ns) if mean > 0 else None


def correlation(one: Series, other: Series, grid: GridSettings) -> float | None:
    """Pearson's correlation of two symbols' log returns over the steps of the grid that both have.

    ``None`` where they have too few in common, or one of them has not moved.
    """
    first = max(one.bucket - len(one.closes), other.bucket - len(other.closes))
    last = min(one.bucket, other.bucket)
    left, right = _returns(one, first, last), _returns(other, first, last)
    count = min(len(left), len(right))
    if count < grid.least:
        return None
    mean_left, mean_right = sum(left) / count, sum(right) / count
    left, right = [value - mean_left for value in left], [value - mean_right for value in right]
    spread = math.sqrt(sum(value * value for value in left) * sum(value * value for value in right))
    if spread == 0:
        return None
    together = sum(a * b for a, b in zip(left, right, strict=True))
    return min(max(together / spread, -1.0), 1.0)


def _returns(series: Series, first: int, last: int) -> list[float]:
    start = series.bucket - len(series.closes)
    closes = series.closes[max(first - start, 0) : max(last - start, 0)]
    return [math.log(after / before) for before, after in pairwise(closes)]


class Correlations:
    """Correlations already reckoned: one changes only when a step of the grid ends for one of the two."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[int, int, float | None]] = {}

    def between(self, markets: dict[str, Market], one: str, other: str, grid: GridSettings) -> float | None:
        """``correlation`` of two symbols' markets."""
        left, right = markets.get(one), markets.get(other)
        if left is None or right is None:
            return None
        known = self._known.get((one, other))
        at = (left.closes.bucket, right.closes.bucket)
        if known is None or known[:2] != at:
            known = self._known[one, other] = (*at, correlation(left.closes, right.closes, grid))
        return known[2]
