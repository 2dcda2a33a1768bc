"""Runs a second of a sweep with one worker and with two, side by side: how much of the second core is made use of.

The workers are those of ``bigwheel sweep`` on a Ray of this process; each has run once before the clock starts. Rounds
alternate between one worker with ``CASES`` runs and two with twice as many; the median of the rounds counts.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

from bigwheel.sweeps.crew import RayCrew
from bigwheel.sweeps.errors import SweepError
from bigwheel.sweeps.folder import Folder
from bigwheel.sweeps.terms import Terms, terms_of
from bigwheel.sweeps.trial import Case, Outcome
from scripts.benchmarks.backtest import SYMBOL, write_bars

BARS = 1_000
CASES = 8
ROUNDS = 5
AIM = 0.9


def run() -> list[dict[str, Any]]:
    """Runs a second with two workers beside twice those of one."""
    import ray

    os.environ.setdefault("RAY_worker_niceness", "0")
    with tempfile.TemporaryDirectory() as place:
        source, out = Path(place) / "data" / f"{SYMBOL}.parquet", Path(place) / "out"
        write_bars(source, BARS)
        terms = terms_of("trend", source, f"bybit:{SYMBOL}", out, {"latency_ms": 5.0})
        with Folder(out) as folder:
            folder.agree(terms.identity)
            job = terms.job(folder.catalog(terms.source, terms.symbols))
        ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False)
        one, two = RayCrew(job, 1), RayCrew(job, 2)
        try:
            for crew, size in ((one, 1), (two, 2)):
                _seconds(crew, terms, size)
            rounds = [(_seconds(one, terms, CASES), _seconds(two, terms, 2 * CASES)) for _ in range(ROUNDS)]
        finally:
            one.close()
            two.close()
            ray.shutdown()
    single = statistics.median(CASES / alone for alone, _ in rounds)
    double = statistics.median(2 * CASES / both for _, both in rounds)
    efficiency = statistics.median(alone / both for alone, both in rounds)
    return [
        {
            "name": f"sweep: runs of {BARS:,} bars, two workers",
            "figure": double,
            "unit": "runs/s",
            "baseline": 2 * single,
            "baseline_name": "twice one worker",
            "ratio": efficiency,
        },
        {
            "name": "sweep: efficiency of two workers",
            "figure": efficiency,
            "unit": "",
            "baseline": AIM,
            "baseline_name": "the aim",
            "ratio": efficiency / AIM,
        },
    ]


def _seconds(crew: RayCrew, terms: Terms, count: int) -> float:
    """How long a crew takes for so many runs."""
    params = {"source": "bars", "fast": 10, "slow": 30}
    waiting = deque(terms.case(params, seed=seed) for seed in range(count))

    def take(case: Case, outcome: Outcome) -> None:
        if outcome.error:
            raise SweepError(f"expected runs that succeed, found {case.params}: {outcome.error}")

    began = time.perf_counter()
    crew.run(waiting, take)
    return time.perf_counter() - began
