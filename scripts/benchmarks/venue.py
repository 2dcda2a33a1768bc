"""An instant venue, and what else runs in the actors of a benchmark."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from actors.exchange.actor import ExchangeConnection
from exchanges.interface import Capabilities, Exchange, Sink
from exchanges.model.instrument import ContractKind, Instrument
from exchanges.model.market import Bar, Trade
from exchanges.model.order import Fill, Liquidity, Order, OrderStatus
from exchanges.model.position import Balance, Position
from exchanges.model.venue import (
    CancelAll,
    CancelOrder,
    Command,
    CommandResult,
    FetchState,
    FillReport,
    InstrumentsReport,
    OrderReport,
    Outcome,
    PlaceOrder,
    QueryOrder,
    StreamStatus,
    VenuePosition,
    VenueState,
)
from strategies.strategy import Strategy

PRICE = 100.0


def instrument(symbol: str) -> Instrument:
    """A perpetual with small steps and no minimum."""
    native = symbol.partition(":")[2]
    step = Decimal("0.001")
    return Instrument(
        symbol,
        "bybit",
        native,
        ContractKind.LINEAR_PERPETUAL,
        native,
        "USDT",
        Decimal("0.01"),
        step,
        step,
        Decimal(10**6),
        Decimal(0),
        Decimal(0),
        Decimal("0.0005"),
    )


class InstantVenue:
    """Takes and fills every order at once; sends trades at a pace, or as fast as they are taken.

    Args:
        rate: Trades a second over all symbols; 0 means without waiting.
        count: Trades in all.
    """

    venue = "bybit"
    capabilities = Capabilities(
        amend=False, cancel_all=True, post_only=False, reduce_only=True, fill_or_kill=True, short=True
    )

    def __init__(self, rate: float, count: int) -> None:
        self._rate, self._count = rate, count
        self._positions: dict[str, Position] = {}
        self._orders: dict[str, Order] = {}
        self._fills: list[Fill] = []
        self._numbers = itertools.count(1)
        self._paused = False
        self._task: asyncio.Task[None] | None = None
        self.sent = 0

    async def check(self, symbols: Sequence[str]) -> None:
        """Nothing to mend."""

    async def connect(self, symbols: Sequence[str], sink: Sink) -> None:
        self._sink, self._symbols = sink, list(symbols)
        sink(InstrumentsReport(tuple(instrument(symbol) for symbol in symbols)))
        for stream in ("public", "private"):
            sink(StreamStatus(stream, True))
        self._task = asyncio.ensure_future(self._play())

    async def _play(self) -> None:
        begin_file = Path(str(self.signal_file))
        while not begin_file.exists():
            for symbol in self._symbols:
                self._trade(symbol)
            self.sent = 0
            await asyncio.sleep(0.05)
        turn = itertools.cycle(self._symbols)
        started = time.perf_counter()
        while self.sent < self._count:
            due = min((time.perf_counter() - started) * self._rate if self._rate else self.sent + 256, self._count)
            while self.sent < due and not self._paused:
                self._trade(next(turn))
            await asyncio.sleep(0.0005 if self._rate else 0)

    signal_file = ""

    def _trade(self, symbol: str) -> None:
        now = time.time_ns()
        wobble = (self.sent * 7_919 % 101 - 50) / 1_000
        self._sink(Trade(symbol, 0, 0, now, now, PRICE + wobble, 1.0, "buy", ""))
        self.sent += 1

    def submit(self, command: Command) -> None:
        asyncio.get_running_loop().call_soon(self._answer, command)

    def _answer(self, command: Command) -> None:
        if isinstance(command, PlaceOrder):
            self._place(command)
        elif isinstance(command, FetchState):
            held = [
                VenuePosition(p.symbol, p.quantity, p.average_price) for p in self._positions.values() if p.quantity
            ]
            fills = tuple(fill for fill in self._fills if fill.ts_ns >= command.since_ns)
            self._sink(
                VenueState(
                    True,
                    time.time_ns(),
                    fills=fills,
                    positions=tuple(held),
                    balances=(Balance("USDT", Decimal(10**9), Decimal(10**9)),),
                )
            )
        elif isinstance(command, QueryOrder):
            order = self._orders.get(command.client_id)
            outcome = Outcome.ACCEPTED if order else Outcome.NOT_FOUND
            self._sink(CommandResult("QueryOrder", command.client_id, command.symbol, outcome, order=order))
        elif isinstance(command, CancelOrder | CancelAll):
            client_id = getattr(command, "client_id", "")
            self._sink(CommandResult(type(command).__name__, client_id, command.symbol, Outcome.NOT_FOUND))

    def _place(self, command: PlaceOrder) -> None:
        now, number = time.time_ns(), next(self._numbers)
        price = Decimal(str(PRICE))
        order = Order(
            command.client_id,
            command.symbol,
            command.side,
            command.type,
            command.quantity,
            command.price,
            command.time_in_force,
            command.reduce_only,
            OrderStatus.FILLED,
            f"v{number}",
            command.quantity,
            price,
            updated_ns=now,
        )
        fill = Fill(
            f"e{number}",
            command.client_id,
            f"v{number}",
            command.symbol,
            command.side,
            price,
            command.quantity,
            Decimal("0.01"),
            "USDT",
            Liquidity.TAKER,
            now,
        )
        self._orders[command.client_id] = order
        self._fills.append(fill)
        held = self._positions.get(command.symbol, Position(command.symbol))
        self._positions[command.symbol] = held.apply(fill)
        for report in (
            CommandResult("PlaceOrder", command.client_id, command.symbol, Outcome.ACCEPTED, venue_id=f"v{number}"),
            FillReport(fill),
            OrderReport(order),
        ):
            self._sink(report)

    def pause(self, paused: bool) -> None:
        self._paused = paused

    async def bars(self, symbol: str, interval_ns: int, start_ns: int, end_ns: int) -> list[Bar]:
        return []

    async def trades(self, symbol: str, limit: int) -> list[Trade]:
        return []

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def stats(self) -> dict[str, float]:
        return {"sent": float(self.sent)}


class InstantConnection(ExchangeConnection):
    """The real exchange connection with an instant venue behind its port."""

    async def make_exchange(self) -> Exchange:
        told = self.settings.simulator
        venue = InstantVenue(told.rate if told.speed else 0.0, told.seed)
        venue.signal_file = str(self.settings.store / "begin")
        return venue


class EachNth(Strategy):
    """Buys and sells in turn, on every n-th trade."""

    n = 1

    def on_start(self) -> None:
        self.seen = 0
        self.n = int(self.params.n)

    def on_trade(self, trade: Trade) -> None:
        self.seen += 1
        if self.n and self.seen % self.n == 0:
            if self.position.quantity > 0:
                self.sell(1.0, quantity=Decimal("0.010"))
            else:
                self.buy(1.0, quantity=Decimal("0.010"))
