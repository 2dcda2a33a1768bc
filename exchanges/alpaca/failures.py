"""What a failed call of Alpaca's means, in the words common to all venues."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec
import requests
from alpaca.common.exceptions import APIError

from exchanges.alpaca.values import SECOND, WireError
from exchanges.failures import Failure, FailureKind, VenueError, brief
from exchanges.model.venue import Outcome
from exchanges.unsent import never_left

DUPLICATE = "DUPLICATE_CLIENT_ID"
_DUPLICATE_WORDS = "client_order_id must be unique"
"""The venue's text for a client order id it has already; the number that comes with it is not documented."""

_LONGEST_NS = 60 * SECOND


class _Body(msgspec.Struct):
    """What the venue says of an error; the code is missing where its front door speaks."""

    message: str = ""
    code: int = 0


_decode_body = msgspec.json.Decoder(_Body).decode


def classify(error: BaseException, now_ns: int | None = None) -> Failure:
    """What ``error``, raised by a call, says about the command it carried; ``now_ns`` is the venue's time."""
    if isinstance(error, VenueError):
        return error.failure
    if isinstance(error, APIError):
        return _answered(error, time.time_ns() if now_ns is None else now_ns)
    if isinstance(error, WireError | PermissionError):
        return Failure(FailureKind.INVALID, Outcome.NOT_SENT, "MALFORMED", str(error))
    if isinstance(error, requests.exceptions.InvalidHeader):
        # Its text would show the header, which holds the key or the secret.
        return Failure(FailureKind.INVALID, Outcome.NOT_SENT, "INVALID_HEADER", "the key or secret fits no header")
    if never_left(error):
        return Failure(FailureKind.UNAVAILABLE, Outcome.NOT_SENT, "NO_CONNECTION", brief(error))
    if isinstance(error, requests.exceptions.JSONDecodeError):
        return undecided("NOT_JSON", "expected JSON, found something else")
    return undecided(type(error).__name__, brief(error))


def undecided(code: str, reason: str) -> Failure:
    """The request may have been carried out; nobody knows."""
    return Failure(FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, code, reason)


def refused(code: str, reason: str) -> VenueError:
    """Our own refusal of what the venue can't do, or would do wrongly: nothing was sent."""
    return VenueError(Failure(FailureKind.REJECTED, Outcome.REJECTED, code, reason))


def _answered(error: APIError, now_ns: int) -> Failure:
    """An HTTP status of 400 or above, with the venue's body or with anything else."""
    status = error.status_code or 0
    body = _body(error)
    code, reason = str(body.code or f"HTTP_{status}"), body.message or brief(error)
    if status == 429:
        headers = error.response.headers if error.response is not None else {}
        return Failure(FailureKind.RATE_LIMITED, Outcome.NOT_SENT, code, reason, retry_after(headers, now_ns))
    if status == 401 or (status == 403 and not body.code):
        return Failure(FailureKind.UNAUTHORISED, Outcome.REJECTED, code, reason)
    if status == 404 and body.code:
        return Failure(FailureKind.NOT_FOUND, Outcome.NOT_FOUND, code, reason)
    if _DUPLICATE_WORDS in reason:
        return Failure(FailureKind.REJECTED, Outcome.REJECTED, DUPLICATE, reason)
    if status in (403, 422) and body.code:
        return Failure(FailureKind.REJECTED, Outcome.REJECTED, code, reason)
    if status in (400, 404, 405, 422):
        return Failure(FailureKind.INVALID, Outcome.REJECTED, code, reason)
    return undecided(code, reason)


def retry_after(headers: Mapping[str, str], now_ns: int) -> int:
    """How long the venue's limiter asks to wait, in ns; between 0 and a minute."""
    seconds = str(headers.get("Retry-After", ""))
    if seconds.isdigit():
        return min(int(seconds) * SECOND, _LONGEST_NS)
    stamp = str(headers.get("X-RateLimit-Reset", ""))
    if not stamp.isdigit():
        return 0
    return min(max(0, int(stamp) * SECOND - now_ns), _LONGEST_NS)


def _body(error: APIError) -> _Body:
    """The venue's own words; empty for a body that isn't its JSON."""
    try:
        return _decode_body(str(error).encode())
    except (msgspec.DecodeError, UnicodeEncodeError):
        return _Body()
