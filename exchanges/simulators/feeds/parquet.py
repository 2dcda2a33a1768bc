"""Recorded trades and bars from Parquet files, read in batches and checked as they are read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exchanges.catalog.loading import capitals
from exchanges.matching.bars import path as bar_path
from exchanges.model.market import Bar
from exchanges.model.order import Side
from exchanges.simulators.errors import FeedError
from exchanges.simulators.feeds.row import Row

BATCH_ROWS = 8_192
SAMPLE_ROWS = 20_000
TRADE_COLUMNS = ("price", "size")
BAR_COLUMNS = ("open", "high", "low", "close", "volume")
_SIDES = {"buy": Side.BUY, "sell": Side.SELL, "Buy": Side.BUY, "Sell": Side.SELL}


class ParquetTable:
    """One file of trades or bars. Its schema is checked when it is opened, its values as they are read.

    Columns of trades: ``ts_ns`` (int64), ``price``, ``size``; if present also ``symbol``,
    ``side`` (``buy``/``sell``, the taker's; otherwise an uptick counts as a buy), ``trade_id``.
    Columns of bars: ``ts_ns`` (open time), ``open``, ``high``, ``low``, ``close``, ``volume``.

    Raises:
        FeedError: no such file, not Parquet, a column missing or of the wrong type.
    """

    def __init__(self, path: Path, names: Mapping[str, str]) -> None:
        self.rows = rows_of(path)
        self._interval_ns = 0
        self._begin(path, pq.read_schema(path))
        self.symbol = "" if "symbol" in self._columns else _symbol_of(path, names)

    def _begin(self, path: Path, schema: Any) -> None:
        self.path = path
        self._columns = set(schema.names)
        self.is_bars = "price" not in self._columns and "open" in self._columns
        wanted = {"ts_ns": "int64", **dict.fromkeys(BAR_COLUMNS if self.is_bars else TRADE_COLUMNS, "double")}
        for name, kind in wanted.items():
            if name not in self._columns:
                raise FeedError(
                    f"{self.path}: expected a column {name!r} ({kind}), found {sorted(self._columns)}; "
                    f"trades need ts_ns, price, size, bars need ts_ns, {', '.join(BAR_COLUMNS)}"
                )
            found = schema.field(name).type
            numeric = pa.types.is_floating(found) or pa.types.is_integer(found)
            fits = found == pa.int64() if kind == "int64" else numeric
            if not fits:
                raise FeedError(f"{self.path}: expected column {name!r} as {kind}, found {found}; convert the column")
        for name in {"symbol", "side"} & self._columns:
            found = schema.field(name).type
            if not (pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_dictionary(found)):
                raise FeedError(f"{self.path}: expected column {name!r} as string, found {found}; convert the column")

    def symbols(self) -> list[str]:
        """The symbols in the file, in order of first appearance."""
        if self.symbol:
            return [self.symbol]
        seen: dict[str, None] = {}
        for batch in self._read_batches(BATCH_ROWS, ["symbol"]):
            seen.update(dict.fromkeys(pc.unique(batch.column(0)).to_pylist()))
        return [str(symbol) for symbol in seen]

    def sample(self, symbol: str) -> tuple[list[float], list[float]]:
        """Prices and sizes from the start of the file, to see their steps."""
        prices: list[float] = []
        sizes: list[float] = []
        for batch in self._batches():
            others = [s != symbol for s in self._symbols(batch)]
            for name in BAR_COLUMNS[:4] if self.is_bars else ("price",):
                prices += [p for p, skip in zip(batch[name].to_pylist(), others, strict=True) if not skip]
            name = "volume" if self.is_bars else "size"
            sizes += [s for s, skip in zip(batch[name].to_pylist(), others, strict=True) if not skip]
            if len(sizes) >= SAMPLE_ROWS:
                break
        return prices, sizes

    def read(self, wanted: frozenset[str]) -> Iterator[Row]:
        """The trades of the ``wanted`` symbols, in the file's order; four for each bar."""
        if self.symbol and self.symbol not in wanted:
            return
        rows = self._read_bars() if self.is_bars else self._read_trades()
        if self.symbol:
            yield from rows
        else:
            yield from (row for row in rows if row[1] in wanted)

    def _read_trades(self) -> Iterator[Row]:
        last: dict[str, tuple[float, Side]] = {}
        count = 0
        for batch in self._batches():
            times, symbols = batch["ts_ns"].to_pylist(), self._symbols(batch)
            prices, sizes = batch["price"].to_pylist(), batch["size"].to_pylist()
            if "side" in self._columns:
                sides = self._sides(batch["side"].to_pylist(), count)
            else:
                sides = [_tick_rule(last, s, p) for s, p in zip(symbols, prices, strict=True)]
            if "trade_id" in self._columns:
                ids = [str(i) for i in batch["trade_id"].to_pylist()]
            else:
                ids = [f"{self.path.stem}-{count + i}" for i in range(len(times))]
            yield from zip(times, symbols, prices, sizes, sides, ids, strict=True)
            count += len(times)

    def _sides(self, values: list[Any], first_row: int) -> list[Side]:
        try:
            return [_SIDES[value] for value in values]
        except KeyError as error:
            row = first_row + next(i for i, value in enumerate(values) if value not in _SIDES)
            raise FeedError(
                f"{self.path}: expected side 'buy' or 'sell' in row {row}, found {error.args[0]!r}; correct the file"
            ) from None

    def _read_bars(self) -> Iterator[Row]:
        before: dict[str, float] = {}
        interval = self.interval_ns()
        for batch in self._batches():
            columns = [batch[name].to_pylist() for name in ("ts_ns", *BAR_COLUMNS)]
            for symbol, ts, o, h, low, c, volume in zip(self._symbols(batch), *columns, strict=True):
                bar = Bar(symbol, 0, 0, ts, 0, o, h, low, c, volume, interval)
                times = (ts, ts + interval // 3, ts + 2 * interval // 3, ts + interval - 1_000_000)
                walk = bar_path(bar, before.get(symbol, 0.0), 0.0)
                for number, (at, (price, size, side)) in enumerate(zip(times, walk, strict=True)):
                    yield at, symbol, price, size, side, f"{symbol}-{ts // 1_000_000}-{number}"
                before[symbol] = c

    def interval_ns(self) -> int:
        """The shortest distance between neighbouring bars (a minute if there is but one): many may be missing."""
        if not self._interval_ns:
            batch = next(self._read_batches(2_000, ["ts_ns"]), None)
            times = sorted(set(batch.column(0).to_pylist())) if batch is not None else []
            self._interval_ns = min((b - a for a, b in itertools.pairwise(times)), default=60_000_000_000)
        return self._interval_ns

    def first_ns(self) -> int:
        """The time of the first row; 0 if there is none."""
        batch = next(self._read_batches(1, ["ts_ns"]), None)
        return int(batch.column(0)[0].as_py()) if batch is not None else 0

    def _read_batches(self, rows: int, columns: list[str]) -> Iterator[Any]:
        """The file is open while it is read and no longer: a recording may have thousands."""
        with _opened(self.path) as file:
            yield from file.iter_batches(batch_size=rows, columns=columns)

    def _symbols(self, batch: Any) -> list[str]:
        return [self.symbol] * batch.num_rows if self.symbol else batch["symbol"].to_pylist()

    def _batches(self) -> Iterator[Any]:
        wanted = ("ts_ns", "symbol", "side", "trade_id", *(BAR_COLUMNS if self.is_bars else TRADE_COLUMNS))
        columns = [name for name in wanted if name in self._columns]
        first, last_time = 0, 0
        for batch in self._read_batches(BATCH_ROWS, columns):
            self._check_values(batch, columns, f"rows {first} to {first + batch.num_rows - 1}")
            last_time = self._ordered(batch["ts_ns"], last_time, first)
            first += batch.num_rows
            yield batch

    def _check_values(self, batch: Any, columns: list[str], rows: str) -> None:
        for name in columns:
            values = batch[name]
            if values.null_count:
                raise FeedError(
                    f"{self.path}: expected a value in every row, found nulls in {name!r} in {rows}; drop them"
                )
            if name not in (*BAR_COLUMNS, *TRADE_COLUMNS):
                continue
            lowest = pc.greater_equal if name == "volume" else pc.greater
            if not pc.all(pc.and_(pc.is_finite(values), lowest(values, 0))).as_py():
                bound = "not negative" if name == "volume" else "above 0"
                raise FeedError(
                    f"{self.path}: expected {name!r} finite and {bound}, found another value in {rows}; "
                    f"correct or drop these rows"
                )

    def _ordered(self, times: Any, last: int, first_row: int) -> int:
        count = len(times)
        if count == 0:
            return last
        rising = pc.all(pc.greater_equal(times.slice(1), times.slice(0, count - 1))).as_py()
        if times[0].as_py() < last or (count > 1 and not rising):
            raise FeedError(
                f"{self.path}: expected rows sorted by ts_ns, found an earlier time after a later one in rows "
                f"{first_row} to {first_row + count - 1}; sort the file by ts_ns"
            )
        return int(times[-1].as_py())


def rows_of(path: Path) -> int:
    """How many rows there are in a file.

    Raises:
        FeedError: there is none, or it is no Parquet file.
    """
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def _opened(path: Path) -> Any:
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise FeedError(f"expected a Parquet file at {path}, found nothing there; check the path") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise FeedError(
            f"expected a Parquet file at {path}, found something else ({error}); write the data as Parquet"
        ) from None


def _symbol_of(path: Path, names: Mapping[str, str]) -> str:
    given = names.get(path.name) or names.get(path.stem)
    if given:
        return given
    found = capitals(path)
    if len(found) != 1:
        raise FeedError(
            f"{path}: expected a 'symbol' column or one symbol in capitals in the file name, found {found}; "
            f"name the file like BTCUSDT.parquet or give the symbol in replay_symbols={{{path.name!r}: ...}}"
        )
    return found[0]


def _tick_rule(last: dict[str, tuple[float, Side]], symbol: str, price: float) -> Side:
    before, side = last.get(symbol, (price, Side.BUY))
    if price != before:
        side = Side.BUY if price > before else Side.SELL
    last[symbol] = (price, side)
    return side
