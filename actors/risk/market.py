"""What the risk supervisor knows of one symbol's market besides its price."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from decimal import Decimal
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
        self.extend((data,), (price,), settings)

    def extend(self, data: Sequence[MarketData], prices: Sequence[float], settings: RiskSettings) -> None:
        """Take in market data that imply these prices."""
        grid = settings.grid
        times = [each.ts_ns if each.ts_ns < each.recv_ns else each.recv_ns for each in data]
        self.regime.extend(times, prices, settings.regime)
        for _ in self.closes.extend(times, prices, grid.step_ns, grid.window + 1):
            continue
        for each in {type(each): each for each in data if type(each) is not Bar or each.closed}.values():
            self._latest(each)

    def _latest(self, data: MarketData) -> None:
        """Note the newest of its kind."""
        if isinstance(data, Quote):
            self.touch = Touch(data.bid, data.bid_size, data.ask, data.ask_size, data.recv_ns)
        elif isinstance(data, Depth):
            self.touch = Touch(*data.bids[0], *data.asks[0], data.recv_ns)
        elif isinstance(data, Bar):
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


class Returns(msgspec.Struct, frozen=True):
    """A series' log returns up to the bucket ``end``, and the same less their mean, scaled to length 1."""

    end: int
    values: list[float]
    direction: list[float] | None


def returns(series: Series) -> Returns:
    """The log returns of a series; without a ``direction`` where it has not moved."""
    values = [math.log(after / before) for before, after in pairwise(series.closes)]
    return Returns(series.bucket, values, _direction(values))


def correlation(one: Returns, other: Returns, grid: GridSettings) -> float | None:
    """Pearson's correlation of two symbols' log returns over the steps of the grid that both have.

    ``None`` where they have too few in common, or one of them has not moved.
    """
    if one.end == other.end and len(one.values) == len(other.values):
        left, right, count = one.direction, other.direction, len(one.values)
    else:
        last = min(one.end, other.end)
        first = max(one.end - len(one.values), other.end - len(other.values))
        count = last - first
        left, right = (_direction(_between(each, first, last)) for each in (one, other))
    if count < grid.least or left is None or right is None:
        return None
    together: float = sum(map(operator.mul, left, right))
    return min(max(together, -1.0), 1.0)


def _between(told: Returns, first: int, last: int) -> list[float]:
    start = told.end - len(told.values)
    return told.values[max(first - start, 0) : max(last - start, 0)]


def _direction(values: list[float]) -> list[float] | None:
    if not values:
        return None
    mean = sum(values) / len(values)
    apart = [value - mean for value in values]
    length = math.sqrt(sum(value * value for value in apart))
    return [value / length for value in apart] if length > 0 else None


class Correlations:
    """Correlations already reckoned: one changes only when a step of the grid ends for one of the two."""

    def __init__(self) -> None:
        self._returns: dict[str, Returns] = {}
        self._known: dict[tuple[str, str], tuple[int, int, Decimal | None]] = {}

    def between(self, markets: dict[str, Market], one: str, other: str, grid: GridSettings) -> Decimal | None:
        """``correlation`` of two symbols' markets, to six digits."""
        left, right = markets.get(one), markets.get(other)
        if left is None or right is None:
            return None
        known = self._known.get((one, other))
        if known is not None and known[0] == left.closes.bucket and known[1] == right.closes.bucket:
            return known[2]
        rho = correlation(self._of(one, left.closes), self._of(other, right.closes), grid)
        exact = None if rho is None else Decimal(f"{rho:.6f}")
        self._known[one, other] = (left.closes.bucket, right.closes.bucket, exact)
        return exact

    def _of(self, symbol: str, series: Series) -> Returns:
        known = self._returns.get(symbol)
        if known is None or known.end != series.bucket:
            known = self._returns[symbol] = returns(series)
        return known
