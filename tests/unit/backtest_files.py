"""Files of market data as a user has them, and strategies that do as they are told at a given piece of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from strategies.strategy import Strategy

MS = 1_000_000
SECOND = 1_000_000_000
START = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z."""

Level = tuple[float, float]


def _write(path: Path, columns: dict[str, Sequence[Any]], moments: Sequence[int]) -> Path:
    pq.write_table(pa.table({"ts_ns": [START + ms * MS for ms in moments], **columns}), path)
    return path


def trades(path: Path, rows: Sequence[tuple[int, float, float, str]]) -> Path:
    """Trades: milliseconds since ``START``, price, size, taker side."""
    at, price, size, side = zip(*rows, strict=True)
    numbers = [f"t{number}" for number in range(len(rows))]
    return _write(path, {"price": price, "size": size, "side": side, "trade_id": numbers}, at)


def quotes(path: Path, rows: Sequence[tuple[int, float, float, float, float]]) -> Path:
    """Quotes: milliseconds since ``START``, bid, its size, ask, its size."""
    at, bid, bid_size, ask, ask_size = zip(*rows, strict=True)
    columns = {"bid_price": bid, "bid_size": bid_size, "ask_price": ask, "ask_size": ask_size}
    return _write(path, columns, at)


def books(path: Path, rows: Sequence[tuple[int, Sequence[Level], Sequence[Level]]]) -> Path:
    """Books: milliseconds since ``START``, bids and asks, best first."""
    at, bids, asks = zip(*rows, strict=True)
    columns = {
        f"{name}_{what}": [[level[place] for level in side] for side in sides]
        for name, sides in (("bid", bids), ("ask", asks))
        for place, what in enumerate(("prices", "sizes"))
    }
    return _write(path, columns, at)


def scripted(hook: str, moves: dict[int, Callable[[Any], object]]) -> type[Strategy]:
    """A strategy that makes a move at the n-th call of ``hook``, counted from 1."""

    def begin(self: Any) -> None:
        self.count = 0

    def heard(self: Any, *_: object) -> None:
        self.count += 1
        if self.count in moves:
            moves[self.count](self)

    return type("Scripted", (Strategy,), {"__init__": begin, hook: heard})


def told(table: pa.Table, *names: str) -> list[tuple[Any, ...]]:
    """The columns ``names`` of a table, row by row."""
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))
