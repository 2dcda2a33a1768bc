"""Bars a second through a whole backtest: a crossover of averages that trades, on minute bars of one symbol.

Orders, fees, risk, learner and accounting are on. Each run has a process of its own, so that its peak of memory is its
own; that process imports everything and runs a short backtest before the clock starts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BARS = 200_000
AIM = 500_000
SYMBOL = "BTCUSDT"
START_NS = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z."""
_CHILD = """
import json, resource, sys, time
import bigwheel
params = {"source": "bars", "fast": 10, "slow": 30}
def run(path):
    began = time.perf_counter()
    result = bigwheel.backtest("trend", data=path, symbols="bybit:BTCUSDT", params=params)
    return result.summary, time.perf_counter() - began
run(sys.argv[1])
summary, seconds = run(sys.argv[2])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"bars": summary["bars"], "fills": summary["fills"], "seconds": seconds, "peak_kib": peak}))
"""


def run(bars: int = BARS) -> list[dict[str, Any]]:
    """The rate beside the aim, and the peak of memory."""
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "short" / f"{SYMBOL}.parquet", Path(folder) / "long" / f"{SYMBOL}.parquet"
        write_bars(short, 2_000)
        write_bars(long, bars)
        command = [sys.executable, "-c", _CHILD, str(short), str(long)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    rate = told["bars"] / told["seconds"]
    named = f"backtest: {told['bars']:,} bars, {told['fills']:,} fills"
    return [
        {
            "name": named,
            "figure": rate,
            "unit": "bars/s",
            "baseline": AIM,
            "baseline_name": "the aim",
            "ratio": rate / AIM,
        },
        {"name": "backtest: peak memory", "figure": told["peak_kib"] / 1_024, "unit": "MiB"},
    ]


def write_bars(path: Path, bars: int) -> None:
    """A random walk in steps of five basis points a minute."""
    path.parent.mkdir()
    closes = np.round(30_000 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.0005, bars))), 1)
    opens = np.concatenate([[30_000.0], closes[:-1]])
    columns = {
        "ts_ns": START_NS + np.arange(bars) * 60_000_000_000,
        "open": opens,
        "high": np.round(np.maximum(opens, closes) * 1.0002, 1),
        "low": np.round(np.minimum(opens, closes) * 0.9998, 1),
        "close": closes,
        "volume": np.full(bars, 50.0),
    }
    pq.write_table(pa.table(columns), path)
