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
from bigwheel.backtests.walk import Walk, Watching
from exchanges.commands import result
from exchanges.matching.record import NOTHING, Changes
from exchanges.model.instrument import Instrument
from exchanges.model.market import Bar, MarketData, Ticker, last_price
from exchanges.model.venue import (
    BalanceReport,
    Command,
    FetchHistory,
    FetchState,
    HistoryReport,
    InstrumentsReport,
    Outcome,
    PlaceOrder,
    PriceReport,
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

    Args:
        watching: what flows of the connection wait for in a symbol's price.
    """

    def __init__(
        self,
        driver: Driver,
        venue: str,
        instruments: tuple[Instrument, ...],
        conduct: Conduct,
        settings: PaperSettings,
        watching: Watching = lambda symbol: (),
    ) -> None:
        self.connection = names.exchange(venue)
        self._driver, self._conduct, self._instruments = driver, conduct, instruments
        self._watching = watching
        self._walks: dict[str, Walk | None] = {}
        """By symbol with bars alone, the bar that has begun."""
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
        changes = self._end_bar(data) if isinstance(data, Bar) else self.books.take(data)
        if isinstance(data, Ticker):
            self._accruals.heard(data)
        self._floor.hear(data)
        self._floor.changed(changes)

    def carries(self, data: MarketData | Opening) -> bool:
        """Whether it is sure that the account carries what it holds at all prices of a piece of data."""
        if isinstance(data, Bar):
            return self.books.engine.carries(data.symbol, data.low, data.high)
        price = data.price if isinstance(data, Opening) else last_price(data)
        return not price or self.books.engine.carries(data.symbol, price, price)

    def move(self, symbol: str, data: Sequence[MarketData | Opening]) -> None:
        """Let data move a market in which no order works; the connection is told of them otherwise."""
        walk = self._walks.get(symbol)
        while data and walk is not None and walk.moved:
            self._pass(data[0])
            data, walk = data[1:], self._walks.get(symbol)
        moves = [each.price if isinstance(each, Opening) else each for each in data]
        bars: list[Bar | float] = [each for each in moves if isinstance(each, Bar | float)]
        if data and symbol in self._walks and len(bars) == len(moves) and self.books.barred(symbol):
            self.books.pass_bars(symbol, bars)
            self._passed(symbol, data[-1])
            return
        for each in data:
            self._pass(each)

    def _pass(self, data: MarketData | Opening) -> None:
        if isinstance(data, Opening):
            self._open_bar(data)
        elif isinstance(data, Bar):
            self._end_bar(data)
        else:
            self.books.take(data)

    # -- bars that are all there is ----------------------------------------------------------

    def _open_bar(self, opening: Opening) -> None:
        """The first trade of a bar, which orders that wait for the market meet; strategies are not told of it yet."""
        symbol, bar = opening.symbol, opening.bar
        walk = Walk(self._floor, bar, self._watching)
        if self.books.priced(symbol):
            self._floor.changed(self.books.open_bar(symbol, opening.price, walk.size))
            if self._watching(symbol):
                self._floor.hear(PriceReport(symbol, opening.price))
        self._begin(walk)

    def _begin(self, walk: Walk) -> None:
        self._walks[walk.bar.symbol] = walk
        if self.books.priced(walk.bar.symbol):
            walk.begin()

    def _end_bar(self, bar: Bar) -> Changes:
        """A bar is over: as a whole, or what is left of the way to its close. The market is silent until the next."""
        symbol, books, changes = bar.symbol, self.books, NOTHING
        walk = self._walks.get(symbol)
        if walk is None:
            return books.take(bar)
        walk.end()
        if not walk.done and (walk.moved or books.resting(symbol)):
            changes = books.walk(symbol, bar.close, walk.size, walk.taker)
        if walk.moved or books.resting(symbol):
            books.end_bar(bar)
        else:
            changes = books.take(bar)
        self._silence(symbol)
        return changes

    def wake(self) -> None:
        """A flow has begun: bars that have begun are walked from their next turn on."""
        for walk in self._walks.values():
            if walk is not None:
                walk.wake()

    def _silence(self, symbol: str) -> None:
        self._walks[symbol] = None
        self.books.engine.silence(symbol)

    def _passed(self, symbol: str, last: MarketData | Opening) -> None:
        """Go on from the last of the bars and openings that were passed."""
        walk = self._walks.get(symbol)
        if walk is not None:
            walk.end()
        if isinstance(last, Opening):
            self._begin(Walk(self._floor, last.bar, self._watching))
        else:
            self._silence(symbol)

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
