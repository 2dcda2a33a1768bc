"""What a recording holds, and what a session must be told to follow it row by row."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from exchanges.simulators.errors import FeedError
from exchanges.simulators.feeds.replay import Replay

SECOND = 1_000_000_000


class Recording(NamedTuple):
    """``symbols`` are full names; ``stream`` is ``trade`` or ``bar``, of ``interval_s`` seconds."""

    symbols: list[str]
    stream: str
    interval_s: int


def recording(path: Path) -> Recording:
    """Look into the Parquet file or folder at ``path``.

    Raises:
        FeedError: it can't be played; the text says what was expected.
    """
    replay = Replay(path)
    kinds = {replay.trades_per_row(symbol) > 1 for symbol in replay.symbols}
    if len(kinds) > 1:
        raise FeedError(f"{path}: expected trades or bars alone, found both; give a folder with one of them")
    symbols = [f"bybit:{native}" for native in replay.symbols]
    if True not in kinds:
        return Recording(symbols, "trade", 60)
    return Recording(symbols, "bar", _interval_s(path))


def _interval_s(path: Path) -> int:
    """The shortest distance between two bars of the first file."""
    file = path if path.is_file() else min(path.glob("*.parquet"))
    times = pq.read_table(file, columns=["ts_ns"])["ts_ns"].to_pylist()[:1_000]
    steps = [later - earlier for earlier, later in pairwise(times) if later > earlier]
    if not steps:
        raise FeedError(f"{file}: expected at least two bars, found {len(times)}; record more")
    return max(1, int(min(steps)) // SECOND)
