"""A venue for the backtest: the books of mode paper on virtual time, as far away as it is told to be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from actors import names
from bigwheel.backtests.accruals import Accruals
from bigwheel.backtests.conduct import Conduct
from bigwheel.backtests.driver import Driver
from bigwheel.backtests.errors import BacktestError
from bigwheel.backtests.feed import Opening
from bigwheel.backtests.floor import Floor
from bigwheel.backtests.hours import MarketHours
from bigwheel.backtests.outcomes import Outcomes
from exchanges.commands import result
from exchanges.model.instrument import Instrument
from exchanges.model.market import Bar, MarketData, Ticker
from exchanges.model.venue import (
    BalanceReport,
    Command,
    FetchHistory,
    FetchState,
    HistoryReport,
    InstrumentsReport,
    Outcome,
    PlaceOrder,
    StreamStatus,
    VenueState,
)
from exchanges.paper.books import ACCOUNT, PaperBooks
from exchanges.paper.commands import PaperCommands
from exchanges.paper.settings import PaperSettings
from runtime.message import Message

_NO_BARS = "NO_HISTORY the data have no bars of that length, nor what they could be made of"
_NOTHING_BEFORE = "NO_HISTORY the data begin later"


class BacktestVenue:
    """Answers the commands of one exchange connection, and does what a venue does by itself.

    Market data move the books at their own time, and reach the connection when they have come that far. So do commands
    the books, and answers and reports the connection.
    """

    def __init__(
        self,
        driver: Driver,
        venue: str,
        instruments: tuple[Instrument, ...],
        conduct: Conduct,
        settings: PaperSettings,
    ) -> None:
        self.connection = names.exchange(venue)
        self._driver, self._conduct, self._instruments = driver, conduct, instruments
        settings = msgspec.structs.replace(settings, leverage=conduct.leverage.get(venue))
        self.books = PaperBooks(settings, lambda: driver.now)
        self._floor = floor = Floor(driver, self.connection, self.books, conduct.latency)
        self._accruals = Accruals(floor, instruments, conduct.rates)
        self._outcomes = Outcomes(floor, instruments, conduct.outcomes)
        self._hours = MarketHours(floor, instruments, extended=conduct.extended_hours)
        self._commands = PaperCommands(self.books, lambda: True, floor.changed, floor.answer, Counter())
        driver.ports[self.connection] = self.submit

    def open(self) -> None:
        """List the instruments, and say that both streams stand."""
        listed = tuple(self._outcomes.listed(self._hours.listed(each)) for each in self._instruments)
        self.books.list(listed)
        for message in (
            InstrumentsReport(listed),
            BalanceReport(self.books.balances()),
            StreamStatus("public", True),
            StreamStatus("private", True),
        ):
            self._floor.tell(message)
        for own in (self._accruals, self._outcomes, self._hours):
            own.open()

    def take(self, data: MarketData | Opening) -> None:
        """Let data move the market; the connection hears of it, and of what that did to its orders."""
        if isinstance(data, Opening):
            self._open_bar(data)
            return
        changes = self.books.take(data)
        if isinstance(data, Ticker):
            self.announced(data)
        self._floor.hear(data)
        self._floor.changed(changes)

    def announced(self, ticker: Ticker) -> None:
        """Take in what a ticker says of funding."""
        self._accruals.heard(ticker)

    def carried(self, symbol: str) -> tuple[float, float]:
        """Between which prices of a symbol it is sure that the account carries what it holds."""
        return self.books.engine.carried(symbol)

    def move(self, symbol: str, data: Sequence[MarketData | Opening]) -> None:
        """Let data move a market in which no order works; the connection is told of them otherwise."""
        books = self.books
        if books.barred(symbol) and set(map(type, data)) <= {Bar, Opening}:
            books.pass_bars(symbol, [each.price if type(each) is Opening else each for each in data])
            return
        for each in data:
            if isinstance(each, Opening):
                self._open_bar(each)
            else:
                books.take(each)

    def _open_bar(self, opening: Opening) -> None:
        """The first trade of a bar, which orders that wait for the market meet; nobody is told of it yet."""
        if self.books.priced(opening.symbol):
            self._floor.changed(self.books.open_bar(opening.symbol, opening.price))

    # -- commands --------------------------------------------------------------------------

    def submit(self, message: Message) -> None:
        """A command leaves the connection."""
        if not isinstance(message, Command):
            raise BacktestError(f"expected a command for the venue, found {type(message).__name__}")
        self._floor.command(message, self._arrived)

    def _arrived(self, command: Command) -> None:
        refusal = self._hours.refusal(command) if isinstance(command, PlaceOrder) else ""
        if refusal:
            self._floor.answer(result(command, Outcome.REJECTED, "MARKET_CLOSED", refusal))
        elif isinstance(command, FetchState):
            self._floor.answer(self._state(command.since_ns))
        elif isinstance(command, FetchHistory):
            until_ns = max(command.until_ns, self._conduct.start_ns)
            self._floor.at(until_ns, self._look_back, command, until_ns)
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

    def _look_back(self, command: FetchHistory, until_ns: int) -> None:
        """What was over when it was asked, or at the run's first moment if it was asked before that."""
        asked = (command.symbol, command.interval_ns)
        bars = self._conduct.past.bars(*asked, command.count, until_ns)
        reason = _NO_BARS if bars is None else "" if bars else _NOTHING_BEFORE
        self._floor.answer(HistoryReport(command.asker, *asked, bars or (), reason, command.mark))

    # -- what it says ----------------------------------------------------------------------

    @property
    def last_ns(self) -> int:
        """When the last thing that is known beforehand happens in the run."""
        return self._outcomes.last_ns(self._conduct.end_ns)

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
