"""Answers kept and shared: who asks gets one answer, and never an old one."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.resilience import Endpoint, Stack
from exchanges.resilience.simulated import loop_time
from tests.unit.resilience_bench import KEPT, READ, Venue, error_of, failure, play


def test_an_answer_is_kept_for_its_time_and_asked_anew_after_it() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue()
        assert await stack.run(KEPT, venue, key="a") == 1
        await asyncio.sleep(9.9)
        assert await stack.run(KEPT, venue, key="a") == 1
        assert await stack.run(KEPT, venue, key="b") == 2
        await asyncio.sleep(0.2)
        assert await stack.run(KEPT, venue, key="a") == 3
        stats = stack.stats()
        assert (stats["cache_hits_kept"], stats["cache_misses_kept"], stats["calls_kept"]) == (1, 3, 3)

    play(scenario)


def test_what_is_not_to_be_kept_is_asked_each_time() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue()
        assert [await stack.run(READ, venue, key="a") for _ in range(3)] == [1, 2, 3]
        assert stack.stats()["cache_entries"] == 0

    play(scenario)


def test_equal_calls_in_flight_are_one_call() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(takes_s=1.0)
        answers = await asyncio.gather(*(stack.run(KEPT, venue, key="a") for _ in range(10)))
        assert answers == [1] * 10
        assert stack.stats()["cache_coalesced"] == 9

    play(scenario)


def test_a_shared_failure_reaches_everyone_as_an_error_of_their_own_and_is_not_kept() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(failure(FailureKind.REJECTED), takes_s=1.0)
        ends = await asyncio.gather(*(stack.run(KEPT, venue, key="a") for _ in range(3)), return_exceptions=True)
        assert all(isinstance(end, VenueError) and end.failure.kind is FailureKind.REJECTED for end in ends)
        assert len({id(end) for end in ends}) == 3
        assert await stack.run(KEPT, venue, key="a") == 2

    play(scenario)


def test_a_caller_that_gives_up_leaves_the_call_to_the_others() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(takes_s=1.0)
        first = asyncio.create_task(stack.run(KEPT, venue, key="a"))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(stack.run(KEPT, venue, key="a"))
        await asyncio.sleep(0.1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await second == 1
        assert venue.calls == 1

    play(scenario)


def test_what_was_forgotten_while_under_way_is_asked_again() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(takes_s=1.0)
        early = asyncio.create_task(stack.run(KEPT, venue, key="a"))
        await asyncio.sleep(0.5)
        stack.forget(KEPT)
        assert await stack.run(KEPT, venue, key="a") == 2
        assert await early == 1
        assert await stack.run(KEPT, venue, key="a") == 2, "the older answer did not replace the newer"

    play(scenario)


def test_a_pushed_answer_beats_one_that_is_under_way() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(takes_s=1.0)
        early = asyncio.create_task(stack.run(KEPT, venue))
        await asyncio.sleep(0.5)
        stack.keep(KEPT, "pushed")
        assert await early == 1
        assert await stack.run(KEPT, venue) == "pushed"
        await asyncio.sleep(10)
        assert await stack.run(KEPT, venue) == 2

    play(scenario)


def test_the_store_stays_within_its_bound() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue()
        for number in range(100):
            await stack.run(KEPT, venue, key=number)
        assert stack.stats()["cache_entries"] == 10

    play(scenario, cache_entries=10)


def test_closing_ends_a_shared_call_with_an_error_and_no_further_one_begins() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(takes_s=5.0)
        waiting = [asyncio.create_task(error_of(stack.run(KEPT, venue, key="a"))) for _ in range(2)]
        await asyncio.sleep(1)
        await stack.close()
        assert [(await end).code for end in waiting] == ["CLOSED", "CLOSED"]
        assert (await error_of(stack.run(KEPT, venue, key="a"))).code == "CLOSED"
        assert (await error_of(stack.run(READ, venue))).code == "CLOSED"
        assert venue.calls == 1

    play(scenario)


@st.composite
def askers(draw: st.DrawFn) -> list[tuple[float, int, float | None]]:
    """Callers: when they come, what they ask, and after how long they give up."""
    one = st.tuples(st.floats(0, 30), st.integers(0, 2), st.one_of(st.none(), st.floats(0, 3)))
    return draw(st.lists(one, min_size=1, max_size=25))


@settings(max_examples=150, deadline=None)
@given(askers(), st.lists(st.booleans(), max_size=30), st.floats(0, 4), st.floats(0.1, 8))
def test_each_caller_gets_one_answer_and_it_was_given_while_it_waited_or_is_still_good(
    people: list[tuple[float, int, float | None]], goods: list[bool], takes_s: float, ttl_s: float
) -> None:
    endpoint = Endpoint("kept", bucket="query", ttl_s=ttl_s, tries=1)

    async def scenario(stack: Stack) -> None:
        fetches: dict[int, tuple[int, float, float, bool]] = {}
        begun: list[int] = []
        ends: list[tuple[int, object]] = []

        async def fetch(key: int) -> int:
            number, began = len(begun), loop_time()
            begun.append(key)
            good = goods[number] if number < len(goods) else True
            await asyncio.sleep(takes_s)
            fetches[number] = (key, began, loop_time(), good)
            if not good:
                raise VenueError(Failure(FailureKind.REJECTED, failure().failure.outcome, str(number), ""))
            return number

        async def ask(who: int, comes_s: float, key: int, patience: float | None) -> None:
            await asyncio.sleep(comes_s)
            asked = loop_time()
            try:
                async with asyncio.timeout(patience):
                    answer = await stack.run(endpoint, lambda: fetch(key), key=key)
            except TimeoutError:
                ends.append((who, None))
                return
            except VenueError as error:
                ends.append((who, error))
                number, worth = int(error.failure.code), 0.0
            else:
                ends.append((who, answer))
                number, worth = answer, ttl_s
            found, _, ended, good = fetches[number]
            assert found == key
            assert good == (worth > 0)
            assert ended + worth >= asked - 1e-6, "an answer from before it was asked, and no longer good"

        await asyncio.gather(*(ask(who, *told) for who, told in enumerate(people)))
        assert sorted(who for who, _ in ends) == list(range(len(people)))
        await asyncio.sleep(takes_s + 1)
        for key in set(begun):
            spans = sorted(span[1:3] for span in fetches.values() if span[0] == key)
            assert all(later[0] >= earlier[1] - 1e-6 for earlier, later in itertools.pairwise(spans))

    play(scenario)
