"""Measures the journal: records a second in flushed commits, and queries over a million records.

Run it from the checkout: ``python -m scripts.benchmarks.journal [RECORDS] [FOLDER]``. The folder must lie on
a real disk: in memory nothing is flushed.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lmdb

from runtime.journal.record import Record
from runtime.journal.store import LmdbJournal
from runtime.message import Message

STATES = ("GENERATED", "EVALUATING", "APPROVED", "EXECUTING", "EXECUTED")
SYMBOLS = tuple(f"bybit:COIN{number}USDT" for number in range(50))
STEP_NS = 1_000
_OVERLAPPED = 200_000


class BenchmarkStep(Message):
    """An event of the size of a signal's step."""

    signal_id: str
    strategy: str
    symbol: str
    state: str
    attempt: int = 1


def run(
    records: int = 1_000_000,
    per_commit: int = 1_000,
    singles: int = 1_000,
    queries: int = 2_000,
    limit: int = 100,
    folder: str | None = None,
) -> list[dict[str, Any]]:
    """All figures as rows of name, figure, unit, baseline, baseline_name and ratio (how many times better)."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        baseline = plain_puts(Path(place) / "plain", singles)
        journal = LmdbJournal(Path(place) / "journal", epoch=1)
        signals = signal_ids(records)
        rate, encoded = fill(journal, signals, records, per_commit)
        name = f"journal: records/s in flushed commits of {per_commit}, 4 index keys each"
        rows = [
            _row(name, rate, "records/s", baseline, "plain lmdb puts, one flushed commit each", rate / baseline),
            _row(
                f"journal: the part of it that is not the disk's ({per_commit} appends)",
                encoded * 1e6,
                "us/record",
                1e6 / rate,
                "whole time for each record",
                1 / rate / encoded,
            ),
        ]
        behind = overlapped(Path(place) / "overlapped", signals, min(records, _OVERLAPPED), per_commit)
        rows.append(
            _row(f"{name}, written while the next are appended", behind, "records/s", rate, name, behind / rate)
        )
        rows += query(journal, signals, records, queries, limit)
        journal.close()
    return rows


def plain_puts(path: Path, count: int) -> float:
    """Records/s of the plainest durable log: one ``put`` and one flushed commit for each record."""
    env = lmdb.open(str(path), map_size=1 << 30)
    value = bytes(250)
    start = time.perf_counter()
    for number in range(count):
        with env.begin(write=True) as txn:
            txn.put(number.to_bytes(8, "big"), value)
    elapsed = time.perf_counter() - start
    env.close()
    return count / elapsed


def signal_ids(records: int) -> list[str]:
    """One id for each five records, in no order, as ids that are hashes are."""
    noise = random.Random(7)
    return [f"{noise.getrandbits(96):024X}" for _ in range(records // len(STATES) + 1)]


def fill(journal: LmdbJournal, signals: list[str], records: int, per_commit: int) -> tuple[float, float]:
    """Append and commit; returns records/s over all of it, and the seconds of an append alone."""
    appending = committing = 0.0
    for first in range(0, records, per_commit):
        ready = [_event(number, signals) for number in range(first, min(first + per_commit, records))]
        start = time.perf_counter()
        for offset, (event, keys) in enumerate(ready):
            ts = (first + offset) * STEP_NS
            journal.append(event, ts=ts, source="bus", epoch=1, keys=keys, correlation=keys["signal"], causation=first)
        appended = time.perf_counter()
        journal.commit()
        committing += time.perf_counter() - appended
        appending += appended - start
    return records / (appending + committing), appending / records


def overlapped(path: Path, signals: list[str], records: int, per_commit: int) -> float:
    """Records/s where a writer thread flushes each sealed batch while the next one is appended."""
    # Made beforehand: in between, they would give the writer time that nobody counts.
    ready = [_event(number, signals) for number in range(records)]
    journal = LmdbJournal(path, epoch=1)
    written: Future[list[Record]] | None = None
    with ThreadPoolExecutor(1) as writer:
        start = time.perf_counter()
        for number, (event, keys) in enumerate(ready, 1):
            ts = number * STEP_NS
            journal.append(event, ts=ts, source="bus", epoch=1, keys=keys, correlation=keys["signal"])
            if number % per_commit == 0 or number == records:
                batch = journal.seal()
                if written is not None:
                    written.result()
                written = writer.submit(journal.write, batch)
        if written is not None:
            written.result()
        elapsed = time.perf_counter() - start
    journal.close()
    return records / elapsed


def query(journal: LmdbJournal, signals: list[str], records: int, queries: int, limit: int) -> list[dict[str, Any]]:
    """The 99th percentile of each kind of query in milliseconds, beside a scan of the whole journal."""
    noise = random.Random(11)
    span = records * STEP_NS
    scan = scanned(journal, SYMBOLS[0])
    kinds: dict[str, Callable[[], list[Record]]] = {
        "state": lambda: journal.latest("state", noise.choice(STATES), limit),
        "state, from anywhere": lambda: journal.read(
            noise.randrange(records), limit, index="state", value=noise.choice(STATES)
        ),
        "symbol": lambda: journal.latest("symbol", noise.choice(SYMBOLS), limit),
        "signal": lambda: journal.read(0, limit, index="signal", value=noise.choice(signals)),
        "time": lambda: journal.between(noise.randrange(span), span, limit),
    }
    return [
        _row(
            f"journal: query by {name}, p99 of {queries} over {records} records",
            p99,
            "ms",
            scan,
            "scan of it all",
            scan / p99,
        )
        for name, p99 in ((name, percentile(ask, queries)) for name, ask in kinds.items())
    ]


def scanned(journal: LmdbJournal, symbol: str) -> float:
    """Milliseconds to find the records of a symbol without an index."""
    start, after, found = time.perf_counter(), 0, 0
    while chunk := journal.read(after, 10_000):
        found += sum(("symbol", symbol) in record.keys for record in chunk)
        after = chunk[-1].seq
    if found == 0:
        raise ValueError(f"expected records of {symbol} in the benchmark's journal, found none: ask for more records")
    return (time.perf_counter() - start) * 1e3


def percentile(ask: Callable[[], list[Record]], count: int) -> float:
    """The 99th percentile of ``count`` calls in milliseconds."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        ask()
        times.append(time.perf_counter() - start)
    return sorted(times)[int(len(times) * 0.99)] * 1e3


def _event(number: int, signals: list[str]) -> tuple[BenchmarkStep, dict[str, str]]:
    signal, state = signals[number // len(STATES)], STATES[number % len(STATES)]
    symbol = SYMBOLS[(number // len(STATES)) % len(SYMBOLS)]
    keys = {"signal": signal, "symbol": symbol, "strategy": "trend", "state": state}
    return BenchmarkStep(signal, "trend", symbol, state), keys


def _row(name: str, figure: float, unit: str, baseline: float, baseline_name: str, ratio: float) -> dict[str, Any]:
    return {
        "name": name,
        "figure": round(figure, 3),
        "unit": unit,
        "baseline": round(baseline, 3),
        "baseline_name": baseline_name,
        "ratio": round(ratio, 2),
    }


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    for line in run(wanted, folder=sys.argv[2] if len(sys.argv) > 2 else None):
        print(line)
