"""What a failed call of Kalshi's means, in the words common to all venues."""

from __future__ import annotations

from kalshi_python.exceptions import OpenApiException

from exchanges.failures import Failure, FailureKind, VenueError, brief
from exchanges.kalshi.amounts import Fields, WireError
from exchanges.kalshi.signer import KeyFormatError
from exchanges.model.venue import Outcome
from exchanges.unsent import never_left

DUPLICATE = "DUPLICATE_CLIENT_ID"
"""Our own word for the venue's 409 on a new order; what the venue said is in the reason."""

_RATE_WAIT_NS = 1_000_000_000
"""The venue names no time to wait; its buckets refill within a second."""

_LONGEST_WAIT_NS = 60_000_000_000
_UNREADABLE = ("invalid", "missing", "malformed", "bad_request", "validation")


class Refusal(Exception):
    """An answer with a status other than 2xx, taken apart."""

    def __init__(self, status: int, code: str, message: str, *, create: bool = False, wait_ns: int = 0) -> None:
        super().__init__(f"HTTP {status}: {code} {message}".strip())
        self.status = status
        self.code = code
        self.message = message
        self.create = create
        self.wait_ns = wait_ns


class Garbage(Exception):
    """An answer of status 2xx that can't be read: what became of the request is not known."""


def refusal(status: int, body: object, *, create: bool, retry_after: str) -> Refusal:
    """The refusal in an answer; its body has one of three shapes, or is none of the venue's.

    ``{"error": {"code", "message", "details"}}``, ``{"code", "message", "details"}`` and
    ``{"error": "too many requests"}``.
    """
    code, message = "", ""
    if isinstance(body, dict):
        inner = body.get("error")
        told: Fields = inner if isinstance(inner, dict) else body
        code = _word(told.get("code"))
        message = " ".join(part for part in (_word(told.get("message")), _word(told.get("details"))) if part)
        if isinstance(inner, str):
            message = _word(inner)
    wait = min(int(retry_after) * 1_000_000_000, _LONGEST_WAIT_NS) if retry_after.isdecimal() else 0
    return Refusal(status, code or f"HTTP_{status}", message or "no reason given", create=create, wait_ns=wait)


def _word(value: object) -> str:
    return str(value)[:300] if isinstance(value, str | int) and not isinstance(value, bool) else ""


def classify(error: BaseException) -> Failure:
    """What ``error``, raised by a call, says about the command it carried."""
    if isinstance(error, VenueError):
        return error.failure
    if isinstance(error, Refusal):
        return _refused(error)
    if isinstance(error, Garbage):
        return Failure(FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "GARBAGE", str(error))
    if isinstance(error, WireError | KeyFormatError | PermissionError):
        return Failure(FailureKind.INVALID, Outcome.NOT_SENT, "MALFORMED", str(error))
    if never_left(error):
        return Failure(FailureKind.UNAVAILABLE, Outcome.NOT_SENT, "NO_CONNECTION", _brief(error))
    return Failure(FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, type(error).__name__, _brief(error))


def _refused(error: Refusal) -> Failure:
    status, code, reason = error.status, error.code, error.message
    if status == 429:
        return Failure(FailureKind.RATE_LIMITED, Outcome.NOT_SENT, code, reason, error.wait_ns or _RATE_WAIT_NS)
    if status in (401, 403):
        return Failure(FailureKind.UNAUTHORISED, Outcome.REJECTED, code, reason)
    if status == 404:
        return Failure(FailureKind.NOT_FOUND, Outcome.NOT_FOUND, code, reason)
    if status == 409 and error.create:
        return Failure(FailureKind.REJECTED, Outcome.REJECTED, DUPLICATE, f"{code} {reason}")
    if 400 <= status < 500 and status != 408:
        unreadable = any(word in code.lower() for word in _UNREADABLE)
        kind = FailureKind.INVALID if unreadable else FailureKind.REJECTED
        return Failure(kind, Outcome.REJECTED, code, reason)
    # 408, 5xx and redirects: a front door or the venue itself broke off, and nobody can say where.
    return Failure(FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, code, reason)


def _brief(error: BaseException) -> str:
    """The error in one line without the request, which may hold account data."""
    if isinstance(error, OpenApiException):
        return f"{type(error).__name__}: {str(getattr(error, 'reason', ''))[:200]}"
    return brief(error)
