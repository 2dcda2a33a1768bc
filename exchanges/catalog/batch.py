"""Rows of one series as columns, and as the messages of the market model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exchanges.catalog.errors import DataError
from exchanges.catalog.series import Series
from exchanges.model.market import Bar, Book, MarketData, Quote, Ticker, Trade
from exchanges.recording.schemas import BOOKS, QUOTES, TICKERS, TRADES

Ints = npt.NDArray[np.int64]


class Batch:
    """Some rows of a series in time order.

    ``due_ns`` is when each of them is known: the time of an event, the end of a bar. ``seq`` numbers them among all
    data of the symbol in the stream.
    """

    __slots__ = ("due_ns", "epoch", "rows", "seq", "series")

    def __init__(self, series: Series, rows: pa.RecordBatch, due_ns: Ints, seq: Ints, epoch: int) -> None:
        self.series, self.rows, self.due_ns, self.seq, self.epoch = series, rows, due_ns, seq, epoch

    def __len__(self) -> int:
        return len(self.due_ns)

    def numbers(self, name: str) -> npt.NDArray[Any]:
        """A column of numbers as a NumPy array, without a copy: ``ts_ns``, ``close``, ``bid_price``."""
        found: npt.NDArray[Any] = self.rows.column(name).to_numpy()
        return found

    def column(self, name: str) -> pa.Array:
        """A column as it lies, such as ``side`` (text) or ``bid_prices`` (lists)."""
        return self.rows.column(name)

    def messages(self) -> list[MarketData]:
        """The rows as messages; ``recv_ns`` is ``due_ns``: in a stream nothing is known later than it is due.

        Raises:
            DataError: the kind has no message (funding).
        """
        make = maker(self.series)
        heads = (repeat(self.series.symbol), repeat(self.epoch), self.seq.tolist(), self.numbers("ts_ns").tolist())
        return list(make(self, *heads, self.due_ns.tolist()))


Maker = Callable[..., Iterator[MarketData]]


def maker(series: Series) -> Maker:
    """What makes the messages of a series.

    Raises:
        DataError: there is none.
    """
    if series.interval_ns:
        return _bars
    found = _MAKERS.get(series.kind)
    if found is None:
        raise DataError(
            f"expected a kind with market messages, found {series}; leave it out of the messages and take it as batches"
        )
    return found


def _bars(batch: Batch, *heads: Iterable[Any]) -> Iterator[MarketData]:
    values = (batch.numbers(name).tolist() for name in ("open", "high", "low", "close", "volume"))
    return map(Bar, *heads, *values, repeat(batch.series.interval_ns))


def _trades(batch: Batch, *heads: Iterable[Any]) -> Iterator[MarketData]:
    values = (batch.numbers(name).tolist() for name in ("price", "size"))
    return map(Trade, *heads, *values, *(batch.column(name).to_pylist() for name in ("side", "trade_id")))


def _quotes(batch: Batch, *heads: Iterable[Any]) -> Iterator[MarketData]:
    values = (batch.numbers(name).tolist() for name in ("bid_price", "bid_size", "ask_price", "ask_size"))
    return map(Quote, *heads, *values)


def _tickers(batch: Batch, *heads: Iterable[Any]) -> Iterator[MarketData]:
    values = (batch.numbers(name).tolist() for name in ("mark", "index", "funding_rate", "funding_ns"))
    return map(Ticker, *heads, *values)


def _books(batch: Batch, *heads: Iterable[Any]) -> Iterator[MarketData]:
    sides = (
        map(_levels, batch.column(f"{side}_prices").to_pylist(), batch.column(f"{side}_sizes").to_pylist())
        for side in ("bid", "ask")
    )
    return map(Book, *heads, *sides)


def _levels(prices: list[float], sizes: list[float]) -> tuple[tuple[float, float], ...]:
    return tuple(zip(prices, sizes, strict=True))


_MAKERS: dict[str, Maker] = {TRADES: _trades, QUOTES: _quotes, BOOKS: _books, TICKERS: _tickers}
