"""Bars for all engines: made up by a seed, or recorded."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tests.agreement.rules import Candle

MINUTE = 60_000_000_000
START = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z."""
DATA = Path(os.environ.get("BIGWHEEL_DATA", Path(__file__).parents[2] / "../shared/data"))
RECORDED = DATA / "bars" / "binance_usdm_1m" / "BTCUSDT.parquet"
VOLUME = 100.0


class Series(NamedTuple):
    """Minute bars of one symbol by the time they begin."""

    symbol: str
    times: list[int]
    candles: list[Candle]

    @property
    def native(self) -> str:
        return self.symbol.partition(":")[2]

    def write(self, folder: Path) -> Path:
        """As the Parquet file a user would have."""
        opened, high, low, close = zip(*self.candles, strict=True)
        columns = {"ts_ns": self.times, "open": opened, "high": high, "low": low, "close": close}
        path = folder / f"{self.native}.parquet"
        pq.write_table(pa.table({**columns, "volume": [VOLUME] * len(self.times)}), path)
        return path


def made_up(count: int, seed: int, symbol: str = "bybit:SOLUSDT") -> Series:
    """A random walk with gaps between a close and the next open, on a tick of one cent."""
    draw, last, candles = random.Random(seed), 150.0, []
    for _ in range(count):
        opened = round(last + draw.gauss(0, 0.05), 2)
        path = [opened]
        for _ in range(4):
            path.append(round(path[-1] + draw.gauss(0, 0.12), 2))
        last = path[-1]
        candles.append(Candle(opened, max(path), min(path), last))
    return Series(symbol, [START + number * MINUTE for number in range(count)], candles)


def recorded(count: int) -> Series | None:
    """The first ``count`` recorded minutes (0: all of them), ``None`` where there are none."""
    if not RECORDED.exists():
        return None
    rows = pq.read_table(RECORDED, columns=["ts_ns", "open", "high", "low", "close"])
    rows = rows.slice(0, count) if count else rows
    columns = [rows[name].to_pylist() for name in ("open", "high", "low", "close")]
    return Series("bybit:BTCUSDT", rows["ts_ns"].to_pylist(), [Candle(*row) for row in zip(*columns, strict=True)])
