"""Repeating reads: exponential backoff with full jitter, never shorter than the venue asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from exchanges.failures import Failure, VenueError
from exchanges.resilience.endpoint import StackSettings
from exchanges.resilience.refusal import OWN_CODES

T = TypeVar("T")


def repeatable(error: BaseException) -> bool:
    """Whether another try may end better."""
    return isinstance(error, VenueError) and error.failure.repeatable and error.failure.code not in OWN_CODES


def _failure(state: RetryCallState) -> Failure | None:
    error = state.outcome.exception() if state.outcome is not None else None
    return error.failure if isinstance(error, VenueError) else None


class _Wait(wait_base):
    """Full jitter, or the venue's retry-after where that is longer."""

    def __init__(self, settings: StackSettings) -> None:
        self._jitter = wait_random_exponential(multiplier=settings.backoff_base_s, max=settings.backoff_cap_s)

    def __call__(self, retry_state: RetryCallState) -> float:
        failure = _failure(retry_state)
        asked = failure.retry_after_ns / 1e9 if failure is not None else 0.0
        return max(self._jitter(retry_state), asked)


class _Stop(stop_base):
    """Enough tries, or the next would begin too late to be of use."""

    def __init__(self, settings: StackSettings, tries: int, clock: Callable[[], float]) -> None:
        self._tries = stop_after_attempt(tries)
        self._within_s = settings.retry_within_s
        self._clock = clock
        self._began_s = clock()

    def __call__(self, retry_state: RetryCallState) -> bool:
        return self._tries(retry_state) or self._clock() - self._began_s + retry_state.upcoming_sleep > self._within_s


async def retrying(
    settings: StackSettings,
    tries: int,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
    work: Callable[[], Awaitable[T]],
    repeated: Callable[[], None],
) -> T:
    """Await ``work()`` until it succeeds, fails for good, or has been tried often enough.

    ``repeated`` is called before each further try.

    Raises:
        VenueError: the last failure.
    """
    retry = AsyncRetrying(
        sleep=sleep,
        wait=_Wait(settings),
        stop=_Stop(settings, tries, clock),
        retry=retry_if_exception(repeatable),
        before_sleep=lambda _state: repeated(),
        reraise=True,
    )

    async def attempt() -> T:
        # The library awaits only what says itself that it is a coroutine function.
        return await work()

    return await retry(attempt)
