"""A file's columns made into those of a catalog; each value that can't be is named by file, row and column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exchanges.catalog import moments
from exchanges.catalog.columns import CENTS, MAKER, QUOTE_BARS, SYMBOL, TIME, Mapped
from exchanges.catalog.errors import DataError
from exchanges.catalog.series import BARS, Series, full_name
from exchanges.catalog.validation import ROW
from exchanges.recording.schemas import QUOTES, SECOND, Column, bars_name, table_of

OPEN, CLOSE = "open", "close"
_SIDES = ("buy", "b", "yes", "1"), ("sell", "s", "no", "-1")
"""How the taker's side is written. Bid and ask are not among them: some mean the side that was hit."""
_MAKERS = ("false", "f", "0"), ("true", "t", "1")
"""How it is written that the buyer was the maker, which is that the taker sold."""
_MINUTE_NS = 60_000_000_000


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a file does not say of itself. ``venue`` is needed, the rest where it can't be guessed."""

    venue: str
    symbols: tuple[str, ...] = ()
    """The one symbol of a file without a column of them; of one with, those that are wanted."""
    kind: str = ""
    """bars, trades, quotes, books, tickers or funding; empty: by its columns."""
    columns: Mapping[str, str] = {}
    """Our name of a column to the file's name or (where it has no header) number, from 0."""
    time: str = moments.AUTO
    timezone: str = "UTC"
    interval_ns: int = 0
    """The length of bars; 0: the shortest distance between two of the first."""
    stamped: str = OPEN
    """Whether the time of a bar is that of its ``open`` or its ``close``."""


class Portion(NamedTuple):
    """Rows of one series, with the columns of its table and ``row``, in the order of the file."""

    series: Series
    rows: pa.Table


class Shape:
    """How the rows of one file become rows of a catalog.

    Args:
        where: the file, as it is to be named in errors.
        columns: which of its columns is what.
        told: what it does not say of itself.
        symbol: the symbol of all rows, where there is no column of it.
        first: its first rows, which tell the format of times and the length of bars.

    Raises:
        DataError: the first rows say that it can't be done.
    """

    def __init__(self, where: str, columns: Mapped, told: Told, symbol: str, first: pa.Table) -> None:
        self._where, self._columns, self._told, self._symbol = where, columns, told, symbol
        self._time = told.time
        if self._time == moments.AUTO:
            ours = columns.names[TIME] == TIME
            self._time = "ns" if ours else moments.sniffed(first[columns.names[TIME]])
        form = columns.form.kind
        self._interval_ns = 0
        if form in (BARS, QUOTE_BARS):
            self._interval_ns = told.interval_ns or _shortest(self._times(first, 1))
            if self._interval_ns % SECOND:
                raise DataError(
                    f"{where}: expected bars of whole seconds, found {self._interval_ns} ns between two; tell their "
                    f"length or the format of their times"
                )
        self.kind = bars_name(self._interval_ns) if form == BARS else QUOTES if form == QUOTE_BARS else form
        self._table = table_of(self.kind)

    def portions(self, raw: pa.Table, first_row: int) -> Iterator[Portion]:
        """The rows of ``raw`` by symbol; the first of them is row ``first_row`` of the file.

        Raises:
            DataError: a value is of another type than expected.
        """
        numbers = pa.array(np.arange(first_row, first_row + raw.num_rows))
        columns = {column.name: self._column(column, raw, first_row) for column in self._table.columns}
        rows = pa.table({**columns, ROW: numbers})
        wanted = self._told.symbols
        if SYMBOL not in self._columns.names:
            yield Portion(self._series(self._symbol), rows)
            return
        names = pc.fill_null(raw[self._columns.names[SYMBOL]].cast(pa.string()), "")
        for name in pc.unique(names).to_pylist():
            if not name:
                row = first_row + pc.index(names, "").as_py()
                raise DataError(f"{self._where}: expected a symbol in row {row}, found none; fill it in")
            if not wanted or name in wanted:
                yield Portion(self._series(name), rows.filter(pc.equal(names, name)))

    def _series(self, symbol: str) -> Series:
        return Series(full_name(self._told.venue, symbol), self.kind)

    # -- columns ---------------------------------------------------------------------------

    def _column(self, column: Column, raw: pa.Table, first_row: int) -> Any:
        name, names = column.name, self._columns.names
        if name == TIME:
            return self._times(raw, first_row)
        if name == "recv_ns" and name not in names:
            return pc.add(self._times(raw, first_row), 0 if self.kind == QUOTES else self._interval_ns)
        if name == "side":
            return self._sides(raw, first_row)
        if name == "price" and CENTS in names:
            cents = self._numbers(raw[names[CENTS]], names[CENTS], first_row)
            return pc.round(pc.divide(cents, 100.0), 4)
        theirs = (
            names.get(_CLOSING.get(name, name), "") if self._columns.form.kind == QUOTE_BARS else names.get(name, "")
        )
        if not theirs:
            empty = "" if pa.types.is_string(column.type) else 0
            return pa.repeat(pa.scalar(empty, column.type), raw.num_rows)
        if pa.types.is_string(column.type):
            return pc.fill_null(raw[theirs].cast(column.type), "")
        if pa.types.is_list(column.type):
            return self._lists(raw[theirs], theirs, column.type)
        if pa.types.is_integer(column.type):
            return self._integers(raw[theirs], theirs, first_row)
        return self._numbers(raw[theirs], theirs, first_row).cast(column.type, safe=False)

    def _times(self, raw: pa.Table, first_row: int) -> Any:
        name = self._columns.names[TIME]
        shift = -self._interval_ns if self._told.stamped == CLOSE else 0
        if self._columns.form.kind == QUOTE_BARS:  # the closing quote is known when the bar ends
            shift += self._interval_ns
        values = _whole(raw[name])

        def made(part: Any) -> Any:
            return moments.nanoseconds(part, self._time, self._told.timezone)

        how = f"a time as {self._time}"
        return pc.add(pc.fill_null(self._made(made, values, name, first_row, how), 0), shift)

    def _numbers(self, values: Any, name: str, first_row: int) -> Any:
        """Numbers; what is empty is not one (NaN), which validation counts."""

        def made(part: Any) -> Any:
            return part.cast(pa.float64(), safe=False)

        whole = _whole(values)
        if pa.types.is_integer(whole.type):
            return whole if not whole.null_count else pc.fill_null(made(whole), float("nan"))
        return pc.fill_null(self._made(made, whole, name, first_row, "a number"), float("nan"))

    def _integers(self, values: Any, name: str, first_row: int) -> Any:
        def made(part: Any) -> Any:
            return part.cast(pa.int64())

        return pc.fill_null(self._made(made, _whole(values), name, first_row, "a whole number"), 0)

    def _lists(self, values: Any, name: str, wanted: pa.DataType) -> Any:
        try:
            return values.cast(wanted)
        except (pa.ArrowException, ValueError):
            raise DataError(
                f"{self._where}: expected lists of numbers in {name!r}, found {values.type}; convert the column"
            ) from None

    def _sides(self, raw: pa.Table, first_row: int) -> Any:
        """``buy`` and ``sell`` as they are usually written; anything else stays as it is, for validation to count."""
        names = self._columns.names
        name = names.get("side") or names.get(MAKER, "")
        if not name:
            return pa.repeat(pa.scalar(""), raw.num_rows)
        text = pc.utf8_lower(pc.fill_null(raw[name].cast(pa.string()), ""))
        buys, sells = _SIDES if "side" in names else _MAKERS
        is_buy, is_sell = pc.is_in(text, pa.array(buys)), pc.is_in(text, pa.array(sells))
        return pc.if_else(is_buy, "buy", pc.if_else(is_sell, "sell", text))

    def _made(self, make: Any, values: Any, name: str, first_row: int, wanted: str) -> Any:
        """``make(values)``; where that fails, the first value it fails for is told."""
        try:
            return make(values)
        except (pa.ArrowException, ValueError, OverflowError) as error:
            place = _first_unfit(make, values)
            raise DataError(
                f"{self._where}: expected {wanted} in row {first_row + place}, column {name!r}, found "
                f"{values[place].as_py()!r}; correct it, or tell the format ({error})"
            ) from None


_CLOSING = {"bid_price": "bid_close", "ask_price": "ask_close"}


def _whole(values: Any) -> Any:
    """One array; empty text is no value."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], whole.type)
    if pa.types.is_string(whole.type):
        whole = pc.utf8_trim_whitespace(whole)
        whole = pc.if_else(pc.equal(whole, ""), pa.scalar(None, whole.type), whole)
    return whole


def _first_unfit(make: Any, values: Any) -> int:
    """The place of the first value that ``make`` can't be done with, found by halves."""
    start, end = 0, len(values)
    while end - start > 1:
        middle = (start + end) // 2
        try:
            make(values.slice(start, middle - start))
            start = middle
        except (pa.ArrowException, ValueError, OverflowError):
            end = middle
    return start


def _shortest(times: Any) -> int:
    """The shortest distance between two of ``times``: many bars may be missing; a minute if there is but one."""
    steps = np.diff(np.unique(times.to_numpy()))
    return int(steps.min()) if len(steps) else _MINUTE_NS
