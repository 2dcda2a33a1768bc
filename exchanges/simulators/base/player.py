"""Plays a feed into the venue and out to its subscribers, at its own or at recorded pace."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator

from exchanges.simulators.base.publisher import MOST_TRADES, Publisher
from exchanges.simulators.base.streams import Streams
from exchanges.simulators.base.venue import Venue
from exchanges.simulators.feeds.generator import Generator
from exchanges.simulators.feeds.replay import Replay
from exchanges.simulators.feeds.row import SYMBOL, TS, Row
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
    slow it is. Its symbols are in step: what was traded in one second (or one bar) is matched
    and sent before the next begins. Two venues are in step with each other when their settings
    name the same ``start_ns``: one that had to wait then catches up.
    """

    def __init__(self, venue: Venue, streams: Streams, publisher: Publisher) -> None:
        self._venue, self._streams, self._publisher = venue, streams, publisher
        self.waiting_for = ""
        self.failure = ""
        self.reached_ns = 0
        """How far the recording has come, in its own time: to its last trade that was sent."""
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
        played = replay.trades()
        first = next(played, None)
        rows = self._rest(itertools.chain([first] if first is not None else [], played), dict(progress.trades))
        try:
            async for chunk in self._paced(rows, first[TS] if first is not None else 0):
                for step in _steps(chunk, replay.step_ns()):
                    for key in dict.fromkeys(row[SYMBOL] for row in step):
                        await self._subscribed(key)
                    await self._hand_out(self._apply(step), progress)
                    self.reached_ns = step[-1][TS]
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

    async def _paced(self, rows: Iterator[Row], first_ns: int) -> AsyncIterator[list[Row]]:
        """The rows as they become due. With a ``start_ns`` the clock runs whether somebody watches or not."""
        settings = self._venue.settings
        speed = settings.speed
        if speed == "max":
            while chunk := list(itertools.islice(rows, CHUNK_ROWS)):
                yield chunk
                await asyncio.sleep(0)
            return
        ahead = next(rows, None)
        if ahead is None:
            return
        await self._subscribed(ahead[SYMBOL])
        recorded, started = ahead[TS], time.time_ns()
        if settings.start_ns is not None:
            recorded, started = settings.epoch_ns or first_ns, settings.start_ns
        while ahead is not None:
            due = recorded + int((time.time_ns() - started) * speed)
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
        for key, part in self._apply(rows).items():
            await self._publisher.trades(key, part, wait=False)

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
        """Out symbol by symbol; what the subscribers' sockets have taken is noted as played."""
        for key, rows in by_symbol.items():
            await self._publisher.trades(key, rows, wait=True)
        await self._publisher.flushed(by_symbol)
        for key, rows in by_symbol.items():
            progress.trades[key] = progress.trades.get(key, 0) + len(rows)
        self._venue.save_market()

    async def _subscribed(self, key: str) -> None:
        """Wait for someone to watch the symbol, and for them to have subscribed to all they want."""
        while not self._streams.watchers(key):
            self.waiting_for = key
            self._streams.changed.clear()
            await self._streams.changed.wait()
        self.waiting_for = ""
        while (seconds := self._streams.settled(key)) > 0:
            await asyncio.sleep(seconds)


def _steps(rows: list[Row], step_ns: int) -> Iterator[list[Row]]:
    """The rows in parts of the same ``step_ns`` of recorded time, none longer than a message."""
    part: list[Row] = []
    for row in rows:
        if part and (row[TS] // step_ns != part[0][TS] // step_ns or len(part) >= MOST_TRADES):
            yield part
            part = []
        part.append(row)
    if part:
        yield part
