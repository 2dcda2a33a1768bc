"""A venue that is killed comes back with its books."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp

from exchanges.simulators.bybit import BybitSimulator, SimulatorSettings
from tests.integration.bybit_bench import BTC, code_of, order, receive, recording, rest
from tests.integration.venue_process import VenueProcess


def process(**settings: Any) -> VenueProcess:
    return VenueProcess(BybitSimulator, SimulatorSettings(order_limit=0, query_limit=0, **settings))


def test_a_killed_venue_comes_back_with_its_orders_executions_position_and_wallet(tmp_path: Path) -> None:
    venue = process(folder=tmp_path, rate=50.0)
    session = rest(venue)
    while session.get_tickers(**BTC)["result"]["list"][0]["lastPrice"] == "0":
        time.sleep(0.05)
    session.place_order(**order(orderType="Market", qty="0.5", orderLinkId="filled"))
    session.place_order(**order(price="20000", orderLinkId="open"))
    session.set_leverage(**BTC, buyLeverage="7", sellLeverage="7")
    before = facts(session)
    venue.kill()
    venue = process(folder=tmp_path, rate=50.0)
    session = rest(venue)
    try:
        assert facts(session) == before
        assert code_of(session.place_order, **order(price="20000", orderLinkId="open")) == 110072
        placed = session.place_order(**order(price="20000", orderLinkId="next"))["result"]["orderId"]
        assert placed not in json.dumps(before)
        session.cancel_order(**BTC, orderLinkId="open")
    finally:
        venue.kill()


def test_a_venue_killed_during_a_replay_goes_on_and_no_row_is_missing(tmp_path: Path) -> None:
    settings = {"feed": "replay", "replay_path": recording(tmp_path / "data", "AAAUSDT", 40_000), "speed": "max"}
    venue = process(folder=tmp_path / "venue", **settings)
    first = asyncio.run(until_killed(venue, 6_000))
    venue = process(folder=tmp_path / "venue", **settings)
    try:
        second = asyncio.run(receive(venue, ["AAAUSDT"], 40_000, last="AAAUSDT39999"))["AAAUSDT"]
        again = int(second[0].removeprefix("AAAUSDT"))
        assert first == [f"AAAUSDT{i}" for i in range(len(first))]
        assert len(first) - 500 <= again <= len(first)
        assert second == [f"AAAUSDT{i}" for i in range(again, 40_000)]
    finally:
        venue.kill()


async def until_killed(venue: VenueProcess, count: int) -> list[str]:
    """Trade ids up to the end of the connection; the venue is killed once there are ``count``."""
    got: list[str] = []
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(venue.simulator.ws_url + "/v5/public/linear", max_msg_size=0) as socket,
    ):
        await socket.send_json({"op": "subscribe", "args": ["publicTrade.AAAUSDT"]})
        async for message in socket:
            got += [row["i"] for row in json.loads(message.data).get("data", ())]
            if len(got) > count and venue.process.poll() is None:
                venue.kill()
    return got


def facts(session: Any) -> dict[str, Any]:
    """What must be the same before and after; nothing that moves with the market."""
    position = session.get_positions(**BTC)["result"]["list"][0]
    coin = session.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]["coin"][0]
    executions = session.get_executions(category="linear")["result"]["list"]
    return {
        "open": session.get_open_orders(**BTC)["result"]["list"],
        "history": session.get_order_history(**BTC)["result"]["list"],
        "executions": [{k: v for k, v in row.items() if k != "markPrice"} for row in executions],
        "position": {k: position[k] for k in ("side", "size", "avgPrice", "leverage", "cumRealisedPnl")},
        "cash": coin["walletBalance"],
    }
