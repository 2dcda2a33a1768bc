"""The one way to a venue: cache, circuit breaker, limiter, retry, timeout, bounded threads.

Retry goes around breaker and limiter, so that each try asks for its own leave and its own
token; what a venue's limit is worth would not survive a retry inside of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.resilience import refusal
from exchanges.resilience.breaker import Breaker, Pass
from exchanges.resilience.cache import Cache
from exchanges.resilience.endpoint import Endpoint, StackSettings
from exchanges.resilience.limiter import Limiter, Ticket
from exchanges.resilience.meter import Meter
from exchanges.resilience.pools import CallTimeout, Pool, make_pools
from exchanges.resilience.retry import retrying
from runtime.telemetry.histogram import Histogram

T = TypeVar("T")
Run = Callable[[Pool, float], Awaitable[T]]

_FAILING = (FailureKind.UNKNOWN_OUTCOME, FailureKind.UNAVAILABLE)
"""What tells of a venue in trouble; a refusal is an answer."""

_HOLD_S = 1.0
"""How long a bucket rests after a refusal that doesn't say how long."""


class Stack:
    """The resilience stack of one venue connection; belongs to one event loop.

    Args:
        venue: Its name, in logs and thread names.
        settings: Buckets and patience.
        classify: What an exception of the venue's SDK means.
        clock: Monotonic seconds; the event loop's own time in a simulation.
        wall: Nanoseconds since 1970 as the venue counts them, for ``observed``.
    """

    def __init__(
        self,
        venue: str,
        settings: StackSettings,
        classify: Callable[[BaseException], Failure],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self.settings = settings
        self.meter = Meter(venue, settings.slow_s)
        self._classify = classify
        self._clock = clock
        self._wall = wall
        self._cache = Cache(settings.cache_entries, clock, self.meter.counters)
        self._limiter = Limiter(settings.buckets, settings.margin, clock, self.meter.counters)
        self._breakers: dict[str, Breaker] = {}
        self._pools = make_pools(venue, settings.threads)
        self._closed = False

    # -- calls -----------------------------------------------------------------------------

    async def call(self, endpoint: Endpoint, work: Callable[[], T], *, key: Hashable = None) -> T:
        """Run the blocking SDK call ``work`` on a thread of the endpoint's pool.

        ``key`` tells equal calls of a cached endpoint; it shows up in the debug log.

        Raises:
            VenueError: whatever went wrong, here or there.
        """
        return await self._ask(endpoint, key, lambda pool, limit: pool.blocking(work, limit))

    async def run(self, endpoint: Endpoint, work: Callable[[], Awaitable[T]], *, key: Hashable = None) -> T:
        """The same for an asyncio call, which is cancelled when its time is over."""
        return await self._ask(endpoint, key, lambda pool, limit: pool.waiting(work, limit))

    async def _ask(self, endpoint: Endpoint, key: Hashable, run: Run[T]) -> T:
        if self._closed:
            raise refusal.closed()
        if endpoint.write:
            return await self._try(endpoint, key, run)
        if endpoint.ttl_s > 0 and self.settings.cache_entries:
            return await self._cache.get(endpoint, key, lambda: self._read(endpoint, key, run))
        return await self._read(endpoint, key, run)

    async def _read(self, endpoint: Endpoint, key: Hashable, run: Run[T]) -> T:
        tries = endpoint.tries or self.settings.tries
        return await retrying(
            self.settings,
            tries,
            self._clock,
            asyncio.sleep,
            lambda: self._try(endpoint, key, run),
            lambda: self.meter.count("retries", endpoint),
        )

    async def _try(self, endpoint: Endpoint, key: Hashable, run: Run[T]) -> T:
        """One attempt: breaker, limiter, a place in the pool, the call. Each takes back what it gave."""
        if self._closed:
            raise refusal.closed()
        breaker = self._breaker(endpoint)
        leave = breaker.admit(self._clock(), urgent=endpoint.urgent)
        if leave is None:
            raise self._open(endpoint, breaker)
        ticket: Ticket | None = None
        settled = False
        try:
            ticket = await self._limiter.acquire(
                endpoint.bucket, endpoint.cost, write=endpoint.write, urgent=endpoint.urgent
            )
            pool = await self._place(endpoint)
            ticket.sent()
            settled = True
            return await self._timed(endpoint, key, pool, run, leave)
        finally:
            if ticket is not None:
                ticket.release()
            if not settled:
                breaker.abandoned(leave)

    async def _place(self, endpoint: Endpoint) -> Pool:
        pool = self._pools.get(endpoint.pool)
        if pool is None:
            found = f"expected a pool among {', '.join(self._pools)} for {endpoint.name}, found {endpoint.pool!r}"
            raise refusal.misused(found)
        if not await pool.enter(self._timeout(endpoint)):
            self.meter.count("no_thread", endpoint)
            raise refusal.no_thread(endpoint, pool.threads)
        if self._closed:
            pool.leave()
            raise refusal.closed()
        return pool

    async def _timed(self, endpoint: Endpoint, key: Hashable, pool: Pool, run: Run[T], leave: Pass) -> T:
        """The call itself, with its duration, its end, and what the breaker learns of it."""
        breaker, began = self._breaker(endpoint), self._clock()
        try:
            answer = await run(pool, self._timeout(endpoint))
        except asyncio.CancelledError:
            self.meter.count("cancelled", endpoint)
            breaker.abandoned(leave)
            raise
        except Exception as error:
            # Whatever an SDK raises is the venue's answer in disguise: the taxonomy is decided in one place.
            failure = self._failure(endpoint, error)
            self.meter.ended(endpoint, key, self._clock() - began, failure)
            self._learn(endpoint, breaker, leave, failure)
            raise VenueError(failure) from error
        self.meter.ended(endpoint, key, self._clock() - began, None)
        breaker.succeeded(leave)
        return answer

    def _failure(self, endpoint: Endpoint, error: Exception) -> Failure:
        if isinstance(error, CallTimeout):
            return refusal.timed_out(endpoint, self._timeout(endpoint)).failure
        return error.failure if isinstance(error, VenueError) else self._classify(error)

    def _learn(self, endpoint: Endpoint, breaker: Breaker, leave: Pass, failure: Failure) -> None:
        if failure.kind in _FAILING:
            opens = breaker.opens
            breaker.failed(leave, self._clock(), failure.reason)
            if breaker.opens > opens:
                self.meter.count("breaker_opens", endpoint)
        else:
            breaker.succeeded(leave)
        if failure.kind is FailureKind.RATE_LIMITED:
            window = self._limiter.levels[endpoint.bucket].bucket.window_s
            self.hold(endpoint.bucket, failure.retry_after_ns / 1e9 or min(_HOLD_S, window))

    def _open(self, endpoint: Endpoint, breaker: Breaker) -> VenueError:
        self.meter.count("breaker_refused", endpoint)
        wait = breaker.wait_s(self._clock())
        return refusal.circuit_open(endpoint, self.settings, wait, breaker.cause)

    def _breaker(self, endpoint: Endpoint) -> Breaker:
        breaker = self._breakers.get(endpoint.name)
        if breaker is None:
            told = self.settings
            breaker = Breaker(told.breaker_failures, told.breaker_window_s, told.breaker_open_s)
            self._breakers[endpoint.name] = breaker
        return breaker

    def _timeout(self, endpoint: Endpoint) -> float:
        return endpoint.timeout_s or self.settings.timeout_s

    # -- what the venue says otherwise -----------------------------------------------------

    def observed(
        self, bucket: str, *, remaining: float | None = None, limit: float | None = None, reset_ns: int | None = None
    ) -> None:
        """Correct the limiter from an answer's headers.

        ``remaining`` and ``limit`` are tokens of the venue's window; ``reset_ns`` is when it ends,
        in nanoseconds since 1970 by the venue's clock. Only what is less than our own count counts.
        """
        reset_s = None if reset_ns is None else (reset_ns - self._wall()) / 1e9
        self._limiter.observed(bucket, remaining=remaining, limit=limit, reset_s=reset_s)

    def hold(self, bucket: str, seconds: float) -> None:
        """Let only urgent calls draw from ``bucket`` for a while: the venue asked for it."""
        self._limiter.hold(bucket, seconds)

    def keep(self, endpoint: Endpoint, value: Any, *, key: Hashable = None) -> None:
        """Put an answer the venue pushed by itself into the cache."""
        self._cache.put(endpoint, key, value)

    def forget(self, endpoint: Endpoint) -> None:
        """Ask the venue anew from now on: something of ``endpoint`` has changed."""
        self._cache.forget_all(endpoint)

    # -- figures and the end ---------------------------------------------------------------

    @property
    def latency(self) -> dict[str, Histogram]:
        """Durations of the calls that went out, by endpoint."""
        return self.meter.latency

    def stats(self) -> dict[str, float]:
        """Counters and gauges by name.

        ``breaker_state_<endpoint>`` is 0 closed, 1 half-open, 2 open.
        """
        made = self.meter.stats() | self._limiter.gauges()
        made["limiter_waiting"] = float(self._limiter.waiting)
        made["cache_entries"] = float(len(self._cache))
        now = self._clock()
        for name, breaker in self._breakers.items():
            made[f"breaker_state_{name}"] = float(breaker.state(now))
        for name, pool in self._pools.items():
            made[f"pool_{name}_flying"] = float(pool.flying)
        return made

    async def close(self) -> None:
        """Take no further call; wait for those under way, as long as one may last."""
        self._closed = True
        await self._cache.close()
        self._limiter.close()
        await asyncio.gather(*(pool.close(self.settings.timeout_s) for pool in self._pools.values()))
