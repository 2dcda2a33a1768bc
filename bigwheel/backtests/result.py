"""What a backtest came to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

TABLES = ("orders", "fills", "trades", "equity", "signals", "prices", "payments")


class BacktestResult(msgspec.Struct, frozen=True):
    """Tables in the schemas of ``bigwheel.backtests.tables``, and the figures as plain JSON values.

    ``signals`` have the state of what became of them in the market; ``LEARNED`` is none here.
    ``prices`` are bars for a chart, a few thousand of each symbol, or ``None`` where the data have none. ``payments``
    are funding, above 0 when received.
    """

    strategy: str
    params: dict[str, Any]
    summary: dict[str, Any]
    orders: pa.Table
    fills: pa.Table
    trades: pa.Table
    equity: pa.Table
    signals: pa.Table
    prices: pa.Table | None = None
    payments: pa.Table | None = None

    def write(self, folder: Path) -> None:
        """Write each table as ``NAME.parquet`` and the figures as ``summary.json``; the folder is made."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in TABLES:
            found = getattr(self, name)
            if found is not None:
                pq.write_table(found, folder / f"{name}.parquet", compression="zstd")
        told = {"strategy": self.strategy, "params": self.params, **self.summary}
        (folder / "summary.json").write_text(json.dumps(told, indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> BacktestResult:
        """What ``write`` wrote there.

        Raises:
            OSError, ValueError: it isn't all there.
        """
        told = json.loads((folder / "summary.json").read_text())
        found = {name: folder / f"{name}.parquet" for name in TABLES}
        tables = {name: pq.read_table(path) for name, path in found.items() if name != "prices" or path.exists()}
        return cls(told.pop("strategy"), told.pop("params"), told, **tables)
