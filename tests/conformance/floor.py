"""Bus, risk, exchange connection and a trader on one live engine, trading at a venue's simulator."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from actors import names
from actors.bus.brain import BusBrain
from actors.bus.settings import BusSettings
from actors.exchange.brain import KINDS as EXCHANGE_KINDS
from actors.exchange.brain import ExchangeBrain
from actors.exchange.settings import ExchangeSettings
from actors.messages.signals import Emit
from actors.risk.brain import KINDS as RISK_KINDS
from actors.risk.brain import RiskBrain
from actors.risk.settings import RiskSettings
from bigwheel.books import Books, records
from bigwheel.reconciliation import Agreement, VenueBooks, compare
from exchanges.model.order import Fill, Order, OrderType, Side
from exchanges.model.venue import VENUE_PORT
from runtime.behavior import Behavior, Context
from runtime.host.cell import Cell
from runtime.host.engine import Engine, Seat
from runtime.journal.store import LmdbJournal
from runtime.lifecycle import PeerUp, Subscribe
from runtime.message import Message
from runtime.supervision.policy import Intensity, RestartPolicy
from strategies.signal import Cause, Signal, signal_id
from tests.conformance.desk import Desk
from tests.trading_desk import DEADLINE_S

MS = 1_000_000
SECOND = 1_000 * MS
LABEL = "probe"


class Go(Message):
    """Tells the trader to want something."""

    side: Side
    quantity: Decimal
    number: int


class Trader:
    """A strategy that does as it is told."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol

    def receive(self, message: Message, ctx: Context) -> None:
        """Emit a signal for each ``Go``."""
        if not isinstance(message, Go):
            return
        cause = Cause(f"{self.symbol}@1.{message.number}", "Trade", ctx.now, ctx.now, 1.0)
        signal = Signal(
            id=signal_id(LABEL, self.symbol, cause.tick_id, 0),
            strategy=LABEL,
            symbol=self.symbol,
            side=message.side,
            conviction=1.0,
            created_ns=ctx.now,
            ttl_ns=60 * SECOND,
            cause=cause,
            quantity=message.quantity,
        )
        ctx.send(names.BUS, Emit(signal))

    def snapshot(self) -> bytes:
        """It remembers nothing."""
        return b""

    def restore(self, data: bytes) -> None:
        """There is nothing to restore."""

    def status(self) -> dict[str, object]:
        """Nothing to tell."""
        return {}


def exchange_settings(venue: str, symbol: str, currency: str) -> ExchangeSettings:
    """The connection's brain in a hurry."""
    return ExchangeSettings(
        venue,
        (symbol,),
        cash_currency=currency,
        tick_ns=20 * MS,
        grace_ns=300 * MS,
        unknown_query_ns=100 * MS,
        reconcile_ns=500 * MS,
        refetch_ns=100 * MS,
        fills_wait_ns=100 * MS,
        answer_ns=8 * SECOND,
        query_max_ns=SECOND,
    )


class Floor:
    """One session without Ray: ``want`` something, wait for ``quiet``, then compare the books."""

    def __init__(self, desk: Desk, folder: Path, currency: str) -> None:
        self.desk, self.symbol = desk, desk.stand.symbol
        self.journal = LmdbJournal(str(folder / "journal"), epoch=1)
        self.engine = Engine(log=names.BUS, journal=self.journal)
        self.exchange_name, self.trader = names.exchange_of(self.symbol), names.strategy(LABEL, self.symbol)
        self._numbers = 0
        self._seat(names.BUS, lambda: BusBrain(BusSettings(missing_fills_ns=60 * SECOND)), journals=True)
        self._seat(names.RISK, lambda: RiskBrain(_limits(self.symbol)))
        told = exchange_settings(desk.stand.venue, self.symbol, currency)
        self._seat(self.exchange_name, lambda: ExchangeBrain(told))
        self._seat(self.trader, lambda: Trader(self.symbol))
        self.engine.ports[VENUE_PORT] = desk.exchange.submit  # type: ignore[assignment]

    def _seat(self, name: str, build: Any, *, journals: bool = False) -> None:
        cell = Cell(name, 1, build, self.engine, journals=journals)
        self.engine.seat(Seat(cell, None, frozenset(), RestartPolicy(Intensity())))

    def brain(self, name: str) -> Behavior:
        return self.engine.seats[name].cell.behavior

    async def open(self) -> None:
        """Start everybody and wait until orders may leave."""
        self.engine.start()
        for name, kinds in ((names.RISK, RISK_KINDS), (self.exchange_name, EXCHANGE_KINDS)):
            self.engine._serve_log(self.engine.feed, name, Subscribe(0, kinds), 1)  # type: ignore[arg-type]
        for name in (names.RISK, self.exchange_name):
            for peer in (names.BUS, names.RISK, self.exchange_name):
                if peer != name:
                    self.engine.deliver(name, PeerUp(peer, 1), peer)

        def sink(message: Message) -> None:
            self.engine.deliver(self.exchange_name, message, VENUE_PORT)

        await self.desk.exchange.connect([self.symbol], sink)
        await self.until(self._ready, "a reconciled connection with prices")

    def _ready(self) -> bool:
        state: Any = self.brain(self.exchange_name).state  # type: ignore[attr-defined]
        held: Any = self.brain(names.RISK)._state  # type: ignore[attr-defined]
        ready = state.public_up and state.reconciled and self.symbol in state.baselines
        return bool(ready and self.symbol in held.book.marks and self.symbol in held.instruments)

    async def until(self, fits: Any, what: str, seconds: float = DEADLINE_S) -> None:
        end = time.monotonic() + seconds
        while not fits():
            if time.monotonic() > end:
                raise AssertionError(f"waited {seconds:g} s for {what}; {self.brain(self.exchange_name).status()}")
            await asyncio.sleep(0.02)

    def want(self, side: Side) -> None:
        self._numbers += 1
        self.engine.deliver(self.trader, Go(side, self.desk.stand.quantity, self._numbers), "test")

    def books(self) -> Books:
        return Books.of(records(self.journal))

    def venue(self) -> VenueBooks:
        return venue_books(self.desk.books())

    def agreement(self) -> Agreement:
        return compare(self.books(), self.desk.stand.venue, self.venue())

    def ended(self) -> bool:
        states = self.books().states
        return len(states) >= self._numbers and all(
            state.value in ("EXECUTED", "BLOCKED", "EXPIRED") for state in states.values()
        )

    async def quiet(self) -> Agreement:
        """Wait until every signal has ended and the books agree; the last comparison if they never do."""
        await self.until(self.ended, "the end of every signal")
        end = time.monotonic() + DEADLINE_S
        while not (found := self.agreement()).reconciled and time.monotonic() < end:
            await asyncio.sleep(0.1)
        return found

    def close(self) -> None:
        self.engine._fatal = True
        self.engine.close()
        # After the turn that may be due already.
        asyncio.get_running_loop().call_soon(self.journal.close)


def venue_books(found: dict[str, Any]) -> VenueBooks:
    """An account as a simulator's control gives it."""
    return VenueBooks(
        tuple(msgspec.convert(found["orders"], list[Order])),
        tuple(msgspec.convert(found["fills"], list[Fill])),
        {symbol: Decimal(held) for symbol, held in found["positions"].items()},
        Decimal(found["cash"]),
        Decimal(found["deposited"]),
        frozenset(found["bought"]),
        Decimal(found["locked"]),
    )


def _limits(symbol: str) -> RiskSettings:
    return RiskSettings(
        symbols=(symbol,),
        order_notional=Decimal(10**6),
        symbol_notional=Decimal(10**7),
        total_notional=Decimal(10**8),
        daily_loss=Decimal(10**6),
        cooldown_ns=0,
        orders_per_second=1_000,
        orders_per_minute=10_000,
        order_type=OrderType.MARKET,
        max_data_age_ns=60 * SECOND,
        max_state_age_ns=60 * SECOND,
    )
