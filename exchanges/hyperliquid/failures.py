"""What a failed call of Hyperliquid's means, in the words common to all venues.

Refusals come in four shapes. (seen) is what the SDK 0.24 did against a local server, (documented) what the venue's
documentation says, (uncertain) what nobody has promised:

- An HTTP status of 400 or more. The venue's front door answers 422 with plain text to a body it can't read
  (documented) and 429 to too many requests; no header names a time to wait (uncertain). The SDK's own reading
  loses the status where a 4xx has JSON without ``code`` (``KeyError``) or a list (``AttributeError``), so it is not
  used (seen).
- ``{"status": "err", "response": TEXT}``: the whole action was refused and nothing carried out (documented).
- ``{"status": "ok", ... "statuses": [{"error": TEXT}]}``: one order or cancel was refused (documented).
- ``{"error": "Could not parse JSON: ..."}``: what the SDK makes of HTML with status 200, without raising (seen).

The codes are those the venue's order statuses have (documented), so that an order is refused in the same words
whether the answer, the stream or a query tells it. Which texts a duplicate cloid, an expired action or an unapproved
wallet get is uncertain; a text that isn't known is a refusal all the same.
"""

from __future__ import annotations

from exchanges.failures import Failure, FailureKind, VenueError, brief
from exchanges.fields import WireError
from exchanges.model.venue import Outcome
from exchanges.unsent import never_left

DUPLICATE = "DUPLICATE_CLIENT_ID"
MISSING = "missingOrder"
_SECOND = 1_000_000_000
_LONGEST_NS = 60 * _SECOND
_RATE_WAIT_NS = _SECOND
_ALLOWANCE_NS = 10 * _SECOND
"""An address that has used up its requests may send one in ten seconds (documented)."""

_ORDER_CODES = (
    ("never placed", MISSING),
    ("cloid", DUPLICATE),
    ("tick size", "tickRejected"),
    ("tp/sl price", "badTriggerPxRejected"),
    ("invalid price", "tickRejected"),
    ("minimum value", "minTradeNtlRejected"),
    ("insufficient margin", "perpMarginRejected"),
    ("reduce only", "reduceOnlyRejected"),
    ("post only", "badAloPxRejected"),
    ("immediately match", "iocCancelRejected"),
    ("no liquidity", "marketOrderNoLiquidityRejected"),
    ("open interest", "positionIncreaseAtOpenInterestCapRejected"),
    ("from the reference price", "oracleRejected"),
    ("invalid size", "invalidSize"),
)
"""What a text says, and its code; the first that fits counts."""

_UNAUTHORISED = ("does not exist", "recover signer", "must deposit", "not authorized", "unauthorized")


class HttpRefusal(Exception):
    """An answer with a status of 400 or more."""

    def __init__(self, status: int, text: str, retry_after: str = "") -> None:
        super().__init__(f"HTTP {status}: {text[:200]}")
        self.status = status
        self.text = text
        self.wait_ns = min(int(retry_after) * _SECOND, _LONGEST_NS) if retry_after.isdecimal() else 0


class Garbage(Exception):
    """An answer that can't be read: what became of the request is not known."""


class ActionRefused(Exception):
    """The venue refused a whole action."""


class OrderRefused(Exception):
    """The venue refused one order or one cancel of an action."""


def classify(error: BaseException) -> Failure:
    """What ``error``, raised by a call, says about the command it carried."""
    if isinstance(error, VenueError):
        return error.failure
    if isinstance(error, HttpRefusal):
        return _http(error)
    if isinstance(error, ActionRefused):
        return _action(str(error))
    if isinstance(error, OrderRefused):
        return _order(str(error))
    if isinstance(error, Garbage):
        return Failure(FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "GARBAGE", str(error))
    if isinstance(error, WireError | PermissionError):
        return Failure(FailureKind.INVALID, Outcome.NOT_SENT, "MALFORMED", str(error))
    if never_left(error):
        return Failure(FailureKind.UNAVAILABLE, Outcome.NOT_SENT, "NO_CONNECTION", brief(error))
    return Failure(FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, type(error).__name__, brief(error))


def order_code(text: str) -> str:
    """The code of a text that refuses an order or a cancel; ``REFUSED`` for one that isn't known."""
    said = text.lower()
    return next((code for words, code in _ORDER_CODES if words in said), "REFUSED")


def rejected(code: str, reason: str) -> VenueError:
    """An order we refuse ourselves because the venue could not carry it out; it was not sent."""
    return VenueError(Failure(FailureKind.REJECTED, Outcome.REJECTED, code, reason))


def _http(error: HttpRefusal) -> Failure:
    status, code, reason = error.status, f"HTTP_{error.status}", error.text[:300] or "no reason given"
    if status == 429:
        return Failure(FailureKind.RATE_LIMITED, Outcome.NOT_SENT, code, reason, error.wait_ns or _RATE_WAIT_NS)
    if status in (401, 403):
        return Failure(FailureKind.UNAUTHORISED, Outcome.REJECTED, code, reason)
    if 400 <= status < 500 and status != 408:
        return Failure(FailureKind.INVALID, Outcome.REJECTED, code, reason)
    return Failure(FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, code, reason)


def _action(text: str) -> Failure:
    said = text.lower()
    if any(words in said for words in _UNAUTHORISED):
        return Failure(FailureKind.UNAUTHORISED, Outcome.REJECTED, "UNAUTHORISED", text)
    if "cumulative requests" in said:
        return Failure(FailureKind.RATE_LIMITED, Outcome.NOT_SENT, "ADDRESS_LIMIT", text, _ALLOWANCE_NS)
    if "duplicate nonce" in said:
        # The nonce is ours alone: somebody between us and the venue has sent the action twice.
        return Failure(FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "DUPLICATE_NONCE", text)
    if "nonce" in said or "expire" in said:
        return Failure(FailureKind.UNAVAILABLE, Outcome.NOT_SENT, "STALE", text)
    return Failure(FailureKind.REJECTED, Outcome.REJECTED, order_code(text), text)


def _order(text: str) -> Failure:
    code = order_code(text)
    if code == MISSING:
        return Failure(FailureKind.NOT_FOUND, Outcome.NOT_FOUND, code, text)
    return Failure(FailureKind.REJECTED, Outcome.REJECTED, code, text)
