"""Ten minutes of ten times too much, on each venue's own buckets, in simulated time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from exchanges.bybit.endpoints import buckets as bybit_buckets
from exchanges.failures import VenueError
from exchanges.hyperliquid.endpoints import stack_settings as hyperliquid_stack
from exchanges.resilience import Bucket, Endpoint
from exchanges.resilience.limiter import Limiter
from exchanges.resilience.simulated import loop_time, simulate
from scripts.benchmarks.resilience import measure
from tests.unit.hyperliquid_samples import settings as hyperliquid_settings
from tests.unit.resilience_bench import stack
from tests.unit.test_resilience_limiter import most_in_a_window

MINUTES = 10
TIMES = 10
TICK_S = 0.05

ALPACA = (Bucket("trading", 200 / 60, 200, 5.0),)
KALSHI = (Bucket("read", 200, 200, 5.0), Bucket("write", 100, 100, 1.0))
HYPERLIQUID = hyperliquid_stack(hyperliquid_settings()).buckets
Calls = Sequence[tuple[str, float, bool]]


class Load:
    """Calls that come without end, each ``TIMES`` as often as its bucket allows."""

    def __init__(self, buckets: Sequence[Bucket], calls: Calls, minutes: int = MINUTES) -> None:
        self.minutes = minutes
        self.buckets = {bucket.name: bucket for bucket in buckets}
        self.limiter = Limiter(buckets, 0.02, loop_time, Counter())
        self.calls = calls
        self.sent: dict[str, list[tuple[float, float]]] = {name: [] for name in self.buckets}
        self.refused = 0
        self.state: list[int] = []

    async def one(self, bucket: str, cost: float, write: bool) -> None:
        try:
            ticket = await self.limiter.acquire(bucket, cost, write=write)
        except VenueError:
            self.refused += 1
            return
        now = loop_time()
        ticket.sent()
        while bucket:
            self.sent[bucket].append((now, cost))
            bucket = self.buckets[bucket].parent

    async def run(self) -> None:
        due = [0.0] * len(self.calls)
        pending: set[asyncio.Task[None]] = set()
        shares = Counter(bucket for bucket, _, _ in self.calls)
        turns = round(self.minutes * 60 / TICK_S)
        for turn in range(turns):
            for number, (bucket, cost, write) in enumerate(self.calls):
                due[number] += TIMES * self.buckets[bucket].rate_per_s * TICK_S / cost / shares[bucket]
                while due[number] >= 1:
                    due[number] -= 1
                    task = asyncio.create_task(self.one(bucket, cost, write))
                    pending.add(task)
                    task.add_done_callback(pending.discard)
            await asyncio.sleep(TICK_S)
            if (turn + 1) % (turns // 10) == 0:
                levels = self.limiter.levels.values()
                self.state.append(self.limiter.waiting + len(pending) + sum(level.entries for level in levels))
        await asyncio.gather(*pending)
        await asyncio.sleep(70)
        assert self.limiter.waiting == 0
        for level in self.limiter.levels.values():
            assert (level.free(loop_time()), level.entries) == (level.bucket.burst, 0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    def check(self, used: Sequence[str]) -> None:
        """Never above the limit in any window, above 95 % of it in all, and no growth."""
        for name, bucket in self.buckets.items():
            assert most_in_a_window(self.sent[name], bucket.window_s) <= bucket.burst
        for name in used:
            bucket = self.buckets[name]
            allowed = bucket.rate_per_s * self.minutes * 60
            assert sum(cost for _, cost in self.sent[name]) > 0.95 * allowed, name
        assert self.refused > 0
        assert max(self.state[5:]) <= 1.2 * max(self.state[:5])


@pytest.mark.parametrize(
    ("buckets", "calls", "used"),
    [
        (bybit_buckets(10, 50), [("order", 1.0, True), ("fee", 1.0, False)], ["order", "fee"]),
        (bybit_buckets(10, 50), [("query", 1.0, False)], ["query"]),
        (ALPACA, [("trading", 1.0, True), ("trading", 1.0, False)], ["trading"]),
        (HYPERLIQUID, [("order", 1.0, True), ("info", 20.0, False)], ["ip"]),
        (KALSHI, [("read", 10.0, False), ("write", 10.0, True), ("write", 2.0, True)], ["read", "write"]),
    ],
    ids=["bybit orders and fees", "bybit queries", "alpaca", "hyperliquid", "kalshi"],
)
def test_ten_times_too_much_for_ten_minutes_stays_within_the_limit_and_uses_it(
    buckets: Sequence[Bucket], calls: Calls, used: Sequence[str]
) -> None:
    load = Load(buckets, calls)
    simulate(load.run())
    load.check(used)


def test_everything_together_stays_within_bybits_limit_for_an_address() -> None:
    """No single kind of call reaches it, so its bucket is asked for by more kinds than there are."""
    buckets = [bucket for bucket in bybit_buckets(10, 50) if bucket.name == "ip"]
    load = Load(buckets, [("ip", 1.0, False)], minutes=3)
    simulate(load.run())
    load.check(["ip"])


def test_through_the_whole_stack_the_limit_is_used_and_kept_just_as_well() -> None:
    bucket = ALPACA[0]
    sent: list[tuple[float, float]] = []

    async def run() -> None:
        made = stack(bucket, query_threads=32)
        endpoint = Endpoint("account", bucket="trading", tries=1)

        async def work() -> None:
            sent.append((loop_time(), 1.0))
            await asyncio.sleep(0.08)

        async def one() -> None:
            try:
                await made.run(endpoint, work)
            except VenueError as error:
                assert error.failure.code == "LIMITER"

        async with asyncio.TaskGroup() as group:
            for _ in range(round(MINUTES * 60 * TIMES * bucket.rate_per_s / 10)):
                for _ in range(10):
                    group.create_task(one())
                await asyncio.sleep(10 / (TIMES * bucket.rate_per_s))
        stats = made.stats()
        assert stats["limiter_spent_trading"] == len(sent)
        assert stats["limiter_waiting"] == 0
        await made.close()

    simulate(run())
    assert most_in_a_window(sent, bucket.window_s) <= bucket.burst
    assert len(sent) > 0.95 * bucket.rate_per_s * MINUTES * 60


def test_the_cache_spares_more_than_half_of_the_calls_of_a_session() -> None:
    figures = measure(symbols=6, hours=0.2)
    assert figures.calls < 0.5 * figures.baseline
    assert min(figures.kept.values()) > 80.0, figures.kept
