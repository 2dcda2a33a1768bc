"""The exchange interface over Bybit's official SDK."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence

from exchanges.bybit.account import Account
from exchanges.bybit.catalogue import Catalogue
from exchanges.bybit.commands import Commands
from exchanges.bybit.funding import funding
from exchanges.bybit.history import History
from exchanges.bybit.rest import Rest
from exchanges.bybit.settings import BybitSettings
from exchanges.bybit.streams import PRIVATE, Stream, public_topics
from exchanges.bybit.symbols import SPOT, VENUE, SymbolError, by_category, coins, full
from exchanges.failures import VenueError
from exchanges.interface import Capabilities, Sink
from exchanges.model.instrument import Instrument
from exchanges.model.market import Bar, Trade
from exchanges.model.position import Balance
from exchanges.model.venue import BalanceReport, Command, InstrumentsReport
from exchanges.modes import Mode
from exchanges.streams import AccessError, StatusGroup, StreamError, before_the_start, refusal
from exchanges.tasks import Tasks
from runtime.message import Message

logger = logging.getLogger(__name__)

PUBLIC = "public"
PRIVATE_TOPICS = ["order", "execution", "position", "wallet"]


class BybitExchange:
    """One connection to Bybit: linear perpetuals and spot. All methods belong to one event loop."""

    venue = VENUE
    capabilities = Capabilities(
        amend=True, cancel_all=True, post_only=True, reduce_only=True, fill_or_kill=True, short=True, stops=True
    )

    def __init__(self, settings: BybitSettings) -> None:
        self.settings = settings
        self._counters: Counter[str] = Counter()
        self._rest = Rest(settings)
        self._catalogue = Catalogue(self._rest, self._counters)
        self._history = History(self._rest)
        self._account = Account(self._rest, (), self._counters)
        self._commands: Commands | None = None
        self._streams: list[Stream] = []
        self._tasks = Tasks(VENUE, self._counters)
        self._symbols: tuple[str, ...] = ()
        self._bases: dict[str, str] = {}
        self._sink: Sink = self._tasks.unheard

    # -- life ------------------------------------------------------------------------------

    async def check(self, symbols: Sequence[str]) -> None:
        """See ``exchanges.interface``. In mode ``paper`` the key is of no use, and not looked at."""
        with before_the_start(VENUE):
            await self._listed(tuple(symbols))
            if self.settings.mode is not Mode.PAPER:
                await Account(self._rest, symbols, self._counters).fit()

    async def connect(self, symbols: Sequence[str], sink: Sink) -> None:
        """Start the streams of ``symbols`` (``bybit:BTCUSDT``, ``bybit:BTCUSDT.SPOT``); see ``exchanges.interface``.

        In mode ``paper`` there is no private stream: orders are matched on this side.

        Raises:
            SymbolError: a symbol is not one of this venue, or two spot pairs share their base coin.
        """
        named = by_category(symbols)
        self._symbols, self._sink = tuple(symbols), sink
        self._bases = {full(name, SPOT): coins(name)[0] for name in named.get(SPOT, ())}
        self._check_bases()
        self._account = Account(self._rest, symbols, self._counters)
        self._commands = Commands(self.settings, self._rest, self._symbols, self._bases, self._take, self._counters)
        self._streams = [*self._public(named)]
        if self.settings.mode is not Mode.PAPER:
            self._streams.append(self._stream(PRIVATE, PRIVATE, PRIVATE_TOPICS, self._take))
        for stream in self._streams:
            self._tasks.keep(f"{stream.name} stream", stream.run())
        self._tasks.keep("clock", self._keep_time())

    def _public(self, named: dict[str, list[str]]) -> list[Stream]:
        """One connection for each category; to the outside they are one stream."""
        group = StatusGroup(PUBLIC, self._take)
        names = {category: PUBLIC if len(named) == 1 else f"{PUBLIC}_{category}" for category in named}
        sinks = {category: group.sink(name) for category, name in names.items()}
        return [
            self._stream(names[category], category, public_topics(self.settings, natives, category), sinks[category])
            for category, natives in named.items()
        ]

    def _stream(self, name: str, channel: str, topics: list[str], sink: Sink) -> Stream:
        prepare = self._account.ready if channel == PRIVATE else self._load
        return Stream(name, channel, self.settings, topics, sink, self._counters, prepare, self._skew_s)

    async def close(self) -> None:
        """Close the streams and wait for calls in flight."""
        await self._tasks.end()
        await self._tasks.settle(self.settings.request_timeout_s)
        for stream in self._streams:
            await stream.closed()
        await self._rest.close()

    def stats(self) -> dict[str, float]:
        """Counters by name: those of the resilience stack, outcomes, messages, bytes, reconnects, the clock's skew."""
        counters = Counter(self._counters)
        for stream in self._streams:
            counters[f"bytes_{stream.name}"] += stream.bytes
        made = {name: float(count) for name, count in counters.items()}
        return dict(sorted((made | self._rest.stack.stats() | self._rest.skew.stats()).items()))

    def pause(self, paused: bool) -> None:
        """Stop or go on reading public data; private data goes on."""
        for stream in self._streams:
            if stream.name != PRIVATE:
                stream.pause(paused)

    # -- commands --------------------------------------------------------------------------

    def submit(self, command: Command) -> None:
        """Start a command; the answer goes to the sink."""
        commands = self._commands
        if commands is None:
            raise RuntimeError("expected connect() before submit(): there is no session and no sink yet")
        self._tasks.call(type(command).__name__, commands.run(command))

    def _take(self, message: Message) -> None:
        """What goes out; a change of the wallet makes kept balances old."""
        if isinstance(message, BalanceReport):
            self._account.changed()
        self._sink(message)

    # -- what can be asked -----------------------------------------------------------------

    async def bars(self, symbol: str, interval_ns: int, start_ns: int, end_ns: int) -> list[Bar]:
        """History of closed bars in ``[start_ns, end_ns)``, oldest first.

        Raises:
            ValueError: the venue has no candles of that length.
            VenueError: a call failed.
        """
        return await self._history.bars(symbol, interval_ns, start_ns, end_ns)

    async def trades(self, symbol: str, limit: int) -> list[Trade]:
        """The most recent public trades (1000 at most), oldest first."""
        return await self._history.trades(symbol, limit)

    async def funding(self, symbol: str, start_ns: int, end_ns: int) -> list[tuple[int, float]]:
        """Time and rate of each funding settlement in ``[start_ns, end_ns)``, oldest first."""
        return await funding(self._rest, symbol, start_ns, end_ns)

    async def instruments(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        """The rules of those of ``symbols`` that the venue lists, some minutes old at most."""
        return await self._catalogue.instruments(symbols)

    async def balances(self) -> tuple[Balance, ...]:
        """The coins of the account, a few seconds old at most. Reconciliation asks with ``FetchState`` instead."""
        return await self._account.balances()

    # -- before the streams ----------------------------------------------------------------

    async def _load(self) -> None:
        """Fetch the instruments' rules and report them: before the first public connection, and again with each."""
        instruments = await self._listed(self._symbols)
        self._bases.update({symbol: instruments[symbol].base for symbol in self._bases})
        self._check_bases()
        self._sink(InstrumentsReport(tuple(instruments[symbol] for symbol in self._symbols)))

    async def _listed(self, symbols: tuple[str, ...]) -> dict[str, Instrument]:
        try:
            instruments = await self._catalogue.instruments(symbols)
        except VenueError as error:
            raise refusal("instruments", error) from error
        missing = [symbol for symbol in symbols if symbol not in instruments]
        if missing:
            raise AccessError(f"expected {', '.join(missing)} among the venue's instruments, found no such symbol")
        return instruments

    def _check_bases(self) -> None:
        """A coin in the wallet can only be the holding of one pair."""
        for symbol, base in self._bases.items():
            others = [other for other in self._bases if other != symbol and self._bases[other] == base]
            if base and others:
                raise SymbolError(
                    f"expected one spot pair for each coin, found {symbol} and {others[0]} of {base}; drop one of them"
                )

    async def _keep_time(self) -> None:
        """Measure the clock from time to time; one that has gone wrong ends the private stream."""
        while True:
            await asyncio.sleep(self.settings.sync_every_s)
            try:
                await self._account.check_clock()
            except StreamError as error:
                logger.warning("bybit: %s", error)
                if self._rest.skew.fault(self.settings.max_skew_s):
                    self._end_private(str(error))

    def _end_private(self, reason: str) -> None:
        for stream in self._streams:
            if stream.name == PRIVATE:
                stream.end(reason, anew=True)

    def _skew_s(self) -> float:
        return self._rest.skew.offset_ns / 1e9
