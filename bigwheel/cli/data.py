"""``bigwheel data``: market data on the disk, taken in, looked at, checked, and made into longer bars."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from bigwheel.cli.options import AsJson
from bigwheel.errors import UsageError
from bigwheel.screen import terminal
from bigwheel.times import duration_s, moment_ns, stamp
from exchanges.catalog import Catalog, Series
from exchanges.catalog.catalog import FOR_EVER_NS, Holding
from exchanges.catalog.importing import check as check_rows
from exchanges.catalog.importing import check_catalog, import_rows
from exchanges.catalog.loading import load
from exchanges.catalog.moments import FORMATS
from exchanges.catalog.report import Fault, Finding, Report, SeriesReport
from exchanges.catalog.resampling import resample as resample_series
from exchanges.catalog.series import kind_named
from exchanges.catalog.shaping import CLOSE, OPEN, Told
from exchanges.catalog.validation import DEVIATIONS, Limits, Policy
from exchanges.hours import HOURS, Hours
from exchanges.recording.reader import venues

app = typer.Typer(
    help="Import, check, list and resample market data (Parquet catalogs).", no_args_is_help=True, add_completion=False
)

_MOST_ROWS = 40

Symbols = Annotated[str, typer.Option("--symbols", help="Comma-separated, in the venue's names: BTCUSDT,ETHUSDT.")]
Kinds = Annotated[str, typer.Option("--kinds", help="Comma-separated: trades, quotes, books, funding, 1m, 1h ...")]
From = Annotated[str, typer.Option("--from", help="The first moment: a time (2026-11-01, UTC) or a duration ago (7d).")]
To = Annotated[str, typer.Option("--to", help="The moment after the last one, in the same form.")]
CatalogPath = Annotated[Path, typer.Argument(help="A catalog, a recording, or what `bigwheel download` wrote.")]
SourcePath = Annotated[
    Path, typer.Argument(help="CSV, Parquet, lines of books: a file, a folder, a recording, a catalog.")
]
Kind = Annotated[str, typer.Option("--kind", help="bars, trades, quotes, books, tickers or funding. Else: by columns.")]
Columns = Annotated[
    str,
    typer.Option("--columns", help="What no name tells: ts_ns=Date,close=Last; or numbers from 0."),
]
Time = Annotated[str, typer.Option("--time", help=f"The format of times: {FORMATS}.")]
Zone = Annotated[str, typer.Option("--timezone", help="The time zone of times that name none.")]
Interval = Annotated[str, typer.Option("--interval", help="The length of bars, such as 1m. Else: the shortest step.")]
Stamped = Annotated[str, typer.Option("--stamped", help="Whether bars carry the time of their open or their close.")]
PolicyName = Annotated[
    str, typer.Option("--policy", help="refuse, or repair: sort, drop what is there twice, keep the last of others.")
]
HoursName = Annotated[str, typer.Option("--hours", help=f"When bars are to be expected: {', '.join(HOURS)}.")]
Deviations = Annotated[
    float, typer.Option("--deviations", min=0, help="Robust deviations from which a jump is told; 0: none.")
]
Silence = Annotated[str, typer.Option("--silence", help="Tell spans without trades or quotes that are longer: 60s.")]


@app.command("import")
def import_(
    source: SourcePath,
    into: Annotated[Path, typer.Option("--into", help="The catalog; it is made if it is not there.")],
    venue: Annotated[str, typer.Option("--venue", help="Whose data they are: the part before the colon of a symbol.")],
    symbols: Symbols = "",
    kind: Kind = "",
    columns: Columns = "",
    time: Time = "auto",
    timezone: Zone = "UTC",
    interval: Interval = "",
    stamped: Stamped = OPEN,
    policy: PolicyName = Policy.REFUSE.value,
    hours: HoursName = "always",
    deviations: Deviations = DEVIATIONS,
    silence: Silence = "",
    as_json: AsJson = False,
) -> None:
    """Take market data into a catalog. The same again changes nothing.

    Nothing is written if something can't be right. Exit status 1: refused.
    """
    if policy not in list(Policy):
        raise UsageError(f"expected --policy as refuse or repair, found {policy!r}")
    told = _told(venue, symbols, kind, columns, time, timezone, interval, stamped)
    limits = _limits(hours, deviations, silence)
    report = import_rows(into, str(source), load(source, told), Policy(policy), limits)
    _show(report, as_json=as_json)
    if report.refused:
        raise typer.Exit(1)


@app.command()
def check(
    source: SourcePath,
    venue: Annotated[str, typer.Option("--venue", help="The name that symbols of files are told with.")] = "data",
    symbols: Symbols = "",
    kind: Kind = "",
    columns: Columns = "",
    time: Time = "auto",
    timezone: Zone = "UTC",
    interval: Interval = "",
    stamped: Stamped = OPEN,
    hours: HoursName = "always",
    deviations: Deviations = DEVIATIONS,
    silence: Silence = "",
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with market data: gaps, duplicates, disorder, impossible prices, outliers.

    Exit status 1: an import would refuse them.
    """
    limits = _limits(hours, deviations, silence)
    if venues(source):
        catalog = Catalog(source)
        report = check_catalog(catalog, _chosen(catalog, symbols, ""), limits)
    else:
        told = _told(venue, symbols, kind, columns, time, timezone, interval, stamped)
        report = check_rows(str(source), load(source, told), limits)
    _show(report, as_json=as_json)
    if report.impossible or report.repairable:
        raise typer.Exit(1)


@app.command("list")
def list_(
    catalog: CatalogPath,
    symbols: Symbols = "",
    kinds: Kinds = "",
    gaps: Annotated[bool, typer.Option("--gaps", help="Also read the bars and count those that are missing.")] = False,
    hours: HoursName = "always",
    as_json: AsJson = False,
) -> None:
    """What a catalog holds: symbols, kinds, spans, rows."""
    held = Catalog(catalog)
    found = [held.holding(series) for series in _chosen(held, symbols, kinds)]
    limits = _limits(hours, 0.0, "")
    missing = _missing(held, found, limits) if gaps else {}
    if as_json:
        rows = [_facts(each, missing) for each in found]
        typer.echo(msgspec.json.encode(rows).decode())
        return
    table = _table("rows", "missing", "files", "MB")
    for each in found:
        lacking = f"{missing[each.series]:,}" if each.series in missing else ""
        cells = [f"{each.rows:,}", lacking, str(each.files), f"{each.bytes / 1e6:.1f}"]
        table.add_row(each.series.symbol, each.series.kind, *cells, _time(each.first_ns), _time(each.last_ns))
    terminal().print(table)
    typer.echo(f"{len(found)} series, {sum(each.rows for each in found):,} rows in {catalog}")


@app.command()
def resample(
    catalog: CatalogPath,
    bars: Annotated[str, typer.Option("--bars", help="The bars to make: 5m, 1h, 1d.")],
    source: Annotated[str, typer.Option("--of", help="What to make them of: trades, quotes, or shorter bars (1m).")],
    symbols: Symbols = "",
    from_: From = "",
    to: To = "",
    hours: HoursName = "always",
    policy: PolicyName = Policy.REFUSE.value,
    as_json: AsJson = False,
) -> None:
    """Make bars of trades, quotes or shorter bars, and take them into the catalog. Exit status 1: refused."""
    if policy not in list(Policy):
        raise UsageError(f"expected --policy as refuse or repair, found {policy!r}")
    held = Catalog(catalog)
    start_ns, end_ns = moment_ns(from_) if from_ else 0, moment_ns(to) if to else FOR_EVER_NS
    limits, report = _limits(hours, DEVIATIONS, ""), Report(str(catalog), policy)
    for series in _chosen(held, symbols, source):
        made = resample_series(held, series, bars, start_ns, end_ns, policy=Policy(policy), limits=limits)
        report.series += made.series
        report.refused = report.refused or made.refused
    _show(report, as_json=as_json)
    if report.refused:
        raise typer.Exit(1)


# -- what was asked for ------------------------------------------------------------------------


def _told(
    venue: str, symbols: str, kind: str, columns: str, time: str, timezone: str, interval: str, stamped: str
) -> Told:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", venue):
        raise UsageError(f"expected --venue as a name such as bybit, found {venue!r}")
    if stamped not in (OPEN, CLOSE):
        raise UsageError(f"expected --stamped as open or close, found {stamped!r}")
    pairs = [part.partition("=") for part in _parts(columns)]
    if any(not ours or not theirs for ours, _, theirs in pairs):
        raise UsageError(f"expected --columns such as ts_ns=Date,close=Last, found {columns!r}")
    return Told(
        venue=venue,
        symbols=tuple(part.removeprefix(f"{venue}:") for part in _parts(symbols)),
        kind=kind,
        columns={ours.strip(): theirs.strip() for ours, _, theirs in pairs},
        time=time,
        timezone=timezone,
        interval_ns=round(duration_s(interval) * 1e9) if interval else 0,
        stamped=stamped,
    )


def _limits(hours: str, deviations: float, silence: str) -> Limits:
    if hours not in HOURS:
        raise UsageError(f"expected --hours among {', '.join(HOURS)}, found {hours!r}")
    known: Hours = "nyse" if hours == "nyse" else "always"
    return Limits(deviations=deviations, hours=known, silence_ns=round(duration_s(silence) * 1e9) if silence else 0)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _chosen(catalog: Catalog, symbols: str, kinds: str) -> list[Series]:
    """The series of symbols by their full or the venue's own name, and of kinds.

    Raises:
        UsageError: there is none.
    """
    names, wanted = set(_parts(symbols)), {kind_named(kind) for kind in _parts(kinds)}
    found = [each for each in catalog.series(kinds=wanted) if not names or each.symbol in names or each.native in names]
    if not found:
        there = sorted({str(each) for each in catalog.series()})
        raise UsageError(
            f"expected {symbols or 'symbols'} ({kinds or 'any kind'}) in {catalog.root}, "
            f"found {', '.join(there[:12]) or 'nothing'}"
        )
    return found


def _missing(catalog: Catalog, found: Iterable[Holding], limits: Limits) -> dict[Series, int]:
    """How many bars are not there between the first and the last."""
    bars = [each.series for each in found if each.series.interval_ns]
    report = check_catalog(catalog, bars, limits)
    return {series: each.missing for series, each in zip(bars, report.series, strict=True)}


# -- what is said ------------------------------------------------------------------------------


def _facts(holding: Holding, missing: dict[Series, int]) -> dict[str, object]:
    facts = {**holding._asdict(), "symbol": holding.series.symbol, "kind": holding.series.kind}
    del facts["series"]
    return facts | ({"missing": missing[holding.series]} if holding.series in missing else {})


def _time(ts_ns: int) -> str:
    return stamp(ts_ns)[:16] if ts_ns else ""


def _table(*numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for name in ("symbol", "kind"):
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("first", "last"):
        table.add_column(name, no_wrap=True)
    return table


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        typer.echo(report.json())
        return
    console = terminal()
    table = _table("rows", "kept", "added", "missing")
    for each in report.series[:_MOST_ROWS]:
        cells = (f"{count:,}" for count in (each.rows, each.kept, each.added, each.missing))
        table.add_row(each.symbol, each.kind, *cells, _time(each.first_ns), _time(each.last_ns))
    console.print(table)
    if len(report.series) > _MOST_ROWS:
        typer.echo(f"... and {len(report.series) - _MOST_ROWS} more series")
    for line in _details(report.series)[:_MOST_ROWS]:
        console.print(line, soft_wrap=True)
    if report.refused:
        typer.echo(f"refused, nothing was written: {report.refused}")
    done = f", {report.added:,} added, {report.revised:,} revised" if report.policy else ""
    typer.echo(f"{report.source}: {len(report.series)} series, {report.rows:,} rows{done}")


def _details(series: Sequence[SeriesReport]) -> list[str]:
    """What each finding means, with its first example."""
    return [
        f"{each.symbol} {each.kind}: {finding.count} {fault}: {fault.meaning}{_example(each, finding)}"
        for each in series
        for fault, finding in each.findings.items()
    ]


def _example(series: SeriesReport, finding: Finding) -> str:
    """The first row with a fault; of gaps the longest."""
    if finding is series.findings.get(Fault.GAP):
        longest = series.longest_gaps[0]
        lacking = f" ({longest.missing} bars)" if longest.missing else ""
        return f"; the longest from {stamp(longest.start_ns)[:19]} to {stamp(longest.end_ns)[:19]}{lacking}"
    if not finding.examples:
        return ""
    first = finding.examples[0]
    row = f"row {first.row}, " if first.row else ""
    return f"; such as {row}{stamp(first.ts_ns)}: {first.text}"
