"""Bybit's REST side: the limiter follows the headers, the clock is measured, the mode is watched."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from pybit.exceptions import FailedRequestError, InvalidRequestError

from exchanges.bybit.endpoints import FEES, OPEN_ORDERS, PLACE, TRADES, stack_settings
from exchanges.bybit.rest import Session, make_session
from exchanges.bybit.settings import BybitSettings
from exchanges.failures import FailureKind, VenueError
from exchanges.modes import Mode, ModeError
from exchanges.resilience.simulated import loop_time
from exchanges.resilience.skew import Skew
from tests.unit.bybit_desk import START_NS, Desk, play, wall_ns
from tests.unit.resilience_bench import error_of

SECOND = 1_000_000_000


def refused(code: int, headers: dict[str, str] | None = None) -> InvalidRequestError:
    return InvalidRequestError("POST", "no", code, "12:00:00", headers or {})


def place(desk: Desk) -> Any:
    return desk.rest.order(PLACE, lambda session: session.place_order(symbol="BTCUSDT"))


def server_time(offset_s: float) -> Any:
    return lambda request: {"timeNano": str(wall_ns() + int(offset_s * SECOND))}


# -- limits ----------------------------------------------------------------------------------


def test_the_headers_of_an_answer_correct_the_limiter() -> None:
    async def scenario(desk: Desk) -> None:
        desk.session.answers["place_order"] = {}
        desk.session.headers["place_order"] = {
            "X-Bapi-Limit": "10", "X-Bapi-Limit-Status": "2",
            "X-Bapi-Limit-Reset-Timestamp": str(START_NS // 1_000_000 + 700),
        }  # fmt: skip
        await place(desk)
        await asyncio.sleep(0)
        desk.session.headers.clear()
        times = []
        for _ in range(3):
            await place(desk)
            times.append(loop_time())
        assert times == pytest.approx([0.0, 0.0, 0.7])
        assert desk.stats()["limiter_corrected_order"] == 1

    play(scenario)


def test_a_refusal_stops_the_bucket_until_the_venues_window_ends() -> None:
    async def scenario(desk: Desk) -> None:
        stamp = str(START_NS // 1_000_000 + 400)
        desk.session.answers["place_order"] = [refused(10006, {"X-Bapi-Limit-Reset-Timestamp": stamp}), {}]
        said = await error_of(place(desk))
        assert (said.kind, said.code, said.retry_after_ns) == (FailureKind.RATE_LIMITED, "10006", 400_000_000)
        await place(desk)
        assert loop_time() == pytest.approx(0.4)

    play(scenario)


def test_an_address_that_is_shut_out_stays_quiet_for_ten_minutes() -> None:
    async def scenario(desk: Desk) -> None:
        desk.session.answers["get_open_orders"] = FailedRequestError("GET", "banned", 403, "t", {})
        desk.session.answers["get_public_trade_history"] = {"list": []}
        said = await error_of(desk.rest.ask_account(OPEN_ORDERS, lambda session: session.get_open_orders()))
        assert (said.code, said.retry_after_ns) == ("HTTP_403", 600 * SECOND)
        said = await error_of(desk.rest.ask(TRADES, lambda session: session.get_public_trade_history()))
        assert said.code == "LIMITER"
        assert said.retry_after_ns == pytest.approx(600 * SECOND)
        assert len(desk.session.asked) == 1

    play(scenario)


def test_only_a_simulator_may_be_asked_more_than_the_venue_allows() -> None:
    def rates(mode: Mode) -> dict[str, float]:
        urls = {"rest_url": "http://127.0.0.1:1", "public_url": "ws://127.0.0.1:1", "private_url": "ws://127.0.0.1:1"}
        told = BybitSettings(mode=mode, key="k", secret="s", orders_per_second=500, queries_per_second=3, **urls)
        return {bucket.name: bucket.rate_per_s for bucket in stack_settings(told).buckets}

    assert rates(Mode.SIM) == {"ip": 120, "order": 500, "query": 3, "fee": 5}
    assert rates(Mode.DEMO) == {"ip": 120, "order": 10, "query": 3, "fee": 5}
    assert FEES.bucket == "fee"


# -- the clock -------------------------------------------------------------------------------


def test_the_skew_is_measured_to_half_the_round_trip() -> None:
    skew = Skew(wall=lambda: 1_000)
    assert (skew.known, skew.offset_ns, skew.fault(1.0)) == (False, 0, "")
    skew.measured(sent_ns=0, venue_ns=5_000_000_000, received_ns=200_000_000)
    assert (skew.offset_ns, skew.margin_ns) == (4_900_000_000, 100_000_000)
    skew.measured(sent_ns=0, venue_ns=5_000_000_000, received_ns=40_000_000)
    assert (skew.offset_ns, skew.margin_ns) == (4_980_000_000, 20_000_000)
    skew.measured(sent_ns=0, venue_ns=5_050_000_000, received_ns=400_000_000)
    assert skew.margin_ns == 20_000_000, "the best of the last counts"
    assert skew.now_ns() == 4_980_001_000
    assert "4.98 s behind it" in skew.fault(4.0)
    assert skew.fault(4.97) == "", "it may not be off that much"


def test_a_measurement_that_contradicts_the_others_makes_them_worthless() -> None:
    skew = Skew()
    skew.measured(0, 10, 20)
    skew.measured(0, -9 * SECOND, SECOND)
    assert skew.offset_ns == -9_500_000_000
    assert skew.stats()["clock_steps"] == 1
    assert "ahead of it" in skew.fault(5.0)


def test_the_clock_is_measured_once_by_all_who_need_it() -> None:
    async def scenario(desk: Desk) -> None:
        desk.session.answers["get_server_time"] = server_time(2.0)
        await asyncio.gather(*(desk.rest.sync(older_than_s=30.0) for _ in range(5)))
        assert desk.rest.skew.offset_ns == pytest.approx(2 * SECOND)
        assert len(desk.session.asked) == 1
        await asyncio.sleep(31)
        await desk.rest.sync(older_than_s=30.0)
        assert len(desk.session.asked) == 2

    play(scenario)


def test_a_stamp_the_venue_refuses_leads_to_a_new_measurement() -> None:
    async def scenario(desk: Desk) -> None:
        desk.session.answers["get_server_time"] = server_time(0.0)
        await desk.rest.sync()
        desk.session.answers["get_server_time"] = server_time(-4.0)
        desk.session.answers["place_order"] = refused(10002)
        await asyncio.sleep(5)
        said = await error_of(place(desk))
        assert (said.kind, said.code) == (FailureKind.UNAVAILABLE, "10002")
        await asyncio.sleep(0.1)
        assert desk.rest.skew.offset_ns == pytest.approx(-4 * SECOND)

    play(scenario)


@pytest.mark.parametrize("answer", [{}, {"timeNano": "soon"}, {"timeNano": None}])
def test_a_time_that_can_not_be_read_is_an_error_and_no_time(answer: dict[str, Any]) -> None:
    async def scenario(desk: Desk) -> None:
        desk.session.answers["get_server_time"] = answer
        with pytest.raises(VenueError, match="expected timeNano as a number"):
            await desk.rest.sync()
        assert not desk.rest.skew.known

    play(scenario)


def test_requests_are_stamped_with_the_venues_time() -> None:
    skew = Skew()
    skew.measured(0, 3_600 * SECOND, 0)
    told = BybitSettings(mode=Mode.DEMO, key="key", secret="hush")
    session = make_session(told, skew)
    assert isinstance(session, Session)
    headers = session._prepare_headers("a=1", 5000)
    assert int(headers["X-BAPI-TIMESTAMP"]) / 1000 == pytest.approx(time.time() + 3_600, abs=60)
    assert headers["X-BAPI-SIGN"] == session._auth("a=1", 5000, headers["X-BAPI-TIMESTAMP"])
    assert "hush" not in str(headers)
    assert session.endpoint == "https://api-demo.bybit.com"
    session.client.close()


# -- the mode --------------------------------------------------------------------------------


def test_a_session_that_points_elsewhere_sends_nothing() -> None:
    async def scenario(desk: Desk) -> None:
        desk.session.answers["place_order"] = {}
        await place(desk)
        desk.session.endpoint = "https://api.bybit.com"
        assert (await error_of(place(desk))).code == "WRONG_MODE"
        assert len(desk.session.asked) == 1

    play(scenario)


def test_live_orders_need_the_account_that_was_typed_out() -> None:
    async def scenario(desk: Desk) -> None:
        desk.session.answers["place_order"] = {}
        assert (await error_of(place(desk))).code == "ACCOUNT_NOT_CONFIRMED"
        with pytest.raises(ModeError, match="belongs to another"):
            desk.rest.gate.confirm("99")
        assert (await error_of(place(desk))).code == "ACCOUNT_NOT_CONFIRMED"
        desk.rest.gate.confirm("42")
        await place(desk)

    play(scenario, mode=Mode.LIVE, live_account="42")


def test_closing_closes_the_sessions() -> None:
    async def scenario(desk: Desk) -> Desk:
        desk.session.answers["place_order"] = {}
        await place(desk)
        return desk

    assert play(scenario).session.closed
