"""Where recorded data lies: folders by venue, symbol and UTC day, and what the files' names say.

``venue=bybit/symbol=BTC%2FUSD/day=2026-11-24/trades-7-12.parquet`` is part 12 of the trades of a day, written by
epoch 7 of the venue's connection (0: by a download). ``trades-7-12-m1.parquet`` is a merger of parts up to 12; what
it replaces stands in its footer, so that a crash before the old parts are gone doubles nothing. Numbers count up over
all epochs of a day: none is given twice. Hidden names are unfinished files.

Bars that are imported lie by month or year (``month=2026-11``): a day of quarter-hour bars is too little for a file.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from exchanges.recording.errors import RecordingError

DAY_NS = 86_400_000_000_000
UNITS = ("year", "month", "day")
"""What a folder of rows may reach over, by the number of hyphens in its text."""
HIDDEN_SUFFIX = ".tmp"
NOTE_KEY = b"bigwheel"
_LENGTHS = {"year": 4, "month": 7, "day": 10}
_NAME = re.compile(r"(?P<table>[a-z]+(?:_[0-9]+s)?)-(?P<epoch>[0-9]+)-(?P<number>[0-9]+)(?:-m(?P<merger>[0-9]+))?")
_EPOCH = dt.date(1970, 1, 1)


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a file says of itself in its footer.

    ``covers`` are the spans ``[start_ns, end_ns)`` in which nothing is missing (downloads know that, live recordings
    don't); ``replaces`` the names of the files whose rows it took over.
    """

    covers: tuple[tuple[int, int], ...] = ()
    replaces: tuple[str, ...] = ()


class Partition(NamedTuple):
    """One symbol's UTC day at one venue; ``symbol`` as it stands after the venue in ``bybit:BTCUSDT``.

    ``period`` is a day (``2026-11-24``), a month (``2026-11``) or a year (``2026``).
    """

    venue: str
    symbol: str
    period: str

    @property
    def start_ns(self) -> int:
        return (_first_day(self.period) - _EPOCH).days * DAY_NS

    @property
    def end_ns(self) -> int:
        first = _first_day(self.period)
        days = {"day": 1, "month": calendar.monthrange(first.year, first.month)[1]}
        return self.start_ns + days.get(_unit(self.period), 365 + calendar.isleap(first.year)) * DAY_NS

    def folder(self, root: Path) -> Path:
        """Where its files lie."""
        return symbol_folder(root, self.venue, self.symbol) / f"{_unit(self.period)}={self.period}"


class Part(NamedTuple):
    """One file; ``merger`` is 0 unless it was made of others."""

    path: Path
    table: str
    epoch: int
    number: int
    merger: int


def escaped(text: str) -> str:
    """``text`` as the end of a folder's name; ``BTC/USD`` becomes ``BTC%2FUSD``, as Hive readers expect it.

    Raises:
        RecordingError: no text, or one that is no Unicode.
    """
    try:
        name = quote(text, safe="")
    except UnicodeEncodeError:
        name = ""
    if not name:
        raise RecordingError(f"expected a symbol or venue of valid characters, found {text!r}; correct its name")
    return name


def plain(name: str) -> str:
    """The text that ``escaped`` made ``name`` of."""
    return unquote(name, errors="strict")


def symbol_folder(root: Path, venue: str, symbol: str) -> Path:
    """The folder of all days of ``symbol``."""
    return root / f"venue={escaped(venue)}" / f"symbol={escaped(symbol)}"


def day_of(ts_ns: int) -> str:
    """The UTC day of a time: ``2026-11-24``."""
    return (_EPOCH + dt.timedelta(days=ts_ns // DAY_NS)).isoformat()


def period_of(ts_ns: int, unit: str) -> str:
    """The UTC day, month or year of a time, whichever ``unit`` says: ``2026-11-24``, ``2026-11``, ``2026``."""
    return day_of(ts_ns)[: _LENGTHS[unit]]


def partition_of(folder: Path) -> Partition | None:
    """The partition that ``folder`` is, or None if it is none."""
    keys, values = [], []
    for name in folder.parts[-3:]:
        key, _, value = name.partition("=")
        keys.append(key)
        values.append(value)
    if len(values) < 3 or not all(values) or not _is_period(values[2]):
        return None
    if keys != ["venue", "symbol", _unit(values[2])]:
        return None
    try:
        return Partition(plain(values[0]), plain(values[1]), values[2])
    except UnicodeDecodeError:
        return None


def _unit(period: str) -> str:
    """What a period is, and is called in its folder's name."""
    return UNITS[period.count("-")]


def _first_day(period: str) -> dt.date:
    return dt.date.fromisoformat(period + "-01" * (2 - period.count("-")))


def _is_period(text: str) -> bool:
    try:
        return len(text) in _LENGTHS.values() and _first_day(text).isoformat().startswith(text)
    except ValueError:
        return False


def name_of(table: str, epoch: int, number: int, merger: int = 0) -> str:
    """The name of a file."""
    return f"{table}-{epoch}-{number}{f'-m{merger}' if merger else ''}.parquet"


def part_of(path: Path) -> Part | None:
    """What the name of ``path`` says, or None if it is not one of ours."""
    match = _NAME.fullmatch(path.name.removesuffix(".parquet"))
    if match is None or not path.name.endswith(".parquet"):
        return None
    return Part(path, match["table"], int(match["epoch"]), int(match["number"]), int(match["merger"] or 0))


def all_parts(folder: Path, table: str = "") -> list[Part]:
    """Every part in a partition's folder by its number, those that have been replaced included."""
    try:
        found = [part_of(path) for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    wanted = (part for part in found if part is not None and table in ("", part.table))
    return sorted(wanted, key=lambda part: (part.table, part.number, part.merger, part.epoch))


def parts(folder: Path, table: str = "") -> list[Part]:
    """The parts that count: without those a merger has replaced and a crash has left behind.

    Raises:
        RecordingError: a merger can't be read.
    """
    found = all_parts(folder, table)
    gone = replaced(found)
    return [part for part in found if part.path.name not in gone]


def replaced(found: Iterable[Part]) -> frozenset[str]:
    """The names of the files that the mergers among ``found`` stand for."""
    return frozenset(name for part in found if part.merger for name in note_of(part.path).replaces)


def note_of(path: Path) -> Note:
    """What the file at ``path`` says of itself.

    Raises:
        RecordingError: it can't be read.
    """
    try:
        metadata = pq.read_schema(path).metadata or {}
        return msgspec.json.decode(metadata.get(NOTE_KEY, b"{}"), type=Note)
    except (OSError, pa.ArrowException, msgspec.DecodeError) as error:
        raise RecordingError(
            f"expected a recorded Parquet file at {path}, found one that can't be read ({error}); move it away"
        ) from error


def with_note(schema: pa.Schema, note: Note) -> pa.Schema:
    """``schema`` with ``note`` in its metadata."""
    return schema.with_metadata({NOTE_KEY: msgspec.json.encode(note)})


def next_number(folder: Path, table: str) -> int:
    """A number that no part of ``table`` in ``folder`` has or had."""
    return 1 + max((part.number for part in all_parts(folder, table)), default=0)


def days(root: Path, venue: str) -> Iterator[Path]:
    """The folders of all days of a venue, read as they are asked for; what can't be read counts as empty."""
    for symbol in sorted((root / f"venue={escaped(venue)}").glob("symbol=*")):
        yield from sorted(symbol.glob("day=*"))
