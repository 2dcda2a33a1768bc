"""``bigwheel download``: a venue's history on the disk, in the files of a recording."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console

from actors.exchange.connect import make_adapter, simulated_keys
from bigwheel.cli.progress import PERCENT, bar
from bigwheel.errors import UsageError
from bigwheel.screen import terminal
from bigwheel.times import moment_ns, stamp
from conf import load
from conf.modes import LOOPBACK, REST, Mode, access
from conf.venues import VENUES
from exchanges.credentials import resolve
from exchanges.interface import Exchange
from exchanges.recording.coverage import Span
from exchanges.recording.errors import RecordingError
from exchanges.recording.files import probe
from exchanges.recording.history import Downloader, Report, Wanted
from exchanges.recording.layout import escaped
from exchanges.recording.lock import DOWNLOAD, only_one
from exchanges.recording.schemas import FUNDING, SECOND, TRADES, bars_interval_ns, bars_name
from exchanges.recording.validation import Gaps, gaps

KINDS = ("bars", "trades", "funding")
_SHOWN = 3

Venue = Annotated[str, typer.Option("--venue", help=f"{', '.join(VENUES)}.")]
Symbols = Annotated[str, typer.Option("--symbols", help="Comma-separated, in the venue's names: BTCUSDT,ETHUSDT.")]
From = Annotated[str, typer.Option("--from", help="The first moment: a time (2026-11-01, UTC) or a duration ago (7d).")]
To = Annotated[str, typer.Option("--to", help="The moment after the last one, in the same form. Default: now.")]
Kind = Annotated[str, typer.Option("--kind", help="bars, trades, or funding (of perpetuals).")]
Interval = Annotated[int, typer.Option("--interval", help="The length of bars in seconds.")]
Out = Annotated[
    Path, typer.Option("--out", help="The folder to write to; what it holds of the span is not fetched again.")
]
RestUrl = Annotated[str, typer.Option("--rest-url", help="Ask this address, such as a simulator on this machine.")]
Config = Annotated[
    str, typer.Option("--config", help="An environment or YAML file, for the venue's limits and key. Default: paper.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]


def download(
    venue: Venue,
    symbols: Symbols,
    from_: From,
    out: Out,
    to: To = "",
    kind: Kind = "bars",
    interval: Interval = 60,
    rest_url: RestUrl = "",
    config: Config = "",
    quiet: Quiet = False,
) -> None:
    """Fetch a venue's history over a span of time into Parquet files that `run --replay` plays.

    The files lie in OUT/venue=.../symbol=.../day=.../; what is there and complete is not fetched again, so an
    interrupted download goes on where it was. Exit status 1: the venue does not tell all of the span.
    """
    if venue not in VENUES:
        raise UsageError(f"expected --venue as one of {', '.join(VENUES)}, found {venue!r}")
    if kind not in KINDS:
        raise UsageError(f"expected --kind as one of {', '.join(KINDS)}, found {kind!r}")
    if interval < 1:
        raise UsageError(f"expected --interval as a number of seconds such as 60, found {interval}")
    span = _span(from_, to)
    table = bars_name(interval * SECOND) if kind == "bars" else {"trades": TRADES, "funding": FUNDING}[kind]
    wanted = [Wanted(symbol, table, span) for symbol in _full_names(venue, symbols)]
    exchange = _adapter(venue, rest_url, config)
    _check_folder(out)
    folder = out / f"venue={escaped(venue)}"
    folder.mkdir(exist_ok=True)
    with only_one(folder / DOWNLOAD) as free:
        if not free:
            raise UsageError(f"expected {out} for this download alone, found another one at work in it; wait for it")
        complete = asyncio.run(Session(exchange, out, terminal(quiet=quiet)).run(wanted))
    if not complete:
        raise typer.Exit(1)


class Session:
    """Downloads symbol after symbol and says what came of it."""

    def __init__(self, exchange: Exchange, out: Path, console: Console) -> None:
        self._exchange, self._out, self._console = exchange, out, console

    async def run(self, wanted: Sequence[Wanted]) -> bool:
        """Whether all that was wanted is there.

        Raises:
            RecordingError: of some symbols something could not be fetched; the others are done.
        """
        failures: list[str] = []
        complete = True
        try:
            for each in wanted:
                try:
                    report = await self._one(each)
                except RecordingError as error:
                    failures.append(f"{each.symbol}: {error}")
                    continue
                complete = complete and not report.pending
        finally:
            await self._exchange.close()
        if failures:
            raise RecordingError(f"{failures[0]} ({len(failures)} of {len(wanted)} symbols failed)")
        return complete

    async def _one(self, wanted: Wanted) -> Report:
        with bar(f"{PERCENT} {{task.fields[rows]}} rows", console=self._console) as shown:
            task = shown.add_task(wanted.symbol, total=wanted.span.length_ns, rows=0)

            def told(done_ns: int, rows: int) -> None:
                shown.update(task, completed=done_ns, rows=rows)

            report = await Downloader(self._exchange, self._out, told).download(wanted)
        self._say(wanted, report)
        return report

    def _say(self, wanted: Wanted, report: Report) -> None:
        what = f"{wanted.symbol} {wanted.table} {stamp(report.span.start_ns)} to {stamp(report.span.end_ns)}"
        text = f"{report.rows} rows in {report.calls} calls, {report.duplicates} duplicates dropped"
        parts = [text if report.calls else "complete, nothing to fetch"]
        if bars_interval_ns(wanted.table):
            parts.append(_missing(self._gaps(wanted, report)))
        if report.pending:
            parts.append(f"not told by the venue: {_spans(report.pending)}; record it live, or take a later span")
        self._console.print(f"bigwheel: {what}: {'; '.join(parts)}", soft_wrap=True)

    def _gaps(self, wanted: Wanted, report: Report) -> Gaps:
        name = wanted.symbol.partition(":")[2]
        return gaps(self._out, self._exchange.venue, name, wanted.table, report.span)


def _missing(found: Gaps) -> str:
    if not found.missing:
        return f"{found.found} bars, none missing"
    return f"{found.found} bars, {found.missing} missing in {len(found.spans)} gaps: {_spans(found.spans)}"


def _spans(spans: Sequence[Span]) -> str:
    shown = ", ".join(f"{stamp(span.start_ns)[:19]} to {stamp(span.end_ns)[:19]}" for span in spans[:_SHOWN])
    return shown + (f" and {len(spans) - _SHOWN} more" if len(spans) > _SHOWN else "")


def _span(from_: str, to: str) -> Span:
    now_ns = time.time_ns()
    try:
        span = Span(moment_ns(from_), moment_ns(to) if to else now_ns)
    except (OverflowError, UsageError) as error:
        raise UsageError(f"--from and --to: {error}") from None
    if span.start_ns >= span.end_ns:
        raise UsageError(f"expected --from before --to, found {stamp(span.start_ns)} and {stamp(span.end_ns)}")
    if not 0 <= span.start_ns < now_ns:
        raise UsageError(f"expected --from in the past, since 1970, found {from_!r}")
    return span


def _full_names(venue: str, symbols: str) -> list[str]:
    """Full names of the venue's symbols, each once; a name that has its venue already may keep it."""
    given = [part.strip() for part in symbols.split(",") if part.strip()]
    names = dict.fromkeys(part if part.startswith(f"{venue}:") else f"{venue}:{part}" for part in given)
    if not names:
        raise UsageError(f"expected --symbols such as BTCUSDT,ETHUSDT, found {symbols!r}")
    strange = [name for name in names if name.count(":") > 1 or name.endswith(":")]
    if strange:
        raise UsageError(f"expected symbols of {venue} such as BTCUSDT, found {strange[0].removeprefix(f'{venue}:')!r}")
    return list(names)


def _check_folder(out: Path) -> None:
    try:
        probe(out)
    except OSError as error:
        raise UsageError(
            f"expected --out as a folder that can be written, found {out}: {error.strerror or error}; name another one"
        ) from None


def _adapter(venue: str, rest_url: str, config: str) -> Exchange:
    """The venue's adapter, not connected: market data alone, so no key where the venue needs none for it."""
    parts = urlsplit(rest_url)
    embedded = parts.hostname in LOOPBACK
    mode = Mode.SIM if embedded else Mode.PAPER
    settings = load(config or mode.value, {"mode": mode.value})
    names = access(venue, mode).hosts
    if not embedded:
        keys = resolve(venue, mode, settings.exchange[venue].credentials)
        return make_adapter(settings, venue, {"rest_url": rest_url} if rest_url else {}, keys)
    streams = f"ws://{parts.netloc}"
    addresses = {name: rest_url.rstrip("/") if name in REST else streams for name in names}
    with tempfile.TemporaryDirectory(prefix="bigwheel-") as folder:
        # A simulator's market data asks for no key, but some adapter asks for one.
        return make_adapter(settings, venue, addresses, simulated_keys(venue, Path(folder)))
