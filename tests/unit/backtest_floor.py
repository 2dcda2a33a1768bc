"""A backtest's venue without brains: commands and data at given moments, and when the connection hears of what."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path
from typing import Any, TypeVar

from bigwheel.backtests.conduct import Conduct
from bigwheel.backtests.driver import Driver, Seat
from bigwheel.backtests.latency import Latency
from bigwheel.backtests.past import Past
from bigwheel.backtests.venue import BacktestVenue
from exchanges.catalog import Catalog
from exchanges.model.instrument import Instrument
from exchanges.model.market import MarketData
from exchanges.model.venue import Command
from exchanges.paper.settings import PaperSettings
from runtime.behavior import Context
from runtime.message import Message

M = TypeVar("M", bound=Message)


class Ear:
    """In the connection's place: remembers what it hears, and when."""

    forgets = ""

    def __init__(self) -> None:
        self.heard: list[tuple[int, Message]] = []

    def receive(self, message: Message, ctx: Context) -> None:
        self.heard.append((ctx.now, message))

    def snapshot(self) -> bytes:
        return b""

    def restore(self, data: bytes) -> None:
        """Nothing is kept."""


class Floor:
    """One venue from ``start_ns`` on."""

    def __init__(
        self, root: Path, *instruments: Instrument, start_ns: int = 0, latency: Latency | None = None, **conduct: Any
    ) -> None:
        self.driver = Driver(lambda: True, lambda record, event: None)
        self.driver.now = start_ns
        self.ear = Ear()
        venue = instruments[0].venue
        ways = latency if latency is not None else Latency(0, 0)
        told = Conduct(ways, Past(Catalog(root)), **conduct)
        self.venue = BacktestVenue(self.driver, venue, instruments, told, PaperSettings(balance=D(1_000), seed=1))
        self.driver.seat(Seat(self.venue.connection, self.ear, (), ()))
        self.venue.open()
        self.driver.drain()

    def until(self, now_ns: int) -> None:
        """Let time pass."""
        self.driver.advance(now_ns)
        self.driver.now = now_ns

    def take(self, data: MarketData) -> None:
        """Data at their own time."""
        self.until(data.recv_ns)
        self.venue.take(data)
        self.driver.drain()

    def send(self, command: Command, at_ns: int) -> None:
        """A command that leaves at a moment."""
        self.until(at_ns)
        self.venue.submit(command)

    def of(self, kind: type[M]) -> list[tuple[int, M]]:
        """What was heard of one kind, and when."""
        return [(at, message) for at, message in self.ear.heard if isinstance(message, kind)]
