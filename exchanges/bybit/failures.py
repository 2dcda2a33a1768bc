"""What a failed call of Bybit's means, in the words common to all venues."""

from __future__ import annotations

import time

from pybit.exceptions import FailedRequestError, InvalidRequestError

from exchanges.bybit.symbols import SymbolError
from exchanges.bybit.wire import MS, WireError
from exchanges.failures import Failure, FailureKind, VenueError, brief
from exchanges.model.venue import Outcome
from exchanges.unsent import never_left

RATE_LIMITED = ("10006", "10018", "10429", "20003")
STALE = ("10002",)
"""Our timestamp was outside the venue's window: refused before the command was looked at."""

UNAUTHORISED = ("10003", "10004", "10005", "10007", "10009", "10010", "33004")
UNREADABLE = ("10001",)
UNDECIDED = ("10000", "10016", "110079", "170007")
"""The venue itself timed out, failed or is still at it."""

ABSENT = ("110001", "170213")
"""No such order, or not any more."""

BANNED = "HTTP_403"
_BANNED_NS = 600 * 1_000_000_000
"""How long an address that sent too much is shut out, by the venue's documentation: 10 minutes or more."""

_LONGEST_NS = 10_000_000_000


def classify(error: BaseException, now_ns: int | None = None) -> Failure:
    """What ``error``, raised by a call, says about the command it carried; ``now_ns`` is the venue's time."""
    if isinstance(error, VenueError):
        return error.failure
    if isinstance(error, InvalidRequestError):
        return _refusal(error, time.time_ns() if now_ns is None else now_ns)
    if isinstance(error, FailedRequestError):
        return _broken(error)
    if isinstance(error, WireError | SymbolError | PermissionError):
        return Failure(FailureKind.INVALID, Outcome.NOT_SENT, "MALFORMED", str(error))
    if never_left(error):
        return Failure(FailureKind.UNAVAILABLE, Outcome.NOT_SENT, "NO_CONNECTION", brief(error))
    return Failure(FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, type(error).__name__, brief(error))


def _refusal(error: InvalidRequestError, now_ns: int) -> Failure:
    code, reason = str(error.status_code), error.message
    if code in RATE_LIMITED:
        return Failure(FailureKind.RATE_LIMITED, Outcome.NOT_SENT, code, reason, _reset_in(error, now_ns))
    if code in STALE:
        return Failure(FailureKind.UNAVAILABLE, Outcome.NOT_SENT, code, reason)
    if code in UNDECIDED:
        return Failure(FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, code, reason)
    if code in ABSENT:
        return Failure(FailureKind.NOT_FOUND, Outcome.NOT_FOUND, code, reason)
    if code in UNAUTHORISED:
        return Failure(FailureKind.UNAUTHORISED, Outcome.REJECTED, code, reason)
    if code in UNREADABLE:
        return Failure(FailureKind.INVALID, Outcome.REJECTED, code, reason)
    return Failure(FailureKind.REJECTED, Outcome.REJECTED, code, reason)


def _broken(error: FailedRequestError) -> Failure:
    """No envelope of the venue's: only what its front door turned away was certainly not carried out."""
    code, reason = f"HTTP_{error.status_code}", error.message
    if error.status_code == 429:
        return Failure(FailureKind.RATE_LIMITED, Outcome.NOT_SENT, code, reason)
    if error.status_code == 403:
        return Failure(FailureKind.RATE_LIMITED, Outcome.NOT_SENT, code, reason, _BANNED_NS)
    return Failure(FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, code, reason)


def _reset_in(error: InvalidRequestError, now_ns: int) -> int:
    """How long until the limiter's window ends, by its header; between 0 and 10 s."""
    stamp = str((error.resp_headers or {}).get("X-Bapi-Limit-Reset-Timestamp", ""))
    if not stamp.isdigit():
        return 0
    return min(max(0, int(stamp) * MS - now_ns), _LONGEST_NS)
