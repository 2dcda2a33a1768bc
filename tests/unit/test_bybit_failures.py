"""What a failed call means for the command it carried."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
import requests
import urllib3
from pybit.exceptions import FailedRequestError, InvalidRequestError

from exchanges.bybit.failures import classify
from exchanges.bybit.inlet import Inlet
from exchanges.bybit.symbols import SymbolError
from exchanges.failures import Failure, VenueError
from exchanges.failures import FailureKind as Kind
from exchanges.model.venue import Outcome

NOW = 1_700_000_000_000_000_000


def refused(code: int, headers: dict[str, str] | None = None) -> InvalidRequestError:
    return InvalidRequestError("POST", "no", code, "12:00:00", headers or {})


def pooled(reason: Exception) -> requests.exceptions.ConnectionError:
    return requests.exceptions.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/", reason))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "outcome", "kind"),
    [
        (refused(110007), Outcome.REJECTED, Kind.REJECTED),
        (refused(110072), Outcome.REJECTED, Kind.REJECTED),
        (refused(10001), Outcome.REJECTED, Kind.INVALID),
        (refused(10003), Outcome.REJECTED, Kind.UNAUTHORISED),
        (refused(10004), Outcome.REJECTED, Kind.UNAUTHORISED),
        (refused(10005), Outcome.REJECTED, Kind.UNAUTHORISED),
        (refused(10006), Outcome.NOT_SENT, Kind.RATE_LIMITED),
        (refused(10002), Outcome.NOT_SENT, Kind.UNAVAILABLE),
        (refused(10016), Outcome.UNKNOWN, Kind.UNKNOWN_OUTCOME),
        (refused(110079), Outcome.UNKNOWN, Kind.UNKNOWN_OUTCOME),
        (refused(110001), Outcome.NOT_FOUND, Kind.NOT_FOUND),
        (FailedRequestError("r", "html", 409, "t", None), Outcome.UNKNOWN, Kind.UNKNOWN_OUTCOME),
        (FailedRequestError("r", "bad gateway", 502, "t", {}), Outcome.UNKNOWN, Kind.UNKNOWN_OUTCOME),
        (FailedRequestError("r", "slow down", 429, "t", {}), Outcome.NOT_SENT, Kind.RATE_LIMITED),
        (FailedRequestError("r", "banned", 403, "t", {}), Outcome.NOT_SENT, Kind.RATE_LIMITED),
        (requests.exceptions.ReadTimeout("slow"), Outcome.UNKNOWN, Kind.UNKNOWN_OUTCOME),
        (requests.exceptions.ConnectionError("reset"), Outcome.UNKNOWN, Kind.UNKNOWN_OUTCOME),
        (requests.exceptions.ConnectTimeout("slow"), Outcome.NOT_SENT, Kind.UNAVAILABLE),
        (pooled(urllib3.exceptions.NewConnectionError(None, "refused")), Outcome.NOT_SENT, Kind.UNAVAILABLE),  # type: ignore[arg-type]
        (TimeoutError(), Outcome.UNKNOWN, Kind.UNKNOWN_OUTCOME),
        (KeyError("result"), Outcome.UNKNOWN, Kind.UNKNOWN_OUTCOME),
        (PermissionError("no keys"), Outcome.NOT_SENT, Kind.INVALID),
        (SymbolError("no symbol"), Outcome.NOT_SENT, Kind.INVALID),
    ],
)
def test_only_what_certainly_was_not_taken_may_be_sent_again(error: Exception, outcome: Outcome, kind: Kind) -> None:
    failure = classify(error, NOW)
    assert (failure.outcome, failure.kind) == (outcome, kind)


def test_what_has_been_classified_stays_as_it_is() -> None:
    said = Failure(Kind.REJECTED, Outcome.REJECTED, "7", "no")
    assert classify(VenueError(said)) is said


def test_an_address_that_was_shut_out_waits_ten_minutes() -> None:
    assert classify(FailedRequestError("r", "banned", 403, "t", {}), NOW).retry_after_ns == 600_000_000_000


def test_a_rate_limit_says_how_long_to_wait_within_reason() -> None:
    def wait(stamp: str) -> int:
        return classify(refused(10006, {"X-Bapi-Limit-Reset-Timestamp": stamp}), NOW).retry_after_ns

    assert wait("1700000000250") == 250_000_000
    assert wait("1699999999000") == 0
    assert wait("1900000000000") == 10_000_000_000
    assert wait("soon") == 0


def write(inlet: Inlet, count: int) -> None:
    for number in range(count):
        inlet.put(str(number))


def test_the_buffer_holds_its_writer_back_and_loses_nothing() -> None:
    async def scenario() -> tuple[list[str], int]:
        taken: list[str] = []
        inlet = Inlet(asyncio.get_running_loop(), lambda text, _ns: taken.append(text), 10)
        inlet.pause(True)
        writer = threading.Thread(target=write, args=(inlet, 500))
        writer.start()
        await asyncio.sleep(0.05)
        assert inlet.blocked
        assert inlet.idle_s == 0.0
        assert taken == []
        inlet.pause(False)
        while len(taken) < 500:
            await asyncio.sleep(0.005)
        writer.join(1.0)
        return taken, inlet.waits

    taken, waits = asyncio.run(scenario())
    assert taken == [str(n) for n in range(500)]
    assert waits > 0


def test_closing_the_buffer_lets_a_waiting_writer_go() -> None:
    async def scenario() -> bool:
        inlet = Inlet(asyncio.get_running_loop(), lambda text, ns: None, 1)
        inlet.pause(True)
        writer = threading.Thread(target=write, args=(inlet, 3), daemon=True)
        writer.start()
        await asyncio.sleep(0.02)
        inlet.close()
        await asyncio.to_thread(writer.join, 2.0)
        return writer.is_alive()

    began = time.monotonic()
    assert asyncio.run(scenario()) is False
    assert time.monotonic() - began < 30
