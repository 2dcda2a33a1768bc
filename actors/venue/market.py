"""The embedded venues: which there are, what each is told, and whether it can offer what is traded."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from conf import Settings
from conf.venues import VENUES
from exchanges.recording.reader import venues
from exchanges.simulators.base.simulator import Simulator
from exchanges.simulators.errors import FeedError
from exchanges.simulators.feeds.replay import Replay
from exchanges.simulators.rates import load, named
from exchanges.simulators.settings import SimulatorSettings
from runtime.errors import SetupError

_CLASSES = {
    "bybit": "exchanges.simulators.bybit:BybitSimulator",
    "alpaca": "exchanges.simulators.alpaca:AlpacaSimulator",
    "kalshi": "exchanges.simulators.kalshi:KalshiSimulator",
    "hyperliquid": "exchanges.simulators.hyperliquid:HyperliquidSimulator",
}
"""By name: a process imports the one it needs."""

_FEES_SET = ("bybit",)
"""The venues whose fees the configuration sets; the others charge their own."""


def natives(settings: Settings, venue: str) -> tuple[str, ...]:
    """The venue's own names of the session's symbols."""
    prefix = f"{venue}:"
    return tuple(symbol.removeprefix(prefix) for symbol in settings.symbols if symbol.startswith(prefix))


def recordings(text: str) -> dict[str, Path]:
    """The recording of each venue: ``PATH`` alone is Bybit's, else ``venue=PATH``, separated by commas.

    Raises:
        SetupError: a part names no known venue.
    """
    if not text:
        return {}
    found: dict[str, Path] = {}
    named = text.partition("=")[0].strip() in VENUES  # a recording's own folders have a "=" in their names
    if not named and (folders := venues(Path(text).expanduser())):
        return folders
    for part in text.split(",") if named else [f"bybit={text}"]:
        venue, _, path = part.partition("=")
        if venue.strip() not in VENUES or not path:
            raise SetupError(
                f"expected a recording as PATH, or as venue=PATH with a venue among {', '.join(VENUES)}, found {part!r}"
            )
        found[venue.strip()] = Path(path).expanduser()
    return found


def simulator(settings: Settings, venue: str, *, port: int = 0) -> Simulator:
    """The embedded ``venue`` of a session, not started yet."""
    wanted = settings.simulator
    recording = recordings(wanted.replay).get(venue)
    set_fees = venue in _FEES_SET
    told = SimulatorSettings(
        port=port,
        seed=wanted.seed,
        symbols=natives(settings, venue),
        feed="replay" if recording else "generator",
        rate=wanted.rate,
        replay_path=recording,
        speed=wanted.speed or "max",
        folder=settings.store / "venues" / venue,
        latency_ms=wanted.latency_ms,
        balance=wanted.starting_balance,
        maker_fee=wanted.maker_fee if set_fees else None,
        taker_fee=wanted.taker_fee if set_fees else None,
        faults=named(wanted.faults) if wanted.faults else None,
    )
    return _class(venue)(told)


def replay(venue: str, path: Path, symbols: Sequence[str] = ()) -> Replay:
    """The recording at ``path`` as the embedded ``venue`` reads it.

    Raises:
        FeedError: it can't be played, or lacks a symbol.
    """
    told = SimulatorSettings(feed="replay", replay_path=path, symbols=tuple(symbols))
    found = _class(venue)(told).open_replay()
    if found is None:
        raise FeedError(f"expected a recording at {path}, found none")
    return found


def _class(venue: str) -> type[Simulator]:
    module, _, name = _CLASSES[venue].partition(":")
    kind: type[Simulator] = getattr(importlib.import_module(module), name)
    return kind


def ensure_known(settings: Settings) -> None:
    """Check that the embedded venues have all symbols of the session, in a recording or by themselves.

    Raises:
        SimulatorError: a symbol is not known to its venue.
        FeedError: a recording can't be played, or lacks a symbol.
        FaultPlanError: the plan of faults can't be used.
        SetupError: the recordings are named in a way that can't be read.
    """
    if settings.simulator.faults:
        load(named(settings.simulator.faults))
    played = recordings(settings.simulator.replay)
    for venue in settings.venues:
        wanted = natives(settings, venue)
        if venue in played:
            replay(venue, played[venue], wanted)
        else:
            catalogue = simulator(settings, venue).catalogue()
            for symbol in wanted:
                catalogue.listed(symbol)
