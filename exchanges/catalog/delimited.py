"""CSV files: what their first lines say of the rest, and their columns as text, block by block."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.csv as arrow_csv

from exchanges.catalog.columns import HEADERLESS, TIME, Mapped, known
from exchanges.catalog.errors import DataError

BLOCK_BYTES = 16 << 20
_HEAD_BYTES = 1 << 16
_PREAMBLE = 5
"""Lines looked at for a header: some files begin with a remark."""
_FAILURES = (OSError, ValueError, KeyError, pa.ArrowException)


class Layout(msgspec.Struct, frozen=True):
    """How a CSV file is written: lines before the rows, delimiter, and the names of its columns."""

    skip: int
    delimiter: str
    names: list[str]


def layout(path: Path, told: Mapping[str, str]) -> Layout:
    """What the first lines of the file at ``path`` say; ``told`` is a column map, our name to theirs or a number.

    Raises:
        DataError: it can't be read, or there is no header and no form that is usual without one.
    """
    lines = _head(path)
    if not any(line.strip() for line in lines):
        raise DataError(f"{path}: expected rows, found an empty file")
    delimiter = max(",;\t|", key=lambda letter: sum(line.count(letter) for line in lines))
    rows = list(csv.reader(lines, delimiter=delimiter))
    for skip, names in enumerate(rows):
        plain = [name.strip() for name in names]
        if known(plain) or (told and set(told.values()) <= set(plain)):
            return Layout(skip + 1, delimiter, plain)
    first = next(row for row in rows if row)
    if not any(map(_is_number, first)):
        return Layout(rows.index(first) + 1, delimiter, [name.strip() for name in first])
    width = len(first)
    if told:
        return Layout(0, delimiter, [str(number) for number in range(width)])
    usual = next((list(names) for names in HEADERLESS if len(names) == width and _fits(names, first)), None)
    if usual is None:
        raise DataError(
            f"{path}: expected a header or rows as exchanges publish them, found {width} columns without names; tell "
            f"them by number, such as --columns {TIME}=0,open=1"
        )
    return Layout(0, delimiter, usual)


def _head(path: Path) -> list[str]:
    """The first lines."""
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            text: str = stream.read(_HEAD_BYTES).decode("utf-8-sig", errors="replace")
    except _FAILURES as error:
        raise DataError(f"expected a file that can be read at {path}, found: {error}") from error
    return text.splitlines()[:_PREAMBLE]


def _fits(names: Sequence[str], row: Sequence[str]) -> bool:
    """Whether the numbers of a line can be what the names say."""
    return all(
        _is_number(value) for name, value in zip(names, row, strict=True) if name[0] != "-" and name != "buyer_is_maker"
    )


def by_name(layout: Layout, columns: Mapping[str, str]) -> dict[str, str]:
    """A column map by name or number as one by name."""
    return {
        ours: layout.names[int(theirs)] if theirs not in layout.names and _is_place(theirs, layout) else theirs
        for ours, theirs in columns.items()
    }


def _is_place(text: str, layout: Layout) -> bool:
    return text.isdigit() and int(text) < len(layout.names)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def blocks(path: Path, layout: Layout, columns: Mapped) -> Iterator[pa.Table]:
    """The columns that are needed, as text: what can't be read is told by row and column later.

    Raises:
        DataError: a row has another number of columns, or the file can't be read.
    """
    wanted = sorted(set(columns.names.values()))
    names = _unique(layout.names)
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            found = arrow_csv.open_csv(
                stream,
                arrow_csv.ReadOptions(
                    use_threads=False, block_size=BLOCK_BYTES, skip_rows=layout.skip, column_names=names
                ),
                arrow_csv.ParseOptions(delimiter=layout.delimiter),
                arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), include_columns=wanted, strings_can_be_null=False
                ),
            )
            for batch in found:
                yield pa.Table.from_batches([batch])
    except _FAILURES as error:
        raise DataError(
            f"{path}: expected rows of {len(names)} columns after {layout.skip} lines, found: {error}; correct the file"
        ) from error


def _unique(names: Sequence[str]) -> list[str]:
    """The names, those that were there before with a number."""
    seen: dict[str, int] = {}
    found: list[str] = []
    for name in names:
        seen[name] = seen.get(name, -1) + 1
        found.append(f"{name}#{seen[name]}" if seen[name] else name)
    return found
