"""What tests of any exchange connection do: wait for what it reports, and ask it something."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from exchanges.interface import Exchange
from exchanges.model.venue import Command, CommandResult, FetchState, VenueState
from runtime.message import Message

DEADLINE_S = 60.0
"""Seconds that a loaded machine may take for what needs a fraction of one."""

M = TypeVar("M", bound=Message)


class TradingDesk:
    """A connection and everything it has reported, in its order."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.got: list[Message] = []

    def of(self, kind: type[M]) -> list[M]:
        return [message for message in self.got if isinstance(message, kind)]

    async def until(self, fits: Callable[[], object], what: str, seconds: float = DEADLINE_S) -> None:
        end = time.monotonic() + seconds
        while not fits():
            if time.monotonic() > end:
                raise AssertionError(f"waited {seconds:g} s for {what}; the last messages were {self.got[-6:]}")
            await asyncio.sleep(0.005)

    async def ask(self, command: Command) -> CommandResult:
        """The answer to a command."""
        before = len(self.of(CommandResult))
        self.exchange.submit(command)
        await self.until(lambda: len(self.of(CommandResult)) > before, f"the result of {command}")
        return self.of(CommandResult)[-1]

    async def state(self, since_ns: int = 0) -> VenueState:
        """The venue's state, asked for now."""
        before = len(self.of(VenueState))
        self.exchange.submit(FetchState(since_ns))
        await self.until(lambda: len(self.of(VenueState)) > before, "the venue's state")
        return self.of(VenueState)[-1]
