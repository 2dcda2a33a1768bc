"""What a failed call means: did the venue take the command, refuse it, or can nobody say?"""

from __future__ import annotations

from typing import NamedTuple

import requests
import urllib3
from pybit.exceptions import FailedRequestError, InvalidRequestError

from exchanges.bybit.wire import MS, WireError
from exchanges.model.venue import Outcome

RATE_LIMITED = ("10006", "10018", "10429", "20003")
NOT_TAKEN = (*RATE_LIMITED, "10002")
"""Refused before the command was looked at: it may be sent anew."""

UNDECIDED = ("10000", "10016", "110079", "170007")
"""The venue itself timed out, failed or is still at it."""

ABSENT = ("110001", "170213")
"""No such order, or not any more."""


class Failure(NamedTuple):
    """The outcome of a call that did not end well."""

    outcome: Outcome
    code: str
    reason: str
    retry_after_ns: int = 0


def classify(error: Exception, now_ns: int) -> Failure:
    """What ``error``, raised by a call, says about the command it carried."""
    if isinstance(error, InvalidRequestError):
        return _refusal(error, now_ns)
    if isinstance(error, FailedRequestError):
        return Failure(Outcome.UNKNOWN, f"HTTP_{error.status_code}", error.message)
    if isinstance(error, WireError | PermissionError):
        return Failure(Outcome.NOT_SENT, "MALFORMED", str(error))
    if never_left(error):
        return Failure(Outcome.NOT_SENT, "NO_CONNECTION", _brief(error))
    return Failure(Outcome.UNKNOWN, type(error).__name__, _brief(error))


def never_left(error: BaseException) -> bool:
    """Whether no connection could be made at all, so that no byte of the request went out."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    if not isinstance(error, requests.exceptions.ConnectionError) or not error.args:
        return False
    inner = getattr(error.args[0], "reason", error.args[0])
    return isinstance(inner, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)


def _refusal(error: InvalidRequestError, now_ns: int) -> Failure:
    code = str(error.status_code)
    if code in NOT_TAKEN:
        wait = _reset_in(error, now_ns) if code in RATE_LIMITED else 0
        return Failure(Outcome.NOT_SENT, code, error.message, wait)
    if code in UNDECIDED:
        return Failure(Outcome.UNKNOWN, code, error.message)
    if code in ABSENT:
        return Failure(Outcome.NOT_FOUND, code, error.message)
    return Failure(Outcome.REJECTED, code, error.message)


def _reset_in(error: InvalidRequestError, now_ns: int) -> int:
    """How long until the limiter's window ends, by its header; between 0 and 10 s."""
    stamp = str((error.resp_headers or {}).get("X-Bapi-Limit-Reset-Timestamp", ""))
    if not stamp.isdigit():
        return 0
    return min(max(0, int(stamp) * MS - now_ns), 10_000_000_000)


def _brief(error: BaseException) -> str:
    """The error in one line without the request, which may hold account data."""
    return f"{type(error).__name__}: {str(error)[:200]}"
