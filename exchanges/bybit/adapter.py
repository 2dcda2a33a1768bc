"""The exchange interface over Bybit's official SDK."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from decimal import Decimal
from typing import Any

from exchanges.bybit import wire
from exchanges.bybit.commands import Commands
from exchanges.bybit.failures import classify
from exchanges.bybit.rest import RestClient
from exchanges.bybit.settings import INTERVALS, VENUE, BybitSettings
from exchanges.bybit.streams import Stream, StreamError, public_topics
from exchanges.interface import Capabilities, Sink
from exchanges.model.instrument import Instrument
from exchanges.model.market import Bar, Trade
from exchanges.model.venue import Command, InstrumentsReport

logger = logging.getLogger(__name__)

PRIVATE_TOPICS = ["order", "execution", "position", "wallet"]
_PAGE = 1000
_DEFAULT_FEES = (Decimal("0.0002"), Decimal("0.00055"))


class BybitExchange:
    """One connection to Bybit's linear perpetuals. All methods belong to one event loop."""

    venue = VENUE
    capabilities = Capabilities(
        amend=True, cancel_all=True, post_only=True, reduce_only=True, fill_or_kill=True, short=True
    )

    def __init__(self, settings: BybitSettings) -> None:
        self.settings = settings
        self._counters: Counter[str] = Counter()
        self._rest: RestClient | None = None
        self._commands: Commands | None = None
        self._streams: dict[str, Stream] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._symbols: tuple[str, ...] = ()
        self._sink: Sink = _nowhere
        self._loaded = asyncio.Event()

    # -- life ------------------------------------------------------------------------------

    async def connect(self, symbols: Sequence[str], sink: Sink) -> None:
        """Start the streams of ``symbols`` (``bybit:BTCUSDT``); see ``exchanges.interface``.

        Raises:
            WireError: a symbol is not one of this venue.
        """
        natives = [wire.native(symbol) for symbol in symbols]
        self._symbols, self._sink = tuple(symbols), sink
        self._rest = RestClient(self.settings, self._counters)
        self._commands = Commands(self.settings, self._rest, sink, self._counters)
        topics = public_topics(self.settings, natives)
        public = Stream("public", self.settings, topics, sink, self._counters, self._load)
        private = Stream("private", self.settings, PRIVATE_TOPICS, sink, self._counters, self._check_key)
        self._streams = {"public": public, "private": private}
        self._tasks = [self._spawn(f"{stream.name} stream", stream.run()) for stream in self._streams.values()]

    async def close(self) -> None:
        """Close the streams and wait for calls in flight."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._calls:
            await asyncio.wait(self._calls, timeout=self.settings.request_timeout_s)
        for stream in self._streams.values():
            await stream.closed()
        if self._rest is not None:
            self._rest.close()

    def stats(self) -> dict[str, float]:
        """Counters by name: calls, failures, outcomes, messages, bytes, reconnects."""
        counters = Counter(self._counters)
        for stream in self._streams.values():
            counters[f"bytes_{stream.name}"] += stream.bytes
        return {name: float(count) for name, count in sorted(counters.items())}

    def pause(self, paused: bool) -> None:
        """Stop or go on reading public data; private data goes on."""
        stream = self._streams.get("public")
        if stream is not None:
            stream.pause(paused)

    # -- commands --------------------------------------------------------------------------

    def submit(self, command: Command) -> None:
        """Start a command; the answer goes to the sink."""
        commands = self._commands
        if commands is None:
            raise RuntimeError("expected connect() before submit(): there is no session and no sink yet")
        task = self._spawn(type(command).__name__, commands.run(command))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=f"bybit {name}")
        task.add_done_callback(_report)
        return task

    # -- history ---------------------------------------------------------------------------

    async def bars(self, symbol: str, interval_ns: int, start_ns: int, end_ns: int) -> list[Bar]:
        """History of closed bars in ``[start_ns, end_ns)``, oldest first.

        Raises:
            ValueError: the venue has no candles of that length.
        """
        seconds = interval_ns // 1_000_000_000
        if seconds not in INTERVALS or interval_ns % 1_000_000_000:
            raise ValueError(f"expected an interval in seconds among {sorted(INTERVALS)}, found {interval_ns} ns")
        native, found = wire.native(symbol), {}
        end_ms = -(-end_ns // wire.MS) - 1
        while end_ms * wire.MS >= start_ns:
            rows = await self._kline(native, INTERVALS[seconds], -(-start_ns // wire.MS), end_ms)
            found.update({int(row[0]): row for row in rows})
            if len(rows) < _PAGE:
                break
            end_ms = min(int(row[0]) for row in rows) - 1
        bars = wire.kline_rows(list(found.values()), native, interval_ns, time.time_ns() // wire.MS)
        return [bar for bar in bars if start_ns <= bar.ts_ns < end_ns]

    async def _kline(self, native: str, interval: str, start_ms: int, end_ms: int) -> list[list[str]]:
        result = await self._client().query(
            lambda session: session.get_kline(
                category=self.settings.category,
                symbol=native,
                interval=interval,
                start=start_ms,
                end=end_ms,
                limit=_PAGE,
            )
        )
        rows: list[list[str]] = result["list"]
        return rows

    async def trades(self, symbol: str, limit: int) -> list[Trade]:
        """The most recent public trades (1000 at most), oldest first."""
        native = wire.native(symbol)
        result = await self._client().query(
            lambda session: session.get_public_trade_history(
                category=self.settings.category, symbol=native, limit=min(limit, _PAGE)
            )
        )
        return wire.recent_trades(result["list"], time.time_ns())

    # -- before the streams ----------------------------------------------------------------

    def _client(self) -> RestClient:
        if self._rest is None:
            self._rest = RestClient(self.settings, self._counters)
        return self._rest

    async def _load(self) -> None:
        """Fetch the instruments' rules and report them, before each public connection."""
        instruments = await self._instruments()
        missing = [symbol for symbol in self._symbols if symbol not in instruments]
        if missing:
            raise StreamError(f"expected {', '.join(missing)} among the venue's instruments, found no such symbol")
        self._sink(InstrumentsReport(tuple(instruments[symbol] for symbol in self._symbols)))

    async def _instruments(self) -> dict[str, Instrument]:
        fees = await self._fees()
        wanted, found, cursor = set(self._symbols), {}, ""
        while True:
            page = await self._instrument_page(cursor)
            for row in page["list"]:
                symbol = wire.full(row["symbol"])
                if symbol in wanted:
                    found[symbol] = wire.instrument(row, *fees.get(symbol, _DEFAULT_FEES))
            cursor = str(page.get("nextPageCursor") or "")
            if not cursor or not page["list"]:
                return found

    async def _instrument_page(self, cursor: str) -> dict[str, Any]:
        page: dict[str, Any] = await self._client().query(
            lambda session: session.get_instruments_info(
                category=self.settings.category, limit=_PAGE, cursor=cursor or None
            )
        )
        return page

    async def _fees(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Maker and taker fee by symbol; the venue's standard rates where the account's can't be had."""
        try:
            result = await self._client().query(lambda session: session.get_fee_rates(category=self.settings.category))
            return {
                wire.full(row["symbol"]): (wire.amount(row, "makerFeeRate"), wire.amount(row, "takerFeeRate"))
                for row in result["list"]
            }
        except Exception as error:
            failure = classify(error, time.time_ns())
            logger.warning("fee rates: %s %s; the standard rates are used", failure.code, failure.reason)
            self._counters["fees_assumed"] += 1
            return {}

    async def _check_key(self) -> None:
        """Refuse to open the private stream with a key that can't trade."""
        await asyncio.sleep(random.uniform(0, 0.02))
        try:
            facts = await self._client().query(lambda session: session.get_api_key_information())
        except Exception as error:
            failure = classify(error, time.time_ns())
            raise StreamError(f"key check: {failure.code} {failure.reason}") from error
        if int(facts.get("readOnly") or 0):
            raise StreamError("expected a key that may trade, found a read-only one: make a new key")


def _nowhere(message: object) -> None:
    logger.error("a message before connect(): %s", type(message).__name__)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("%s failed", task.get_name(), exc_info=task.exception())
