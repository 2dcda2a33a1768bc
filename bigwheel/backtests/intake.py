"""Files of market data taken into a catalog, so that they can be played."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bigwheel.backtests.errors import BacktestError
from exchanges.catalog.importing import import_rows
from exchanges.catalog.loading import capitals, files_of, load
from exchanges.catalog.shaping import Told
from exchanges.catalog.validation import Limits
from exchanges.recording.reader import recorded


def playable(path: Path) -> bool:
    """Whether there is a catalog or a recording, which can be played as it lies.

    Raises:
        BacktestError: there is nothing at all.
        RecordingError: a file can't be read.
    """
    if not path.exists():
        raise BacktestError(
            f"expected market data at {path}, found nothing there; give a catalog, a recording, or a Parquet or "
            "CSV file"
        )
    return path.is_dir() and bool(recorded(path))


def take_in(path: Path, symbols: Sequence[str], root: Path) -> None:
    """Take the data of ``symbols`` from a file, or a folder of files, into a catalog at ``root``.

    Raises:
        BacktestError: something in them can't be right, or the one file is named after another symbol.
        DataError: it can't be read.
    """
    _ensure_named(path, symbols)
    by_venue: dict[str, list[str]] = {}
    for symbol in symbols:
        venue, _, native = symbol.partition(":")
        by_venue.setdefault(venue, []).append(native)
    for venue, natives in by_venue.items():
        portions = load(path, Told(venue=venue, symbols=tuple(natives)))
        report = import_rows(root, str(path), portions, limits=Limits(deviations=0))
        if report.refused:
            raise BacktestError(
                f"expected data without a fault at {path}, found: {report.refused}; look with `bigwheel data "
                "check`, and import it with `bigwheel data import --policy repair`"
            )


def _ensure_named(path: Path, symbols: Sequence[str]) -> None:
    """A file that is named after a symbol is not taken for another one's.

    Raises:
        BacktestError: it would be.
    """
    files = [path] if path.is_file() else files_of(path)
    named = capitals(files[0]) if len(files) == 1 else []
    natives = {"".join(filter(str.isalnum, symbol.partition(":")[2])) for symbol in symbols}
    if named and not natives & set(named):
        raise BacktestError(
            f"expected trades, quotes, books or bars of {', '.join(symbols)} at {path}, found a file named after "
            f"{', '.join(named)}; correct --symbols, or rename the file"
        )
