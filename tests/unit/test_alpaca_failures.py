"""What the SDK raises, in the words common to all venues."""

from __future__ import annotations

import pytest
import requests
import urllib3

from exchanges.alpaca.failures import classify, retry_after
from exchanges.alpaca.values import SECOND, WireError
from exchanges.failures import FailureKind, VenueError
from exchanges.model.venue import Outcome
from tests.unit.alpaca_samples import refusal

K, O = FailureKind, Outcome  # noqa: E741


@pytest.mark.parametrize(
    ("status", "body", "kind", "outcome", "code"),
    [
        (401, '{"code":40110000,"message":"no"}', K.UNAUTHORISED, O.REJECTED, "40110000"),
        (401, "<html>", K.UNAUTHORISED, O.REJECTED, "HTTP_401"),
        (403, '{"message":"forbidden."}', K.UNAUTHORISED, O.REJECTED, "HTTP_403"),
        (403, '{"code":40310000,"message":"buying power"}', K.REJECTED, O.REJECTED, "40310000"),
        (404, '{"code":40410000,"message":"order not found"}', K.NOT_FOUND, O.NOT_FOUND, "40410000"),
        (404, "404 page not found", K.INVALID, O.REJECTED, "HTTP_404"),
        (422, '{"code":42210000,"message":"qty"}', K.REJECTED, O.REJECTED, "42210000"),
        (422, '{"code":40010001,"message":"client_order_id must be unique"}', K.REJECTED, O.REJECTED,
         "DUPLICATE_CLIENT_ID"),
        (422, "not json", K.INVALID, O.REJECTED, "HTTP_422"),
        (400, '{"code":40010000,"message":"bad"}', K.INVALID, O.REJECTED, "40010000"),
        (429, '{"code":42910000,"message":"slow"}', K.RATE_LIMITED, O.NOT_SENT, "42910000"),
        (429, "", K.RATE_LIMITED, O.NOT_SENT, "HTTP_429"),
        (500, '{"code":50010000,"message":"oops"}', K.UNKNOWN_OUTCOME, O.UNKNOWN, "50010000"),
        (503, "<html>", K.UNKNOWN_OUTCOME, O.UNKNOWN, "HTTP_503"),
        (504, '{"code":"text"}', K.UNKNOWN_OUTCOME, O.UNKNOWN, "HTTP_504"),
        (418, "", K.UNKNOWN_OUTCOME, O.UNKNOWN, "HTTP_418"),
    ],
)  # fmt: skip
def test_an_answer_of_the_venue(status: int, body: str, kind: FailureKind, outcome: Outcome, code: str) -> None:
    failure = refusal(status, body)
    assert (failure.kind, failure.outcome, failure.code) == (kind, outcome, code)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (requests.ConnectTimeout(), O.NOT_SENT),
        (requests.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/", urllib3.exceptions.NewConnectionError(
            None, "refused"))), O.NOT_SENT),  # type: ignore[arg-type]
        (requests.ConnectionError(urllib3.exceptions.ProtocolError("reset")), O.UNKNOWN),
        (requests.ConnectionError(), O.UNKNOWN),
        (requests.ReadTimeout(), O.UNKNOWN),
        (requests.exceptions.ChunkedEncodingError(), O.UNKNOWN),
        (requests.exceptions.JSONDecodeError("no", "<html>", 0), O.UNKNOWN),
        (TypeError("'NoneType' object is not subscriptable"), O.UNKNOWN),
        (WireError("ours"), O.NOT_SENT),
        (PermissionError("no key"), O.NOT_SENT),
        (requests.exceptions.InvalidHeader("hidden-secret"), O.NOT_SENT),
        (RuntimeError("anything"), O.UNKNOWN),
    ],
)  # fmt: skip
def test_an_error_on_the_way_says_whether_anything_may_have_left(error: BaseException, outcome: Outcome) -> None:
    failure = classify(error)
    assert failure.outcome is outcome
    assert "hidden-secret" not in f"{failure}"


def test_a_failure_that_is_known_already_stays_what_it_is() -> None:
    failure = classify(requests.ReadTimeout())
    assert classify(VenueError(failure)) is failure


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 0),
        ({"Retry-After": "3"}, 3 * SECOND),
        ({"Retry-After": "9999"}, 60 * SECOND),
        ({"X-RateLimit-Reset": "107"}, 7 * SECOND),
        ({"X-RateLimit-Reset": "10"}, 0),
        ({"X-RateLimit-Reset": "soon"}, 0),
    ],
)
def test_the_wait_the_limiter_asks_for_is_bounded(headers: dict[str, str], expected: int) -> None:
    assert retry_after(headers, 100 * SECOND) == expected
