"""The exchange connection's brain on the Bybit adapter, against the simulator: the whole path of an order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TypeVar

from actors.exchange.brain import ExchangeBrain
from actors.exchange.settings import ExchangeSettings
from actors.messages.control import Control, ControlTaken
from actors.messages.orders import Filled, OrderChanged, Repaired, SymbolHalted, Watch
from actors.messages.signals import Approved, ApprovedOrder
from exchanges.model.market import Trade
from exchanges.model.order import OrderStatus, OrderType, Side, TimeInForce
from exchanges.model.venue import VENUE_PORT, Command
from exchanges.simulators.bybit import BybitSimulator, SimulatorSettings
from exchanges.simulators.faults import ExecutionRule, FaultOrder, RequestFault, RequestRule, StreamFault, StreamRule
from runtime import codec
from runtime.lanes import Delivery
from runtime.lifecycle import CaughtUp, Entry, Started
from runtime.message import Message
from strategies.signal import client_order_id, signal_id
from tests.conformance.stands import bybit_exchange

BTC = "bybit:BTCUSDT"
D = Decimal
M = TypeVar("M", bound=Message)


class Connection:
    """A small live driver: wall clock, real adapter, the bus's messages in a list."""

    name = "exchange/bybit"
    epoch = 1
    sender = "test"

    def __init__(self, simulator: BybitSimulator) -> None:
        self.simulator = simulator
        settings = ExchangeSettings(
            "bybit", (BTC,), tick_ns=20_000_000, grace_ns=300_000_000, reconcile_ns=500_000_000, refetch_ns=100_000_000,
            fills_wait_ns=100_000_000, panic_retry_ns=200_000_000, panic_wait_ns=400_000_000,
        )  # fmt: skip
        self.brain = ExchangeBrain(settings)
        self.exchange = bybit_exchange(simulator, request_timeout_s=0.4, stale_after_s=15.0)
        self.out: list[tuple[str, Message]] = []
        self.timers: dict[str, asyncio.TimerHandle] = {}
        self.entries = 0

    @property
    def now(self) -> int:
        return time.time_ns()

    def send(self, to: str, message: Message, *, eager: bool = False, delivery: Delivery = Delivery.ALL) -> None:
        if to == VENUE_PORT:
            assert isinstance(message, Command)
            self.exchange.submit(message)
        else:
            self.out.append((to, codec.decode(codec.encode(message))))

    def record(
        self,
        event: Message,
        *,
        keys: Mapping[str, str],
        correlation: str = "",
        causation: int = 0,
        urgent: bool = True,
    ) -> int:
        raise AssertionError("only the bus records")

    def timer(self, key: str, delay_ns: int, message: Message) -> None:
        self.cancel(key)
        self.timers[key] = asyncio.get_running_loop().call_later(delay_ns / 1e9, self.take, message)

    def cancel(self, key: str) -> None:
        handle = self.timers.pop(key, None)
        if handle is not None:
            handle.cancel()

    def count(self, name: str, amount: int = 1) -> None:
        return None

    def observe(self, name: str, nanoseconds: int) -> None:
        return None

    def take(self, message: Message) -> None:
        self.brain.receive(message, self)

    async def begin(self) -> None:
        self.take(Started(1, False))
        await self.exchange.connect([BTC], self.take)
        self.take(CaughtUp(0))
        await self.until(self._ready, "both streams, the instruments and reconciliation")

    def _ready(self) -> bool:
        state = self.brain.state
        return state.public_up and state.reconciled and BTC in state.baselines and BTC in state.instruments

    async def until(self, fits: Callable[[], object], what: str) -> None:
        for _ in range(1_000):
            if fits():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"waited for {what}; now {self.brain.status()}; last {self.told(OrderChanged)[-3:]}")

    def told(self, kind: type[M]) -> list[M]:
        return [message for _, message in self.out if isinstance(message, kind)]

    def fault(self, kind: RequestFault) -> None:
        self.simulator.inject(FaultOrder(requests=[RequestRule("/v5/order/create", kind, seconds=1.0)]))

    def approve(self, quantity: str = "0.01", side: Side = Side.BUY) -> ApprovedOrder:
        self.entries += 1
        signal = signal_id("trend", BTC, "tick", self.entries)
        order = ApprovedOrder(
            signal, client_order_id(signal), "trend", BTC, side, OrderType.MARKET, D(quantity), None,
            TimeInForce.IOC, False, D(61800), self.now, self.now + 30_000_000_000, self.now, self.now,
        )  # fmt: skip
        event = Approved(signal, "trend", BTC, order)
        self.take(Entry(self.entries, self.now, "bus", 1, "", 0, codec.encode(event)))
        return order

    def status(self, order: ApprovedOrder) -> OrderStatus:
        tracked = self.brain.state.find(order.client_id)
        assert tracked is not None
        return tracked.status

    async def filled(self, order: ApprovedOrder) -> None:
        await self.until(lambda: self.status(order) is OrderStatus.FILLED, f"the fill of {order.client_id}")

    def venue(self, part: str) -> list[dict[str, str]]:
        rows: list[dict[str, str]] = self.simulator.control.state()["accounts"]["main"][part]
        return rows

    @property
    def held(self) -> Decimal:
        position = self.brain.state.positions.get(BTC)
        return position.quantity if position else D(0)


@asynccontextmanager
async def connection() -> AsyncIterator[Connection]:
    simulator = BybitSimulator(SimulatorSettings(symbols=("BTCUSDT",), rate=50.0, order_limit=0, query_limit=0))
    await simulator.start()
    made = Connection(simulator)
    try:
        await made.begin()
        yield made
    finally:
        for key in list(made.timers):
            made.cancel(key)
        await made.exchange.close()
        await simulator.stop()


def test_an_approval_becomes_a_filled_order_and_a_position() -> None:
    async def run() -> None:
        async with connection() as c:
            c.sender = "strategy"
            c.take(Watch((BTC,), ("Trade",)))
            order = c.approve()
            await c.filled(order)
            assert c.held == D("0.01")
            assert c.told(OrderChanged)[0].order.status is OrderStatus.SENT
            await c.until(lambda: len(c.told(Trade)) > 3, "market data")
            seqs = [trade.seq for trade in c.told(Trade)]
            assert seqs == sorted(set(seqs))

    asyncio.run(run())


def test_an_order_taken_without_an_answer_is_found_and_counted_once() -> None:
    async def run() -> None:
        async with connection() as c:
            for kind in (RequestFault.TIMEOUT_AFTER, RequestFault.RESET_AFTER, RequestFault.HTML_AFTER):
                c.fault(kind)
                order = c.approve()
                await c.filled(order)
                await c.until(lambda: not c.brain.state.unknown(), "no unknown order")
            assert c.held == D("0.03")
            assert len(c.venue("orders")) == 3

    asyncio.run(run())


def test_an_order_lost_on_its_way_is_proven_absent_and_never_sent_again() -> None:
    async def run() -> None:
        async with connection() as c:
            c.fault(RequestFault.RESET_BEFORE)
            order = c.approve()
            await c.until(lambda: c.status(order) is OrderStatus.REJECTED, "the proof")
            assert c.venue("orders") == []
            assert "NEVER_REACHED_VENUE" in c.told(OrderChanged)[-1].order.reason

    asyncio.run(run())


def test_a_rate_limited_order_is_sent_again_and_filled() -> None:
    async def run() -> None:
        async with connection() as c:
            c.fault(RequestFault.RATE_LIMIT)
            order = c.approve()
            await c.filled(order)
            assert c.held == D("0.01")

    asyncio.run(run())


def test_executions_lost_repeated_or_dropped_with_the_stream_end_in_the_venues_position() -> None:
    async def run() -> None:
        async with connection() as c:
            c.simulator.inject(FaultOrder(executions=ExecutionRule(lose=1, duplicate=2)))
            for _ in range(3):
                order = c.approve()
                await c.filled(order)
            c.simulator.inject(FaultOrder(streams=[StreamRule("private", StreamFault.DROP)]))
            await c.until(lambda: not c.brain.state.private_up, "the loss of the stream")
            await c.until(lambda: c.brain.state.reconciled, "reconciliation")
            assert c.held == D("0.03")
            executions = [e["execId"] for e in c.venue("executions")]
            assert sorted(f.fill.execution_id for f in c.told(Filled)) == sorted(executions)
            assert {r.what for r in c.told(Repaired)} == {"opening position"}
            assert c.told(SymbolHalted) == []

    asyncio.run(run())


def test_a_panic_leaves_the_venue_flat_and_without_orders() -> None:
    async def run() -> None:
        async with connection() as c:
            order = c.approve("0.5")
            await c.filled(order)
            c.fault(RequestFault.TIMEOUT_BEFORE)
            c.take(Control("c1", "panic", "me", "drill"))
            await c.until(lambda: any(t.action == "panic-flat" for t in c.told(ControlTaken)), "flat")
            assert c.held == 0
            assert [p for p in c.venue("positions") if D(p["size"])] == []
            assert c.brain.status()["trading"] == "HALTED"

    asyncio.run(run())
