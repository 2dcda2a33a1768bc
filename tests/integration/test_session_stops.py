"""Stops at the venue outlive a session, also one that was killed, and its successor takes in what they did."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bigwheel.client import GatewayClient
from bigwheel.executions import ExecutionStatus, execute, execution_status, withdraw
from bigwheel.queries import open_journal
from exchanges.model.flow import SECOND, Bracket
from exchanges.model.order import Side
from exchanges.simulators.bybit import BybitSimulator
from exchanges.simulators.settings import SimulatorSettings
from tests.integration.stage import Evidence, Json, Stage, brain_positions, settings, until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

BTC, ETH = "bybit:BTCUSDT", "bybit:ETHUSDT"
HELD = {BTC: Decimal("0.01"), ETH: Decimal("0.2")}


class Market:
    """Bybit's simulator outside of every session, so that it goes on without one."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.simulator = BybitSimulator(SimulatorSettings(symbols=("BTCUSDT", "ETHUSDT"), rate=20.0))
        self._run(self.simulator.start())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def close(self) -> None:
        self._run(self.simulator.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    def state(self) -> Json:
        """The venue's own word on our account."""

        async def said() -> Any:
            return self.simulator.control.state()["accounts"]["main"]

        found: Json = self._run(said())
        return found

    def trades_at(self, symbol: str, price: Decimal) -> None:
        """The market comes to that price once."""

        async def trade() -> None:
            venue = self.simulator.venue
            venue.trade((venue.now_ns(), symbol.partition(":")[2], float(price), 0.001, Side.SELL, "crash"))

        self._run(trade())

    def stops(self) -> dict[str, Json]:
        """The conditional orders that wait, by symbol."""
        waiting = [row for row in self.state()["orders"] if row["orderStatus"] == "Untriggered"]
        found = {f"bybit:{row['symbol']}": row for row in waiting}
        assert len(found) == len(waiting)
        return found

    def held(self) -> dict[str, Decimal]:
        return {f"bybit:{row['symbol']}": Decimal(row["size"]) for row in self.state()["positions"] if row["side"]}


class History(NamedTuple):
    """What the venue had: under way, after a stop, resumed, after a kill and a fall of the market, at the end."""

    opened: dict[str, Json]
    after_stop: list[Json]
    resumed: dict[str, Json]
    flows: list[Json]
    after_fall: dict[str, Decimal]
    waiting: dict[str, Json]
    statuses: dict[str, ExecutionStatus]
    evidence: Evidence
    overview: Json


def _status(stage: Stage, signal: str) -> ExecutionStatus:
    with open_journal(stage.store) as journal:
        return execution_status(journal, signal)


def _open(stage: Stage, market: Market) -> dict[str, str]:
    """A bracket on each symbol, with both exits at the venue."""
    client, given = GatewayClient(stage.store, stage.settings.gateway.token_file), {}
    for symbol, quantity in HELD.items():
        row = until(lambda s=symbol: stage.overview().get("symbols", {}).get(s, {}).get("price"), 30, "a price")
        price = Decimal(str(row))
        flow = Bracket(price * Decimal("1.2"), price * Decimal("0.9"), lifetime_ns=600 * SECOND)
        given[symbol] = execute(client, symbol, "buy", quantity=str(quantity), flow=flow)
    until(lambda: len(market.stops()) == 2, 30, "a stop at the venue for each")
    until(lambda: len(_working(market)) == 4, 30, "what takes profit beside them")
    return given


def _working(market: Market) -> list[Json]:
    return [row for row in market.state()["orders"] if row["orderStatus"] in ("New", "Untriggered")]


def _flows(stage: Stage) -> list[Json]:
    found: list[Json] = stage.overview().get("venues", {}).get("bybit", {}).get("flows", [])
    return found


@pytest.fixture(scope="module")
def history(ray_session: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    store: Path = tmp_path_factory.mktemp("stops")
    market = Market()
    addresses = {"rest_url": market.simulator.url, "public_url": market.simulator.ws_url}
    told = settings(
        store,
        "stops",
        strategies=[],
        exchange={
            "bybit": {
                **addresses,
                "private_url": market.simulator.ws_url,
                "streams": ["trade", "quote"],
                "orders_per_second": 50,
            }
        },
    )
    stage = Stage(told)
    try:
        stage.start()
        signals = _open(stage, market)
        opened = market.stops()
        stage.stop()
        after_stop = _working(market)
        stage.start()
        until(lambda: len(_working(market)) == 4, 30, "what takes profit to be back")
        until(
            lambda: all(row["at_venue"] for row in _flows(stage)) and _flows(stage), 30, "flows that know their stops"
        )
        resumed, flows = market.stops(), _flows(stage)
        stage.kill_whole()
        market.trades_at(BTC, Decimal(opened[BTC]["triggerPrice"]))
        after_fall, waiting = market.held(), market.stops()
        stage.start()
        until(lambda: not _status(stage, signals[BTC]).working, 30, "the bracket that was stopped to end")
        withdraw(GatewayClient(store, told.gateway.token_file), signals[ETH], "the test is over")
        until(lambda: not _status(stage, signals[ETH]).working, 30, "the other one to end")
        stage.settle()
        statuses = {symbol: _status(stage, signal) for symbol, signal in signals.items()}
        overview, venue = stage.overview(), market.state()
        stage.stop()
    finally:
        stage.stop()
        market.close()
    yield History(opened, after_stop, resumed, flows, after_fall, waiting, statuses, Evidence(store, venue), overview)


def test_an_orderly_stop_leaves_the_stops_at_the_venue_and_nothing_else(history: History) -> None:
    left = {f"bybit:{row['symbol']}": row["orderLinkId"] for row in history.after_stop}
    assert left == {symbol: row["orderLinkId"] for symbol, row in history.opened.items()}
    assert all(row["reduceOnly"] for row in history.after_stop)


def test_the_next_session_finds_its_stops_and_sends_no_others(history: History) -> None:
    assert {s: row["orderLinkId"] for s, row in history.resumed.items()} == {
        s: row["orderLinkId"] for s, row in history.opened.items()
    }
    told = {row["symbol"]: [stop["client_id"] for stop in row["at_venue"]] for row in history.flows}
    assert told == {symbol: [row["orderLinkId"]] for symbol, row in history.opened.items()}


def test_a_market_that_falls_while_everything_is_dead_closes_the_position_at_the_venue(history: History) -> None:
    assert history.after_fall == {ETH: HELD[ETH]}
    assert list(history.waiting) == [ETH]


def test_the_session_after_it_takes_the_execution_in_and_ends_the_bracket(history: History) -> None:
    legs = {leg.role: leg for leg in history.statuses[BTC].legs}
    assert (legs["stop"].status, legs["stop"].filled) == ("filled", HELD[BTC])
    assert history.statuses[BTC].filled == HELD[BTC]
    assert all(leg.status in ("filled", "cancelled", "rejected", "expired") for leg in history.statuses[BTC].legs)
    theirs, ours = history.evidence.executions()
    assert theirs == ours


def test_the_books_are_equal_and_the_journal_is_sound(history: History) -> None:
    evidence = history.evidence
    assert evidence.problems() == []
    assert evidence.unapproved_orders() == []
    assert evidence.journal_positions() == evidence.venue_positions()
    assert brain_positions(history.overview) == evidence.venue_positions()
    assert evidence.journal_cash() == evidence.venue_cash()
