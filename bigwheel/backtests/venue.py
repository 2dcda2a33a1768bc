"""A venue for the backtest: the books of mode paper on virtual time, as far away as it is told to be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from actors import names
from bigwheel.backtests.driver import Driver
from bigwheel.backtests.errors import BacktestError
from bigwheel.backtests.feed import Opening
from exchanges.matching.record import Changes
from exchanges.model.instrument import Instrument
from exchanges.model.market import Bar, MarketData
from exchanges.model.venue import (
    VENUE_PORT,
    BalanceReport,
    Command,
    FetchHistory,
    FetchState,
    FillReport,
    HistoryReport,
    InstrumentsReport,
    OrderReport,
    StreamStatus,
    VenueState,
)
from exchanges.paper.books import ACCOUNT, PaperBooks
from exchanges.paper.commands import PaperCommands, report_of
from exchanges.paper.settings import PaperSettings
from runtime.message import Message

_NO_HISTORY = "NO_HISTORY a backtest knows nothing from before its first moment"


class BacktestVenue:
    """Answers the commands of one exchange connection.

    Market data reaches the connection at its own time. A command takes ``latency_ns`` to the matching engine, and
    answers and reports take as long back.
    """

    def __init__(
        self, driver: Driver, venue: str, instruments: tuple[Instrument, ...], cash: Decimal, latency_ns: int, seed: int
    ) -> None:
        self.connection = names.exchange(venue)
        self.instruments, self.latency_ns = instruments, latency_ns
        self._driver = driver
        self.books = PaperBooks(PaperSettings(balance=cash, seed=seed), lambda: driver.now)
        self._commands = PaperCommands(self.books, lambda: True, self._changed, self._answer, Counter())
        driver.ports[self.connection] = self.submit

    def open(self) -> None:
        """List the instruments, and say that both streams stand."""
        self.books.list(self.instruments)
        for message in (
            InstrumentsReport(self.instruments),
            BalanceReport(self.books.balances()),
            StreamStatus("public", True),
            StreamStatus("private", True),
        ):
            self._driver.deliver(self.connection, message, VENUE_PORT)

    def take(self, data: MarketData | Opening) -> None:
        """Let data move the market; the connection hears of market data at once, of its own orders later."""
        if isinstance(data, Opening):
            self._open_bar(data)
            return
        changes = self.books.take(data)
        self._driver.deliver(self.connection, data, VENUE_PORT)
        self._changed(changes)

    def move(self, symbol: str, data: Sequence[MarketData | Opening]) -> None:
        """Let data move a market in which no order works; the connection is told of them otherwise."""
        books = self.books
        moves = [each.price if isinstance(each, Opening) else each for each in data]
        if books.barred(symbol):
            bars: list[Bar | float] = [each for each in moves if isinstance(each, Bar | float)]
            if len(bars) == len(moves):
                books.pass_bars(symbol, bars)
                return
        for each in data:
            if isinstance(each, Opening):
                self._open_bar(each)
            else:
                books.take(each)

    def _open_bar(self, opening: Opening) -> None:
        """The first trade of a bar, which orders that wait for the market meet; nobody is told of it yet."""
        if self.books.priced(opening.symbol):
            self.books.open_bar(opening.symbol, opening.price)

    # -- commands --------------------------------------------------------------------------

    def submit(self, message: Message) -> None:
        """A command leaves the connection."""
        if not isinstance(message, Command):
            raise BacktestError(f"expected a command for the venue, found {type(message).__name__}")
        self._driver.after(self.latency_ns, self._arrived, message)

    def _arrived(self, command: Command) -> None:
        if isinstance(command, FetchState):
            self._answer(self._state(command.since_ns))
        elif isinstance(command, FetchHistory):
            told = (command.asker, command.symbol, command.interval_ns, (), _NO_HISTORY, command.mark)
            self._answer(HistoryReport(*told))
        else:
            self._run(command)

    def _run(self, command: Command) -> None:
        """Our own engine answers without waiting, so the coroutine ends at its first step."""
        work = self._commands.run(command)
        try:
            work.send(None)
        except StopIteration:
            return
        work.close()
        raise BacktestError(f"expected the engine to answer {type(command).__name__} at once, found that it waits")

    def _state(self, since_ns: int) -> VenueState:
        books = self.books
        return VenueState(
            True, self._driver.now, books.working(), books.fills(since_ns), books.positions(), books.balances()
        )

    # -- answers ---------------------------------------------------------------------------

    def _answer(self, message: object) -> None:
        self._driver.after(self.latency_ns, self._driver.deliver, self.connection, message, VENUE_PORT)

    def _changed(self, changes: Changes) -> None:
        if not changes:
            return
        for execution in changes.executions:
            self._answer(FillReport(execution.fill))
        for record in changes.orders:
            self._answer(OrderReport(record.order()))
        for payment in changes.fundings:
            self._answer(report_of(payment, self.books.currency))
        self._answer(BalanceReport(self.books.balances()))

    @property
    def equity(self) -> Decimal:
        """The account's cash and what it holds, at the last prices."""
        return self.books.engine.accounts[ACCOUNT].equity(self.books.engine.mark)

    def mark(self, symbol: str) -> Decimal:
        """The price that ``symbol`` is valued at."""
        return self.books.engine.mark(symbol)

    def price(self, symbol: str) -> float:
        """The same as float64, as it was heard."""
        market = self.books.engine.markets[symbol]
        return float(market.mark()) if market.marked else market.external.last_price or float(market.mark())
