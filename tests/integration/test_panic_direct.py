"""``bigwheel panic --direct``: no session, only keys, and the venue is empty afterwards."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.venue.note import VenueNote, write_note
from bigwheel.panic import adapter_of
from conf import load
from exchanges.interface import Exchange
from exchanges.model.market import Trade
from exchanges.model.order import OrderType, Side, TimeInForce
from exchanges.model.trigger import Direction, Trigger
from exchanges.model.venue import (
    Command,
    CommandResult,
    FetchState,
    InstrumentsReport,
    PlaceOrder,
    StreamStatus,
    VenueState,
)
from exchanges.simulators.alpaca import AlpacaSimulator
from exchanges.simulators.bybit import BybitSimulator
from exchanges.simulators.kalshi import KalshiSimulator
from exchanges.simulators.settings import SimulatorSettings
from runtime.message import Message
from tests.integration.venue_process import VenueProcess
from tests.unit.front_door import bigwheel, refused

D = Decimal
EVENT = "KXHIGHNY-24AUG08-T85"
VENUES: dict[str, tuple[Any, str, str, Decimal]] = {
    "bybit": (BybitSimulator, "BTCUSDT", "0.05", D(30_000)),
    "alpaca": (AlpacaSimulator, "BTC/USD", "0.05", D(20_000)),
    "kalshi": (KalshiSimulator, EVENT, "10", D("0.02")),
}


def config_of(store: Path, *venues: str) -> Path:
    symbols = ", ".join(f"{venue}:{VENUES[venue][1]}" for venue in venues)
    path = store / "panic.yaml"
    path.write_text(f"extends: three\nstore: {store}\nsymbols: [{symbols}]\nstrategies: []\n")
    return path


@pytest.fixture(params=list(VENUES))
def venue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A simulator in a process of its own, with its note in a store nobody else uses."""
    name = str(request.param)
    kind, symbol, _, _ = VENUES[name]
    folder = tmp_path / "venues" / name
    folder.mkdir(parents=True)
    told = SimulatorSettings(symbols=(symbol,), rate=50.0, order_limit=0, query_limit=0, folder=folder)
    process = VenueProcess(kind, told)
    port = int(process.simulator.url.rpartition(":")[2])
    write_note(tmp_path, VenueNote(name, port))
    try:
        yield name, tmp_path
    finally:
        process.kill()


class Client:
    """The adapter a session would have, by hand."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange, self.got = exchange, asyncio.Queue[Message]()
        self.up, self.listed, self.priced = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def take(self, message: Message) -> None:
        if isinstance(message, StreamStatus) and message.stream == "private" and message.up:
            self.up.set()
        if isinstance(message, InstrumentsReport):
            self.listed.set()
        if isinstance(message, Trade):
            self.priced.set()
        if isinstance(message, CommandResult | VenueState):
            self.got.put_nowait(message)

    async def ask(self, command: Command) -> Any:
        self.exchange.submit(command)
        return await asyncio.wait_for(self.got.get(), 30)


async def _state(name: str, store: Path, config: Path, *orders: PlaceOrder) -> VenueState:
    """Send orders, wait until the venue shows a position if there were any, and return its state."""
    client = Client(adapter_of(load(str(config)), name))
    symbol = f"{name}:{VENUES[name][1]}"
    await client.exchange.connect([symbol], client.take)
    try:
        await asyncio.wait_for(client.up.wait(), 30)
        # An adapter refuses what it does not know, and either may come first.
        await asyncio.wait_for(client.listed.wait(), 30)
        # In a market without a price, what takes at once takes nothing.
        await asyncio.wait_for(client.priced.wait(), 30)
        for order in orders:
            answer = await client.ask(order)
            assert answer.outcome.value == "accepted", answer
        for wait in (0.05, 0.2, *(1.0 for _ in range(45))):
            state: VenueState = await client.ask(FetchState(0))
            if not orders or (state.positions and state.orders):
                return state
            # Seldom enough for the venue's limits, which a panic needs room in.
            await asyncio.sleep(wait)
        raise AssertionError(f"expected a position and an order at {name}, found {state}")
    finally:
        await client.exchange.close()


def open_something(name: str, store: Path, config: Path) -> VenueState:
    _, native, quantity, low = VENUES[name]
    symbol = f"{name}:{native}"
    taking = PlaceOrder("mine-1", symbol, Side.BUY, OrderType.MARKET, D(quantity), None, TimeInForce.IOC)
    resting = PlaceOrder("mine-2", symbol, Side.BUY, OrderType.LIMIT, D(quantity), low, TimeInForce.GTC)
    orders = [taking, resting]
    if name == "bybit":
        trigger = Trigger(Direction.BELOW, low)
        orders.append(
            PlaceOrder("mine-3", symbol, Side.SELL, OrderType.MARKET, D(quantity), reduce_only=True, trigger=trigger)
        )
    return asyncio.run(_state(name, store, config, *orders))


def test_a_direct_panic_empties_the_venue_without_a_session(venue: tuple[str, Path]) -> None:
    name, store = venue
    config = config_of(store, name)
    before = open_something(name, store, config)
    assert before.positions[0].quantity > 0
    assert sum(order.trigger is not None for order in before.orders) == (name == "bybit")
    answer = bigwheel("panic", "--direct", "--config", config, "--limit", "40")
    assert (answer.status, answer.out.strip()) == (0, f"{name}: clear"), answer
    assert f"{name}: sell" in answer.err
    after = asyncio.run(_state(name, store, config))
    assert (after.orders, [p for p in after.positions if p.quantity]) == ((), [])
    again = bigwheel("panic", "--direct", "--config", config, "--limit", "20")
    assert (again.status, again.out.strip()) == (0, f"{name}: clear")


def test_a_venue_that_can_not_be_reached_is_left_and_keeps_no_other_from_being_emptied(tmp_path: Path) -> None:
    folder = tmp_path / "venues" / "bybit"
    folder.mkdir(parents=True)
    told = SimulatorSettings(symbols=("BTCUSDT",), rate=50.0, order_limit=0, query_limit=0, folder=folder)
    process = VenueProcess(BybitSimulator, told)
    write_note(tmp_path, VenueNote("bybit", int(process.simulator.url.rpartition(":")[2])))
    config = config_of(tmp_path, "bybit", "alpaca")
    try:
        open_something("bybit", tmp_path, config)
        answer = bigwheel("panic", "--direct", "--config", config, "--limit", "20")
    finally:
        process.kill()
    assert answer.status == 1
    assert answer.out.splitlines()[0] == "bybit: clear"
    assert answer.out.splitlines()[1].startswith("alpaca: LEFT: ")


def test_a_session_that_holds_the_store_and_is_deaf_does_not_stop_a_panic(tmp_path: Path) -> None:
    folder = tmp_path / "venues" / "bybit"
    folder.mkdir(parents=True)
    told = SimulatorSettings(symbols=("BTCUSDT",), rate=50.0, order_limit=0, query_limit=0, folder=folder)
    process = VenueProcess(BybitSimulator, told)
    write_note(tmp_path, VenueNote("bybit", int(process.simulator.url.rpartition(":")[2])))
    config = config_of(tmp_path, "bybit")
    lock = tmp_path / "run.lock"
    lock.write_text("4711")
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            open_something("bybit", tmp_path, config)
            answer = bigwheel("panic", "--direct", "--config", config, "--limit", "40")
    finally:
        process.kill()
    assert (answer.status, answer.out.splitlines()[0]) == (0, "bybit: clear"), answer
    assert "process 4711 runs a session here that can't be told to halt" in answer.err
    assert "end it, or keep it halted" in answer.out


def test_in_mode_paper_there_is_nothing_at_a_venue(tmp_path: Path) -> None:
    assert "whose books are the session's own" in refused("panic", "--direct", "--config", "paper", "--store", tmp_path)
