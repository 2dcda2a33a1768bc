"""One recording made of one or several files, its symbols merged in time order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from exchanges.catalog.catalog import by_series
from exchanges.recording.reader import playable
from exchanges.simulators.errors import FeedError
from exchanges.simulators.feeds.merge import Stream, in_time_order
from exchanges.simulators.feeds.parquet import ParquetTable
from exchanges.simulators.feeds.recorded import RecordedTable
from exchanges.simulators.feeds.row import Row

SECOND_NS = 1_000_000_000


class Replay:
    """The recorded trades at ``path``: a Parquet file, a folder of them, or a recording's or a venue's folder
    (``exchanges.recording``), of which trades are played if there are any, else the shortest bars.

    Only ``symbols`` are played, all that are found if it is empty. ``rows`` counts the rows
    of the source by symbol as they have been read: a bar is one row and four trades.

    Raises:
        FeedError: the path or a file can't be used, or a configured symbol isn't in it.
    """

    def __init__(self, path: Path, symbols: Sequence[str] = (), names: Mapping[str, str] | None = None) -> None:
        self.path = path
        opened = _opened(path, names or {})
        tables = [table for table in opened if table.rows] or opened
        self._tables: dict[str, list[ParquetTable]] = {}
        for table in tables:
            for symbol in table.symbols():
                if not symbols or symbol in symbols:
                    self._tables.setdefault(symbol, []).append(table)
        missing = [symbol for symbol in symbols if symbol not in self._tables]
        if missing:
            raise FeedError(
                f"{path}: expected the configured symbols {list(symbols)}, found no data of {missing}; it holds "
                f"{sorted({s for t in tables for s in t.symbols()})[:12]}"
            )
        self.symbols = tuple(symbols) or tuple(self._tables)
        for symbol, sources in self._tables.items():
            if len({table.is_bars for table in sources}) > 1:
                raise FeedError(
                    f"{path}: expected trades or bars of {symbol}, found both in "
                    f"{[str(t.path.name) for t in sources]}; give a folder with one of them"
                )

    def trades_per_row(self, symbol: str) -> int:
        """How many trades one row of the source becomes: 4 for a bar, else 1."""
        return 4 if self._tables[symbol][0].is_bars else 1

    def step_ns(self) -> int:
        """In which time the symbols of the recording keep step: a bar's, or a second."""
        bars = [s for s in self.symbols if self.trades_per_row(s) > 1]
        return max((table.interval_ns() for symbol in bars for table in self._tables[symbol]), default=SECOND_NS)

    def sample(self, symbol: str) -> tuple[list[float], list[float]]:
        """Prices and sizes from the start of the recording of ``symbol``."""
        return self._tables[symbol][0].sample(symbol)

    def trades(self) -> Iterator[Row]:
        """All trades in time order, read as they are asked for."""
        wanted = frozenset(self.symbols)
        tables = list(dict.fromkeys(table for sources in self._tables.values() for table in sources))
        if len(tables) == 1:
            return tables[0].read(wanted)
        return in_time_order([Stream(table.first_ns(), table.read(wanted)) for table in tables])


def _opened(path: Path, names: Mapping[str, str]) -> Sequence[ParquetTable]:
    if not path.exists():
        raise FeedError(f"expected a Parquet file or a folder of them at {path}, found nothing there; check the path")
    recorded = by_series(playable(path))
    venues = sorted({series.venue for series in recorded})
    if len(venues) > 1:
        raise FeedError(f"{path}: expected one venue's data, found {', '.join(venues)}; give {path}/venue={venues[0]}")
    if recorded:
        return [RecordedTable(series, files) for series, files in recorded.items()]
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise FeedError(f"expected *.parquet files in the folder {path}, found none; give the folder that holds them")
    return [ParquetTable(file, names) for file in files]
