"""What the stack itself answers instead of the venue, so that no caller needs to tell them apart by exception."""

from __future__ import annotations

from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.model.venue import Outcome
from exchanges.resilience.endpoint import Endpoint, StackSettings

OWN_CODES = ("CIRCUIT_OPEN", "LIMITER", "CLOSED", "NO_THREAD", "ENDPOINT")
"""Nothing was sent; asking the stack again at once would get the same answer."""


def _unavailable(code: str, reason: str, retry_s: float = 0.0) -> VenueError:
    return VenueError(Failure(FailureKind.UNAVAILABLE, Outcome.NOT_SENT, code, reason, int(retry_s * 1e9)))


def closed() -> VenueError:
    """The connection is being given up."""
    return _unavailable("CLOSED", "the connection to the venue is being closed")


def circuit_open(endpoint: Endpoint, settings: StackSettings, wait_s: float, cause: str) -> VenueError:
    """The endpoint failed too often lately, the last time for ``cause``."""
    reason = (
        f"{endpoint.name} failed {settings.breaker_failures} times within {settings.breaker_window_s:g} s; "
        f"nothing is sent until a trial in {wait_s:.1f} s; the last failure: {cause}"
    )
    return _unavailable("CIRCUIT_OPEN", reason, wait_s)


def no_thread(endpoint: Endpoint, threads: int) -> VenueError:
    """Every thread hangs in a call."""
    return _unavailable("NO_THREAD", f"all {threads} places of the pool {endpoint.pool} are taken by calls that hang")


def limited(bucket: str, wait_s: float) -> VenueError:
    """Our own count of the venue's limit leaves no room."""
    reason = f"more calls than the bucket {bucket} allows; the next is free in about {wait_s:.2f} s"
    return VenueError(Failure(FailureKind.RATE_LIMITED, Outcome.NOT_SENT, "LIMITER", reason, int(wait_s * 1e9)))


def timed_out(endpoint: Endpoint, limit_s: float) -> VenueError:
    """No answer in time; what was sent may still be carried out."""
    reason = f"no answer to {endpoint.name} within {limit_s:g} s"
    return VenueError(Failure(FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "TIMEOUT", reason))


def misused(reason: str) -> VenueError:
    """An endpoint that doesn't fit the stack's settings."""
    return VenueError(Failure(FailureKind.INVALID, Outcome.NOT_SENT, "ENDPOINT", reason))
