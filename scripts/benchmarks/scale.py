"""Start-up time and memory of 50 symbols with an actor each, and of 1,000 symbols pooled."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import ray

from bigwheel.cluster import start_ray
from bigwheel.session import Session
from scripts.benchmarks.stage import StagePlanner, settings


def run() -> list[dict[str, Any]]:
    """Rows of seconds and MB (proportional set size of all actors), without Ray's own processes."""
    rows = []
    for symbols, per_actor in ((50, 1), (1_000, 250)):
        with tempfile.TemporaryDirectory() as folder:
            told = settings(Path(folder) / "s", symbols, count=0, rate=1.0, n=0, per_actor=per_actor)
            start_ray(told)
            began = time.perf_counter()
            session = Session.start(told, planner=StagePlanner)
            took = time.perf_counter() - began
            pids = [int(actor["pid"]) for actor in (session.overview() or {"actors": []})["actors"] if actor["pid"]]
            memory = sum(_pss_mb(pid) for pid in pids)
            session.stop("measured")
            ray.shutdown()
        title = f"{symbols} symbols, {per_actor} to an actor"
        rows.append(_row(f"{title}: start-up", took, "s"))
        rows.append(_row(f"{title}: memory of {len(pids)} actors", memory, "MB"))
    return rows


def _row(name: str, figure: float, unit: str) -> dict[str, Any]:
    return {"name": name, "figure": figure, "unit": unit, "baseline": None, "baseline_name": "", "ratio": None}


def _pss_mb(pid: int) -> float:
    """Proportional set size: shared pages count in part for each process that has them."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0
