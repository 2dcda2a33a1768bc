"""Market data taken into a catalog: checked before anything is written; the same rows again change nothing."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from exchanges.catalog.catalog import Catalog
from exchanges.catalog.checks import times
from exchanges.catalog.errors import DataError
from exchanges.catalog.report import EXAMPLES, Example, Fault, Report
from exchanges.catalog.series import Series
from exchanges.catalog.shaping import Portion
from exchanges.catalog.staging import Staging
from exchanges.catalog.validation import Checker, Limits, Policy
from exchanges.recording.compaction import LOCK as COMPACTION
from exchanges.recording.coverage import union
from exchanges.recording.files import Draft, make_folder, ordered
from exchanges.recording.history import EPOCH
from exchanges.recording.layout import (
    Note,
    Partition,
    escaped,
    name_of,
    next_number,
    note_of,
    parts,
    with_note,
)
from exchanges.recording.lock import DOWNLOAD, only_one
from exchanges.recording.merge import merged

_STAGING = ".import-"
_LOCK = ".import.lock"
_PATIENCE_S = 60.0
_LOOK_S = 0.1


class News(NamedTuple):
    """What of the rows of a period a catalog does not hold; ``revised`` counts those it holds with other values."""

    rows: pa.Table
    revised: int
    examples: tuple[Example, ...]


def check(source: str, portions: Iterable[Portion], limits: Limits) -> Report:
    """What is wrong with market data; nothing is kept.

    Raises:
        DataError: it can't be read.
    """
    with tempfile.TemporaryDirectory(prefix="bigwheel-") as folder:
        staging = Staging(Path(folder))
        checkers = _stage(staging, portions, limits)
        for series, checker in checkers.items():
            for period in staging.periods(series):
                checker.keep(staging.take(series, period))
        return Report(source, "", [checkers[series].report for series in sorted(checkers)])


def check_catalog(catalog: Catalog, wanted: Iterable[Series], limits: Limits) -> Report:
    """What is wrong with series of a catalog, read as they stream.

    Raises:
        DataError, RecordingError: a file can't be read.
    """
    report = Report(str(catalog.root), "")
    for series in wanted:
        checker = Checker(series, limits)
        for rows in catalog.portions(series):
            checker.report.rows += rows.num_rows
            checker.keep(rows)
        report.series.append(checker.report)
    return report


def import_rows(
    root: Path, source: str, portions: Iterable[Portion], policy: Policy = Policy.REFUSE, limits: Limits | None = None
) -> Report:
    """Take ``portions`` into the catalog at ``root``, which is made if it is not there.

    If anything can't be right, or could be repaired and is not to be, nothing is written and ``refused`` of the report
    says why. Each period is written in one step; an import that was interrupted is done by doing it again.

    Raises:
        DataError: something can't be read or written, or another process writes to the catalog.
    """
    try:
        return _alone_in(root, source, portions, policy, limits or Limits())
    except OSError as error:
        raise DataError(
            f"expected a catalog that can be written at {root}, found: {error}; free the disk or mend the folder, and "
            f"import again: what is there by now is not written twice"
        ) from error


def _alone_in(root: Path, source: str, portions: Iterable[Portion], policy: Policy, limits: Limits) -> Report:
    make_folder(root)
    with only_one(root / _LOCK) as free:
        if not free:
            raise DataError(f"expected {root} for this import alone, found another one at work in it; wait for it")
        for left in root.glob(f"{_STAGING}*"):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=_STAGING, dir=root) as folder:
            return _import(root, Staging(Path(folder)), source, portions, policy, limits)


def _import(
    root: Path, staging: Staging, source: str, portions: Iterable[Portion], policy: Policy, limits: Limits
) -> Report:
    checkers = _stage(staging, portions, limits)
    with _undisturbed(root, {series.venue for series in checkers}):
        catalog, revised = Catalog(root), Counter[tuple[Series, str]]()
        for series, checker in checkers.items():
            for period in staging.periods(series):
                kept = checker.keep(staging.take(series, period))
                found = news(catalog, series, kept)
                checker.report.find(Fault.REVISION, found.revised, found.examples)
                revised[series, period] = found.revised
                staging.add(Portion(series, found.rows))
        report = Report(source, policy.value, [checkers[series].report for series in sorted(checkers)])
        if report.impossible or (policy is Policy.REFUSE and report.repairable):
            report.refused = report.worst()
            return report
        for series, checker in checkers.items():
            checker.repaired()
            for period in staging.periods(series):
                rows = staging.take(series, period)
                _publish(root, series, period, rows, replace=bool(revised[series, period]))
                checker.report.added += rows.num_rows - revised[series, period]
                checker.report.revised += revised[series, period]
    return report


def _stage(staging: Staging, portions: Iterable[Portion], limits: Limits) -> dict[Series, Checker]:
    checkers: dict[Series, Checker] = {}
    for portion in portions:
        checker = checkers.get(portion.series)
        if checker is None:
            checker = checkers[portion.series] = Checker(portion.series, limits)
        checker.arrive(portion.rows)
        staging.add(portion)
    return checkers


@contextmanager
def _undisturbed(root: Path, venues: Iterable[str]) -> Iterator[None]:
    """Keep downloads and compactions of these venues away for a while."""
    with ExitStack() as held:
        for venue in sorted(venues):
            folder = root / f"venue={escaped(venue)}"
            make_folder(folder)
            for lock in (DOWNLOAD, COMPACTION):
                _hold(held, folder / lock)
        yield


def _hold(held: ExitStack, path: Path) -> None:
    end = time.monotonic() + _PATIENCE_S
    while True:
        attempt = ExitStack()
        if attempt.enter_context(only_one(path)):
            held.enter_context(attempt)
            return
        attempt.close()
        if time.monotonic() > end:
            raise DataError(f"expected {path.parent} for this import, found another process at work in it; wait for it")
        time.sleep(_LOOK_S)


# -- what is new -------------------------------------------------------------------------------


def news(catalog: Catalog, series: Series, rows: pa.Table) -> News:
    """The rows that the catalog does not hold. Rows without an identity count: two that are equal must be there twice.

    ``rows`` are in time order, each of them once.
    """
    schema = series.table.schema
    rows = rows.select(schema.names).cast(schema)
    if not rows.num_rows:
        return News(rows, 0, ())
    at = times(rows)
    there = catalog.table(series, int(at[0]), int(at[-1]) + 1)
    names = [name for name in rows.column_names if name != "recv_ns"]
    if not there.num_rows:
        return News(rows, 0, ())
    if there.select(names).equals(rows.select(names)):
        return News(rows.slice(0, 0), 0, ())
    shared = np.isin(at, times(there))
    places = np.flatnonzero(shared)
    held = Counter(_contents(there.filter(pa.array(np.isin(times(there), at))), names))
    identity = series.table.identity
    positions = [names.index(name) for name in identity]
    keys = {_key(content, positions) for content in held}
    new, revised = ~shared, []
    for place, content in zip(places.tolist(), _contents(rows.filter(pa.array(shared)), names), strict=True):
        if held[content] > 0:
            held[content] -= 1
            continue
        new[place] = True
        key = _key(content, positions)
        if key and key[0] != "" and key in keys:
            revised.append(Example(0, int(at[place]), f"{_text(names, content)}; the catalog has other values"))
    return News(rows.filter(pa.array(new)), len(revised), tuple(revised[:EXAMPLES]))


def _contents(rows: pa.Table, names: list[str]) -> list[tuple[Any, ...]]:
    columns = [rows[name].to_pylist() for name in names]
    return list(zip(*([_plain(value) for value in column] for column in columns), strict=True))


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _key(content: tuple[Any, ...], positions: list[int]) -> tuple[Any, ...]:
    return tuple(content[position] for position in positions)


def _text(names: list[str], content: tuple[Any, ...]) -> str:
    return ", ".join(f"{name}={value}" for name, value in zip(names, content, strict=True) if name != "ts_ns")


# -- writing -----------------------------------------------------------------------------------


def _publish(root: Path, series: Series, period: str, rows: pa.Table, *, replace: bool) -> None:
    """Put ``rows`` and what the period's folder holds into one file; a crash leaves the old or the new."""
    table = series.table
    folder = Partition(series.venue, series.native, period).folder(root)
    make_folder(folder)
    own = parts(folder, series.kind)
    paths = [part.path for part in own]
    held = list(merged(paths, table))
    if replace:
        held = [_without(portion, rows, table.identity) for portion in held]
    covers = union(span for path in paths for span in note_of(path).covers)
    note = Note(tuple((span.start_ns, span.end_ns) for span in covers), tuple(path.name for path in paths))
    merger = 1 + max((part.merger for part in own), default=-1)
    target = folder / name_of(series.kind, EPOCH, next_number(folder, series.kind), merger)
    with Draft(target, with_note(table.schema, note)) as draft:
        draft.add(ordered(pa.concat_tables([*held, rows.cast(table.schema)])))
        draft.keep()
    for path in paths:
        path.unlink(missing_ok=True)


def _without(held: pa.Table, rows: pa.Table, identity: tuple[str, ...]) -> pa.Table:
    """``held`` without the rows that ``rows`` are put in the place of."""
    names = list(identity)
    gone = set(_contents(rows, names))
    return held.filter(pa.array([key not in gone for key in _contents(held, names)], pa.bool_()))
