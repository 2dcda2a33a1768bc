"""What Kalshi's refusals and broken answers mean for the command they were an answer to."""

from __future__ import annotations

import msgspec
import pytest
import urllib3
from kalshi_python.exceptions import ApiException

from exchanges.failures import Failure, FailureKind, VenueError
from exchanges.kalshi.amounts import WireError
from exchanges.kalshi.failures import DUPLICATE, Garbage, Refusal, classify
from exchanges.kalshi.rest import Answer, limits_of, path_of, read
from exchanges.kalshi.signer import KeyFormatError
from exchanges.model.venue import Outcome

NESTED = {"error": {"code": "insufficient_balance", "message": "no money", "details": "need 5"}}
FLAT = {"code": "market_closed", "message": "closed", "details": ""}
BARE = {"error": "too many requests"}


def failed(status: int, body: object, *, create: bool = False, retry_after: str = "") -> Failure:
    """What an answer is classified as."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    with pytest.raises((Refusal, Garbage)) as caught:
        read(Answer(status, raw, retry_after), create=create)
    return classify(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "kind", "outcome", "code"),
    [
        (400, NESTED, FailureKind.REJECTED, Outcome.REJECTED, "insufficient_balance"),
        (400, FLAT, FailureKind.REJECTED, Outcome.REJECTED, "market_closed"),
        (400, {"code": "invalid_parameters"}, FailureKind.INVALID, Outcome.REJECTED, "invalid_parameters"),
        (401, {"code": "authentication_error"}, FailureKind.UNAUTHORISED, Outcome.REJECTED, "authentication_error"),
        (
            403,
            {"error": {"code": "permission_denied"}},
            FailureKind.UNAUTHORISED,
            Outcome.REJECTED,
            "permission_denied",
        ),
        (404, {"code": "not_found"}, FailureKind.NOT_FOUND, Outcome.NOT_FOUND, "not_found"),
        (408, FLAT, FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "market_closed"),
        (
            410,
            {"code": "deprecated_v1_order_endpoint"},
            FailureKind.REJECTED,
            Outcome.REJECTED,
            "deprecated_v1_order_endpoint",
        ),
        (429, BARE, FailureKind.RATE_LIMITED, Outcome.NOT_SENT, "HTTP_429"),
        (302, b"", FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "HTTP_302"),
        (500, {"code": "internal"}, FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "internal"),
        (502, b"<html>bad gateway</html>", FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "HTTP_502"),
        (503, b"", FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "HTTP_503"),
        (200, b"<html>hello</html>", FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "GARBAGE"),
        (201, b"", FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "GARBAGE"),
        (200, b"[1]", FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN, "GARBAGE"),
    ],
)
def test_an_answer_says_what_became_of_the_command(
    status: int, body: object, kind: FailureKind, outcome: Outcome, code: str
) -> None:
    found = failed(status, body)
    assert (found.kind, found.outcome, found.code) == (kind, outcome, code)


def test_all_three_shapes_of_errors_give_their_reason() -> None:
    assert failed(400, NESTED).reason == "no money need 5"
    assert failed(400, FLAT).reason == "closed"
    assert failed(429, BARE).reason == "too many requests"


def test_a_conflict_means_a_duplicate_where_an_order_was_being_made() -> None:
    assert failed(409, {"code": "order_already_exists", "message": "x"}, create=True).code == DUPLICATE
    assert failed(409, {"code": "conflict", "message": "x"}).code == "conflict"


@pytest.mark.parametrize(("header", "seconds"), [("", 1), ("3", 3), ("86400", 60), ("soon", 1)])
def test_a_rate_limit_without_a_word_waits_until_the_bucket_has_refilled(header: str, seconds: int) -> None:
    assert failed(429, BARE, retry_after=header).retry_after_ns == seconds * 1_000_000_000


@pytest.mark.parametrize(
    ("error", "kind", "outcome"),
    [
        (urllib3.exceptions.ConnectTimeoutError(), FailureKind.UNAVAILABLE, Outcome.NOT_SENT),
        (urllib3.exceptions.NewConnectionError(None, "refused"), FailureKind.UNAVAILABLE, Outcome.NOT_SENT),  # type: ignore[arg-type]
        (urllib3.exceptions.ReadTimeoutError(None, "/", "late"), FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN),  # type: ignore[arg-type]
        (urllib3.exceptions.ProtocolError("reset"), FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN),
        (ApiException(status=0, reason="SSL"), FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN),
        (TimeoutError(), FailureKind.UNKNOWN_OUTCOME, Outcome.UNKNOWN),
        (WireError("expected"), FailureKind.INVALID, Outcome.NOT_SENT),
        (KeyFormatError("expected"), FailureKind.INVALID, Outcome.NOT_SENT),
        (PermissionError("mode"), FailureKind.INVALID, Outcome.NOT_SENT),
    ],
)
def test_an_error_says_whether_the_request_may_have_left(error: Exception, kind: FailureKind, outcome: Outcome) -> None:
    found = classify(error)
    assert (found.kind, found.outcome) == (kind, outcome)


def test_a_failure_that_is_known_is_passed_on() -> None:
    known = Failure(FailureKind.UNAVAILABLE, Outcome.NOT_SENT, "CIRCUIT", "open")
    assert classify(VenueError(known)) is known


def test_an_empty_success_is_an_empty_object() -> None:
    assert read(Answer(204, b"")) == {}
    assert read(Answer(200, b'{"a": 1}')) == {"a": 1}


def test_ids_are_quoted_in_paths() -> None:
    assert path_of("markets", "A/../B?x=1") == "/markets/A%2F..%2FB%3Fx%3D1"


def test_the_accounts_limits_are_read_where_they_are_told() -> None:
    told = {
        "usage_tier": "basic",
        "read": {"refill_rate": 200, "bucket_capacity": 200},
        "write": {"bucket_capacity": "many"},
    }
    assert limits_of(told) == {"read": 200.0}
    assert limits_of({}) == {}
