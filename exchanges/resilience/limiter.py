"""The venue's token buckets, kept on our side so that its limiter never has to speak.

Venues count in windows (Bybit: orders in a second, Alpaca: calls in a minute) or refill a
bucket (Kalshi). Here a token comes back one whole window after it was spent. That stays
within either: no span of that length ever sees more than the bucket holds, wherever it begins,
and a bucket asked for more than it has is used to the full.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import Counter, deque
from collections.abc import Callable, Sequence

from exchanges.failures import VenueError
from exchanges.resilience import refusal
from exchanges.resilience.endpoint import Bucket

_EPSILON = 1e-9
_LEAST_S = 0.001
"""The shortest timer: an event loop's clock may be that much behind ours."""


class Level:
    """How full one bucket is. Pure: times are seconds of one monotonic clock, given by the caller."""

    __slots__ = ("_foreign", "_foreign_until", "_held_until", "_limit", "_pending", "_sent", "_spent", "bucket", "late")

    def __init__(self, bucket: Bucket, margin: float = 0.0) -> None:
        self.bucket = bucket
        self.late = bucket.window_s * (1 + margin)
        self._sent: deque[tuple[float, float]] = deque()
        """When tokens come back and how many, ascending."""
        self._spent = 0.0
        self._pending = 0.0
        self._foreign = 0.0
        self._foreign_until = -math.inf
        self._held_until = -math.inf
        self._limit = bucket.burst

    @property
    def capacity(self) -> float:
        """Tokens in the full bucket: ours or the venue's word, whichever is less."""
        return self._limit

    @property
    def entries(self) -> int:
        """The size of its memory."""
        return len(self._sent)

    def free(self, now: float) -> float:
        """Tokens left now; below 0 if urgent calls overdrew it."""
        sent = self._sent
        while sent and sent[0][0] <= now + _EPSILON:
            self._spent -= sent.popleft()[1]
        if not sent:
            self._spent = 0.0
        foreign = self._foreign if now < self._foreign_until else 0.0
        return self._limit - self._pending - self._spent - foreign

    def wait_s(self, cost: float, now: float) -> float:
        """Seconds until ``cost`` tokens are there; infinite while that hangs on calls not yet sent."""
        held = max(0.0, self._held_until - now)
        missing = cost + self._reserve - self.free(now)
        if missing <= _EPSILON:
            return held
        foreign_due = now < self._foreign_until
        for back, amount in self._sent:
            if foreign_due and self._foreign_until <= back:
                foreign_due = False
                missing -= self._foreign
                if missing <= _EPSILON:
                    return max(held, self._foreign_until - now)
            missing -= amount
            if missing <= _EPSILON:
                return max(held, back - now)
        if foreign_due and missing - self._foreign <= _EPSILON:
            return max(held, self._foreign_until - now)
        return math.inf

    def expected_s(self, ahead: float, cost: float, now: float, patience_s: float) -> float:
        """About how long a call waits behind ``ahead`` tokens' worth of others; roughly, above ``patience_s``."""
        usable = self._limit - self._reserve
        windows, rest = divmod(ahead + cost, usable) if usable > 0 else (0.0, cost)
        if windows and rest < _EPSILON:
            windows, rest = windows - 1, usable
        if windows * self.late > patience_s:
            return windows * self.late
        wait = self.wait_s(rest, now)
        return windows * self.late + (self.late if math.isinf(wait) else wait)

    def take(self, cost: float) -> None:
        """Set ``cost`` tokens aside for a call about to be sent."""
        self._pending += cost

    def give(self, cost: float) -> None:
        """The call wasn't sent."""
        self._pending = max(0.0, self._pending - cost)

    def send(self, cost: float, now: float) -> None:
        """The call is sent: from now on its tokens' way back counts."""
        self.give(cost)
        self._spent += cost
        back = now + self.late
        if self._sent and self._sent[-1][0] == back:
            self._sent[-1] = (back, self._sent[-1][1] + cost)
        else:
            self._sent.append((back, cost))

    def observe(self, remaining: float | None, limit: float | None, reset_s: float | None, now: float) -> bool:
        """Take in the venue's count; whether it was lower than ours (another program uses the key)."""
        if limit is not None and limit > 0:
            self._limit = min(self.bucket.burst, limit)
        if remaining is None or (reset_s is not None and reset_s <= 0):
            return False
        known = self._foreign if now < self._foreign_until else 0.0
        excess = self.free(now) + known - max(0.0, remaining)
        if excess <= known + _EPSILON:
            return False
        self._foreign = excess
        self._foreign_until = now + min(self.late if reset_s is None else reset_s, self.late)
        return True

    def hold(self, seconds: float, now: float) -> None:
        """Let nothing but urgent calls through for a while."""
        self._held_until = max(self._held_until, now + seconds)

    @property
    def _reserve(self) -> float:
        return min(self.bucket.reserve, self._limit)


class Ticket:
    """Tokens set aside for one call; ``sent`` or ``release`` ends it, whichever comes first."""

    __slots__ = ("_cost", "_levels", "_limiter", "_open")

    def __init__(self, limiter: Limiter, levels: Sequence[Level], cost: float) -> None:
        self._limiter, self._levels, self._cost = limiter, levels, cost
        self._open = True
        for level in levels:
            level.take(cost)

    def sent(self) -> None:
        """The call goes out now."""
        if self._open:
            self._limiter.spent(self._levels, self._cost)
        self._end(lambda level: level.send(self._cost, self._limiter.now()))

    def release(self) -> None:
        """The call was not made."""
        self._end(lambda level: level.give(self._cost))

    def _end(self, change: Callable[[Level], None]) -> None:
        if self._open:
            self._open = False
            for level in self._levels:
                change(level)
            self._limiter.pump()


class _Queue:
    """Those who wait for one bucket: writes before reads, then in the order they came."""

    def __init__(self, levels: Sequence[Level]) -> None:
        self.levels = levels
        self.waiting: list[tuple[int, int, float, asyncio.Future[Ticket]]] = []
        self.timer: asyncio.TimerHandle | None = None
        self._asked = [0.0, 0.0]
        """Tokens waited for, by rank."""

    def ahead(self, rank: int) -> float:
        """Tokens that those before a newcomer of ``rank`` wait for."""
        return sum(self._asked[: rank + 1])

    def push(self, entry: tuple[int, int, float, asyncio.Future[Ticket]]) -> None:
        heapq.heappush(self.waiting, entry)
        self._asked[entry[0]] += entry[2]

    def pop(self) -> asyncio.Future[Ticket]:
        rank, _, cost, future = heapq.heappop(self.waiting)
        self._asked[rank] -= cost
        return future

    def remove(self, entry: tuple[int, int, float, asyncio.Future[Ticket]]) -> None:
        """Take out who gave up, wherever it stands."""
        self.waiting.remove(entry)
        heapq.heapify(self.waiting)
        self._asked[entry[0]] -= entry[2]

    def clear(self) -> list[asyncio.Future[Ticket]]:
        """Empty it; who waited is the caller's to tell."""
        waited = [entry[3] for entry in self.waiting]
        self.waiting.clear()
        self._asked = [0.0, 0.0]
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        return waited


class Limiter:
    """All buckets of one venue; belongs to one event loop.

    Counters, each by bucket: ``limiter_spent_<bucket>`` (tokens), ``limiter_waits_``,
    ``limiter_waited_ms_``, ``limiter_refused_``, ``limiter_corrected_``, ``limiter_held_``.
    """

    def __init__(
        self, buckets: Sequence[Bucket], margin: float, clock: Callable[[], float], counters: Counter[str]
    ) -> None:
        self.now = clock
        self._counters = counters
        self.levels = {bucket.name: Level(bucket, margin) for bucket in buckets}
        self._queues = {bucket.name: _Queue(self._chain(bucket)) for bucket in buckets}
        self._numbers = 0
        self._waiting = 0

    def _chain(self, bucket: Bucket) -> list[Level]:
        """The levels a call of ``bucket`` draws from: its own and its ancestors'."""
        chain, name = [self.levels[bucket.name]], bucket.parent
        while name:
            if name not in self.levels or self.levels[name] in chain:
                raise ValueError(f"expected the parent of bucket {bucket.name} among the buckets, once, found {name!r}")
            chain.append(self.levels[name])
            name = self.levels[name].bucket.parent
        return chain

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return self._waiting

    async def acquire(self, bucket: str, cost: float, *, write: bool = False, urgent: bool = False) -> Ticket:
        """Wait for ``cost`` tokens of ``bucket`` and of its parents; who is ``urgent`` overdraws it.

        Raises:
            VenueError: ``RATE_LIMITED``: its turn would not come, or did not, within the bucket's patience.
            VenueError: ``INVALID``: there is no such bucket, or it never holds that many tokens.
        """
        queue = self._queues.get(bucket)
        if queue is None or cost > queue.levels[0].bucket.burst:
            held = {name: level.bucket.burst for name, level in self.levels.items()}
            raise refusal.misused(f"expected a bucket that holds {cost:g} tokens among {held}, found {bucket!r}")
        now, patience = self.now(), queue.levels[0].bucket.patience_s
        if urgent or (not queue.waiting and all(level.wait_s(cost, now) <= _EPSILON for level in queue.levels)):
            return Ticket(self, queue.levels, cost)
        rank = 0 if write else 1
        ahead = queue.ahead(rank)
        expected = max(level.expected_s(ahead, cost, now, patience) for level in queue.levels)
        if expected > patience:
            raise self._refusal(bucket, expected)
        self._counters[f"limiter_waits_{bucket}"] += 1
        ticket = await self._wait(queue, bucket, cost, rank)
        self._counters[f"limiter_waited_ms_{bucket}"] += round((self.now() - now) * 1000)
        return ticket

    async def _wait(self, queue: _Queue, bucket: str, cost: float, rank: int) -> Ticket:
        self._numbers += 1
        future: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        entry = (rank, self._numbers, cost, future)
        queue.push(entry)
        self._waiting += 1
        self._pump(queue)
        patience = queue.levels[0].bucket.patience_s
        try:
            done, _ = await asyncio.wait((future,), timeout=patience)
            if not done:
                raise self._refusal(bucket, patience)
            return future.result()
        except asyncio.CancelledError:
            if future.done() and future.exception() is None:
                future.result().release()
            raise
        finally:
            self._waiting -= 1
            if not future.done():
                queue.remove(entry)
                self._pump(queue)

    def _refusal(self, bucket: str, wait_s: float) -> VenueError:
        self._counters[f"limiter_refused_{bucket}"] += 1
        return refusal.limited(bucket, wait_s)

    # -- its clockwork ---------------------------------------------------------------------

    def spent(self, levels: Sequence[Level], cost: float) -> None:
        """Count the tokens of a call that goes out."""
        for level in levels:
            self._counters[f"limiter_spent_{level.bucket.name}"] += round(cost)

    def pump(self) -> None:
        """Tokens may have come free: let through who can go."""
        for queue in self._queues.values():
            if queue.waiting:
                self._pump(queue)

    def _pump(self, queue: _Queue) -> None:
        if queue.timer is not None:
            queue.timer.cancel()
            queue.timer = None
        now = self.now()
        while queue.waiting:
            cost = queue.waiting[0][2]
            wait = max(level.wait_s(cost, now) for level in queue.levels)
            if wait > _EPSILON:
                if not math.isinf(wait):
                    queue.timer = asyncio.get_running_loop().call_later(max(wait, _LEAST_S), self._pump, queue)
                return
            queue.pop().set_result(Ticket(self, queue.levels, cost))

    # -- the venue's word ------------------------------------------------------------------

    def observed(
        self, bucket: str, *, remaining: float | None = None, limit: float | None = None, reset_s: float | None = None
    ) -> None:
        """Take in what the venue says of its own count; ``reset_s`` from now it starts anew."""
        if self.levels[bucket].observe(remaining, limit, reset_s, self.now()):
            self._counters[f"limiter_corrected_{bucket}"] += 1

    def hold(self, bucket: str, seconds: float) -> None:
        """The venue refused a call: let none but urgent ones through for a while."""
        self._counters[f"limiter_held_{bucket}"] += 1
        self.levels[bucket].hold(seconds, self.now())
        self.pump()

    def gauges(self) -> dict[str, float]:
        """Tokens left now, by bucket."""
        now = self.now()
        return {f"limiter_free_{name}": level.free(now) for name, level in self.levels.items()}

    def close(self) -> None:
        """Let those go who wait."""
        for queue in self._queues.values():
            for future in queue.clear():
                future.set_exception(refusal.closed())
