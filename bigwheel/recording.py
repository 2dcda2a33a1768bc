"""What a recording holds, and what a session must be told to follow it row by row."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from actors.venue.market import recordings, replay
from exchanges.recording.reader import playable
from exchanges.recording.schemas import bars_interval_ns
from exchanges.simulators.errors import FeedError

SECOND = 1_000_000_000


class Recording(NamedTuple):
    """``symbols`` are full names; ``stream`` is ``trade`` or ``bar``, of ``interval_s`` seconds."""

    path: Path
    symbols: list[str]
    stream: str
    interval_s: int

    @property
    def length(self) -> dict[str, int]:
        """The setting of the bars' length, where bars are played."""
        return {"bar_interval_s": self.interval_s} if self.stream == "bar" else {}


def recordings_of(text: str) -> dict[str, Recording]:
    """Look into each recording that ``--replay`` names, by venue.

    Raises:
        FeedError: one can't be played; the text says what was expected.
        SetupError: what is named is no path and no venue=PATH.
    """
    return {venue: _recording(venue, path.absolute()) for venue, path in recordings(text).items()}


def _recording(venue: str, path: Path) -> Recording:
    played = replay(venue, path)
    kinds = {played.trades_per_row(symbol) > 1 for symbol in played.symbols}
    if len(kinds) > 1:
        raise FeedError(f"{path}: expected trades or bars alone, found both; give a folder with one of them")
    symbols = [f"{venue}:{native}" for native in played.symbols]
    if True not in kinds:
        return Recording(path, symbols, "trade", 60)
    return Recording(path, symbols, "bar", _interval_s(path))


def _interval_s(path: Path) -> int:
    """The length of a recording's bars, or the shortest distance between two bars of the first file."""
    recorded = playable(path)
    if recorded:
        return bars_interval_ns(recorded[0].table) // SECOND
    file = path if path.is_file() else min(path.glob("*.parquet"))
    times = pq.read_table(file, columns=["ts_ns"])["ts_ns"].to_pylist()[:1_000]
    steps = [later - earlier for earlier, later in pairwise(times) if later > earlier]
    if not steps:
        raise FeedError(f"{file}: expected at least two bars, found {len(times)}; record more")
    return max(1, int(min(steps)) // SECOND)
