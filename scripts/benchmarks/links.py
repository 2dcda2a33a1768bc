"""Measures both links between two processes, against bare Ray actor calls, in one run.

Run it from the checkout: ``python -m scripts.benchmarks links`` or ``scripts/bench --only links``.
A hop is the time from ``send`` in one process to ``arrived`` in the other, on the clock both share.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import ray
import uvloop

ROOT = str(Path(__file__).resolve().parent.parent.parent)
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from runtime.lanes import Lane  # noqa: E402
from runtime.links.directory import Directory, RayDirectory, UnixDirectory  # noqa: E402
from runtime.links.endpoint import Endpoint  # noqa: E402
from runtime.links.frames import Item  # noqa: E402

HOPS = 2_000
EVERY_S = 0.001
UNIX_MESSAGES = 400_000
RAY_MESSAGES = 100_000
BARE_MESSAGES = 5_000
PADDING = bytes(56)
SLICE = 256


class Station:
    """A host that measures: sends stamped messages, and notes when those of its peer arrive."""

    def __init__(self, name: str, directory: Directory) -> None:
        self.delays: list[int] = []
        self.times: list[int] = []
        self.expected = 0
        self.done = asyncio.Event()
        self.room = asyncio.Event()
        self.endpoint = Endpoint(name, 1, [name], self, directory)

    def arrived(self, host: str, epoch: int, lane: Lane, seq: int, item: Item) -> None:
        now = time.perf_counter_ns()
        self.delays.append(now - int.from_bytes(item.body[:8], "big"))
        if not self.times:
            self.times.append(now)
        self.endpoint.handled(host, lane, seq, epoch)
        if len(self.delays) == self.expected:
            self.times.append(now)
            self.done.set()

    def peer_up(self, cells: Sequence[str], epoch: int) -> None:
        self.room.set()

    def peer_down(self, cells: Sequence[str]) -> None:
        raise RuntimeError(f"the link to {cells} broke while it was measured")

    def drained(self) -> None:
        self.room.set()

    def dead_letter(self, item: Item, reason: str) -> None:
        raise RuntimeError(f"a message was not delivered while links were measured: {reason}")

    async def pace(self, count: int) -> None:
        """One message at a time, as market data comes in."""
        self.endpoint.connect("sink")
        await self.room.wait()
        for _ in range(count):
            await asyncio.sleep(EVERY_S)
            self.endpoint.send("sink", "source", time.perf_counter_ns().to_bytes(8, "big") + PADDING, Lane.ORDER)

    async def pour(self, count: int) -> None:
        """As many as the link takes, a slice in each iteration of the loop."""
        body, send = time.perf_counter_ns().to_bytes(8, "big") + PADDING, self.endpoint.send
        for start in range(0, count, SLICE):
            fed = True
            for _ in range(min(SLICE, count - start)):
                fed = send("sink", "source", body, Lane.ORDER)
            if fed:
                await asyncio.sleep(0)
            else:
                self.room.clear()
                await self.room.wait()

    async def expect(self, count: int) -> None:
        """Wait for ``count`` messages, from the next one on."""
        self.delays, self.times, self.expected = [], [], count
        self.done.clear()
        await self.done.wait()

    def hops(self) -> list[int]:
        return sorted(self.delays)

    def rate(self) -> float:
        return len(self.delays) / (self.times[-1] - self.times[0]) * 1e9


def sink_process(run_dir: str, pipe: Connection) -> None:
    """The receiving process of the Unix link."""

    async def work() -> None:
        station = Station("sink", UnixDirectory(run_dir))
        await station.endpoint.start()
        pipe.send("ready")
        await station.expect(HOPS)
        pipe.send(station.hops())
        await station.expect(UNIX_MESSAGES)
        pipe.send(station.rate())
        await asyncio.sleep(0.1)
        await station.endpoint.close()

    uvloop.run(work())


def measure_unix() -> tuple[list[int], float]:
    """Hops in nanoseconds, sorted, and messages a second, between this process and a new one."""
    ours, theirs = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory(prefix="bw") as run_dir:
        child = multiprocessing.get_context("spawn").Process(target=sink_process, args=(run_dir, theirs), daemon=True)
        child.start()
        ours.recv()

        async def work() -> tuple[list[int], float]:
            loop = asyncio.get_running_loop()
            station = Station("source", UnixDirectory(run_dir))
            await station.endpoint.start()
            await station.pace(HOPS)
            hops: list[int] = await loop.run_in_executor(None, ours.recv)
            await asyncio.sleep(0.1)
            pouring = loop.run_in_executor(None, ours.recv)
            await station.pour(UNIX_MESSAGES)
            rate: float = await pouring
            await station.endpoint.close(1.0)
            return hops, rate

        result = uvloop.run(work())
        child.join(10)
    return result


class LinkActor:
    """A Ray actor at either end of a Ray link."""

    async def begin(self, name: str, peer: Any = None) -> None:
        self.station = Station(name, RayDirectory(lambda cell: ("sink", peer) if cell == "sink" and peer else None))
        await self.station.endpoint.start()

    async def link(self, frame: bytes) -> bytes:
        return self.station.endpoint.deliver(frame)

    async def pace(self, count: int) -> None:
        await self.station.pace(count)

    async def pour(self, count: int) -> None:
        await self.station.pour(count)

    async def hops(self, count: int) -> list[int]:
        await self.station.expect(count)
        return self.station.hops()

    async def rate(self, count: int) -> float:
        await self.station.expect(count)
        return self.station.rate()


class BareSink:
    """Receives one Ray call a message."""

    def __init__(self) -> None:
        self.delays: list[int] = []
        self.times: list[int] = []

    def take(self, stamp: int, padding: bytes) -> None:
        now = time.perf_counter_ns()
        self.times.append(now)
        self.delays.append(now - stamp)

    def result(self) -> tuple[list[int], float]:
        hops, times = sorted(self.delays), self.times
        self.delays, self.times = [], []
        return hops, len(times) / (times[-1] - times[0]) * 1e9


class BareSource:
    """Sends one Ray call a message."""

    def pace(self, sink: Any, count: int) -> None:
        for _ in range(count):
            time.sleep(EVERY_S)
            ray.get(sink.take.remote(time.perf_counter_ns(), PADDING))

    def pour(self, sink: Any, count: int) -> None:
        ray.get([sink.take.remote(time.perf_counter_ns(), PADDING) for _ in range(count)])


def measure_ray_link() -> tuple[list[int], float]:
    """As ``measure_unix``, between two actors over the Ray link."""
    actor = ray.remote(num_cpus=0)(LinkActor)
    sink, source = actor.remote(), actor.remote()
    ray.get(sink.begin.remote("sink"))
    ray.get(source.begin.remote("source", sink))
    hops = sink.hops.remote(HOPS)
    ray.get(source.pace.remote(HOPS))
    sorted_hops: list[int] = ray.get(hops)
    rate = sink.rate.remote(RAY_MESSAGES)
    ray.get(source.pour.remote(RAY_MESSAGES))
    result = sorted_hops, float(ray.get(rate))
    for each in (source, sink):
        ray.kill(each)
    return result


def measure_bare() -> tuple[list[int], float]:
    """As ``measure_unix``, between two actors with a Ray call for each message."""
    sink = ray.remote(num_cpus=0)(BareSink).remote()
    source = ray.remote(num_cpus=0)(BareSource).remote()
    ray.get(source.pace.remote(sink, HOPS))
    hops, _ = ray.get(sink.result.remote())
    ray.get(source.pour.remote(sink, BARE_MESSAGES))
    _, rate = ray.get(sink.result.remote())
    for each in (source, sink):
        ray.kill(each)
    return hops, rate


def run() -> list[dict[str, Any]]:
    """All figures as rows of name, figure, unit, baseline_name, baseline, ratio (how many times better)."""
    unix = measure_unix()
    started = not ray.is_initialized()
    if started:
        os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray spells it so
        os.environ["PYTHONPATH"] = os.pathsep.join(part for part in (ROOT, os.environ.get("PYTHONPATH", "")) if part)
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        links = {"Unix link": unix, "Ray link": measure_ray_link()}
        bare_hops, bare_rate = measure_bare()
    finally:
        if started:
            ray.shutdown()
    rows = []
    for name, (hops, rate) in links.items():
        for part, share in (("p50", 0.5), ("p99", 0.99)):
            figure, baseline = _at(hops, share), _at(bare_hops, share)
            rows.append(_row(f"{name}: one-way hop {part}", figure, "us", baseline, baseline / figure))
        rows.append(_row(f"{name}: throughput", rate, "messages/s", bare_rate, rate / bare_rate))
    return rows


def _at(hops: list[int], share: float) -> float:
    return hops[int(len(hops) * share)] / 1e3


def _row(name: str, figure: float, unit: str, baseline: float, ratio: float) -> dict[str, Any]:
    return {
        "name": name,
        "figure": figure,
        "unit": unit,
        "baseline_name": "bare Ray actor calls",
        "baseline": baseline,
        "ratio": ratio,
    }


if __name__ == "__main__":
    for row in run():
        print(row)
