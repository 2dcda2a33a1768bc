"""The exchange interface over Hyperliquid's official SDK (REST) and a WebSocket of our own.

What the venue lacks is declared (``amend``, ``fill_or_kill``) or made of what it has (market orders, cancelling all).
Offered are the venue's own perpetuals of one account: no spot, no perpetuals deployed by others, no sub-accounts or
vaults. No real venue has been contacted: what the modules of this package say of it is marked as seen (against a local
server), source (the SDK's), documented, or uncertain.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from exchanges.failures import FailureKind, VenueError
from exchanges.fields import SECOND, WireError
from exchanges.hyperliquid.account import Account
from exchanges.hyperliquid.catalogue import Catalogue
from exchanges.hyperliquid.cloids import Cloids
from exchanges.hyperliquid.commands import Commands
from exchanges.hyperliquid.failures import classify
from exchanges.hyperliquid.history import History
from exchanges.hyperliquid.names import VENUE, native
from exchanges.hyperliquid.parser import PrivateParser, PublicParser
from exchanges.hyperliquid.rest import Rest
from exchanges.hyperliquid.settings import HyperliquidSettings
from exchanges.hyperliquid.streams import HyperliquidStream, PrivateStream, PublicStream
from exchanges.identities import Identities
from exchanges.interface import Capabilities, Sink
from exchanges.model.instrument import Instrument
from exchanges.model.market import Bar, Trade
from exchanges.model.order import Side
from exchanges.model.venue import Command, FillReport, InstrumentsReport
from exchanges.modes import Mode
from exchanges.streams import AccessError, before_the_start, refusal
from exchanges.tasks import Tasks

logger = logging.getLogger(__name__)

_NAMELESS_TRIES = 5
_NAMELESS_WAIT_S = 0.5


class HyperliquidExchange:
    """One connection to Hyperliquid's perpetuals. All methods belong to one event loop.

    Raises:
        KeyFormatError: the private key can't be read.
    """

    venue = VENUE
    capabilities = Capabilities(
        amend=False, cancel_all=True, post_only=True, reduce_only=True, fill_or_kill=False, short=True, stops=True
    )

    def __init__(self, settings: HyperliquidSettings) -> None:
        self.settings = settings
        self._counters: Counter[str] = Counter()
        self._rest = Rest(settings)
        self._catalogue = Catalogue(self._rest, self._counters)
        self._history = History(self._rest)
        self._cloids, self._identities = Cloids(), Identities()
        self._commands: Commands | None = None
        self._public: PublicParser | None = None
        self._streams: dict[str, HyperliquidStream] = {}
        self._symbols: tuple[str, ...] = ()
        self._tasks = Tasks(VENUE, self._counters)
        self._sink: Sink = self._tasks.unheard

    # -- life ------------------------------------------------------------------------------

    async def check(self, symbols: Sequence[str]) -> None:
        """See ``exchanges.interface``. In mode ``paper`` the key is of no use, and not looked at."""
        with before_the_start(VENUE):
            await self._listed(tuple(symbols))
            if self.settings.mode is not Mode.PAPER:
                coins = [native(symbol) for symbol in symbols]
                await Account(self._rest, self._catalogue, coins, self._counters).fit()

    async def connect(self, symbols: Sequence[str], sink: Sink) -> None:
        """Start the streams of ``symbols`` (``hyperliquid:BTC``); see ``exchanges.interface``.

        In mode ``paper`` there is no private stream: orders are matched on this side.

        Raises:
            WireError: a symbol is not one of this venue.
        """
        coins = [native(symbol) for symbol in symbols]
        self._symbols, self._sink = tuple(symbols), sink
        settings, counters = self.settings, self._counters
        self._commands = Commands(self._rest, self._catalogue, self, self._cloids, self._identities, sink, counters)
        self._public = PublicParser(settings, coins, counters)
        self._streams = {
            "public": PublicStream(coins, self._public, self._missed, settings, sink, counters, self._load)
        }
        if settings.mode is not Mode.PAPER:
            account = Account(self._rest, self._catalogue, coins, counters)
            private = PrivateParser(counters, self._cloids, self._identities, self._nameless)
            self._streams["private"] = PrivateStream(private, settings, sink, counters, account.ready)
        for name, stream in self._streams.items():
            self._tasks.keep(f"{name} stream", stream.run())

    async def close(self) -> None:
        """Close the streams and wait for calls in flight."""
        await self._tasks.end()
        await self._tasks.settle(self.settings.request_timeout_s)
        for stream in self._streams.values():
            await stream.closed()
        await self._rest.close()

    def stats(self) -> dict[str, float]:
        """Counters and gauges by name: the stack's, and those of streams and commands."""
        made = {name: float(count) for name, count in self._counters.items()}
        return dict(sorted((made | self._rest.stack.stats()).items()))

    def pause(self, paused: bool) -> None:
        """Stop or go on reading public data; private data goes on."""
        if "public" in self._streams:
            self._streams["public"].pause(paused)

    def submit(self, command: Command) -> None:
        """Start a command; the answer goes to the sink."""
        if self._commands is None:
            raise RuntimeError("expected connect() before submit(): without it nobody would get the answer")
        self._tasks.call(type(command).__name__, self._commands.run(command))

    # -- what can be asked -----------------------------------------------------------------

    async def bars(self, symbol: str, interval_ns: int, start_ns: int, end_ns: int) -> list[Bar]:
        """History of closed bars in ``[start_ns, end_ns)``, oldest first; the venue keeps the newest 5000.

        Raises:
            ValueError: the venue has no candles of that length.
            VenueError: a call failed.
        """
        return await self._history.bars(symbol, interval_ns, start_ns, end_ns)

    async def trades(self, symbol: str, limit: int) -> list[Trade]:
        """The most recent public trades, as many as the venue tells, oldest first."""
        return await self._history.trades(symbol, limit)

    async def funding(self, symbol: str, start_ns: int, end_ns: int) -> list[tuple[int, float]]:
        """Time and rate of each settlement in ``[start_ns, end_ns)``, oldest first."""
        return await self._history.funding(symbol, start_ns, end_ns)

    def best(self, coin: str, side: Side) -> Decimal | None:
        """The best price an order of ``side`` would meet, if the public stream is up and tells it."""
        stream = self._streams.get("public")
        if self._public is None or stream is None or not stream.up or stream.paused:
            return None
        return self._public.best(coin, side)

    # -- before and beside the streams -----------------------------------------------------

    async def _load(self) -> None:
        """Fetch the perpetuals' rules and report them: before the first public connection, and again with each."""
        self._sink(InstrumentsReport(await self._listed(self._symbols)))

    async def _listed(self, symbols: tuple[str, ...]) -> tuple[Instrument, ...]:
        """The rules of ``symbols``, all of them."""
        try:
            found = await self._catalogue.instruments(symbols)
        except VenueError as error:
            raise refusal("instruments", error) from error
        missing = [symbol for symbol in symbols if symbol not in found]
        if missing:
            raise AccessError(f"expected {', '.join(missing)} among the venue's perpetuals, found no such symbol")
        return tuple(found[symbol] for symbol in symbols)

    async def _missed(self, symbol: str, since_ns: int) -> list[Bar]:
        """The candles that have ended since ``since_ns``."""
        return await self._history.bars(symbol, self.settings.bar_interval_s * SECOND, since_ns, time.time_ns())

    def _nameless(self, row: dict[str, Any]) -> None:
        self._tasks.call("fill of an unknown order", self._identified(row))

    async def _identified(self, row: dict[str, Any]) -> None:
        """Report a fill once it is known whose order it is of; if it can't be found out, a fetch will bring it."""
        commands = self._commands
        if commands is None:
            return
        for number in range(_NAMELESS_TRIES):
            try:
                self._sink(FillReport(await commands.fill(row)))
                return
            except (VenueError, WireError) as error:
                failure = classify(error)
                logger.warning("whose order %s is could not be found out: %s", row.get("oid"), failure.reason)
                if failure.kind is FailureKind.INVALID:
                    break
            await asyncio.sleep(_NAMELESS_WAIT_S * 2**number)
        self._counters["fills_nameless"] += 1
