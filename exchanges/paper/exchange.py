"""The exchange interface on paper: around another venue's adapter, of which it uses the public side alone."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence

from exchanges.interface import Exchange, Sink
from exchanges.matching.record import Changes
from exchanges.model.market import Bar, MarketData, Trade
from exchanges.model.venue import (
    BalanceReport,
    Command,
    CommandResult,
    FillReport,
    InstrumentsReport,
    OrderReport,
    StreamStatus,
    VenuePosition,
    VenueState,
)
from exchanges.paper.accruals import Accruals
from exchanges.paper.books import PaperBooks
from exchanges.paper.commands import PaperCommands, report_of
from exchanges.paper.settings import PaperSettings
from exchanges.tasks import Tasks
from runtime.errors import SetupError
from runtime.message import Message

logger = logging.getLogger(__name__)

_PRIVATE = (OrderReport, FillReport, BalanceReport, VenuePosition, VenueState, CommandResult)
_DRAIN_S = 5.0


class PaperExchange:
    """Real prices of ``source``, orders matched on this side. All methods belong to one event loop.

    ``source`` is connected for its public data; no command is ever passed on to it, and what it may say of
    an account is dropped. Its adapter is to be made in mode ``paper``, where it opens no private stream.

    Raises:
        SimulatorError: the folder of the books can't be used.
    """

    def __init__(self, source: Exchange, settings: PaperSettings) -> None:
        self.venue = source.venue
        self.capabilities = source.capabilities
        self.settings = settings
        self._source = source
        self._counters: Counter[str] = Counter()
        self._books = PaperBooks(settings)
        self._accruals = Accruals(source, self._books, settings.poll_s, self._changed, self._counters)
        self._queue: asyncio.Queue[tuple[float, Command]] = asyncio.Queue()
        # A task that ends by itself leaves commands unanswered: then nothing new may be risked.
        self._tasks = Tasks(f"{source.venue} on paper:", self._counters, lambda why: self._status(False, why))
        self._commands: PaperCommands | None = None
        self._sink: Sink = self._tasks.unheard
        self._public_up = False
        self._private_up = False

    # -- life ------------------------------------------------------------------------------

    async def check(self, symbols: Sequence[str]) -> None:
        """What the source has to say; see ``exchanges.interface``."""
        await self._source.check(symbols)

    async def connect(self, symbols: Sequence[str], sink: Sink) -> None:
        """Connect the source; the private stream is up once its instruments are known. See ``exchanges.interface``."""
        self._sink = sink
        self._commands = PaperCommands(self._books, lambda: self._public_up, self._changed, sink, self._counters)
        self._tasks.keep("commands", self._work(self._commands))
        self._tasks.keep("accruals", self._accruals.run())
        await self._source.connect(symbols, self._take)

    async def close(self) -> None:
        """Carry out what was submitted, close the source and write the books."""
        if self._commands is not None:
            try:
                async with asyncio.timeout(self.settings.latency_s + _DRAIN_S):
                    await self._queue.join()
            except TimeoutError:
                logger.error("%d commands on paper were not carried out before the end", self._queue.qsize())
        await self._tasks.end()
        await self._source.close()
        self._status(False, "closed")
        self._books.close()

    def submit(self, command: Command) -> None:
        """Start a command: it reaches the engine after the latency, in the order of submission."""
        if self._commands is None:
            raise RuntimeError("expected connect() before submit(): there is no engine and no sink yet")
        self._counters["commands"] += 1
        self._queue.put_nowait((time.monotonic() + self.settings.latency_s, command))

    async def _work(self, commands: PaperCommands) -> None:
        while True:
            due, command = await self._queue.get()
            try:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await commands.run(command)
            finally:
                self._queue.task_done()

    # -- the source ------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        """What the source says: prices move our market, the rest passes, its account is nobody's here."""
        if isinstance(message, MarketData):
            changes = self._books.take(message)
            self._sink(message)
            self._changed(changes)
        elif isinstance(message, InstrumentsReport):
            self._list(message)
        elif isinstance(message, StreamStatus):
            self._heard(message)
        elif isinstance(message, _PRIVATE):
            self._counters["private_dropped"] += 1
            logger.error("%s sent a %s on paper, where it has no account", self.venue, type(message).__name__)
        else:
            self._sink(message)

    def _list(self, report: InstrumentsReport) -> None:
        try:
            self._books.list(report.instruments)
        except SetupError as error:
            logger.error("%s on paper: %s", self.venue, error)
            self._status(False, str(error))
            return
        self._sink(report)
        self._status(True, "")

    def _heard(self, status: StreamStatus) -> None:
        if status.stream == "private":
            self._counters["private_dropped"] += 1
            return
        self._public_up = status.up
        if not status.up:
            self._books.forget()
        self._sink(status)

    def _status(self, up: bool, reason: str) -> None:
        """Say whether the account can be spoken to, when that changes or fails."""
        if up and self._private_up:
            return
        self._private_up = up
        self._sink(StreamStatus("private", up, reason))

    # -- the account -----------------------------------------------------------------------

    def _changed(self, changes: Changes) -> None:
        """Report what a command, the market or the venue's own events changed."""
        if not changes:
            return
        for execution in changes.executions:
            self._counters["fills"] += 1
            self._sink(FillReport(execution.fill))
        for record in changes.orders:
            self._sink(OrderReport(record.order()))
        for payment in changes.fundings:
            self._sink(report_of(payment, self._books.currency))
        self._sink(BalanceReport(self._books.balances()))

    # -- what the source does as it is -----------------------------------------------------

    def pause(self, paused: bool) -> None:
        """Stop or go on reading public data."""
        self._source.pause(paused)

    async def bars(self, symbol: str, interval_ns: int, start_ns: int, end_ns: int) -> list[Bar]:
        """History of closed bars, from the venue."""
        return await self._source.bars(symbol, interval_ns, start_ns, end_ns)

    async def trades(self, symbol: str, limit: int) -> list[Trade]:
        """The most recent public trades, from the venue."""
        return await self._source.trades(symbol, limit)

    def stats(self) -> dict[str, float]:
        """The source's counters, and our own after ``paper_``."""
        own = {f"paper_{name}": float(count) for name, count in self._counters.items()}
        return dict(sorted((self._source.stats() | own).items()))
