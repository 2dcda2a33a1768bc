"""A sweep from its plan to the files it leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from bigwheel.backtests.result import BacktestResult
from bigwheel.reports import write_report
from bigwheel.reports.figures import plain
from bigwheel.sweeps.chance import cases_of, monte_carlo
from bigwheel.sweeps.crew import Crew, Here
from bigwheel.sweeps.errors import SweepError
from bigwheel.sweeps.folder import Folder, write_whole
from bigwheel.sweeps.forward import Forward, joined, walk_figures, windows_table
from bigwheel.sweeps.machine import Machine
from bigwheel.sweeps.plan import Plan, Wanted
from bigwheel.sweeps.result import PATHS, SUMMARY, TABLE, WINDOWS, SweepResult
from bigwheel.sweeps.rows import best, named, score, sweep_table
from bigwheel.sweeps.runner import Progress, Runner
from bigwheel.sweeps.trial import Case, Desk
from exchanges.recording.files import Draft

Json = dict[str, Any]


class Labour(NamedTuple):
    """Who does the work; see ``bigwheel.sweep``."""

    jobs: int | None
    address: str | None
    progress: Progress | None
    timeout_s: float


class Made(NamedTuple):
    """What came of the runs, before it is written."""

    table: pa.Table
    figures: Json
    windows: pa.Table | None = None
    paths: pa.Table | None = None
    chosen: BacktestResult | None = None


def carry_out(plan: Plan, room: Path, wanted: Wanted, labour: Labour) -> SweepResult:
    """Run what is missing in the folder ``room``, and write what came of all; see ``bigwheel.sweep``."""
    if labour.jobs is not None and labour.jobs < 0:
        raise SweepError(f"expected jobs of 0 or more, found {labour.jobs}")
    if not 0 <= labour.timeout_s < float("inf"):
        raise SweepError(f"expected a timeout of 0 seconds (none) or more, found {labour.timeout_s}")
    tried = plan.accepted()
    with Folder(room) as folder:
        folder.agree(plan.description(wanted.walk_forward))
        try:
            catalog = folder.catalog(plan.terms.source, plan.terms.symbols)
            span = plan.span(catalog, tried)
            told = wanted.walk_forward
            forward = Forward(plan.terms, told, span, plan.combinations) if told is not None else None
        except BaseException:
            folder.forget()
            raise
        total = (forward.total if forward is not None else len(plan.combinations)) + wanted.runs
        crew = _crew(plan, catalog, labour)
        try:
            runner = Runner(folder, crew, total, labour.progress)
            made = _forward(plan, forward, runner, wanted) if forward is not None else _plain(plan, runner, wanted)
        finally:
            crew.close()
        return _written(plan, room, made, wanted)


def _crew(plan: Plan, catalog: Path, labour: Labour) -> Crew:
    terms = plan.terms
    if labour.jobs == 0:
        return Here(Desk(terms.job(catalog, pickled=False), terms.roster), labour.timeout_s)
    return Machine(terms.job(catalog), terms.settings, labour.jobs, labour.address, labour.timeout_s)


def _plain(plan: Plan, runner: Runner, wanted: Wanted) -> Made:
    """All combinations over the whole span."""
    terms, metric = plan.terms, wanted.metric
    cases = [terms.case(params) for params in plan.combinations]
    outcomes = runner.run(cases)
    place = best(outcomes, metric)
    table = sweep_table(cases, outcomes, {})
    figures: Json = {"runs": len(cases), "failed": sum(bool(each.error) for each in outcomes), "metric": metric}
    figures["best"] = None if place is None else {"params": cases[place].params, **outcomes[place].metrics}
    if place is None or not wanted.runs:
        return Made(table, figures)
    chosen = runner.run([terms.case(cases[place].params, tables=True)])[0].result
    if chosen is None or wanted.monte_carlo is None:
        return Made(table, figures, chosen=chosen)
    more = cases_of(terms, wanted.monte_carlo, cases[place].params)
    paths, told = monte_carlo(chosen, wanted.monte_carlo, terms.seed, more, runner)
    return Made(table, {**figures, "monte_carlo": told}, paths=paths, chosen=chosen)


def _forward(plan: Plan, forward: Forward, runner: Runner, wanted: Wanted) -> Made:
    """All combinations in each window, and what was best there in the next stretch of time."""
    walk = forward.run(runner, wanted.metric)
    whole = joined(walk.tests) if walk.tests else None
    names = tuple(plan.combinations[0])
    windows = {
        named("window", names): [each.number for each in walk.windows],
        named("train_from_ns", names): [each.train_ns for each in walk.windows],
        named("train_to_ns", names): [each.test_ns for each in walk.windows],
    }
    failed = sum(bool(each.error) for each in walk.outcomes)
    figures: Json = {"runs": len(walk.cases), "failed": failed, "metric": wanted.metric, "best": None}
    figures["walk_forward"] = walk_figures(walk, wanted.metric, whole)
    made = Made(sweep_table(walk.cases, walk.outcomes, windows), figures, windows_table(walk), chosen=whole)
    if whole is None or wanted.monte_carlo is None:
        return made
    nothing: list[Case] = []
    paths, told = monte_carlo(whole, wanted.monte_carlo, plan.terms.seed, nothing, runner)
    return made._replace(paths=paths, figures={**figures, "monte_carlo": told})


def _written(plan: Plan, room: Path, made: Made, wanted: Wanted) -> SweepResult:
    """Put the tables, the figures and the report on the disk.

    Raises:
        SweepError: a report was asked for, and there is no run to report on.
    """
    for name, table in ((TABLE, made.table), (WINDOWS, made.windows), (PATHS, made.paths)):
        if table is not None:
            with Draft(room / name, table.schema) as draft:
                draft.add(table)
                draft.keep()
    strategy = plan.terms.title
    figures: Json = plain({"strategy": strategy, **made.figures})
    write_whole(room / SUMMARY, json.dumps(figures, indent=1) + "\n")
    names = tuple(plan.combinations[0])
    if wanted.report is not None:
        _report(made, names, wanted, wanted.report)
    return SweepResult(strategy, room, wanted.metric, names, made.table, figures, made.windows, made.paths, made.chosen)


def _report(made: Made, names: tuple[str, ...], wanted: Wanted, folder: Path) -> None:
    if made.chosen is None:
        raise SweepError(
            f"expected a run with a {wanted.metric.removeprefix('-')} to report on, found none; choose another "
            f"--metric (all runs are kept), or see the column `error` of {TABLE}"
        )
    table = made.table if made.windows is None else None
    bare = wanted.metric.removeprefix("-")
    shown = named(bare, names)
    if table is not None and wanted.metric.startswith("-"):
        # The map shows the highest value as the best one.
        values = [score({bare: value}, wanted.metric) for value in table[shown].to_pylist()]
        table, shown = table.append_column(wanted.metric, pa.array(values, pa.float64())), wanted.metric
    more = {name: made.figures.get(name) for name in ("walk_forward", "monte_carlo")}
    write_report(made.chosen, folder, sweep=table, metric=shown, more=more)
