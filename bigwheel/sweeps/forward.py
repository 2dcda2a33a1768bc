"""Walk-forward: parameters are chosen on one stretch of time and tested on the unseen one after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from bigwheel.backtests.feed import Feed
from bigwheel.backtests.result import BacktestResult
from bigwheel.reports.figures import plain
from bigwheel.reports.returns import calendar_of
from bigwheel.reports.statistics import floats, integers, statistics
from bigwheel.sweeps.errors import SweepError
from bigwheel.sweeps.grid import Params
from bigwheel.sweeps.rows import best, metric_names, named, score, table_of
from bigwheel.sweeps.runner import Runner
from bigwheel.sweeps.terms import Terms
from bigwheel.sweeps.trial import Case, Outcome
from bigwheel.sweeps.windows import WalkForward, Window, windows

Json = dict[str, Any]

_OWN = ("symbols", "from", "to", "starting_cash", "final_equity", "events_per_second", "funding_rates")
"""Parts of a summary that don't add up."""


_RATIOS = ("sharpe", "sortino", "drawdown", "hit_rate", "profit_factor", "in_market", "mean_notional", "turnover")
"""Parts of a strategy's performance that don't add up either."""


class Trained(NamedTuple):
    """A window: the run that was chosen on its training, and what became of it in the test."""

    window: Window
    params: Params | None
    inside: Outcome | None
    outside: Outcome | None
    error: str


class Walk(NamedTuple):
    """All of a walk-forward: the training runs with the window of each, and the windows."""

    cases: list[Case]
    outcomes: list[Outcome]
    windows: list[Window]
    """That of each case."""
    trained: list[Trained]

    @property
    def tests(self) -> list[BacktestResult]:
        """The results of the tests, in the order of time."""
        tested = (each.outside for each in self.trained)
        return [each.result for each in tested if each is not None and each.result is not None]


class Span(NamedTuple):
    """The data's first moment, and the one after the last."""

    first_ns: int
    end_ns: int


def span_of(feed: Feed) -> Span:
    """The span of a feed's data.

    Raises:
        SweepError: there are none.
    """
    held = [each for each in map(feed.catalog.holding, feed.series) if each.rows]
    first_ns = max(feed.start_ns, min((each.first_ns for each in held), default=feed.end_ns))
    end_ns = max((each.last_ns + max(each.series.interval_ns, 1) for each in held), default=0)
    if first_ns >= min(feed.end_ns, end_ns):
        raise SweepError("expected market data between start and end, found none; widen the span")
    return Span(first_ns, min(feed.end_ns, end_ns))


class Forward:
    """The windows of ``told`` over ``span``, with every combination trained in each.

    Raises:
        SweepError: not one window fits.
    """

    def __init__(self, terms: Terms, told: WalkForward, span: Span, combinations: Sequence[Params]) -> None:
        self._terms = terms
        self._each = windows(told, span.first_ns, span.end_ns)
        self._combinations = combinations

    @property
    def total(self) -> int:
        """How many runs there are, at most."""
        return len(self._each) * (len(self._combinations) + 1)

    def run(self, runner: Runner, metric: str) -> Walk:
        """Train in all windows, then test in each what was best by ``metric`` there.

        A bar belongs to a window if it begins and ends in it, so that no training knows of anything after it.
        """
        cases = [
            self._terms.case(params, window.train_ns, window.test_ns)
            for window in self._each
            for params in self._combinations
        ]
        outcomes = runner.run(cases)
        size = len(self._combinations)
        chosen = [best(outcomes[at : at + size], metric) for at in range(0, len(cases), size)]
        tests = {
            place: self._terms.case(self._combinations[choice], window.test_ns, window.end_ns, tables=True)
            for place, (window, choice) in enumerate(zip(self._each, chosen, strict=True))
            if choice is not None
        }
        tested = dict(zip(tests, runner.run(list(tests.values())), strict=True))
        trained = []
        for place, (window, choice) in enumerate(zip(self._each, chosen, strict=True)):
            if choice is None:
                error = f"no run of its training has a {metric.removeprefix('-')}"
                trained.append(Trained(window, None, None, None, error))
                continue
            inside, outside = outcomes[place * size + choice], tested[place]
            trained.append(Trained(window, self._combinations[choice], inside, outside, outside.error))
        owners = [window for window in self._each for _ in self._combinations]
        return Walk(cases, outcomes, owners, trained)


def windows_table(walk: Walk) -> pa.Table:
    """A row for each window: its times, the chosen parameters, ``in_*`` and ``out_*`` metrics, ``error``.

    ``train_from_ns`` to ``test_from_ns`` is the training, ``test_from_ns`` to ``test_to_ns`` the test.
    """
    each = walk.trained
    names = tuple(walk.cases[0].params)

    def column(outcomes: list[Outcome | None], name: str) -> list[Any]:
        return [outcome.metrics.get(name) if outcome is not None else None for outcome in outcomes]

    inside, outside = [one.inside for one in each], [one.outside for one in each]
    return table_of(
        {
            **{name: [one.params[name] if one.params is not None else None for one in each] for name in names},
            named("window", names): [one.window.number for one in each],
            named("train_from_ns", names): [one.window.train_ns for one in each],
            named("test_from_ns", names): [one.window.test_ns for one in each],
            named("test_to_ns", names): [one.window.end_ns for one in each],
            **{named(f"in_{name}", names): column(inside, name) for name in metric_names()},
            **{named(f"out_{name}", names): column(outside, name) for name in metric_names()},
            named("error", names): [one.error for one in each],
        }
    )


def joined(results: Sequence[BacktestResult]) -> BacktestResult:
    """Tests one after the other as one result.

    Each began with the same cash: profits are added up, not reinvested. A position that was open at the end of one is
    valued there and not carried into the next.
    """
    first, start = results[0], float(results[0].summary["starting_cash"])
    equity = np.concatenate([floats(each.equity, "equity") for each in results])
    gains = [float(each.summary["final_equity"]) - start for each in results]
    rows = [each.equity.num_rows for each in results]
    lift = np.repeat(np.concatenate(([0.0], np.cumsum(gains)[:-1])), rows)
    whole = equity + lift
    peaks = np.maximum(np.maximum.accumulate(whole), start)
    curve = pa.concat_tables([each.equity for each in results])
    for name, values in (
        ("equity", whole),
        ("cash", floats(curve, "cash") + lift),
        ("drawdown", np.where(peaks > 0, 1 - whole / peaks, 0.0)),
    ):
        curve = curve.set_column(curve.column_names.index(name), curve.schema.field(name), pa.array(values))
    tables = {
        name: pa.concat_tables([getattr(each, name) for each in results])
        for name in ("orders", "fills", "trades", "signals")
    }
    prices = [each.prices for each in results if each.prices is not None]
    summary = _summed([each.summary for each in results], start, start + sum(gains))
    return BacktestResult(
        first.strategy, {}, summary, equity=curve, prices=pa.concat_tables(prices) if prices else None, **tables
    )


def _summed(summaries: Sequence[Mapping[str, Any]], start: float, final: float) -> Json:
    found: Json = dict(summaries[0])
    for name, value in summaries[0].items():
        if name in _OWN:
            continue
        if name == "strategies":
            found[name] = {label: _added([each[name][label] for each in summaries]) for label in value}
        elif isinstance(value, Mapping):
            counted: Counter[str] = Counter()
            for each in summaries:
                counted.update(each[name])
            found[name] = dict(sorted(counted.items()))
        else:
            found[name] = sum(each[name] for each in summaries)
    found |= {"to": summaries[-1]["to"], "starting_cash": start, "final_equity": final}
    found["events_per_second"] = found["events"] / found["seconds"] if found["seconds"] else 0.0
    return found


def _added(performances: Sequence[Mapping[str, Any]]) -> Json:
    """What of a strategy's performance adds up over the tests; ``return`` is of the capital it had in each."""
    found = {name: sum(each[name] for each in performances) for name in ("profit", "trades", "fills", "signals")}
    capital = performances[0]["capital"]
    return {**performances[0], **dict.fromkeys(_RATIOS), **found, "return": found["profit"] / capital}


def walk_figures(walk: Walk, metric: str, whole: BacktestResult | None) -> Json:
    """What a walk-forward came to, JSON-ready.

    ``statistics`` are those of the joined tests (``None`` if there was none), ``rows`` the windows, ``swept`` the
    parameters that took several values. ``efficiency`` is the mean return of tests over that of their trainings, each
    by unit of time (R. Pardo, *The Evaluation and Optimization of Trading Strategies*, 2nd edition, 2008); ``None``
    where the trainings lost.
    """
    rows = [
        {
            "window": each.window.number,
            "train_from_ns": each.window.train_ns,
            "test_from_ns": each.window.test_ns,
            "test_to_ns": each.window.end_ns,
            "params": each.params,
            "inside": score(each.inside.metrics, metric.removeprefix("-")) if each.inside else None,
            "outside": score(each.outside.metrics, metric.removeprefix("-")) if each.outside else None,
            "inside_return": each.inside.metrics.get("total_return") if each.inside else None,
            "outside_return": each.outside.metrics.get("total_return") if each.outside else None,
            "error": each.error,
        }
        for each in walk.trained
    ]
    days = calendar_of(integers(whole.equity, "ts_ns")) if whole is not None else 0
    values = {name: {case.params[name] for case in walk.cases} for name in walk.cases[0].params}
    told = {
        "metric": metric,
        "swept": [name for name, each in values.items() if len(each) > 1],
        "windows": len(rows),
        "tested": len(walk.tests),
        "efficiency": _efficiency(rows),
        "statistics": statistics(whole, days) if whole is not None else None,
        "rows": rows,
    }
    found: Json = plain(told)
    return found


def _efficiency(rows: Sequence[Json]) -> float | None:
    both = [row for row in rows if row["inside_return"] is not None and row["outside_return"] is not None]
    if not both:
        return None
    inside = np.mean([row["inside_return"] / (row["test_from_ns"] - row["train_from_ns"]) for row in both])
    outside = np.mean([row["outside_return"] / (row["test_to_ns"] - row["test_from_ns"]) for row in both])
    return float(outside / inside) if inside > 0 else None
