"""The ground of one venue in a backtest: its books, its clock, and the ways between it and us."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from bigwheel.backtests.driver import Driver
from bigwheel.backtests.latency import Latency, Way
from exchanges.matching.record import Changes
from exchanges.model.instrument import Instrument
from exchanges.model.market import MarketData
from exchanges.model.venue import (
    VENUE_PORT,
    BalanceReport,
    Command,
    FillReport,
    InstrumentsReport,
    OrderReport,
    PriceReport,
)
from exchanges.paper.books import PaperBooks
from exchanges.paper.commands import report_of
from runtime.message import Message


class Floor:
    """Brings things to the connection and to the books when they have got there.

    Each command is a call of its own, and so is its answer: they may overtake each other. Market data, and reports of
    the account, come on a stream each and keep their order.
    """

    def __init__(self, driver: Driver, connection: str, books: PaperBooks, latency: Latency) -> None:
        self.driver, self.books = driver, books
        self._connection = connection
        self._feed = Way(latency.feed_ns, latency, f"{connection}/feed")
        self._order = Way(latency.order_ns, latency, f"{connection}/order")
        self._reply = Way(latency.answer_ns, latency, f"{connection}/answer")
        self._stream = Way(latency.answer_ns, latency, f"{connection}/stream")
        self._fed_ns = self._told_ns = 0

    def at(self, ts_ns: int, call: Callable[..., None], *arguments: Any) -> None:
        """Call at a moment, at once if that is over."""
        self.driver.after(max(ts_ns - self.driver.now, 0), call, *arguments)

    # -- to the venue ----------------------------------------------------------------------

    def command(self, command: Command, arrived: Callable[[Command], None]) -> None:
        """A command leaves the connection."""
        self.driver.after(self._order.next_ns(), arrived, command)

    # -- from the venue --------------------------------------------------------------------

    def tell(self, message: Message) -> None:
        """Let the connection know without delay: what it is told as it connects."""
        self.driver.deliver(self._connection, message, VENUE_PORT)

    def hear(self, data: MarketData | PriceReport) -> None:
        """Market data leaves the venue, or a price on a bar's way."""
        wait_ns = self._feed.next_ns()
        if not wait_ns:
            self.tell(data)
            return
        self._fed_ns = max(self._fed_ns, self.driver.now + wait_ns)
        self.at(self._fed_ns, self._heard, data)

    def _heard(self, data: MarketData | PriceReport) -> None:
        known = isinstance(data, PriceReport)
        self.tell(data if known else msgspec.structs.replace(data, recv_ns=self.driver.now))

    def answer(self, message: object) -> None:
        """The answer to one command."""
        self.driver.after(self._reply.next_ns(), self.driver.deliver, self._connection, message, VENUE_PORT)

    def report(self, message: Message) -> None:
        """Something of the account, after all that was reported before."""
        self._told_ns = max(self._told_ns, self.driver.now + self._stream.next_ns())
        self.at(self._told_ns, self.tell, message)

    def changed(self, changes: Changes) -> None:
        """Report what a command, the market or the venue itself changed."""
        if not changes:
            return
        for execution in changes.executions:
            self.report(FillReport(execution.fill))
        for record in changes.orders:
            self.report(OrderReport(record.order()))
        for payment in changes.fundings:
            self.report(report_of(payment, self.books.currency))
        self.report(BalanceReport(self.books.balances()))

    def relist(self, instruments: tuple[Instrument, ...]) -> None:
        """Go on with other trading hours."""
        self.books.list(instruments)
        self.report(InstrumentsReport(instruments))
