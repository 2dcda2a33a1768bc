"""Order books out of recorded streams: an exchange's own messages, one a line, as snapshots and what changed since.

Understood are Bybit's v5 ``orderbook`` topics and Binance's depth streams with the snapshot of their REST interface;
a line may begin with the time of receipt in nanoseconds. Other lines are passed over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from exchanges.bybit.books import OrderBook
from exchanges.bybit.wire import BookMessage, BookRow
from exchanges.catalog.errors import DataError
from exchanges.catalog.validation import ROW
from exchanges.model.market import Book
from exchanges.recording.schemas import BOOKS, table_of

LEVELS = 50
"""How many of the best levels of a side are kept."""
_BATCH_ROWS = 4_096
_MOST_WAITING = 10_000
_MS = 1_000_000
_MARKS = (b'"orderbook.', b'"depthUpdate"', b'"lastUpdateId"')


class _Data(msgspec.Struct):
    """What changed, under both exchanges' names."""

    s: str = ""
    b: list[tuple[str, str]] = []
    a: list[tuple[str, str]] = []
    u: int = 0
    U: int = 0
    pu: int = 0
    T: int = 0
    E: int = 0


class _Line(msgspec.Struct):
    type: str = ""
    ts: int = 0
    data: _Data = msgspec.field(default_factory=_Data)
    lastUpdateId: int = 0
    T: int = 0
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []


class _Change(NamedTuple):
    """A snapshot or a change of a book: from which update to which, and after which one (0: not said)."""

    snapshot: bool
    ts_ns: int
    first: int
    last: int
    before: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


def books(path: Path, symbol: str) -> Iterator[pa.Table]:
    """The best levels after each change in the lines at ``path``, with the number of each line.

    Raises:
        DataError: a line can't be read, an update is missing, or the book crosses.
    """
    table, rows = table_of(BOOKS), _rows(path, symbol)
    while part := list(islice(rows, _BATCH_ROWS)):
        batch = table.batch([book for _, book in part])
        numbers = pa.array(np.array([number for number, _ in part], np.int64))
        yield pa.Table.from_batches([batch]).append_column(ROW, numbers)


def _rows(path: Path, symbol: str) -> Iterator[tuple[int, Book]]:
    keeper, decoder = _Keeper(symbol), msgspec.json.Decoder(_Line)
    for number, line in _lines(path):
        head, _, rest = line.partition(b" ")
        recv_ns = int(head) if head.isdigit() else 0
        try:
            change = _change(decoder.decode(rest if recv_ns else line))
            known = keeper.take(change)
        except (msgspec.DecodeError, ValueError) as error:
            raise DataError(
                f"{path}: expected a message of an order book in line {number}, found {line[:80]!r} ({error})"
            ) from None
        if known and change.ts_ns:
            yield number, keeper.book.book(change.ts_ns, recv_ns or change.ts_ns, LEVELS)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines about books, counted from 1."""
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            for number, line in enumerate(_split(stream), 1):
                if any(mark in line[:200] for mark in _MARKS):
                    yield number, line
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"expected lines that can be read at {path}, found: {error}") from error


def _split(stream: Any) -> Iterator[bytes]:
    rest = b""
    while block := stream.read(1 << 20):
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _change(line: _Line) -> _Change:
    data = line.data
    if line.lastUpdateId:
        return _Change(True, line.T * _MS, 0, line.lastUpdateId, 0, line.bids, line.asks)
    if line.type:
        snapshot = line.type == "snapshot"
        return _Change(snapshot, line.ts * _MS, data.u, data.u, data.u - 1, data.b, data.a)
    return _Change(False, (data.T or data.E) * _MS, data.U, data.u, data.pu, data.b, data.a)


class _Keeper:
    """One symbol's book. What comes before the first snapshot waits: the snapshot may be older than it."""

    def __init__(self, symbol: str) -> None:
        self.book = OrderBook(symbol)
        self._symbol = symbol
        self._waiting: deque[_Change] = deque(maxlen=_MOST_WAITING)

    def take(self, change: _Change) -> bool:
        """Take in a change; whether the book is known after it, and by it.

        Raises:
            ValueError: an update is missing, or bids and asks cross after it.
        """
        if change.snapshot:
            self._apply(change)
            while self._waiting:
                self.take(self._waiting.popleft())
            return True
        if not self.book.valid:
            self._waiting.append(change)
            return False
        if change.last <= self.book.update:
            return False
        # The first after a snapshot holds updates of before it, too.
        within = change.first <= self.book.update + 1 <= change.last
        if not within and change.before != self.book.update:
            raise ValueError(f"the update after {self.book.update} is missing")
        self._apply(change)
        return True

    def _apply(self, change: _Change) -> None:
        row = BookRow(self._symbol, change.bids, change.asks, change.last)
        message = BookMessage("", "snapshot" if change.snapshot else "delta", change.ts_ns // _MS, row)
        if not self.book.apply(message):
            raise ValueError("its bids and asks cross")
