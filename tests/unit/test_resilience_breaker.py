"""The circuit breaker by itself, and within the stack."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.failures import FailureKind
from exchanges.model.venue import Outcome
from exchanges.resilience import Endpoint, Stack
from exchanges.resilience.breaker import Breaker, BreakerState
from tests.unit.resilience_bench import CANCEL, WRITE, Venue, error_of, failure, play


def fail(breaker: Breaker, *times: float) -> None:
    for now in times:
        leave = breaker.admit(now)
        assert leave is not None
        breaker.failed(leave, now)


def test_five_failures_within_a_minute_open_it_and_a_trial_after_half_a_minute_closes_it() -> None:
    breaker = Breaker(5, 60.0, 30.0)
    fail(breaker, 0, 10, 20, 30)
    assert breaker.state(30) is BreakerState.CLOSED
    fail(breaker, 59)
    assert (breaker.state(60), breaker.opens) == (BreakerState.OPEN, 1)
    assert breaker.admit(88.9) is None
    assert breaker.wait_s(60) == pytest.approx(29)
    trial = breaker.admit(89)
    assert trial is not None
    assert breaker.admit(89) is None, "one trial at a time"
    breaker.succeeded(trial)
    assert breaker.state(89) is BreakerState.CLOSED
    fail(breaker, 90, 91, 92, 93)
    assert breaker.state(93) is BreakerState.CLOSED


def test_failures_that_lie_further_apart_do_not_open_it() -> None:
    breaker = Breaker(5, 60.0, 30.0)
    fail(breaker, *(16.0 * n for n in range(50)))
    assert breaker.opens == 0


def test_successes_in_between_do_not_make_up_for_failures() -> None:
    breaker = Breaker(5, 60.0, 30.0)
    for now in range(5):
        leave = breaker.admit(now)
        assert leave is not None
        breaker.succeeded(leave)
        fail(breaker, now)
    assert breaker.state(5) is BreakerState.OPEN


def test_a_failed_trial_opens_it_again_and_an_abandoned_one_leaves_room_for_another() -> None:
    breaker = Breaker(1, 60.0, 30.0)
    fail(breaker, 0)
    first = breaker.admit(30)
    assert first is not None
    breaker.failed(first, 31)
    assert (breaker.state(60), breaker.opens) == (BreakerState.OPEN, 2)
    second = breaker.admit(61)
    assert second is not None
    breaker.abandoned(second)
    assert breaker.admit(61) is not None


def test_an_answer_to_a_call_from_before_it_opened_changes_nothing() -> None:
    breaker = Breaker(1, 60.0, 30.0)
    early = breaker.admit(0)
    late = breaker.admit(0)
    assert early is not None
    assert late is not None
    fail(breaker, 1)
    breaker.succeeded(early)
    breaker.failed(late, 20)
    assert breaker.state(2) is BreakerState.OPEN
    assert breaker.state(31) is BreakerState.HALF_OPEN


def test_who_is_urgent_always_passes_and_its_success_closes_it() -> None:
    breaker = Breaker(1, 60.0, 30.0)
    fail(breaker, 0)
    first, second = breaker.admit(1, urgent=True), breaker.admit(1, urgent=True)
    assert first is not None
    assert second is not None
    breaker.failed(first, 2)
    assert breaker.wait_s(2) == pytest.approx(28), "a failed urgent call is no trial"
    breaker.succeeded(second)
    assert breaker.state(2) is BreakerState.CLOSED


@given(st.lists(st.tuples(st.floats(0, 40), st.booleans()), max_size=60))
def test_it_is_open_exactly_when_its_last_window_says_so(steps: list[tuple[float, bool]]) -> None:
    """Against a plain reading of the rule: all failures since the last change, counted anew each time."""
    breaker = Breaker(5, 60.0, 30.0)
    now, failures, opened = 0.0, list[float](), None
    for gap, good in steps:
        now += gap
        leave = breaker.admit(now)
        assert (leave is None) == (opened is not None and now < opened + 30)
        if leave is None:
            continue
        if good:
            breaker.succeeded(leave)
            if opened is not None:
                opened, failures = None, []
            continue
        breaker.failed(leave, now)
        if opened is None:
            failures.append(now)
        if opened is not None or len([t for t in failures if now - t <= 60]) >= 5:
            opened, failures = now, []


# -- within the stack ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [FailureKind.UNKNOWN_OUTCOME, FailureKind.UNAVAILABLE])
def test_an_endpoint_in_trouble_is_left_alone_and_the_others_are_not(kind: FailureKind) -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(*[failure(kind) for _ in range(5)])
        for _ in range(5):
            assert (await error_of(stack.run(WRITE, venue))).kind is kind
        refused = await error_of(stack.run(WRITE, venue))
        assert (refused.kind, refused.outcome, refused.code) == (
            FailureKind.UNAVAILABLE, Outcome.NOT_SENT, "CIRCUIT_OPEN",
        )  # fmt: skip
        assert refused.retry_after_ns == pytest.approx(30e9)
        assert "the last failure: told so" in refused.reason
        assert venue.calls == 5
        assert await stack.run(Endpoint("other", bucket="query"), venue) == 6
        assert stack.stats()["breaker_state_write"] == 2
        await asyncio.sleep(30)
        assert stack.stats()["breaker_state_write"] == 1
        assert await stack.run(WRITE, venue) == 7
        stats = stack.stats()
        assert (stats["breaker_state_write"], stats["breaker_opens"], stats["breaker_refused"]) == (0, 1, 1)

    play(scenario)


@pytest.mark.parametrize(
    "kind",
    [FailureKind.REJECTED, FailureKind.NOT_FOUND, FailureKind.UNAUTHORISED, FailureKind.INVALID],
)
def test_a_refusal_is_an_answer_and_opens_nothing(kind: FailureKind) -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(*[failure(kind) for _ in range(20)])
        for _ in range(20):
            assert (await error_of(stack.run(WRITE, venue))).kind is kind
        assert venue.calls == 20
        assert stack.stats()["breaker_state_write"] == 0

    play(scenario)


def test_cancels_pass_an_open_circuit() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(*[failure() for _ in range(8)])
        for _ in range(8):
            assert (await error_of(stack.run(CANCEL, venue))).kind is FailureKind.UNKNOWN_OUTCOME
        assert venue.calls == 8
        assert stack.stats()["breaker_state_cancel"] == 2
        assert await stack.run(CANCEL, venue) == 9
        assert stack.stats()["breaker_state_cancel"] == 0

    play(scenario)


def test_after_the_pause_one_call_is_the_trial_and_the_others_are_refused() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(*[failure() for _ in range(5)], takes_s=0.5)
        for _ in range(5):
            await error_of(stack.run(WRITE, venue))
        await asyncio.sleep(30)
        ends = await asyncio.gather(*(stack.run(WRITE, venue) for _ in range(4)), return_exceptions=True)
        assert [end for end in ends if isinstance(end, int)] == [6]
        assert venue.calls == 6

    play(scenario)


def test_a_trial_whose_caller_gives_up_leaves_room_for_the_next() -> None:
    async def scenario(stack: Stack) -> None:
        venue = Venue(*[failure() for _ in range(5)])
        for _ in range(5):
            await error_of(stack.run(WRITE, venue))
        await asyncio.sleep(30)
        venue.takes_s = 5.0
        trial = asyncio.create_task(stack.run(WRITE, venue))
        await asyncio.sleep(1)
        trial.cancel()
        await asyncio.gather(trial, return_exceptions=True)
        assert await stack.run(WRITE, venue) == 7

    play(scenario)
