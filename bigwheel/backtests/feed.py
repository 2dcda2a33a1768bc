"""Where a backtest's market data come from: a catalog, a recording, or files that are taken into one for the run."""

from __future__ import annotations

import tempfile
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, repeat
from pathlib import Path
from typing import NamedTuple

from bigwheel.backtests.errors import BacktestError
from bigwheel.backtests.intake import playable, take_in
from exchanges.catalog import Catalog, Series
from exchanges.catalog.catalog import FOR_EVER_NS
from exchanges.catalog.stream import MarketStream
from exchanges.model.market import Bar, MarketData
from exchanges.recording.schemas import BOOKS, QUOTES, TICKERS, TRADES

EVENTS = (TRADES, QUOTES, BOOKS)
HOOKS = {TRADES: "trade", QUOTES: "quote", BOOKS: "book"}
_TOGETHER = 8_192
_SAMPLE = 2_000
"""Rows that tell on which steps an instrument's prices and sizes lie."""


class Opening(NamedTuple):
    """The first price of a bar, at its beginning, and the bar. For the venue alone, which tells nothing too early."""

    symbol: str
    price: float
    bar: Bar


Item = tuple[int, MarketData | Opening]
"""What happens, and when."""


class Sample(NamedTuple):
    """Prices and sizes of the beginning of a symbol's data."""

    prices: list[float]
    sizes: list[float]


class Feed:
    """The data of ``symbols`` in time order, read as they are asked for. Close it, or use it in a ``with``.

    Of bars those of the shortest length are taken, and tickers for what they say of marks and funding. Where a symbol
    has bars and nothing else, each bar's first price is there at its beginning, as an ``Opening``.

    Args:
        path: a catalog or recording, a file (Parquet, CSV, JSON lines of books) or a folder of such files.
        symbols: full names, ``bybit:BTCUSDT``.
        start_ns, end_ns: the first moment, and the one after the last.

    Raises:
        BacktestError: there is no such data.
        DataError: it can't be read, or something in it can't be right.
    """

    def __init__(self, path: Path, symbols: Sequence[str], start_ns: int = 0, end_ns: int = FOR_EVER_NS) -> None:
        self._open = ExitStack()
        self.catalog = self._catalog(path, symbols)
        self.series = self._chosen(path, symbols)
        self.tickers = self.catalog.series(symbols, (TICKERS,))
        self.start_ns, self.end_ns = start_ns, end_ns
        self.stream = MarketStream(self.catalog, [*self.series, *self.tickers], start_ns, end_ns)

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what was taken in for this run."""
        self._open.close()

    def _catalog(self, path: Path, symbols: Sequence[str]) -> Catalog:
        if playable(path):
            return Catalog(path)
        root = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="bigwheel-backtest-")))
        take_in(path, symbols, root)
        return Catalog(root)

    def _chosen(self, path: Path, symbols: Sequence[str]) -> list[Series]:
        there, chosen = self.catalog.series(), []
        for symbol in symbols:
            own = [each for each in there if each.symbol == symbol]
            bars = sorted((each for each in own if each.interval_ns), key=lambda each: each.interval_ns)
            found = [*(each for each in own if each.kind in EVENTS), *bars[:1]]
            if not found:
                names = ", ".join(dict.fromkeys(each.symbol for each in there)) or "none of these symbols"
                raise BacktestError(
                    f"expected trades, quotes, books or bars of {symbol} at {path}, found {names}; correct --symbols"
                )
            chosen += found
        return chosen

    # -- what it says of itself ------------------------------------------------------------

    def kinds(self, symbol: str) -> tuple[str, ...]:
        """What there is of a symbol, as a configuration names it: trade, quote, bar, book."""
        own = [each for each in self.series if each.symbol == symbol]
        return tuple("bar" if each.interval_ns else HOOKS[each.kind] for each in own)

    def interval_ns(self, symbol: str) -> int:
        """The length of a symbol's bars, 0 if it has none."""
        return max(each.interval_ns for each in self.series if each.symbol == symbol)

    def last_ns(self, symbol: str) -> int:
        """When the last of a symbol's data is known."""
        own = [each for each in self.series if each.symbol == symbol]
        return max(self.catalog.holding(each).last_ns + each.interval_ns for each in own)

    @property
    def bars_alone(self) -> bool:
        """Whether there is nothing but bars."""
        return all(each.interval_ns for each in self.series)

    def sample(self, symbol: str) -> Sample:
        """Prices and sizes of the beginning of a symbol's data."""
        prices: list[float] = []
        sizes: list[float] = []
        for series in (each for each in self.series if each.symbol == symbol):
            rows = next(self.catalog.portions(series, self.start_ns, self.end_ns), None)
            if rows is None:
                continue
            rows = rows.slice(0, _SAMPLE)
            for name in ("open", "high", "low", "close", "price", "bid_price", "ask_price"):
                if name in rows.column_names:
                    prices += rows[name].to_pylist()
            for name in ("volume", "size", "bid_size", "ask_size"):
                if name in rows.column_names:
                    sizes += rows[name].to_pylist()
        return Sample(prices, sizes)

    # -- the data --------------------------------------------------------------------------

    def items(self) -> Iterator[list[Item]]:
        """Everything with the moment it is known, in the order of these, some thousands at a time."""
        barred = {each.symbol for each in self.series if each.interval_ns}
        opened = barred - {each.symbol for each in self.series if not each.interval_ns}
        if not opened:
            portions = self._alone()
        else:
            alone = len(self.stream.series) == 1
            portions = self._of_one() if alone else self._with_openings(opened)
        for portion in portions:
            for start in range(0, len(portion), _TOGETHER):
                yield portion[start : start + _TOGETHER]

    def _alone(self) -> Iterator[list[Item]]:
        for window in self.stream.windows():
            yield [(data.recv_ns, data) for data in window.messages()]

    def _of_one(self) -> Iterator[list[Item]]:
        """The bars of one symbol: none begins before the one before it is over."""
        for window in self.stream.windows():
            (batch,) = window.batches
            bars = batch.messages()
            opened = zip(repeat(batch.series.symbol), batch.numbers("open").tolist(), bars, strict=False)
            begun = zip(batch.numbers("ts_ns").tolist(), map(Opening._make, opened), strict=True)
            ended = zip(batch.due_ns.tolist(), bars, strict=True)
            yield list(chain.from_iterable(zip(begun, ended, strict=True)))

    def _with_openings(self, opened: set[str]) -> Iterator[list[Item]]:
        """Read a bar's length ahead, so that bars are known to the venue by their first price when they begin."""
        ahead_ns = max(each.interval_ns for each in self.series if each.symbol in opened)
        waiting: list[tuple[int, int, int, MarketData | Opening]] = []
        number = 0
        for window in self.stream.windows():
            read = window.messages()
            for data in read:
                waiting.append((data.recv_ns, 0, number, data))
                if isinstance(data, Bar) and data.symbol in opened:
                    waiting.append((data.ts_ns, 1, number, Opening(data.symbol, data.open, data)))
                number += 1
            waiting.sort()
            # No bar that is still to be read begins before this.
            ready = bisect_left(waiting, (read[-1].recv_ns - ahead_ns,))
            yield [(at, item) for at, _, _, item in waiting[:ready]]
            del waiting[:ready]
        yield [(at, item) for at, _, _, item in waiting]
