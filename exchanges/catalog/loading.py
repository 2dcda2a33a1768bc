"""Files of market data read portion by portion: CSV, Parquet, lines of order books, recordings and downloads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exchanges.catalog.catalog import by_series, read
from exchanges.catalog.columns import SYMBOL, Mapped, mapped
from exchanges.catalog.delimited import blocks, by_name, layout
from exchanges.catalog.errors import DataError
from exchanges.catalog.moments import check_timezone
from exchanges.catalog.series import Series, full_name
from exchanges.catalog.shaping import Portion, Shape, Told
from exchanges.catalog.validation import ROW
from exchanges.recording.reader import Recorded, recorded
from exchanges.recording.schemas import BOOKS

BATCH_ROWS = 262_144
_CSV = (".csv", ".tsv", ".txt")
_LINES = (".jsonl",)
_PACKED = (".gz", ".bz2", ".zst")
_CAPITALS = re.compile(r"[0-9]*[A-Z][A-Z0-9]*")
_ARCHIVE = re.compile(r"-(?:[0-9]+[smhdwM]o?|aggTrades|trades)-[0-9-]+$")
_FAILURES = (OSError, ValueError, KeyError, pa.ArrowException)


def load(path: Path, told: Told) -> Iterator[Portion]:
    """All rows at ``path`` in the files' order: a file, a folder of files, a recording or another catalog.

    Raises:
        DataError: something can't be read; the text names file, row and column.
    """
    check_timezone(told.timezone)
    there = recorded(path)
    if there:
        yield from _recorded(there, told)
        return
    files = files_of(path)
    for file in files:
        reader = _parquet if file.suffix == ".parquet" else _books if _is(file, _LINES) else _csv
        yield from reader(file, told, alone=len(files) == 1)


def capitals(path: Path) -> list[str]:
    """What in a file's name can be a symbol: its parts in capitals, as in ``binance_usdm_BTCUSDT_20240808``."""
    stem = path.name
    while (suffix := Path(stem).suffix) in (*_PACKED, *_CSV, *_LINES, ".parquet"):
        stem = stem.removesuffix(suffix)
    return [part for part in _ARCHIVE.sub("", stem).split("_") if _CAPITALS.fullmatch(part)]


def files_of(path: Path) -> list[Path]:
    """The files of market data at ``path``: itself, or those in the folder.

    Raises:
        DataError: there are none.
    """
    if path.is_file():
        return [path]
    if not path.exists():
        raise DataError(f"expected market data at {path}, found nothing there; check the path")
    known = (*_CSV, *_LINES, ".parquet")
    found = sorted(file for file in path.iterdir() if file.is_file() and _is(file, known))
    if not found:
        raise DataError(
            f"expected *.parquet, *.csv or *.jsonl files in {path}, found none; give the folder that holds them"
        )
    return found


def _is(path: Path, kinds: Sequence[str]) -> bool:
    """Whether a file is of one of the kinds, perhaps compressed."""
    inner = path.with_suffix("") if path.suffix in _PACKED else path
    return inner.suffix in kinds


def _symbol(path: Path, told: Told, *, alone: bool) -> str:
    """The symbol of a file without a column of it: as told of this one file, else by its name."""
    if alone and len(told.symbols) == 1:
        return told.symbols[0]
    found = capitals(path)
    if len(found) == 1:
        return found[0]
    raise DataError(
        f"{path}: expected a column of symbols, or one symbol in capitals in the file's name, found {found}; name it"
    )


def _shaped(path: Path, tables: Iterator[pa.Table], columns: Mapped, told: Told, *, alone: bool) -> Iterator[Portion]:
    shape, row = None, 1
    symbol = "" if SYMBOL in columns.names else _symbol(path, told, alone=alone)
    if symbol and told.symbols and symbol not in told.symbols:
        return
    for raw in tables:
        if raw.num_rows:
            shape = shape or Shape(str(path), columns, told, symbol, raw)
            yield from shape.portions(raw, row)
            row += raw.num_rows


def _csv(path: Path, told: Told, *, alone: bool) -> Iterator[Portion]:
    found = layout(path, told.columns)
    columns = mapped(str(path), found.names, by_name(found, told.columns), told.kind)
    yield from _shaped(path, blocks(path, found, columns), columns, told, alone=alone)


def _parquet(path: Path, told: Told, *, alone: bool) -> Iterator[Portion]:
    try:
        names = pq.read_schema(path).names
        columns = mapped(str(path), names, told.columns, told.kind)
        yield from _shaped(path, _batches(path, columns), columns, told, alone=alone)
    except _FAILURES as error:
        raise DataError(f"expected a Parquet file at {path}, found one that can't be read ({error})") from error


def _batches(path: Path, columns: Mapped) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        wanted = sorted(set(columns.names.values()))
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=wanted):
            yield pa.Table.from_batches([batch])


def _books(path: Path, told: Told, *, alone: bool) -> Iterator[Portion]:
    from exchanges.catalog.booklines import books  # here: it brings an exchange's SDK along

    symbol = _symbol(path, told, alone=alone)
    series = Series(full_name(told.venue, symbol), BOOKS)
    if not told.symbols or symbol in told.symbols:
        yield from (Portion(series, rows) for rows in books(path, symbol))


def _recorded(files: Sequence[Recorded], told: Told) -> Iterator[Portion]:
    """The market data of a recording or a catalog, as that of the venue that was told."""
    for series, own in by_series(files).items():
        row = 1
        if told.symbols and series.native not in told.symbols:
            continue
        for rows in read(series, own):
            numbers = pa.array(np.arange(row, row + rows.num_rows))
            row += rows.num_rows
            yield Portion(Series(full_name(told.venue, series.native), series.kind), rows.append_column(ROW, numbers))
