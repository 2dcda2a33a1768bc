"""How well a strategy does: measured online, from its fills and the market on a fixed grid.

Equity is ``capital`` plus realised and unrealised profit less fees, and a return is its change from one
moment of the grid to the next over what it was before. The formulas are those of empyrical: Sharpe
ratio the mean return over its sample deviation, Sortino ratio the mean over the root of the mean
squared loss, both times the root of the returns in a year; drawdown the equity over its highest so
far, less 1. Statistics are float64; what was bought for how much stays exact elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import sqrt

import msgspec

from exchanges.model.order import Fill
from exchanges.model.position import Position

YEAR_NS = 365 * 86_400 * 1_000_000_000
KEPT = 120
"""Moments of the grid kept as a curve, for the sum over several strategies."""

_LEAST = 2
"""Returns before there is a deviation."""


class Ratios(msgspec.Struct):
    """Running moments of a series of returns."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    losses: float = 0.0
    """The sum of squared negative returns."""
    level: float = 1.0
    highest: float = 1.0
    drawdown: float = 0.0
    """The deepest so far, 0 or less."""

    def add(self, change: float) -> None:
        """Take in one return (B. P. Welford's update, 1962)."""
        self.count += 1
        off = change - self.mean
        self.mean += off / self.count
        self.squares += off * (change - self.mean)
        self.losses += min(change, 0.0) ** 2
        self.level *= 1.0 + change
        self.highest = max(self.highest, self.level)
        self.drawdown = min(self.drawdown, self.level / self.highest - 1.0)

    def idle(self, count: int) -> None:
        """Take in ``count`` returns of 0 at once."""
        total = self.count + count
        self.squares += self.mean * self.mean * self.count * count / total
        self.mean *= self.count / total
        self.count = total

    @property
    def deviation(self) -> float | None:
        """The sample's standard deviation; ``None`` below two returns."""
        return sqrt(self.squares / (self.count - 1)) if self.count >= _LEAST else None

    def sharpe(self, a_year: float) -> float | None:
        """Annualised; ``None`` while nothing has varied."""
        deviation = self.deviation
        return self.mean / deviation * sqrt(a_year) if deviation else None

    def sortino(self, a_year: float) -> float | None:
        """Annualised; ``None`` while nothing was lost."""
        downside = sqrt(self.losses / self.count) if self.count else 0.0
        return self.mean / downside * sqrt(a_year) if downside > 0 else None


class Moment(msgspec.Struct, array_like=True):
    """One moment of the grid: its number since the epoch, the profit so far, and what was held."""

    number: int
    profit: float
    notional: float


class PerformanceState(msgspec.Struct):
    """What ``Performance`` goes on from. Money is in the quote currency."""

    ratios: Ratios = msgspec.field(default_factory=Ratios)
    began_ns: int = 0
    number: int = 0
    """The last moment of the grid that was measured; 0 before the first."""
    profit: float = 0.0
    """As of that moment."""
    fills: int = 0
    turnover: float = 0.0
    wins: int = 0
    losses: int = 0
    won: float = 0.0
    lost: float = 0.0
    held: int = 0
    """Moments at which something was held."""
    notional: float = 0.0
    """What was held, summed over all moments."""
    results: dict[str, float] = {}
    """By symbol, what the trade under way has realised so far, less fees."""
    curve: list[Moment] = []


class Performance:
    """One strategy's performance on its symbols.

    Args:
        capital: what returns are measured against, in the quote currency.
        grid_ns: the time from one measurement to the next.
    """

    def __init__(self, capital: float, grid_ns: int, state: PerformanceState | None = None) -> None:
        self.capital, self.grid_ns = capital, grid_ns
        self.state = state if state is not None else PerformanceState()
        self.due_ns = (self.state.number + 1) * grid_ns if self.state.number else 0
        """From this time on ``sample`` has something to do."""

    @property
    def a_year(self) -> float:
        """The factor of annualisation: returns in a year of 365 days, around the clock."""
        return YEAR_NS / self.grid_ns

    def fill(self, before: Position, after: Position, fill: Fill) -> None:
        """Take in one fill, with the position before and after it.

        A trade is what lies between flat and flat; one that turns the position ends it as well.
        """
        state, symbol = self.state, fill.symbol
        state.fills += 1
        state.turnover += float(fill.quantity * fill.price)
        result = state.results.get(symbol, 0.0) + float(after.net - before.net)
        state.results[symbol] = result
        if before.quantity and before.quantity * after.quantity <= 0:
            del state.results[symbol]
            if result > 0:
                state.wins += 1
                state.won += result
            else:
                state.losses += 1
                state.lost -= result

    def sample(self, now_ns: int, positions: Mapping[str, Position], prices: Mapping[str, float]) -> None:
        """Measure at the moments of the grid that have passed up to ``now_ns``; ``prices`` are the last known."""
        state, number = self.state, now_ns // self.grid_ns
        self.due_ns = (number + 1) * self.grid_ns
        if not state.number:
            state.began_ns, state.number = now_ns, number
            state.profit, notional = self.standing(positions, prices)
            state.curve.append(Moment(number, state.profit, notional))
            return
        passed = number - state.number
        if passed <= 0:
            return
        profit, notional = self.standing(positions, prices)
        if passed > 1:
            state.ratios.idle(passed - 1)
        equity = self.capital + state.profit
        state.ratios.add((profit - state.profit) / equity if equity > 0 else 0.0)
        state.profit, state.number = profit, number
        state.held += passed if notional else 0
        state.notional += notional * passed
        state.curve.append(Moment(number, profit, notional))
        del state.curve[:-KEPT]

    def standing(self, positions: Mapping[str, Position], prices: Mapping[str, float]) -> tuple[float, float]:
        """Profit so far, and what is held at market prices (at cost where none is known)."""
        profit = notional = 0.0
        for symbol, held in positions.items():
            quantity, cost = float(held.quantity), float(held.cost)
            worth = quantity * price if (price := prices.get(symbol, 0.0)) else cost
            profit += float(held.net) + worth - cost
            notional += abs(worth)
        return profit, notional

    def report(self, positions: Mapping[str, Position], prices: Mapping[str, float]) -> dict[str, object]:
        """Every figure as of now, JSON-ready; see ``figures``. ``curve`` are the last moments of the grid."""
        state = self.state
        profit, notional = self.standing(positions, prices)
        return {
            "capital": self.capital,
            "profit": profit,
            "notional": notional,
            "fills": state.fills,
            "turnover": state.turnover,
            "wins": state.wins,
            "losses": state.losses,
            "won": state.won,
            "lost": state.lost,
            "moments": state.ratios.count,
            "moments_held": state.held,
            "notional_sum": state.notional,
            "grid_ns": self.grid_ns,
            "a_year": self.a_year,
            "began_ns": state.began_ns,
            "sharpe": state.ratios.sharpe(self.a_year),
            "sortino": state.ratios.sortino(self.a_year),
            "drawdown": state.ratios.drawdown,
            "curve": [[moment.number, moment.profit, moment.notional] for moment in state.curve],
        }


def combined(curves: Iterable[Iterable[tuple[int, float, float]]], capital: float) -> Ratios:
    """The moments of several strategies' curves taken together, over the time that all of them cover."""
    tables = [{int(number): profit for number, profit, _ in curve} for curve in curves]
    ratios = Ratios()
    tables = [table for table in tables if table]
    if not tables or capital <= 0:
        return ratios
    first, last = max(min(table) for table in tables), min(max(table) for table in tables)
    latest = [_at(table, first) for table in tables]
    equity = capital + sum(latest)
    for number in range(first + 1, last + 1):
        latest = [table.get(number, before) for table, before in zip(tables, latest, strict=True)]
        worth = capital + sum(latest)
        ratios.add(worth / equity - 1.0 if equity > 0 else 0.0)
        equity = worth
    return ratios


def _at(table: Mapping[int, float], number: int) -> float:
    """The profit at a moment: that of the last one measured up to it."""
    return table[max(known for known in table if known <= number)]
