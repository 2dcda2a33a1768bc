"""What the tests of recordings share: market data to record, and what a folder holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from exchanges.model.market import Bar, Quote, Trade
from exchanges.model.order import Fill, Liquidity, Order, OrderStatus, OrderType, Side
from exchanges.recording.layout import Partition, parts
from exchanges.recording.reader import recorded

SECOND = 1_000_000_000
MIDNIGHT_NS = 1_795_478_400 * SECOND
"""2026-11-24T00:00:00Z."""
NOON_NS = MIDNIGHT_NS + 12 * 3_600 * SECOND
BTC = "bybit:BTCUSDT"
TODAY = Partition("bybit", "BTCUSDT", "2026-11-24")


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now_ns: int = NOON_NS) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns

    def move(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


def trade(number: int, ts_ns: int = NOON_NS, symbol: str = BTC) -> Trade:
    """Trade ``number``, as many milliseconds after ``ts_ns``."""
    at = ts_ns + number * 1_000_000
    return Trade(symbol, 0, 0, at, at + 5_000_000, 60_000.0 + number / 10, 0.001 * (number + 1), "buy", f"t{number}")


def quote(number: int, ts_ns: int = NOON_NS) -> Quote:
    at = ts_ns + number * 1_000_000
    return Quote(BTC, 0, 0, at, at + 1, 60_000.0 + number, 1.5, 60_000.5 + number, 2.5)


def bar(number: int, ts_ns: int = MIDNIGHT_NS, *, close: float = 100.0, closed: bool = True) -> Bar:
    at = ts_ns + number * 60 * SECOND
    return Bar(BTC, 0, 0, at, at + 60 * SECOND, 100.0, 110.0, 90.0, close, 12.5, 60 * SECOND, closed)


def order(client_id: str = "bw-1", status: OrderStatus = OrderStatus.OPEN, **changes: Any) -> Order:
    fields: dict[str, Any] = {
        "side": Side.BUY,
        "type": OrderType.LIMIT,
        "quantity": Decimal("0.010"),
        "price": Decimal("60000.10"),
        "status": status,
        "venue_id": "v1",
        "updated_ns": NOON_NS,
    }
    return Order(client_id, BTC, **(fields | changes))


def fill(execution_id: str = "e1", ts_ns: int = NOON_NS) -> Fill:
    return Fill(
        execution_id,
        "bw-1",
        "v1",
        BTC,
        Side.BUY,
        Decimal("60000.10"),
        Decimal("0.010"),
        Decimal("0.33000055"),
        "USDT",
        Liquidity.TAKER,
        ts_ns,
    )


def rows(root: Path, table: str = "trades", column: str = "trade_id") -> list[Any]:
    """One column of all files of a table, file by file as they are read."""
    found: list[Any] = []
    for file in recorded(root):
        if file.table == table:
            found += pq.ParquetFile(file.path).read()[column].to_pylist()
    return found


def names(root: Path, partition: Partition = TODAY, table: str = "") -> list[str]:
    """The names of the parts that count in a partition."""
    return [part.path.name for part in parts(partition.folder(root), table)]


def everything(root: Path) -> list[str]:
    """All files below a folder, hidden ones included, by their path in it."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def until(fits: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Wait until something has come true."""
    end = time.monotonic() + seconds
    while not fits():
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        time.sleep(0.005)
