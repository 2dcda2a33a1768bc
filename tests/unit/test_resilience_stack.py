"""Retry, timeout, threads and figures of the stack."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest

from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.model.venue import Outcome
from exchanges.resilience import Endpoint, Stack, StackSettings
from exchanges.resilience.simulated import loop_time, simulate
from tests.unit.resilience_bench import BUCKETS, KEPT, READ, WRITE, Venue, classify, error_of, failure, play

REPEATABLE = [FailureKind.UNKNOWN_OUTCOME, FailureKind.UNAVAILABLE, FailureKind.RATE_LIMITED]
FINAL = [FailureKind.REJECTED, FailureKind.NOT_FOUND, FailureKind.UNAUTHORISED, FailureKind.INVALID]


# -- retry -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REPEATABLE)
def test_a_read_is_repeated_until_it_succeeds(kind: FailureKind) -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(failure(kind), failure(kind), failure(kind))
        assert await stack.run(READ, venue) == 4
        stats = stack.stats()
        assert (stats["retries"], stats["retries_read"], stats["calls_read"], stats["failures_read"]) == (3, 3, 4, 3)

    play(scenario)


@pytest.mark.parametrize("kind", FINAL)
def test_a_read_the_venue_has_answered_is_not_repeated(kind: FailureKind) -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(failure(kind))
        assert (await error_of(stack.run(READ, venue))).kind is kind
        assert venue.calls == 1

    play(scenario)


@pytest.mark.parametrize("kind", [*REPEATABLE, *FINAL])
def test_a_write_is_never_repeated(kind: FailureKind) -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(failure(kind))
        assert (await error_of(stack.run(WRITE, venue))).kind is kind
        assert venue.calls == 1
        assert "retries" not in stack.stats()

    play(scenario)


def test_a_write_declared_as_cached_or_repeated_is_refused() -> None:
    for wrong in ({"ttl_s": 1.0}, {"tries": 2}):
        with pytest.raises(ValueError, match="neither cached nor repeated"):
            Endpoint("place", write=True, **wrong)  # type: ignore[arg-type]


def test_a_read_is_given_up_after_its_tries() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(*[failure() for _ in range(9)])
        assert (await error_of(stack.run(READ, venue))).kind is FailureKind.UNKNOWN_OUTCOME
        assert venue.calls == 4

    play(scenario)


def test_the_waits_are_drawn_up_to_bounds_that_double_to_the_cap() -> None:
    """Full jitter: over many runs the waits reach down to nearly 0 and up to nearly the bound, never above."""
    patient = Endpoint("read", bucket="query", tries=9)

    async def scenario(stack: Stack) -> list[float]:
        venue = Venue(*[failure() for _ in range(9)])
        await error_of(stack.run(patient, venue))
        return [later - earlier for earlier, later in zip(venue.times, venue.times[1:], strict=False)]

    runs = [play(scenario, retry_within_s=1e9, breaker_failures=99) for _ in range(150)]
    for number, bound in enumerate([1, 2, 4, 8, 16, 32, 60, 60]):
        waits = [run[number] for run in runs]
        assert 0 <= min(waits) < 0.25 * bound
        assert 0.75 * bound < max(waits) <= bound + 1e-6


def test_the_wait_is_never_shorter_than_the_venue_asks_for() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(failure(FailureKind.RATE_LIMITED, retry_s=7.5))
        assert await stack.run(READ, venue) == 2
        assert venue.times[1] >= 7.5

    play(scenario)


def test_no_try_begins_after_the_time_for_all_of_them_is_over() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(failure(FailureKind.RATE_LIMITED, retry_s=25.0))
        assert (await error_of(stack.run(READ, venue))).retry_after_ns == 25_000_000_000
        assert (venue.calls, loop_time()) == (1, 0.0)

    play(scenario, retry_within_s=20.0)


def test_a_caller_that_gives_up_between_two_tries_ends_them() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(failure(FailureKind.RATE_LIMITED, retry_s=5.0))
        task = asyncio.create_task(stack.run(READ, venue))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(20)
        assert venue.calls == 1

    play(scenario)


# -- timeout ---------------------------------------------------------------------------------


def test_a_call_without_an_answer_ends_in_an_unknown_outcome() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(takes_s=100.0)
        said = await error_of(stack.run(WRITE, venue))
        assert (said.kind, said.outcome, said.code) == (FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "TIMEOUT")
        assert loop_time() == pytest.approx(2.0)
        said = await error_of(stack.run(Endpoint("fast", write=True, bucket="order", timeout_s=0.5), venue))
        assert loop_time() == pytest.approx(2.5)
        assert said.reason == "no answer to fast within 0.5 s"
        assert stack.stats()["slow"] == 1

    play(scenario, timeout_s=2.0)


def test_a_timeout_of_the_sdks_own_is_classified_like_any_other_error() -> None:
    async def scenario(stack: Stack) -> None:
        assert (await error_of(stack.run(WRITE, Venue(TimeoutError("slow"))))).code == "TimeoutError"
        assert (await error_of(stack.run(WRITE, Venue(KeyError("result"))))).code == "KeyError"

    play(scenario)


def test_when_every_place_is_taken_the_call_certainly_was_not_sent() -> None:
    async def scenario(stack: Stack) -> None:
        hanging = [asyncio.create_task(error_of(stack.run(WRITE, Venue(takes_s=100)))) for _ in range(2)]
        await asyncio.sleep(0)
        venue = Venue()
        impatient = Endpoint("write", write=True, bucket="order", pool="order", timeout_s=1.0)
        said = await error_of(stack.run(impatient, venue))
        assert (said.kind, said.outcome, said.code) == (FailureKind.UNAVAILABLE, Outcome.NOT_SENT, "NO_THREAD")
        assert (venue.calls, loop_time()) == (0, pytest.approx(1.0))
        assert stack.stats()["limiter_free_order"] == 1000 - 2, "its token went back"
        assert await stack.run(READ, Venue()) == 1, "the other pools have places"
        await asyncio.gather(*hanging)
        assert await stack.run(WRITE, venue) == 1

    play(scenario, order_threads=2)


# -- threads ---------------------------------------------------------------------------------


def test_blocking_calls_run_on_their_pools_threads_and_never_more_than_it_has() -> None:
    async def run() -> None:
        stack = Stack("test", StackSettings(buckets=BUCKETS, query_threads=3), classify)
        room, seen, most = threading.Lock(), [0], [0]

        def work() -> str:
            with room:
                seen[0] += 1
                most[0] = max(most[0], seen[0])
            time.sleep(0.005)
            with room:
                seen[0] -= 1
            return threading.current_thread().name

        names = await asyncio.gather(*(stack.call(READ, work) for _ in range(30)))
        assert {name.rpartition("_")[0] for name in names} == {"test-query"}
        assert 1 <= most[0] <= 3
        assert (await stack.call(WRITE, work)).startswith("test-order")
        await stack.close()
        assert stack.stats()["pool_query_flying"] == 0

    asyncio.run(run())


def test_a_hanging_thread_keeps_its_place_until_it_ends_and_its_late_error_is_nobodys() -> None:
    async def run() -> None:
        stack = Stack("test", StackSettings(buckets=BUCKETS, order_threads=1, timeout_s=0.02), classify)
        gate = threading.Event()

        def hangs() -> None:
            gate.wait(60)
            raise OSError("long after")

        assert (await error_of(stack.call(WRITE, hangs))).code == "TIMEOUT"
        assert (await error_of(stack.call(WRITE, hangs))).code == "NO_THREAD"
        assert stack.stats()["pool_order_flying"] == 1
        gate.set()
        for _ in range(1000):
            if stack.stats()["pool_order_flying"] == 0:
                break
            await asyncio.sleep(0.01)
        patient = Endpoint("write", write=True, bucket="order", pool="order", timeout_s=30.0)
        assert await stack.call(patient, lambda: "free again") == "free again"
        await stack.close()

    asyncio.run(run())


# -- figures ---------------------------------------------------------------------------------


def test_every_call_is_counted_and_timed() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(failure(FailureKind.REJECTED), takes_s=0.2)
        await error_of(stack.run(WRITE, venue))
        await stack.run(WRITE, venue)
        venue.takes_s = 1.5
        await stack.run(WRITE, venue)
        stats = stack.stats()
        assert (stats["calls_write"], stats["failures_write"], stats["failed_rejected"]) == (3, 1, 1)
        assert (stats["slow_write"], stats["latency_ms_write_n"]) == (1, 3)
        assert stats["latency_ms_write_p50"] == pytest.approx(200, rel=0.06)
        assert stack.latency["write"].peak == pytest.approx(1.5e9)

    play(scenario)


def test_the_log_names_the_call_and_nothing_it_carried(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(stack: Stack) -> None:
        async def work() -> dict[str, str]:
            return {"secret": "hush"}

        async def refused() -> None:
            raise VenueError(Failure(FailureKind.REJECTED, Outcome.REJECTED, "42", "because of hush"))

        await stack.run(KEPT, work, key="BTCUSDT")
        await error_of(stack.run(WRITE, refused))

    with caplog.at_level(logging.DEBUG, "exchanges.resilience"):
        play(scenario)
    text = [record.getMessage() for record in caplog.records]
    assert text == ["test kept BTCUSDT: ok in 0.0 ms", "test write None: rejected 42 in 0.0 ms"]


def test_a_call_whose_caller_gives_up_is_counted_as_such() -> None:
    async def scenario(stack: Stack) -> None:
        task = asyncio.create_task(stack.run(WRITE, Venue(takes_s=1.0)))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        stats = stack.stats()
        assert stats["cancelled_write"] == 1
        assert "calls_write" not in stats

    play(scenario)


# -- simulated time --------------------------------------------------------------------------


def test_simulated_time_jumps_over_what_nobody_does_anything_in() -> None:
    async def run() -> float:
        began = time.monotonic()
        await asyncio.sleep(86_400)
        assert time.monotonic() - began < 60
        return loop_time()

    assert simulate(run()) == pytest.approx(86_400)


def test_waiting_for_what_never_comes_is_noticed() -> None:
    async def run() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="everybody waits for ever"):
        simulate(run())
