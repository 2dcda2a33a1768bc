"""The exchange interface over Kalshi's REST and WebSocket protocols.

Every quantity counts YES contracts (negative: as many NO contracts are held), every price is that
of YES in dollars. What the venue lacks is made of what it has: a market order goes as
immediate-or-cancel with a limit ``market_slippage`` beyond the best known price, a reduce-only
order that would rest goes as immediate-or-cancel, bars are made of trades.
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
from exchanges.identities import Identities
from exchanges.interface import Capabilities, Sink
from exchanges.kalshi import amounts, market, rest
from exchanges.kalshi.amounts import SECOND, WireError
from exchanges.kalshi.charges import Charges
from exchanges.kalshi.commands import Commands
from exchanges.kalshi.failures import classify
from exchanges.kalshi.market import Market, MarketState
from exchanges.kalshi.markets import Markets
from exchanges.kalshi.parser import PrivateParser, PublicParser
from exchanges.kalshi.rest import RestClient
from exchanges.kalshi.settings import PERIODS_S, VENUE, KalshiSettings
from exchanges.kalshi.signer import Signer, VenueClock
from exchanges.kalshi.streams import KalshiStream, PrivateStream, PublicStream, shake_hands
from exchanges.model.market import Bar, Trade
from exchanges.model.order import Side
from exchanges.model.venue import Command, FillReport
from exchanges.modes import Mode, ModeError
from exchanges.streams import AccessError, before_the_start, refusal
from exchanges.tasks import Tasks
from runtime.message import Message

logger = logging.getLogger(__name__)

_CANDLES = 4_000
"""Candles asked for in one call."""

_TRADES = 1_000
_NAMELESS_TRIES = 5
_NAMELESS_WAIT_S = 0.5
_GAP_OVERLAP_NS = 2 * SECOND


class KalshiExchange:
    """One connection to Kalshi's event contracts. All methods belong to one event loop."""

    venue = VENUE
    capabilities = Capabilities(
        amend=True, cancel_all=True, post_only=True, reduce_only=True, fill_or_kill=True, short=True
    )

    def __init__(self, settings: KalshiSettings) -> None:
        self.settings = settings
        self._counters: Counter[str] = Counter()
        self._clock = VenueClock()
        self._charges = Charges(settings)
        self._identities = Identities()
        self._rest: RestClient | None = None
        self._markets: Markets | None = None
        self._commands: Commands | None = None
        self._public: PublicParser | None = None
        self._streams: dict[str, KalshiStream] = {}
        self._tickers: tuple[str, ...] = ()
        self._tasks = Tasks(VENUE, self._counters)
        self._sink: Sink = self._tasks.unheard

    # -- life ------------------------------------------------------------------------------

    async def check(self, symbols: Sequence[str]) -> None:
        """See ``exchanges.interface``. The venue tells no key that may only look from one that may trade."""
        with before_the_start(VENUE):
            tickers = tuple(market.native(symbol) for symbol in symbols)
            told = (self._clock, self._charges, _unheard, self._counters, self._follow)
            _ensure_listed(await Markets(self.settings, self._client(), *told).load(tickers))
            if self.settings.mode is Mode.PAPER:
                signer = Signer(self.settings.key_id, self.settings.private_key, self._clock)
                await shake_hands(self.settings, signer)
            else:
                await self._check_key()

    async def connect(self, symbols: Sequence[str], sink: Sink) -> None:
        """Start the streams of ``symbols`` (``kalshi:KXHIGHNY-24AUG08-T85``); see ``exchanges.interface``.

        In mode ``paper`` there is no private stream: orders are matched on this side.

        Raises:
            WireError: a symbol is not one of this venue.
            KeyFormatError: key id or private key are missing or can't be read.
        """
        self._tickers = tuple(market.native(symbol) for symbol in symbols)
        self._sink = sink
        settings, counters = self.settings, self._counters
        signer = Signer(settings.key_id, settings.private_key, self._clock)
        client = self._client()
        markets = self._markets = Markets(settings, client, self._clock, self._charges, sink, counters, self._follow)
        self._commands = Commands(settings, client, self, self._identities, self._charges, sink, counters)
        self._public = PublicParser(settings, self._tickers, counters, markets.poke)
        private = PrivateParser(counters, self._identities, self._charges, self._nameless)
        told = (settings, signer)
        self._streams = {
            "public": PublicStream(self._tickers, self._public, self._missed, *told, sink, counters, self._load)
        }
        if settings.mode is not Mode.PAPER:
            self._streams["private"] = PrivateStream(private, *told, self._heard, counters, self._check_key)
        for name, stream in self._streams.items():
            self._tasks.keep(f"{name} stream", stream.run())
        self._tasks.keep("markets", markets.watch(self._tickers))

    async def close(self) -> None:
        """Close the streams and wait for calls in flight."""
        await self._tasks.end()
        await self._tasks.settle(self.settings.request_timeout_s)
        for stream in self._streams.values():
            await stream.closed()
        if self._rest is not None:
            await self._rest.close()

    def stats(self) -> dict[str, float]:
        """Counters and gauges by name: the stack's, and those of streams, commands and markets."""
        made = {name: float(count) for name, count in self._counters.items()}
        if self._rest is not None:
            made.update(self._rest.stack.stats())
        made["clock_skew_ms"] = self._clock.skew_ns / 1e6
        made["fees_worked_out"] = float(self._charges.worked_out)
        return dict(sorted(made.items()))

    def pause(self, paused: bool) -> None:
        """Stop or go on reading public data; private data goes on."""
        if "public" in self._streams:
            self._streams["public"].pause(paused)

    def submit(self, command: Command) -> None:
        """Start a command; the answer goes to the sink."""
        if self._commands is None:
            raise RuntimeError("expected connect() before submit(): without it nobody would get the answer")
        self._tasks.call(type(command).__name__, self._commands.run(command))

    # -- history ---------------------------------------------------------------------------

    async def bars(self, symbol: str, interval_ns: int, start_ns: int, end_ns: int) -> list[Bar]:
        """History of closed bars in ``[start_ns, end_ns)``, oldest first; none for an interval without a trade.

        Lengths the venue does not keep are put together from the longest it has that divides them.

        Raises:
            ValueError: no length the venue keeps divides ``interval_ns``.
            VenueError: the candles could not be had.
        """
        fitting = [length for length in PERIODS_S if interval_ns > 0 and interval_ns % (length * SECOND) == 0]
        if not fitting:
            raise ValueError(f"expected a multiple of {PERIODS_S[0]} s, found {interval_ns} ns")
        ticker, length_ns = market.native(symbol), max(fitting) * SECOND
        markets = self._known_markets()
        path = rest.path_of("series", await markets.series(ticker), "markets", ticker, "candlesticks")
        made: list[Bar] = []
        first = start_ns - start_ns % interval_ns
        while first < end_ns:
            last = min(end_ns, first + _CANDLES * length_ns)
            made.extend(await self._candles(path, ticker, length_ns, first, last))
            first = last
        now = self._clock.now_ns()
        whole = {bar.ts_ns: bar for bar in market.merged(made, interval_ns)}
        return [bar for at, bar in sorted(whole.items()) if start_ns <= at < end_ns and at + interval_ns <= now]

    async def _candles(self, path: str, ticker: str, length_ns: int, start_ns: int, end_ns: int) -> list[Bar]:
        """The candles that begin in ``[start_ns, end_ns)``; the venue asks for the times they end."""
        answer = await self._client().get(
            rest.CANDLES,
            path,
            start_ts=market.seconds_up(start_ns + length_ns),
            end_ts=market.seconds_up(end_ns + length_ns),
            period_interval=length_ns // (60 * SECOND),
        )
        recv_ns = time.time_ns()
        found = (market.candle(row, ticker, length_ns, recv_ns) for row in amounts.rows(answer, "candlesticks"))
        return [bar for bar in found if bar is not None and start_ns <= bar.ts_ns < end_ns]

    async def trades(self, symbol: str, limit: int) -> list[Trade]:
        """The most recent public trades (1000 at most), oldest first."""
        ticker = market.native(symbol)
        answer = await self._client().get(rest.TRADES, "/markets/trades", ticker=ticker, limit=min(limit, _TRADES))
        return self._rows_of_trades(amounts.rows(answer, "trades"))

    async def trades_between(self, symbol: str, start_ns: int, end_ns: int) -> list[Trade]:
        """All public trades in ``[start_ns, end_ns)``, oldest first."""
        seconds = {"min_ts": start_ns // SECOND, "max_ts": -(-end_ns // SECOND)}
        found = await self._client().pages(
            rest.TRADES, "/markets/trades", "trades", ticker=market.native(symbol), limit=_TRADES, **seconds
        )
        return [trade for trade in self._rows_of_trades(found) if start_ns <= trade.ts_ns < end_ns]

    async def _missed(self, ticker: str, since_ns: int) -> list[Trade]:
        """The public trades since ``since_ns``, and some before."""
        since = max(0, since_ns - _GAP_OVERLAP_NS) // SECOND
        found = await self._client().pages(
            rest.TRADES, "/markets/trades", "trades", ticker=ticker, limit=_TRADES, min_ts=since
        )
        return self._rows_of_trades(found)

    def _rows_of_trades(self, rows: list[dict[str, Any]]) -> list[Trade]:
        recv_ns = time.time_ns()
        return sorted((market.trade(row, recv_ns) for row in rows), key=lambda trade: trade.ts_ns)

    def _client(self) -> RestClient:
        """The REST client; without a key's signatures before ``connect``, as history is public."""
        if self._rest is None:
            signer = None
            if self.settings.key_id:
                signer = Signer(self.settings.key_id, self.settings.private_key, self._clock)
            self._rest = RestClient(self.settings, self._clock, signer)
        return self._rest

    def _known_markets(self) -> Markets:
        if self._markets is not None:
            return self._markets
        return Markets(
            self.settings, self._client(), self._clock, self._charges, self._sink, self._counters, self._follow
        )

    # -- what commands know of the markets -------------------------------------------------

    def known(self, ticker: str) -> Market | None:
        """The market's row as last seen."""
        return self._markets.known(ticker) if self._markets is not None else None

    def best(self, ticker: str, side: Side) -> Decimal | None:
        """The best price an order of ``side`` would meet, if the public stream is up and the book holds."""
        stream = self._streams.get("public")
        if self._public is None or stream is None or not stream.up or stream.paused:
            return None
        return self._public.best(ticker, side)

    # -- before the streams ----------------------------------------------------------------

    async def _load(self) -> None:
        """Fetch the markets' rules and report them: before the first public connection, and again with each."""
        _ensure_listed(await self._known_markets().load(self._tickers))

    async def _check_key(self) -> None:
        """Refuse to open the private stream with a key that the venue does not take; learn its limits."""
        client = self._client()
        try:
            await client.get(rest.BALANCE, "/portfolio/balance")
        except VenueError as error:
            raise refusal("key check", error) from error
        try:
            # The venue has taken a signature of this key: its id stands for the account.
            client.gate.confirm(self.settings.key_id)
        except ModeError as error:
            raise AccessError(str(error)) from error
        try:
            told = await client.get(rest.LIMITS, "/account/limits")
        except VenueError as error:
            self._counters["limits_assumed"] += 1
            logger.info("the account's limits could not be had (%s); those of the settings are kept to", error)
            return
        for bucket, capacity in rest.limits_of(told).items():
            client.stack.observed(bucket, limit=capacity)

    def _heard(self, message: Message) -> None:
        """What the private stream says; it makes kept answers old."""
        self._client().moved()
        self._sink(message)

    # -- what follows from events ----------------------------------------------------------

    async def _follow(self, row: Market, former: MarketState) -> bool:
        """What a market's change of state did to our orders and our position.

        A reactivated or closed market cancels resting orders by itself; a finalized one has paid.
        """
        commands = self._commands
        if commands is None or self.settings.mode is Mode.PAPER:
            return True
        logger.info("kalshi's market %s went from %s to %s", row.ticker, former.value, row.state.value)
        await commands.refresh(row.ticker)
        if row.state is not MarketState.FINALIZED:
            return True
        paid = await commands.settled(ticker=row.ticker)
        for fill in paid:
            self._counters["settlements"] += 1
            self._sink(FillReport(fill))
        if paid:
            return True
        held = await commands.positions()
        return all(position.symbol != market.full(row.ticker) for position in held)

    def _nameless(self, row: dict[str, Any]) -> None:
        self._tasks.call("fill of an unknown order", self._identified(row))

    async def _identified(self, row: dict[str, Any]) -> None:
        """Report a fill once it is known whose order it is of; if it can't be found out, a fetch will bring it."""
        commands, order_id = self._commands, str(row.get("order_id"))
        if commands is None:
            return
        ticker = amounts.text(row, "market_ticker", "ticker")
        for number in range(_NAMELESS_TRIES):
            try:
                if self._identities.client_id(order_id) is None:
                    await commands.identify(order_id, ticker)
                self._sink(FillReport(commands.fill(row)))
                return
            except (VenueError, WireError) as error:
                failure = classify(error)
                logger.warning("whose order %s is could not be found out: %s", order_id, failure.reason)
                if failure.kind is FailureKind.INVALID:
                    break
            await asyncio.sleep(_NAMELESS_WAIT_S * 2**number)
        self._counters["fills_nameless"] += 1


def _ensure_listed(missing: Sequence[str]) -> None:
    if missing:
        raise AccessError(f"expected {', '.join(missing)} among the venue's markets, found no such ticker")


def _unheard(message: object) -> None:
    """Takes what a look before the start would report."""
