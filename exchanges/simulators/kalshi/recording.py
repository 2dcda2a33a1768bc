"""Kalshi's recorded trades and market results from Parquet files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from exchanges.model.order import Side
from exchanges.simulators.errors import FeedError
from exchanges.simulators.feeds.replay import Replay
from exchanges.simulators.feeds.row import Row
from exchanges.simulators.kalshi.listing import Listing, Result

BATCH_ROWS = 8_192
SAMPLE_ROWS = 50
TRADE_COLUMNS = ("ts_ns", "ticker", "last", "count", "taker_side", "trade_id")
MARKET_COLUMNS = ("ticker", "event_ticker", "series_ticker", "close_time_ns", "result")
_SIDES = {"yes": Side.BUY, "no": Side.SELL}


class KalshiReplay(Replay):
    """Recorded trades in the exchange's own terms: cents of the YES contract and the taker's leg.

    Args:
        path: a Parquet file of trades, or a folder with such files. Files of markets that lie
            beside them give titles, times and results (`markets`).
        symbols: the tickers to play; all that are found if empty.

    Raises:
        FeedError: a file can't be used, or a configured ticker isn't in it.
    """

    def __init__(self, path: Path, symbols: Sequence[str] = ()) -> None:
        self.path = path
        self._files = [file for file in _parquet(path) if _has(file, TRADE_COLUMNS)]
        self._samples: dict[str, tuple[list[float], list[float]]] = {}
        self._first: dict[str, int] = {}
        self._survey()
        missing = [symbol for symbol in symbols if symbol not in self._samples]
        if missing:
            raise FeedError(
                f"{path}: expected the configured symbols {list(symbols)}, found no data of {missing}; it holds "
                f"{sorted(self._samples)[:12]}"
            )
        self.symbols = tuple(symbols) or tuple(self._samples)
        self.first_ns = min((self._first[symbol] for symbol in self.symbols), default=0)

    def _survey(self) -> None:
        for ts_ns, ticker, price, size, _, _ in self._rows(None):
            prices, sizes = self._samples.setdefault(ticker, ([], []))
            self._first.setdefault(ticker, ts_ns)
            if len(prices) < SAMPLE_ROWS:
                prices.append(price)
                sizes.append(size)

    def trades_per_row(self, symbol: str) -> int:
        return 1

    def sample(self, symbol: str) -> tuple[list[float], list[float]]:
        return self._samples[symbol]

    def trades(self) -> Iterator[Row]:
        return self._rows(frozenset(self.symbols))

    def _rows(self, wanted: frozenset[str] | None) -> Iterator[Row]:
        last_ns = 0
        for file in self._files:
            for batch in pq.ParquetFile(file).iter_batches(batch_size=BATCH_ROWS, columns=list(TRADE_COLUMNS)):
                _check(file, batch)
                for row in zip(*(batch[name].to_pylist() for name in TRADE_COLUMNS), strict=True):
                    ts_ns, ticker, cents, count, leg, trade_id = row
                    if ts_ns < last_ns:
                        raise FeedError(
                            f"{file}: expected rows sorted by ts_ns (over files too), found {ts_ns} after {last_ns}; "
                            f"sort the trades"
                        )
                    last_ns = ts_ns
                    if wanted is None or ticker in wanted:
                        yield ts_ns, ticker, round(cents / 100, 4), float(count), _SIDES[leg], str(trade_id)

    def markets(self) -> dict[str, Listing]:
        """What the files of markets say of the played tickers."""
        found = markets(self.path if self.path.is_dir() else self.path.parent, self.symbols)
        return {ticker: found[ticker] for ticker in self.symbols if ticker in found}


def markets(path: Path, tickers: Collection[str]) -> dict[str, Listing]:
    """What a file of markets, or those in a folder, say of ``tickers``.

    Raises:
        FeedError: a result is neither yes, no nor empty.
    """
    found: dict[str, Listing] = {}
    for file in (file for file in _parquet(path) if _has(file, MARKET_COLUMNS)):
        rows = pq.read_table(file)
        for row in rows.filter(pc.is_in(rows["ticker"], pa.array(tickers, pa.string()))).to_pylist():
            found[row["ticker"]] = _listing(file, row)
    return found


def is_recording(path: Path) -> bool:
    """Whether ``path`` holds trades in Kalshi's own columns."""
    return any(_has(file, TRADE_COLUMNS) for file in _parquet(path))


def _parquet(path: Path) -> list[Path]:
    return sorted(path.glob("*.parquet")) if path.is_dir() else [path]


def _has(file: Path, columns: Sequence[str]) -> bool:
    try:
        return set(columns) <= set(pq.read_schema(file).names)
    except (pa.ArrowInvalid, OSError):
        # What isn't Parquet at all is refused by whoever reads it next, with the path in the text.
        return False


def _check(file: Path, batch: Any) -> None:
    for name in TRADE_COLUMNS:
        if batch[name].null_count:
            raise FeedError(f"{file}: expected a value in every row, found nulls in {name!r}; drop them")
    cents, counts = batch["last"], batch["count"]
    if not pc.all(pc.and_(pc.greater(cents, 0), pc.less(cents, 100))).as_py():
        raise FeedError(f"{file}: expected 'last' in cents from 1 to 99, found other values; correct the file")
    if not pc.all(pc.greater(counts, 0)).as_py():
        raise FeedError(f"{file}: expected 'count' above 0, found another value; drop these rows")
    strange = set(pc.unique(batch["taker_side"]).to_pylist()) - set(_SIDES)
    if strange:
        raise FeedError(f"{file}: expected taker_side 'yes' or 'no', found {sorted(strange)}; correct the file")


def _listing(file: Path, row: Mapping[str, Any]) -> Listing:
    try:
        result = Result(row["result"] or "")
    except ValueError:
        raise FeedError(
            f"{file}: expected the result of {row['ticker']} as 'yes', 'no' or empty, found {row['result']!r}; "
            f"correct the file"
        ) from None
    return Listing(
        ticker=row["ticker"],
        event=row["event_ticker"],
        series=row["series_ticker"],
        title=row.get("title") or "",
        subtitle=row.get("subtitle") or "",
        rules=row.get("rules") or "",
        strike_type=row.get("strike_type") or "custom",
        floor_strike=_number(row.get("floor_strike")),
        cap_strike=_number(row.get("cap_strike")),
        recorded_close_ns=int(row["close_time_ns"]),
        recorded_result=result,
    )


def _number(value: float | None) -> float | None:
    return None if value is None or value != value else float(value)
