"""What a venue's adapter declares: its endpoints, its token buckets, and how patient the stack is."""

from __future__ import annotations

import msgspec


class Endpoint(msgspec.Struct, frozen=True):
    """One kind of call to a venue.

    ``name`` labels every counter. A ``write`` is never repeated and never cached. ``cost`` is
    drawn from the token bucket ``bucket``. With ``ttl_s`` above 0 answers are kept that long and
    equal calls in flight are one call: the answer is shared, so it must not be changed.
    ``urgent`` (cancels) is never held back by our own limiter or breaker, only counted by them.
    ``pool`` is ``order``, ``cancel`` or ``query``. ``timeout_s`` and ``tries`` of 0 are the
    stack's own.
    """

    name: str
    write: bool = False
    bucket: str = "query"
    cost: float = 1.0
    ttl_s: float = 0.0
    urgent: bool = False
    pool: str = "query"
    timeout_s: float = 0.0
    tries: int = 0

    def __post_init__(self) -> None:
        if self.write and (self.ttl_s > 0 or self.tries > 1):
            raise ValueError(
                f"expected a write that is neither cached nor repeated, found ttl_s={self.ttl_s:g} and "
                f"tries={self.tries} of {self.name}; leave both out"
            )


class Bucket(msgspec.Struct, frozen=True):
    """A venue's limit: ``burst`` tokens in any span of ``burst / rate_per_s`` seconds.

    A token comes back that long after it was spent, so that a pause never earns more than the
    limit in the span that follows it. A call waits for its turn up to ``patience_s``, writes
    before reads, and then fails ``RATE_LIMITED``. ``reserve`` tokens are left to urgent calls.
    What is drawn here is drawn from the bucket ``parent`` too.

    Ten orders a second: ``Bucket("order", 10, 10, 1.0)``. 200 calls a minute:
    ``Bucket("trading", 200 / 60, 200, 5.0)``.
    """

    name: str
    rate_per_s: float
    burst: float
    patience_s: float
    reserve: float = 0.0
    parent: str = ""

    def __post_init__(self) -> None:
        if self.rate_per_s <= 0 or self.burst <= 0 or not 0 <= self.reserve < self.burst:
            raise ValueError(
                f"expected rate_per_s and burst above 0 and a reserve from 0 to below burst in bucket {self.name}, "
                f"found {self.rate_per_s:g}, {self.burst:g} and {self.reserve:g}"
            )

    @property
    def window_s(self) -> float:
        """The span the limit is counted over."""
        return self.burst / self.rate_per_s


class StackSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How patient the stack of one venue is. Times in seconds.

    A read that may be repeated is tried ``tries`` times, and no try begins later than
    ``retry_within_s`` after the first; the wait before the n-th further one is drawn between 0 and
    ``backoff_base_s`` doubled n-1 times, ``backoff_cap_s`` at most (full jitter), but is never
    shorter than the venue's own retry-after. ``breaker_failures`` within ``breaker_window_s`` open
    an endpoint's circuit for ``breaker_open_s``. Calls longer than ``slow_s`` are counted.
    ``margin`` is by how much of its window a token comes back late, against what the way to the
    venue does to the times of our calls. With 0 ``cache_entries`` nothing is kept or shared.
    """

    buckets: tuple[Bucket, ...]
    timeout_s: float = 10.0
    order_threads: int = 4
    cancel_threads: int = 2
    query_threads: int = 4
    tries: int = 4
    retry_within_s: float = 20.0
    backoff_base_s: float = 1.0
    backoff_cap_s: float = 60.0
    breaker_failures: int = 5
    breaker_window_s: float = 60.0
    breaker_open_s: float = 30.0
    slow_s: float = 1.0
    cache_entries: int = 4096
    margin: float = 0.02

    @property
    def threads(self) -> dict[str, int]:
        """Threads by pool."""
        return {"order": self.order_threads, "cancel": self.cancel_threads, "query": self.query_threads}
