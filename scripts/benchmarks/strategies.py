"""Market data a second into 100 symbol strategies that compute and do not trade."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import ray

from bigwheel.cluster import start_ray
from scripts.benchmarks.stage import play, settings

SYMBOLS = 100
TRADES = 1_500_000
AIM = 100_000


def run() -> list[dict[str, Any]]:
    """One row: trades a second that 100 strategies in two hosts have handled, beside the aim."""
    with tempfile.TemporaryDirectory() as folder:
        told = settings(Path(folder) / "many", SYMBOLS, count=TRADES, rate=0, n=0, per_actor=SYMBOLS // 2)
        start_ray(told)
        marks: list[tuple[float, int]] = []

        def done(seen: dict[str, Any]) -> bool:
            marks.append((time.perf_counter(), seen["strategy_ticks"]))
            return bool(seen["strategy_ticks"] >= TRADES)

        play(told, done, 60.0)
        ray.shutdown()
    moving = [mark for mark in marks if 0.1 * TRADES < mark[1] < 0.95 * TRADES]
    (since, first), (until, last) = moving[0], moving[-1]
    rate = (last - first) / (until - since)
    return [
        {
            "name": f"market data into {SYMBOLS} symbol strategies",
            "figure": rate,
            "unit": "trades/s",
            "baseline": AIM,
            "baseline_name": "the aim",
            "ratio": rate / AIM,
        }
    ]
