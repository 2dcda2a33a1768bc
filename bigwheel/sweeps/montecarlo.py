"""Monte Carlo on one backtest: what else could have come of the same days, or of the same round trips.

Paths are drawn by the bootstrap: D. N. Politis and J. P. Romano, "The stationary bootstrap", Journal of the American
Statistical Association 89, 1994, 1303-1313. Blocks of the observations, their lengths geometric with a given mean and
their starts uniform, are laid end to end, the series being closed to a circle. With a mean of 1 that is the bootstrap
of independent observations (B. Efron, The Annals of Statistics 7, 1979, 1-26).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np

from bigwheel.reports.result import BacktestResult
from bigwheel.reports.returns import Floats, Integers, calendar_of
from bigwheel.reports.statistics import daily_of, floats, integers
from bigwheel.sweeps.errors import SweepError

DAYS, TRADES, VENUE = "days", "trades", "venue"
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
DEPTHS = (0.1, 0.2, 0.3, 0.5)
"""Drawdowns whose probability is told."""
RUNS = 20
"""Runs with other seeds, where nothing else is asked for (never more than there are paths)."""

_FORM = "1000, or 1000,block=5,runs=20,jitter=0.5"
_AT_ONCE = 4_000_000
"""Observations of paths that are in memory at one time."""
_LEAST = 2


class MonteCarlo(msgspec.Struct, frozen=True):
    """What is asked for.

    Args:
        paths: bootstrap paths, of the daily returns and of the round trips each.
        runs: backtests with other seeds of the venue's made-up depth; ``None`` takes ``RUNS``.
        jitter: how far the latency of each such run is from the told one at most, as a fraction of it, 0 to 1.
        block: the mean length of blocks of days; 0 takes the cube root of their number, the order at which the
            error of a block bootstrap's variance is least (P. Hall, J. L. Horowitz and B.-Y. Jing, Biometrika 82,
            1995, 561-574). Round trips are drawn one by one.

    Raises:
        SweepError: one of them is out of its bounds.
    """

    paths: int
    runs: int | None = None
    jitter: float = 0.0
    block: float = 0.0

    def __post_init__(self) -> None:
        if self.paths < 1 or (self.runs or 0) < 0 or not 0 <= self.jitter <= 1 or (self.block and self.block < 1):
            raise SweepError(
                "expected Monte Carlo with at least 1 path, runs of 0 or more, a jitter of 0 to 1 and blocks of 1 or "
                f"more, found {self.paths} paths, {self.runs} runs, jitter {self.jitter:g}, block {self.block:g}"
            )

    @classmethod
    def parse(cls, text: str) -> MonteCarlo:
        """``1000``, then ``,runs=20``, ``,jitter=0.5`` and ``,block=5`` as they are wanted.

        Raises:
            SweepError: it is something else.
        """
        paths, *more = (part.strip() for part in text.split(","))
        told: dict[str, float] = {}
        try:
            for part in more:
                name, _, number = part.partition("=")
                if name not in ("runs", "jitter", "block") or name in told:
                    raise ValueError(part)
                told[name] = int(number) if name == "runs" else float(number)
            runs = int(told["runs"]) if "runs" in told else None
            return cls(int(paths), runs, told.get("jitter", 0.0), told.get("block", 0.0))
        except ValueError as error:
            raise SweepError(f"expected --monte-carlo as {_FORM}, found {text!r}") from error

    def seeds(self, seed: int, latency_ms: float) -> list[tuple[int, float]]:
        """The seed and latency in ms of each run; the seeds are those after ``seed``."""
        count = min(RUNS, self.paths) if self.runs is None else self.runs
        told = range(seed + 1, seed + 1 + count)
        return [
            (one, latency_ms * (1 + self.jitter * float(np.random.default_rng(one).uniform(-1, 1)))) for one in told
        ]


class Paths(NamedTuple):
    """Where each path ended and how deep it sank on its way (a fraction of its peak), shape (paths,)."""

    final: Floats
    drawdown: Floats


def stationary(rng: np.random.Generator, observations: int, paths: int, block: float) -> Integers:
    """Indices of observations for ``paths`` series as long as the observed one, shape (paths, observations).

    Args:
        rng: where chance comes from.
        observations: how many there are, at least 1.
        paths: rows.
        block: the mean length of blocks, 1 or more.
    """
    shape = (paths, observations)
    anew = rng.random(shape) < 1.0 / block
    anew[:, 0] = True
    at = np.arange(observations)
    begun = np.maximum.accumulate(np.where(anew, at, 0), axis=1)
    starts = rng.integers(0, observations, shape)
    return np.asarray((np.take_along_axis(starts, begun, axis=1) + at - begun) % observations, np.int64)


def compounded(rng: np.random.Generator, returns: Floats, start: float, paths: int, block: float) -> Paths:
    """Paths of daily returns, each on what the one before left; one of -1 or less ends a path at 0."""
    growth = np.maximum(1.0 + returns, 0.0)

    def curves(drawn: Integers) -> Floats:
        return np.asarray(start * np.cumprod(growth[drawn], axis=1), np.float64)

    return _paths(rng, len(returns), start, paths, block, curves)


def added(rng: np.random.Generator, profits: Floats, start: float, paths: int) -> Paths:
    """Paths of the profits of round trips, drawn independently and added up; sizes don't follow equity."""

    def curves(drawn: Integers) -> Floats:
        return np.asarray(start + np.cumsum(profits[drawn], axis=1), np.float64)

    return _paths(rng, len(profits), start, paths, 1.0, curves)


def _paths(rng: np.random.Generator, observations: int, start: float, paths: int, block: float, curves: Any) -> Paths:
    """All paths, in portions that fit into memory."""
    final, drawdown = np.empty(paths), np.empty(paths)
    most = max(1, _AT_ONCE // observations)
    for first in range(0, paths, most):
        rows = slice(first, min(first + most, paths))
        equity = curves(stationary(rng, observations, rows.stop - first, block))
        peaks = np.maximum(np.maximum.accumulate(equity, axis=1), start)
        final[rows] = equity[:, -1]
        drawdown[rows] = np.max(1.0 - equity / peaks, axis=1)
    return Paths(final, np.maximum(drawdown, 0.0))


def resampled(result: BacktestResult, told: MonteCarlo, seed: int) -> dict[str, tuple[Paths, dict[str, Any]]]:
    """By method the paths and what they are made of; a method is left out where there are fewer than two observations.

    ``days`` compounds daily returns, drawn in blocks; ``trades`` adds up the profits of round trips.
    """
    start = float(result.summary["starting_cash"])
    returns = daily_of(result, calendar_of(integers(result.equity, "ts_ns"))).returns
    profits = floats(result.trades, "pnl")
    found: dict[str, tuple[Paths, dict[str, Any]]] = {}
    if len(returns) >= _LEAST:
        block = min(told.block or max(1.0, len(returns) ** (1 / 3)), float(len(returns)))
        paths = compounded(np.random.default_rng([seed, 0]), returns, start, told.paths, block)
        found[DAYS] = (paths, {"observations": len(returns), "block": block})
    if len(profits) >= _LEAST:
        paths = added(np.random.default_rng([seed, 1]), profits, start, told.paths)
        found[TRADES] = (paths, {"observations": len(profits), "block": 1.0})
    return found


def distribution(paths: Paths, start: float) -> dict[str, Any]:
    """What the paths are like together: JSON-ready.

    ``final_equity`` and ``max_drawdown`` have ``mean``, ``deviation`` (of the sample; ``None`` for one path) and
    ``quantiles`` by their text; ``probability_of_loss`` is the share that ended below ``start``,
    ``probability_of_drawdown`` by depth the share that sank so far at least.
    """
    return {
        "paths": len(paths.final),
        "final_equity": _spread(paths.final),
        "max_drawdown": _spread(paths.drawdown),
        "probability_of_loss": float(np.mean(paths.final < start)),
        "probability_of_drawdown": {f"{depth:g}": float(np.mean(paths.drawdown >= depth)) for depth in DEPTHS},
    }


def _spread(values: Floats) -> dict[str, Any]:
    levels = np.quantile(values, QUANTILES)
    return {
        "mean": float(values.mean()),
        "deviation": float(values.std(ddof=1)) if len(values) >= _LEAST else None,
        "quantiles": {f"{part:g}": float(level) for part, level in zip(QUANTILES, levels, strict=True)},
    }
