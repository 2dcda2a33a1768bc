"""A venue that answers as told, on simulated time, behind the real stack."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.model.venue import Outcome
from exchanges.resilience import Bucket, Endpoint, Stack, StackSettings
from exchanges.resilience.simulated import loop_time, simulate

T = TypeVar("T")
READ = Endpoint("read", bucket="query", tries=4)
WRITE = Endpoint("write", write=True, bucket="order", pool="order")
CANCEL = Endpoint("cancel", write=True, bucket="order", pool="cancel", urgent=True)
KEPT = Endpoint("kept", bucket="query", ttl_s=10.0, tries=1)
BUCKETS = (Bucket("query", 1000, 1000, 10.0), Bucket("order", 1000, 1000, 1.0))
OUTCOMES = {
    FailureKind.RATE_LIMITED: Outcome.NOT_SENT,
    FailureKind.REJECTED: Outcome.REJECTED,
    FailureKind.NOT_FOUND: Outcome.NOT_FOUND,
    FailureKind.UNKNOWN_OUTCOME: Outcome.UNKNOWN,
    FailureKind.UNAVAILABLE: Outcome.NOT_SENT,
    FailureKind.UNAUTHORISED: Outcome.REJECTED,
    FailureKind.INVALID: Outcome.REJECTED,
}


def failure(kind: FailureKind = FailureKind.UNKNOWN_OUTCOME, retry_s: float = 0.0) -> VenueError:
    return VenueError(Failure(kind, OUTCOMES[kind], kind.name, "told so", int(retry_s * 1e9)))


def classify(error: BaseException) -> Failure:
    return failure().failure._replace(code=type(error).__name__)


class Venue:
    """Answers with what ``ends`` holds, one after the other, then with the number of the call."""

    def __init__(self, *ends: Exception, takes_s: float = 0.0) -> None:
        self.ends = list(ends)
        self.takes_s = takes_s
        self.times: list[float] = []

    @property
    def calls(self) -> int:
        return len(self.times)

    async def __call__(self) -> int:
        self.times.append(loop_time())
        number = self.calls
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        if self.ends:
            raise self.ends.pop(0)
        return number


def stack(*buckets: Bucket, **changes: Any) -> Stack:
    """A stack on the running loop's simulated time."""
    told = StackSettings(buckets=buckets or BUCKETS, **changes)
    return Stack("test", told, classify, clock=loop_time, wall=lambda: int(loop_time() * 1e9))


def play(scenario: Callable[[Stack], Coroutine[Any, Any, T]], *buckets: Bucket, **changes: Any) -> T:
    """Run ``scenario`` with a stack on simulated time; nothing may be left under way."""

    async def run() -> T:
        made = stack(*buckets, **changes)
        try:
            return await scenario(made)
        finally:
            await made.close()
            assert asyncio.all_tasks() == {asyncio.current_task()}

    return simulate(run())


async def error_of(work: Awaitable[object]) -> Failure:
    """The failure ``work`` ends in."""
    try:
        answer = await work
    except VenueError as error:
        return error.failure
    raise AssertionError(f"expected a failure, found the answer {answer!r}")
