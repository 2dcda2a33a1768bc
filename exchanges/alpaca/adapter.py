"""The exchange interface over Alpaca's official SDK."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from exchanges.alpaca import wire
from exchanges.alpaca.commands import Commands
from exchanges.alpaca.history import History
from exchanges.alpaca.lineage import Lineage
from exchanges.alpaca.lookup import Lookup
from exchanges.alpaca.market import Market
from exchanges.alpaca.reporter import Reporter
from exchanges.alpaca.resolver import Resolver
from exchanges.alpaca.rest import ACCOUNT, Rest
from exchanges.alpaca.settings import AlpacaSettings
from exchanges.alpaca.streams import AlpacaStream, PrivateStream, PublicStream
from exchanges.alpaca.values import VENUE, WireError, native
from exchanges.failures import VenueError
from exchanges.interface import Capabilities, Sink
from exchanges.model.market import Bar, Trade
from exchanges.model.venue import Command, OrderReport
from exchanges.modes import Mode, ModeError
from exchanges.streams import AccessError, StreamError, before_the_start, refusal
from exchanges.tasks import Tasks
from runtime.message import Message

logger = logging.getLogger(__name__)


class AlpacaExchange:
    """One connection to an Alpaca account. All methods belong to one event loop.

    Reduce-only is not the venue's: it is checked against the position before the order leaves, and
    refused if it would open or turn one. Fill-or-kill holds for equities alone, short for what the
    venue lends.
    """

    venue = VENUE
    capabilities = Capabilities(
        amend=True, cancel_all=True, post_only=False, reduce_only=False, fill_or_kill=True, short=True
    )

    def __init__(self, settings: AlpacaSettings) -> None:
        self.settings = settings
        self._counters: Counter[str] = Counter()
        self._rest = Rest(settings)
        self._history = History(settings, self._rest)
        self._tasks = Tasks(VENUE, self._counters)
        self._sink: Sink = self._tasks.unheard
        self._commands: Commands | None = None
        self._resolver: Resolver | None = None
        self._streams: list[AlpacaStream] = []

    # -- life ------------------------------------------------------------------------------

    async def check(self, symbols: Sequence[str]) -> None:
        """See ``exchanges.interface``. The venue tells no key that may only look from one that may trade."""
        with before_the_start(VENUE):
            await Market(self.settings, self._rest, symbols, _unheard, self._counters).load()
            if self.settings.mode is not Mode.PAPER:
                account = await self._check_account()
                if account.blocked or account.status != "ACTIVE":
                    raise AccessError(
                        f"expected an account that may trade, found status {account.status} and "
                        f"blocked={account.blocked}; the venue's dashboard says why"
                    )

    async def connect(self, symbols: Sequence[str], sink: Sink) -> None:
        """Start the streams of ``symbols`` (``alpaca:AAPL``, ``alpaca:BTC/USD``); see ``exchanges.interface``.

        In mode ``paper`` there is no private stream: orders are matched on this side.

        Raises:
            WireError: a symbol is not one of this venue.
        """
        natives = [native(symbol) for symbol in symbols]
        settings, counters = self.settings, self._counters
        self._sink = sink
        lineage = Lineage(counters)
        lookup = Lookup(self._rest, lineage)
        market = Market(settings, self._rest, symbols, sink, counters)
        resolver = self._resolver = Resolver(lookup, settings.crypto_taker_fee, sink, counters)
        self._commands = Commands(settings, self._rest, lookup, sink, counters, market.session)
        reporter = Reporter(lineage, settings.crypto_taker_fee, resolver.resolve, counters)
        self._streams = [PublicStream(settings, natives, sink, counters, market.load)]
        if settings.mode is not Mode.PAPER:
            self._streams.append(PrivateStream(settings, self._private_sink, counters, self._ready, reporter))
        for stream in self._streams:
            self._tasks.keep(f"{stream.name} stream", stream.run())
        self._tasks.keep("hours", market.watch())

    async def close(self) -> None:
        """Close the streams and wait for calls in flight."""
        await self._tasks.end()
        if self._resolver is not None:
            await self._resolver.close()
        await self._tasks.settle(2 * self.settings.request_timeout_s)
        for stream in self._streams:
            await stream.closed()
        await self._rest.close()

    def submit(self, command: Command) -> None:
        """Start a command; the answer goes to the sink."""
        if self._commands is None:
            raise RuntimeError("expected connect() before submit(): nothing takes the answer yet")
        self._tasks.call(type(command).__name__, self._commands.run(command))

    def pause(self, paused: bool) -> None:
        """Stop or go on reading public data; private data goes on."""
        for stream in self._streams:
            if stream.name == "public":
                stream.pause(paused)

    def stats(self) -> dict[str, float]:
        """Counters by name: the streams' and reports' own, and the resilience stack's."""
        counters = Counter(self._counters)
        for stream in self._streams:
            counters[f"bytes_{stream.name}"] += stream.received
        made: dict[str, float] = {**self._rest.stack.stats(), **dict(sorted(counters.items()))}
        return {name: float(value) for name, value in made.items()}

    # -- history ---------------------------------------------------------------------------

    async def bars(self, symbol: str, interval_ns: int, start_ns: int, end_ns: int) -> list[Bar]:
        """See ``exchanges.interface`` and ``History.bars``."""
        return await self._history.bars(symbol, interval_ns, start_ns, end_ns)

    async def trades(self, symbol: str, limit: int) -> list[Trade]:
        """See ``exchanges.interface`` and ``History.trades``."""
        return await self._history.trades(symbol, limit)

    async def trades_between(self, symbol: str, start_ns: int, end_ns: int) -> list[Trade]:
        """All trades in ``[start_ns, end_ns)``, oldest first."""
        return await self._history.trades_between(symbol, start_ns, end_ns)

    # -- parts -----------------------------------------------------------------------------

    def _private_sink(self, message: Message) -> None:
        """What the account holds has changed with each order: it is asked for anew."""
        if isinstance(message, OrderReport):
            self._rest.stack.forget(ACCOUNT)
        self._sink(message)

    async def _ready(self) -> None:
        """Before the first private connection, and again with each: the key, and whether the account may trade."""
        account = await self._check_account()
        if account.blocked or account.status != "ACTIVE":
            self._counters["account_not_active"] += 1
            logger.warning(
                "the account's status is %s, blocked: %s; the venue will refuse orders", account.status, account.blocked
            )

    async def _check_account(self) -> wire.Account:
        """The account of the key.

        Raises:
            StreamError: it can't be had; an ``AccessError`` where the key is not of this mode's account.
        """
        self._rest.stack.forget(ACCOUNT)
        try:
            account = wire.account(await self._rest.get(ACCOUNT, "/account"))
            self._rest.gate.confirm(account.number)
        except VenueError as error:
            raise refusal(f"key check: {error.failure.kind.value}", error) from error
        except ModeError as error:
            raise AccessError(f"key check: {error}") from error
        except WireError as error:
            raise StreamError(f"key check: {error}") from error
        return account


def _unheard(message: object) -> None:
    """Takes what a look before the start would report."""
