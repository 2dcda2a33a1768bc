"""Market data to order against the same path in plain Ray calls, and signals a second through the lifecycle."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import lmdb
import ray

from bigwheel.cluster import start_ray
from bigwheel.queries import open_journal
from scripts.benchmarks.stage import play, settings

PATH_SIGNALS = 400
PATH_RATE = 100.0
LIFE_SIGNALS = 6_000


def run() -> list[dict[str, Any]]:
    """Latency rows (ms) and one row of signals a second through the whole lifecycle."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        first = settings(store / "path", 1, count=PATH_SIGNALS, rate=PATH_RATE, n=1)
        start_ray(first)
        plain = _plain_ray(store, PATH_SIGNALS, PATH_RATE)
        ours = _path(first)
        rows = [_against(f"market data to order, {name}", ours[name], "ms", plain[name]) for name in ("p50", "p99")]
        rows.append(_lifecycle(settings(store / "life", 4, count=LIFE_SIGNALS, rate=0, n=1)))
        ray.shutdown()
        return rows


def _path(told: Any) -> dict[str, float]:
    """Percentiles of the session's own tick-to-order histogram at a moderate rate."""
    seen, _ = play(told, lambda o: _settled(o, PATH_SIGNALS), 60.0)
    found: dict[str, float] = seen["latency_ms"]["tick_to_order"]
    return found


def _lifecycle(told: Any) -> dict[str, Any]:
    """From the first record of a signal to the last, every signal learned from."""
    play(told, lambda o: _settled(o, LIFE_SIGNALS), 60.0)
    with open_journal(told.store) as journal:
        learned = journal.read(0, 10 * LIFE_SIGNALS, kinds=("Learned",))
        begun = journal.read(0, 1, kinds=("Generated",))
    seconds = (learned[-1].ts - begun[0].ts) / 1e9
    return _against("signals through the whole lifecycle, durable", len(learned) / seconds, "signals/s", None)


def _settled(seen: dict[str, Any], count: int) -> bool:
    """All signals were made, and the last of them has ended and been learned from."""
    signals = seen["signals"]
    made, learned = signals.get("GENERATED", 0), signals.get("LEARNED", 0)
    return bool(made >= count * 0.98 and learned >= made * 0.99)


def _against(name: str, figure: float, unit: str, baseline: float | None) -> dict[str, Any]:
    return {
        "name": name,
        "figure": figure,
        "unit": unit,
        "baseline": baseline,
        "baseline_name": "the same path in plain Ray calls" if baseline else "",
        "ratio": figure / baseline if baseline else None,
    }


@ray.remote(num_cpus=0, enable_task_events=False)
class _Stop:
    """One actor of the plain path: passes on to the next, the bus with a flushed record of its own."""

    def __init__(self, folder: str = "") -> None:
        self.next: Any = None
        self.took: list[float] = []
        self.env = lmdb.open(folder, map_size=1 << 30) if folder else None
        self.count = 0

    def link(self, following: Any) -> None:
        self.next = following

    def tick(self, path: list[str], sent: float, payload: dict[str, Any]) -> None:
        """Do this stop's work and call the next one; the last notes the time."""
        if self.env is not None:
            self.count += 1
            with self.env.begin(write=True) as txn:
                txn.put(self.count.to_bytes(8, "big"), repr(payload).encode())
        if len(path) == 1:
            self.took.append(time.time() - sent)
        else:
            self.next[path[1]].tick.remote(path[1:], sent, payload)

    def result(self) -> list[float]:
        return sorted(self.took)


def _plain_ray(store: Path, count: int, rate: float) -> dict[str, float]:
    """exchange → strategy → bus → risk → bus (flushed) → exchange, each hop a Ray call."""
    names = ("strategy", "bus", "risk", "commit", "exchange")
    stops = {name: _Stop.remote(str(store / "plain") if name == "commit" else "") for name in names}
    ray.get([stop.link.remote(stops) for stop in stops.values()])
    payload = {"symbol": "bybit:S0", "price": 100.0, "size": 1.0, "side": "buy", "seq": 1}
    for _ in range(count):
        stops["strategy"].tick.remote(list(names), time.time(), payload)
        time.sleep(1 / rate)
    took = ray.get(stops["exchange"].result.remote())
    for stop in stops.values():
        ray.kill(stop)
    return {"p50": took[len(took) // 2] * 1e3, "p99": took[int(len(took) * 0.99)] * 1e3}
