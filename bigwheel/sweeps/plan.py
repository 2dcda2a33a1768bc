"""What a sweep is made of, and whether it can be run at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bigwheel.backtests.feed import Feed
from bigwheel.backtests.roster import Lineup
from bigwheel.backtests.run import Told, prepared
from bigwheel.sweeps.errors import SweepError
from bigwheel.sweeps.forward import Span, span_of
from bigwheel.sweeps.grid import Grid, Params, combinations
from bigwheel.sweeps.montecarlo import MonteCarlo
from bigwheel.sweeps.rows import ensure_metric
from bigwheel.sweeps.terms import Terms
from bigwheel.sweeps.windows import WalkForward

_TRIED = 1_000
"""So many combinations are tried out for one that the strategy accepts, before any is run."""


class Wanted(NamedTuple):
    """What is to be made of the runs."""

    metric: str
    walk_forward: WalkForward | None
    monte_carlo: MonteCarlo | None
    report: Path | None

    @property
    def runs(self) -> int:
        """How many runs Monte Carlo and the report add, at most."""
        if self.walk_forward is not None:
            return 0
        chance = len(self.monte_carlo.seeds(0, 0.0)) if self.monte_carlo is not None else 0
        return chance + (self.monte_carlo is not None or self.report is not None)


def wanted_of(
    metric: str,
    walk_forward: WalkForward | str | None,
    monte_carlo: MonteCarlo | str | int | None,
    report: str | Path | None,
) -> Wanted:
    """See ``bigwheel.sweep``.

    Raises:
        SweepError: there is no such metric, or one of the others can't be read.
    """
    ensure_metric(metric)
    forward = WalkForward.parse(walk_forward) if isinstance(walk_forward, str) else walk_forward
    chance = MonteCarlo.parse(str(monte_carlo)) if isinstance(monte_carlo, str | int) else monte_carlo
    if forward is not None and chance is not None and chance.runs:
        raise SweepError(
            "expected Monte Carlo without runs of its own on a walk-forward, whose tests are many runs, found "
            f"runs={chance.runs}; leave it out"
        )
    return Wanted(metric, forward, chance, Path(report) if report is not None else None)


class Plan(NamedTuple):
    """The runs: combinations of parameters, on the same terms."""

    terms: Terms
    grid: Grid
    fixed: Params
    where: tuple[str, ...]
    samples: int | None
    combinations: list[Params]

    def description(self, walk_forward: WalkForward | None) -> dict[str, Any]:
        """What says whether a folder holds this sweep."""
        terms = self.terms
        return {
            **terms.identity,
            "from_ns": terms.start_ns,
            "to_ns": terms.end_ns,
            "latency_ms": terms.latency_ms,
            "seed": terms.seed,
            "params": self.fixed,
            "grid": self.grid.values,
            "where": self.where,
            "samples": self.samples,
            "walk_forward": msgspec.to_builtins(walk_forward),
        }

    def accepted(self) -> Lineup:
        """The strategies with the first combination that they take.

        Raises:
            StrategyError: they take none of the first; says what is wrong with the very first.
        """
        first: Exception | None = None
        for params in self.combinations[:_TRIED]:
            try:
                return self.terms.roster.lineup(params)
            except Exception as error:
                # A strategy's own code may raise anything; as a run it would be a row with this error.
                first = first or error
        assert first is not None
        raise first

    def span(self, catalog: Path, tried: Lineup) -> Span:
        """The span of the data, once everything that a run needs was put together from them.

        Raises:
            SweepError, BacktestError, StrategyError, ConfigError, DataError: no run is possible.
        """
        terms = self.terms
        told = Told(terms.cash, terms.costs, terms.latency_ms, seed=terms.seed)
        with Feed(catalog, terms.symbols, terms.start_ns, terms.end_ns, traders=tried.traders) as feed:
            prepared(tried, feed, catalog, told)
            return span_of(feed)


def plan_of(terms: Terms, grid: Grid, fixed: Params, where: str | Sequence[str], samples: int | None) -> Plan:
    """See ``bigwheel.sweep``.

    Raises:
        SweepError: a condition can't be used, or no combination meets them.
    """
    conditions = (where,) if isinstance(where, str) else tuple(where)
    chosen = combinations(grid, fixed, conditions, samples, terms.seed)
    return Plan(terms, grid, fixed, conditions, samples, chosen)
