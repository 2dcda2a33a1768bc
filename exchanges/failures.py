"""What a failed call means, in the same words for every venue."""

from __future__ import annotations

import enum
from typing import NamedTuple

from exchanges.model.venue import Outcome

_SHOWN = 200


class FailureKind(enum.StrEnum):
    RATE_LIMITED = "rate_limited"
    """The venue's limiter or our own refused it before it was looked at; ``retry_after_ns`` says how long."""
    REJECTED = "rejected"
    """The venue looked at it and refused; ``code`` and ``reason`` are the venue's."""
    NOT_FOUND = "not_found"
    """The venue has no such thing."""
    UNKNOWN_OUTCOME = "unknown_outcome"
    """Timeout, reset, 5xx or garbage after the request may have left."""
    UNAVAILABLE = "unavailable"
    """No connection, an open circuit or maintenance: it was certainly not carried out."""
    UNAUTHORISED = "unauthorised"
    """The key is wrong, revoked, for another environment, or may not do this."""
    INVALID = "invalid"
    """Malformed on our side: it never left, or the venue could not read it."""


class Failure(NamedTuple):
    """How a call that did not end well is to be taken; ``outcome`` is what it says of a command."""

    kind: FailureKind
    outcome: Outcome
    code: str
    reason: str
    retry_after_ns: int = 0

    @property
    def repeatable(self) -> bool:
        """Whether a read may be tried again."""
        return self.kind in (FailureKind.RATE_LIMITED, FailureKind.UNKNOWN_OUTCOME, FailureKind.UNAVAILABLE)


class VenueError(Exception):
    """A call to a venue failed; ``failure`` says how."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.kind.value}: {failure.code} {failure.reason}".strip())
        self.failure = failure


def brief(error: BaseException) -> str:
    """The error in one line without the request, which may hold account data."""
    return f"{type(error).__name__}: {str(error)[:_SHOWN]}"
