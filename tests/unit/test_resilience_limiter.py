"""The token buckets: never above the venue's limit in any window, and little below it."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.failures import FailureKind, VenueError
from exchanges.model.venue import Outcome
from exchanges.resilience import Bucket, Endpoint, Stack, StackSettings
from exchanges.resilience.limiter import Level, Limiter
from exchanges.resilience.simulated import loop_time, simulate
from tests.unit.resilience_bench import Venue, error_of, failure, play

ORDER = Endpoint("order", write=True, bucket="all", pool="order")
CANCEL = Endpoint("cancel", write=True, bucket="all", pool="cancel", urgent=True)
QUERY = Endpoint("query", bucket="all", tries=1)


def flood(stack: Stack, endpoint: Endpoint, venue: Venue, count: int) -> list[asyncio.Task[int]]:
    return [asyncio.create_task(stack.run(endpoint, venue)) for _ in range(count)]


async def ends_of(tasks: list[asyncio.Task[int]]) -> list[str]:
    """``ok`` or the failure's code, of each."""
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    return [end.failure.code if isinstance(end, VenueError) else "ok" for end in ends]


def test_a_full_bucket_goes_out_at_once_and_the_rest_a_window_later() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue()
        assert await ends_of(flood(stack, QUERY, venue, 25)) == ["ok"] * 25
        assert venue.times == pytest.approx([0.0] * 10 + [1.0] * 10 + [2.0] * 5)
        stats = stack.stats()
        assert (stats["limiter_spent_all"], stats["limiter_waits_all"]) == (25, 15)
        assert stats["limiter_waited_ms_all"] == pytest.approx(10 * 1000 + 5 * 2000)

    play(scenario, Bucket("all", 10, 10, 5.0), margin=0.0)


def test_a_pause_earns_no_more_than_one_bucket() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue()
        await asyncio.sleep(100)
        await ends_of(flood(stack, QUERY, venue, 15))
        assert venue.times == pytest.approx([100.0] * 10 + [101.0] * 5)

    play(scenario, Bucket("all", 10, 10, 5.0), margin=0.0)


def test_who_would_wait_too_long_is_refused_at_once_and_told_how_long() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue()
        tasks = flood(stack, QUERY, venue, 30)
        await asyncio.sleep(0)
        refused = await error_of(stack.run(QUERY, venue))
        assert loop_time() == 0
        assert (refused.kind, refused.outcome, refused.code) == (
            FailureKind.RATE_LIMITED, Outcome.NOT_SENT, "LIMITER",
        )  # fmt: skip
        assert refused.retry_after_ns == pytest.approx(2e9)
        assert await ends_of(tasks) == ["ok"] * 20 + ["LIMITER"] * 10
        assert stack.stats()["limiter_refused_all"] == 11

    play(scenario, Bucket("all", 10, 10, 1.5), margin=0.0)


def test_orders_go_before_questions_that_came_earlier() -> None:
    async def scenario(stack: Stack) -> None:
        first, questions, orders = Venue(), Venue(), Venue()
        tasks = flood(stack, QUERY, first, 10)
        await asyncio.sleep(0)
        tasks += flood(stack, QUERY, questions, 10)
        await asyncio.sleep(0)
        tasks += flood(stack, ORDER, orders, 10)
        assert await ends_of(tasks) == ["ok"] * 30
        assert orders.times == pytest.approx([1.0] * 10)
        assert questions.times == pytest.approx([2.0] * 10)

    play(scenario, Bucket("all", 10, 10, 5.0), margin=0.0)


def test_a_question_that_orders_have_pushed_back_too_long_is_let_go() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue()
        tasks = flood(stack, QUERY, venue, 12)
        await asyncio.sleep(0)
        tasks += flood(stack, ORDER, venue, 10)
        assert sorted(await ends_of(tasks)) == ["LIMITER"] * 2 + ["ok"] * 20
        assert loop_time() == pytest.approx(1.2)
        assert stack.stats()["limiter_waiting"] == 0

    play(scenario, Bucket("all", 10, 10, 1.2), margin=0.0)


def test_cancels_never_wait_and_the_others_make_up_for_them() -> None:
    async def scenario(stack: Stack) -> None:
        cancels, orders = Venue(), Venue()
        tasks = flood(stack, ORDER, orders, 10)
        await asyncio.sleep(0)
        tasks += flood(stack, CANCEL, cancels, 4)
        tasks += flood(stack, ORDER, orders, 10)
        assert await ends_of(tasks) == ["ok"] * 24
        assert cancels.times == [0.0] * 4
        assert orders.times == pytest.approx([0.0] * 10 + [1.0] * 10)
        tasks = flood(stack, CANCEL, cancels, 3) + flood(stack, ORDER, orders, 10)
        assert await ends_of(tasks) == ["ok"] * 13
        assert orders.times[20:] == pytest.approx([2.0] * 10), "what was overdrawn is waited for"

    play(scenario, Bucket("all", 10, 10, 5.0), margin=0.0)


def test_what_is_reserved_for_cancels_is_not_given_to_orders() -> None:
    async def scenario(stack: Stack) -> None:
        cancels, orders = Venue(), Venue()
        tasks = flood(stack, ORDER, orders, 10)
        await asyncio.sleep(0)
        tasks += flood(stack, CANCEL, cancels, 2)
        await ends_of(tasks)
        assert orders.times == pytest.approx([0.0] * 8 + [1.0] * 2)
        assert cancels.times == [0.0] * 2

    play(scenario, Bucket("all", 10, 10, 5.0, reserve=2), margin=0.0)


def test_a_parent_bucket_bounds_its_children_together() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue()
        tasks = flood(stack, Endpoint("a", bucket="a", tries=1), venue, 10)
        tasks += flood(stack, Endpoint("b", bucket="b", tries=1), venue, 10)
        assert await ends_of(tasks) == ["ok"] * 20
        assert venue.times == pytest.approx([0.0] * 12 + [1.0] * 8)

    top = Bucket("top", 12, 12, 5.0)
    play(scenario, top, Bucket("a", 10, 10, 5.0, parent="top"), Bucket("b", 10, 10, 5.0, parent="top"), margin=0.0)


@pytest.mark.parametrize("parent", ["nobody", "a"])
def test_a_bucket_without_a_proper_parent_is_refused(parent: str) -> None:
    with pytest.raises(ValueError, match="expected the parent of bucket a"):
        Limiter([Bucket("a", 1, 1, 1.0, parent=parent)], 0.0, lambda: 0.0, Counter())


def test_the_venues_refusal_stops_everybody_but_cancels_for_as_long_as_it_says() -> None:
    async def scenario(stack: Stack) -> None:
        venue, cancels = Venue(failure(FailureKind.RATE_LIMITED, retry_s=3.0)), Venue()
        assert (await error_of(stack.run(ORDER, venue))).code == "RATE_LIMITED"
        tasks = flood(stack, ORDER, venue, 2)
        await stack.run(CANCEL, cancels)
        assert await ends_of(tasks) == ["ok", "ok"]
        assert (cancels.times, venue.times) == ([0.0], pytest.approx([0.0, 3.0, 3.0]))
        assert stack.stats()["limiter_held_all"] == 1

    play(scenario, Bucket("all", 10, 10, 5.0))


def test_a_refusal_without_a_time_stops_the_bucket_for_a_second() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(failure(FailureKind.RATE_LIMITED))
        await error_of(stack.run(ORDER, venue))
        await stack.run(ORDER, venue)
        assert venue.times == pytest.approx([0.0, 1.0])

    play(scenario, Bucket("all", 10, 100, 5.0))


def test_a_stranger_who_uses_our_limit_is_seen_in_the_headers_and_made_room_for() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue()
        stack.observed("all", remaining=3, limit=10, reset_ns=int(0.5e9))
        stack.observed("all", remaining=3, limit=10, reset_ns=int(0.5e9))
        await ends_of(flood(stack, QUERY, venue, 6))
        assert venue.times == pytest.approx([0.0] * 3 + [0.5] * 3)
        assert stack.stats()["limiter_corrected_all"] == 1

    play(scenario, Bucket("all", 10, 10, 5.0), margin=0.0)


def test_a_header_that_says_more_is_left_than_we_count_changes_nothing() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue()
        await ends_of(flood(stack, QUERY, venue, 10))
        stack.observed("all", remaining=9, limit=100, reset_ns=int(0.1e9))
        await stack.run(QUERY, venue)
        assert venue.times[-1] == pytest.approx(1.0)

    play(scenario, Bucket("all", 10, 10, 5.0), margin=0.0)


def test_a_lower_limit_of_the_venues_is_taken_over() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue()
        stack.observed("all", limit=4)
        await ends_of(flood(stack, QUERY, venue, 8))
        assert venue.times == pytest.approx([0.0] * 4 + [1.0] * 4)

    play(scenario, Bucket("all", 10, 10, 5.0), margin=0.0)


def test_a_header_of_a_window_that_is_over_is_not_believed() -> None:
    async def scenario(stack: Stack) -> None:
        await asyncio.sleep(5)
        stack.observed("all", remaining=0, reset_ns=int(4.9e9))
        await stack.run(QUERY, Venue())
        assert loop_time() == 5.0

    play(scenario, Bucket("all", 10, 10, 5.0))


def test_a_caller_that_gives_up_waiting_leaves_its_place_and_its_tokens() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue()
        tasks = flood(stack, QUERY, venue, 20)
        await asyncio.sleep(0.5)
        for task in tasks[10:15]:
            task.cancel()
        tasks += flood(stack, QUERY, venue, 5)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert venue.times == pytest.approx([0.0] * 10 + [1.0] * 10)
        assert stack.stats()["limiter_waiting"] == 0

    play(scenario, Bucket("all", 10, 10, 5.0), margin=0.0)


def test_an_endpoint_that_fits_no_bucket_is_told_so() -> None:
    async def scenario(stack: Stack) -> None:
        for endpoint in (Endpoint("x", bucket="none", tries=1), Endpoint("x", bucket="all", cost=11, tries=1)):
            said = await error_of(stack.run(endpoint, Venue()))
            assert (said.kind, said.outcome, said.code) == (FailureKind.INVALID, Outcome.NOT_SENT, "ENDPOINT")
        said = await error_of(stack.run(Endpoint("x", bucket="all", pool="none", tries=1), Venue()))
        assert "expected a pool among order, cancel, query" in said.reason

    play(scenario, Bucket("all", 10, 10, 5.0))


def test_closing_lets_those_go_who_wait() -> None:
    async def scenario(stack: Stack) -> None:
        tasks = flood(stack, QUERY, Venue(), 20)
        await asyncio.sleep(0.1)
        await stack.close()
        assert await ends_of(tasks) == ["ok"] * 10 + ["CLOSED"] * 10
        assert loop_time() == pytest.approx(0.1)

    play(scenario, Bucket("all", 10, 10, 5.0))


def test_a_bucket_that_can_not_work_is_refused() -> None:
    for rate, burst, reserve in ((0, 10, 0), (10, 0, 0), (10, 10, 10), (10, 10, -1)):
        with pytest.raises(ValueError, match="in bucket x"):
            Bucket("x", rate, burst, 1.0, reserve)
    assert StackSettings(buckets=()).threads == {"order": 4, "cancel": 2, "query": 4}


# -- the invariant ---------------------------------------------------------------------------


def most_in_a_window(sent: list[tuple[float, float]], window_s: float) -> float:
    """The most tokens in any half-open span of that length; a float's last bits are not held against it."""
    most, total, first = 0.0, 0.0, 0
    for now, cost in sent:
        total += cost
        while sent[first][0] <= now - window_s + 1e-6:
            total -= sent[first][1]
            first += 1
        most = max(most, total)
    return most


class Demand:
    """One call: when it comes, what it costs, whether it is an order, how long it dawdles before it is sent."""

    strategy = st.tuples(st.floats(0, 2), st.sampled_from([1.0, 2.0, 5.0]), st.booleans(), st.floats(0, 0.7))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(Demand.strategy, min_size=1, max_size=80),
    st.sampled_from([(10.0, 10.0), (5.0, 20.0), (50.0, 7.0)]),
    st.sampled_from([0.0, 2.0]),
    st.lists(st.tuples(st.floats(0, 20), st.integers(0, 10), st.floats(-1, 3)), max_size=5),
)
def test_no_window_ever_sees_more_than_the_bucket_holds(
    calls: list[tuple[float, float, bool, float]],
    shape: tuple[float, float],
    reserve: float,
    headers: list[tuple[float, int, float]],
) -> None:
    rate, burst = shape
    bucket = Bucket("all", rate, burst, 4.0, reserve)
    sent: list[tuple[float, float]] = []

    async def run() -> tuple[Limiter, int]:
        limiter = Limiter([bucket], 0.0, loop_time, Counter())

        async def one(comes_s: float, cost: float, write: bool, dawdles_s: float) -> bool:
            await asyncio.sleep(comes_s)
            try:
                ticket = await limiter.acquire("all", cost, write=write)
            except VenueError as error:
                assert error.failure.code == "LIMITER"
                return False
            await asyncio.sleep(dawdles_s)
            sent.append((loop_time(), cost))
            ticket.sent()
            return True

        async def header(comes_s: float, remaining: int, reset_s: float) -> bool:
            await asyncio.sleep(comes_s)
            limiter.observed("all", remaining=remaining, reset_s=reset_s)
            return False

        total, work = 0.0, []
        for gap, *rest in calls:
            total += gap / 10
            work.append(one(total, *rest))
        ends = await asyncio.gather(*work, *(header(*told) for told in headers))
        await asyncio.sleep(bucket.window_s + 0.001)
        return limiter, sum(ends)

    limiter, good = simulate(run())
    assert good == len(sent)
    assert most_in_a_window(sent, bucket.window_s) <= burst - reserve
    level = limiter.levels["all"]
    assert (limiter.waiting, level.free(1e9), level.entries) == (0, burst, 0)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("send"), st.floats(0, 1), st.sampled_from([1.0, 2.0, 3.0])),
            st.tuples(st.just("see"), st.floats(0, 1), st.floats(0, 12)),
        ),
        max_size=60,
    )
)
def test_the_wait_it_names_is_exactly_long_enough(steps: list[tuple[str, float, float]]) -> None:
    level, now = Level(Bucket("all", 10, 10, 1.0)), 0.0
    for what, gap, value in steps:
        now += gap
        if what == "see":
            level.observe(value, None, 0.5, now)
            continue
        wait = level.wait_s(value, now)
        if wait > 1e-6:
            assert level.free(now + wait * 0.999) < value
        now += wait
        assert level.free(now) >= value - 1e-6
        level.send(value, now)
