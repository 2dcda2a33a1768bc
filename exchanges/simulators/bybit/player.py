"""Plays a feed into the venue and out to its subscribers, at its own or at recorded pace."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator

from exchanges.simulators.bybit.publisher import MOST_TRADES, Publisher
from exchanges.simulators.bybit.streams import Streams
from exchanges.simulators.bybit.venue import Venue
from exchanges.simulators.feeds.generator import Generator
from exchanges.simulators.feeds.replay import Replay
from exchanges.simulators.feeds.row import Row
from exchanges.simulators.store import Progress

GENERATOR_SECONDS = 0.02
REFRESH_SECONDS = 0.1
SAVE_SECONDS = 1.0
CHUNK_ROWS = 2_000
MOST_AT_ONCE = 5_000
"""Generated trades a symbol and turn: after a long sleep of the machine the rest follows in later turns."""


class Player:
    """The tasks that move the market.

    A recording waits, at its start and later, while nobody is subscribed to the symbol whose
    trade is next; ``waiting_for`` names it. So each subscriber gets each trade once, however
    slow it is.
    """

    def __init__(self, venue: Venue, streams: Streams, publisher: Publisher) -> None:
        self._venue, self._streams, self._publisher = venue, streams, publisher
        self.waiting_for = ""
        self.failure = ""
        self.trades_per_row: dict[str, int] = {}

    async def generate(self, generator: Generator) -> None:
        """Trades in wall-clock time, for ever."""
        saved = 0.0
        while True:
            await self.deliver(generator.due(time.time_ns(), MOST_AT_ONCE))
            if time.monotonic() - saved > SAVE_SECONDS:
                saved = time.monotonic()
                self._venue.save_market()
            await asyncio.sleep(GENERATOR_SECONDS)

    async def refresh(self) -> None:
        """Books, tickers and candles, for ever."""
        live = self._venue.settings.feed == "generator"
        while True:
            self._publisher.refresh()
            if live:
                self._publisher.end_candles(self._venue.now_ms())
            await asyncio.sleep(REFRESH_SECONDS)

    async def replay(self, replay: Replay) -> None:
        """The recording, from its start or from where an earlier process left it."""
        progress = self._start(replay)
        self.trades_per_row = {symbol: replay.trades_per_row(symbol) for symbol in replay.symbols}
        rows = self._rest(replay.trades(), dict(progress.trades))
        try:
            async for chunk in self._paced(rows):
                for native in dict.fromkeys(row[1] for row in chunk):
                    await self._subscribed(native)
                await self._hand_out(self._apply(chunk), progress)
        except Exception as error:
            self.failure = str(error)
            raise
        self._publisher.end_candles(1 << 62)
        progress.finished = True
        self._venue.save_market()

    def _start(self, replay: Replay) -> Progress:
        source, stored = f"{replay.path.resolve()}|{','.join(replay.symbols)}", self._venue.progress
        if not self._venue.settings.resume or stored.finished or stored.source != source:
            self._venue.progress = Progress(source=source)
        return self._venue.progress

    @staticmethod
    def _rest(rows: Iterator[Row], played: dict[str, int]) -> Iterator[Row]:
        """The rows without the first ones of each symbol that have been played before."""
        for row in rows:
            if played.get(row[1], 0) > 0:
                played[row[1]] -= 1
            else:
                yield row

    async def _paced(self, rows: Iterator[Row]) -> AsyncIterator[list[Row]]:
        speed = self._venue.settings.speed
        if speed == "max":
            while chunk := list(itertools.islice(rows, CHUNK_ROWS)):
                yield chunk
                await asyncio.sleep(0)
            return
        ahead = next(rows, None)
        if ahead is None:
            return
        await self._subscribed(ahead[1])
        recorded, started = ahead[0], time.monotonic_ns()
        while ahead is not None:
            due = recorded + int((time.monotonic_ns() - started) * speed)
            chunk = []
            while ahead is not None and ahead[0] <= due and len(chunk) < CHUNK_ROWS:
                chunk.append(ahead)
                ahead = next(rows, None)
            if chunk:
                yield chunk
            if ahead is not None and ahead[0] > due:
                await asyncio.sleep(min((ahead[0] - due) / speed / 1e9, 0.25))
            else:
                await asyncio.sleep(0)

    async def deliver(self, rows: list[Row]) -> None:
        """Trades as they happen: into the engine, then to whoever is subscribed."""
        for native, part in self._apply(rows).items():
            await self._publisher.trades(native, part, wait=False)

    def _apply(self, rows: list[Row]) -> dict[str, list[Row]]:
        """Into the engine in time order; returns the rows by symbol. A bar without volume trades one lot."""
        by_symbol: dict[str, list[Row]] = {}
        for row in rows:
            if row[3] <= 0:
                row = (*row[:3], self._venue.markets[row[1]].lot, *row[4:])
            self._venue.trade(row)
            by_symbol.setdefault(row[1], []).append(row)
        return by_symbol

    async def _hand_out(self, by_symbol: dict[str, list[Row]], progress: Progress) -> None:
        """Out symbol by symbol, noting message by message what the subscribers' sockets have taken."""
        for native, rows in by_symbol.items():
            for start in range(0, len(rows), MOST_TRADES):
                part = rows[start : start + MOST_TRADES]
                await self._subscribed(native)
                await self._publisher.trades(native, part, wait=True)
                progress.trades[native] = progress.trades.get(native, 0) + len(part)
                self._venue.save_market()

    async def _subscribed(self, native: str) -> None:
        """Wait for someone to watch the symbol, and for them to have subscribed to all they want."""
        while not self._streams.watchers(native):
            self.waiting_for = native
            self._streams.changed.clear()
            await self._streams.changed.wait()
        self.waiting_for = ""
        while (seconds := self._streams.settled(native)) > 0:
            await asyncio.sleep(seconds)
