"""Which files of a recording there are to read, and which of them can be played."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from exchanges.recording.layout import UNITS, Partition, partition_of, parts, plain
from exchanges.recording.schemas import TRADES, bars_interval_ns


class Recorded(NamedTuple):
    """One file of a recording and what is in it."""

    path: Path
    partition: Partition
    table: str


def recorded(path: Path) -> list[Recorded]:
    """The files at ``path``: a recording, or the folder of a venue, a symbol or a day in it, or one file.

    In the order of venue, symbol, table, period and number; none if ``path`` is something else.

    Raises:
        RecordingError: a file can't be read.
    """
    whole = path.resolve()
    folders = [whole.parent] if whole.is_file() else [whole, *_periods(whole)]
    found = [
        Recorded(part.path, partition, part.table)
        for folder in folders
        if (partition := partition_of(folder)) is not None
        for part in parts(folder)
        if whole.is_dir() or part.path == whole
    ]
    return sorted(
        found, key=lambda file: (file.partition.venue, file.partition.symbol, file.table, file.partition.period)
    )


def _order(file: Recorded) -> tuple[str, str, str, str]:
    return file.partition.venue, file.partition.symbol, file.table, file.partition.period


def _periods(folder: Path) -> list[Path]:
    """The days', months' and years' folders below the root, a venue's or a symbol's folder."""
    patterns = (f"{above}{unit}=*" for above in ("", "symbol=*/", "venue=*/symbol=*/") for unit in UNITS)
    return sorted(found for pattern in patterns for found in folder.glob(pattern) if found.is_dir())


def playable(path: Path) -> list[Recorded]:
    """The files of ``recorded`` that a replay plays: trades if there are any, else the shortest bars.

    Raises:
        RecordingError: a file can't be read.
    """
    files = recorded(path)
    trades = [file for file in files if file.table == TRADES]
    shortest = min((bars_interval_ns(file.table) for file in files if bars_interval_ns(file.table)), default=0)
    return trades or [file for file in files if bars_interval_ns(file.table) == shortest > 0]


def venues(path: Path) -> dict[str, Path]:
    """The folder of each venue in the recording at ``path``; none if ``path`` is not the root of one."""
    folders = (folder for folder in path.glob("venue=*") if folder.is_dir())
    return {plain(folder.name.partition("=")[2]): folder for folder in sorted(folders)}
