"""``bigwheel run``: a session from start to end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NamedTuple

import typer
from rich.live import Live

from bigwheel.cli.options import Config, Store, settings_of
from bigwheel.errors import SessionError, UsageError
from bigwheel.orders import stops
from bigwheel.preflight import live_accounts
from bigwheel.recording import recordings_of
from bigwheel.screen import one_line, render, terminal
from bigwheel.session import Session
from bigwheel.summary import summarize, write_summary
from bigwheel.times import duration_s
from conf import Settings, load
from conf.trading import StrategySettings
from strategies.registry import resolve

SCREEN_S = 0.5
LINE_S = 5.0
EVERY_VENUE = "three"
"""The configuration that trades at all embedded venues."""


Mode = Annotated[str, typer.Option("--mode", help="sim (embedded venues), paper, demo or live.")]
Symbols = Annotated[str, typer.Option("--symbols", help="Comma-separated, such as bybit:BTCUSDT,bybit:ETHUSDT.")]
StrategyName = Annotated[
    str, typer.Option("--strategy", help="Built in (such as alpha), module:Class or file.py:Class.")
]
Replay = Annotated[str, typer.Option("--replay", help="Play recorded trades or bars: a Parquet file or folder.")]
Speed = Annotated[str, typer.Option("--speed", help="A multiple of real time, or max: as fast as it is followed.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of the generated market.")]
For = Annotated[str, typer.Option("--for", help="End after this long, such as 60s or 5m.")]
Address = Annotated[str, typer.Option("--address", help="Join a Ray cluster: auto or HOST:PORT.")]
Summary = Annotated[Path | None, typer.Option("--summary", help="Write a JSON summary to this file at the end.")]
Faults = Annotated[
    str,
    typer.Option(
        "--faults",
        help="Let the embedded venues misbehave: standard, or a YAML file. Without --config and --symbols: all venues.",
    ),
]
LiveAccount = Annotated[
    list[str] | None, typer.Option("--live-account", help="Mode live: VENUE:ID of the account, typed out by hand.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing while it runs.")]


def run(
    config: Config = "sim",
    mode: Mode = "",
    symbols: Symbols = "",
    strategy: StrategyName = "",
    replay: Replay = "",
    speed: Speed = "",
    seed: Seed = None,
    for_: For = "",
    store: Store = "",
    address: Address = "",
    summary: Summary = None,
    faults: Faults = "",
    live_account: LiveAccount = None,
    quiet: Quiet = False,
) -> None:
    """Start the whole system and trade until it is stopped (Ctrl-C); the next start goes on from there."""
    seconds = duration_s(for_) if for_ else None
    if faults and config == "sim" and not symbols and not replay:
        config = EVERY_VENUE
    wanted = Wanted(mode, symbols, strategy, replay, speed, seed, address, faults, tuple(live_account or ()))
    settings = configure(config, store, wanted)
    if summary is not None:
        _check_target(summary.absolute())
    Runner(settings, seconds, quiet=quiet).run(summary)


class Wanted(NamedTuple):
    """What the command line says over the configuration."""

    mode: str = ""
    symbols: str = ""
    strategy: str = ""
    replay: str = ""
    speed: str = ""
    seed: int | None = None
    address: str = ""
    faults: str = ""
    live_accounts: tuple[str, ...] = ()


def configure(config: str, store: str, wanted: Wanted) -> Settings:
    """The settings of a run: the configuration with the command line laid over it."""
    simulator: dict[str, object] = {"faults": wanted.faults} if wanted.faults else {}
    traded = [part.strip() for part in wanted.symbols.split(",") if part.strip()] if wanted.symbols else None
    overrides: dict[str, object] = {"mode": wanted.mode or None, "symbols": traded}
    if wanted.speed:
        simulator["speed"] = _speed(wanted.speed)
    if wanted.seed is not None:
        simulator["seed"] = wanted.seed
    if wanted.strategy:
        overrides["strategies"] = [{"name": wanted.strategy}]
    if wanted.replay:
        overrides.update(_replayed(config, wanted, traded, simulator))
    if wanted.live_accounts:
        venues = load(config, {"symbols": traded} if traded else None).venues
        overrides["exchange"] = live_accounts(wanted.live_accounts, venues)
    overrides["simulator"] = simulator or None
    overrides["ray"] = {"address": wanted.address} if wanted.address else None
    return settings_of(config, store, **overrides)


def _replayed(config: str, wanted: Wanted, traded: list[str] | None, simulator: dict[str, object]) -> dict[str, object]:
    """What a recording asks for: its symbols, its kind of data, strategies that look at that."""
    recordings = recordings_of(wanted.replay)
    bars = any(found.stream == "bar" for found in recordings.values())
    symbols = traded or [symbol for found in recordings.values() for symbol in found.symbols]
    named = {"strategies": [{"name": wanted.strategy}]} if wanted.strategy else {}
    overrides: dict[str, object] = {"symbols": symbols}
    chosen = load(config, {"symbols": symbols, **named}).strategies
    if bars:
        overrides["strategies"] = _on_bars(chosen)
        chosen = load(config, overrides).strategies
    # Beside a recording of bars, strategies look at bars: a venue whose trades are played makes them of those.
    # Quotes and books it makes of whatever is played.
    also = [*(["bar"] if bars else []), *_made(chosen, symbols)]
    simulator["replay"] = ",".join(f"{venue}={found.path}" for venue, found in recordings.items())
    overrides["exchange"] = {
        venue: {"streams": list(dict.fromkeys([found.stream, *also])), **found.length}
        for venue, found in recordings.items()
    }
    return overrides


def _made(entries: Iterable[StrategySettings], symbols: Sequence[str]) -> list[str]:
    """What the strategies look at that no recording of trades or bars holds, and an embedded venue makes."""
    looked_at: set[str] = set()
    for entry in entries:
        traded = tuple(entry.symbols or symbols)
        owner = resolve(entry.name)
        together = traded if entry.symbols_together or owner.together else ()
        looked_at.update(owner.create(traded[0], dict(entry.params), entry.label, together).watches())
    return [stream for stream in ("quote", "book") if stream.title() in looked_at]


def _on_bars(entries: Iterable[StrategySettings]) -> list[dict[str, object]]:
    """The strategies of a run on recorded bars: those that can choose their source take bars."""
    result = []
    for entry in entries:
        model = getattr(resolve(entry.name), "Params", None)
        chooses = "source" in getattr(model, "model_fields", {})
        params = {**entry.params, "source": "bars"} if chooses else dict(entry.params)
        result.append({**entry.model_dump(exclude={"params", "symbols"}), "params": params})
    return result


def _check_target(summary: Path) -> None:
    """A file that can't be written should be known before the run, not after it."""
    if not summary.parent.is_dir():
        raise UsageError(f"expected an existing folder for --summary, found none at {summary.parent}")
    if summary.is_dir() or not os.access(summary if summary.exists() else summary.parent, os.W_OK):
        raise UsageError(f"expected a file that can be written for --summary, found that {summary} can't; name another")


def _speed(text: str) -> float:
    """``max`` is 0: no waiting at all."""
    if text == "max":
        return 0.0
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e9:
        raise UsageError(f"expected --speed as a positive multiple of real time or max, found {text!r}")
    return value


class Runner:
    """Runs one session and says what happens."""

    def __init__(self, settings: Settings, seconds: float | None, *, quiet: bool) -> None:
        self.settings, self.seconds, self.quiet = settings, seconds, quiet
        self.console = terminal()
        self._asked = threading.Event()
        self._settled = 0

    def run(self, summary: Path | None) -> None:
        before = {name: signal.signal(name, self._interrupted) for name in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._session(summary)
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)

    def _session(self, summary: Path | None) -> None:
        began = time.time_ns()
        self._say(f"starting ({self.settings.mode}, {len(self.settings.symbols)} symbols); Ctrl-C ends it")
        session = Session.start(self.settings)
        last: dict[str, Any] = {}
        try:
            last = self._watch(session)
        finally:
            self._say("stopping: no new orders, cancelling working ones, saving state ...")
            self._say_stops(session.overview() or last)
            session.stop("the run ended")
        result = summarize(self.settings, last, began)
        if summary is not None:
            write_summary(result, summary)
        self._say(
            f"{sum(result['signals'].values())} signals {result['signals']}, {result['fills']} fills, realised "
            f"{result['realized_pnl']}, journal {'clean' if result['journal']['verified'] else 'DAMAGED'}"
        )
        if not result["journal"]["verified"]:
            raise SessionError("the journal does not verify: see `bigwheel journal verify`")

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        if self._asked.is_set():
            print("already stopping; a moment", file=sys.stderr)
        self._asked.set()

    def _say(self, text: str) -> None:
        if not self.quiet:
            self.console.print(f"bigwheel: {text}", soft_wrap=True)

    def _say_stops(self, overview: dict[str, Any]) -> None:
        """Name the stops that stay at the venues, so that nobody is surprised by what they do."""
        for row in stops(overview):
            if self.settings.exchange[row.venue].keep_stops:
                text = f"{row.side} {row.quantity} {row.symbol} once {row.waits_for or 'met'}"
                self._say(f"a stop stays at {row.venue}: {text} ({row.client_id})")

    def _watch(self, session: Session) -> dict[str, Any]:
        """Show what happens until the end is due; returns the last overview."""
        end = time.monotonic() + self.seconds if self.seconds is not None else None
        live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal and not self.quiet else None
        last: dict[str, Any] = {}
        spoken = 0.0
        if live is not None:
            live.start()
        try:
            while not self._asked.is_set() and (end is None or time.monotonic() < end):
                last = session.overview() or last
                if last.get("stopped") or self._played_out(last):
                    break
                if live is not None:
                    live.update(render(last, url=last.get("gateway", ""), dashboard=session.dashboard), refresh=True)
                elif not self.quiet and time.monotonic() - spoken >= LINE_S:
                    spoken = time.monotonic()
                    self.console.print(one_line(last), soft_wrap=True)
                wait = SCREEN_S if end is None else min(SCREEN_S, max(end - time.monotonic(), 0))
                self._asked.wait(wait)
        finally:
            if live is not None:
                live.stop()
        return session.overview() or last

    def _played_out(self, overview: dict[str, Any]) -> bool:
        """The recording has ended and everyone has handled all of it, seen twice in a row."""
        replay = overview.get("replay") or {}
        handled = overview.get("ticks", 0) >= replay.get("rows", 0) and not overview.get("waiting", 1)
        done = bool(replay.get("finished")) and handled and not overview.get("open_signals", 1)
        self._settled = self._settled + 1 if done else 0
        return self._settled >= 2
