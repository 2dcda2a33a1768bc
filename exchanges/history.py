"""Questions about the past, answered by any venue's adapter."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from exchanges.failures import VenueError
from exchanges.interface import Sink
from exchanges.model.market import Bar
from exchanges.model.venue import FetchHistory, HistoryReport
from exchanges.tasks import end

logger = logging.getLogger(__name__)

_AT_ONCE = 4
"""Questions under way at a time: the venue's limiter has other work to let through."""

_FURTHER = 3
"""How often a span too short is extended, each time to four times what was asked for so far: minutes with a
night or a weekend between them are found, and what does not exist is not looked for without end."""


class BarSource(Protocol):
    """The part of ``exchanges.interface.Exchange`` that tells bars."""

    async def bars(self, symbol: str, interval_ns: int, start_ns: int, end_ns: int) -> list[Bar]: ...


class HistoryDesk:
    """Carries out ``FetchHistory``; each gets exactly one ``HistoryReport``. Belongs to one event loop."""

    def __init__(self, source: BarSource, sink: Sink) -> None:
        self._source, self._sink = source, sink
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, command: FetchHistory) -> None:
        """Start a command; the answer goes to the sink."""
        task = asyncio.get_running_loop().create_task(self.run(command), name=f"history of {command.symbol}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self, command: FetchHistory) -> None:
        """Carry out ``command``."""
        bars: list[Bar] = []
        reason = ""
        try:
            async with self._turns:
                bars = await self._bars(command)
        except VenueError as error:
            reason = f"{error.failure.code} {error.failure.reason}".strip()
        except Exception as error:
            # The venue's answer or its client may raise anything; whoever asked waits for a word.
            reason = f"{type(error).__name__}: {error}"
        if reason:
            logger.warning("no history of %s: %s", command.symbol, reason)
        told = (command.asker, command.symbol, command.interval_ns, tuple(bars), reason, command.mark)
        self._sink(HistoryReport(*told))

    async def _bars(self, command: FetchHistory) -> list[Bar]:
        symbol, interval_ns, count = command.symbol, command.interval_ns, command.count
        upper = command.until_ns
        found: list[Bar] = []
        span_ns = interval_ns * count
        for _ in range(_FURTHER + 1):
            lower = max(upper - span_ns, 0)
            found = [*await self._source.bars(symbol, interval_ns, lower, upper), *found]
            if len(found) >= count or not lower:
                break
            upper, span_ns = lower, span_ns * 4
        return found[-count:]

    async def close(self) -> None:
        """Give up what is under way."""
        await end(list(self._tasks))
