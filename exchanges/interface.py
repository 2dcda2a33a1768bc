"""The one interface every venue's adapter offers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from exchanges.model.market import Bar, Trade
from exchanges.model.venue import Command
from runtime.message import Message

Sink = Callable[[Message], None]
"""Takes reports and market data; called on the event loop's thread."""


class Capabilities(msgspec.Struct, frozen=True):
    """What a venue can do; what it lacks is declared here, not found out by an exception."""

    amend: bool
    cancel_all: bool
    post_only: bool
    reduce_only: bool
    fill_or_kill: bool
    short: bool
    stops: bool = False
    """Whether orders of some instruments may wait there for a price; each says how (``Instrument.stops``)."""


class Exchange(Protocol):
    """One venue connection. Market data and reports go to the sink, in the order they came.

    ``epoch`` and ``seq`` of market data are left 0 by the adapter; the connection's brain
    numbers them.
    """

    venue: str
    capabilities: Capabilities

    async def check(self, symbols: Sequence[str]) -> None:
        """Ask the venue whether it lists ``symbols`` and takes the key, before anything is begun. Nothing is reported.

        A venue that can't be reached is no error here: ``connect`` deals with that.

        Raises:
            SetupError: something has to be mended: symbol, key, account. ``AccessError.failure`` is the venue's answer
                to a key that it does not take.
        """

    async def connect(self, symbols: Sequence[str], sink: Sink) -> None:
        """Load instruments, open the streams and report ``InstrumentsReport`` and ``StreamStatus``.

        Returns once the first attempt has been started; failures are reported as
        ``StreamStatus`` and retried with backoff until ``close``.
        """

    def submit(self, command: Command) -> None:
        """Start a command; never blocks and never raises. The answer goes to the sink."""

    def pause(self, paused: bool) -> None:
        """Stop or go on reading public data (the receiver is full); private data goes on."""

    async def bars(self, symbol: str, interval_ns: int, start_ns: int, end_ns: int) -> list[Bar]:
        """History of closed bars in ``[start_ns, end_ns)``, oldest first."""

    async def trades(self, symbol: str, limit: int) -> list[Trade]:
        """The most recent public trades, oldest first."""

    async def close(self) -> None:
        """Close the streams and wait for calls in flight."""

    def stats(self) -> dict[str, float]:
        """Counters: calls, failures, reconnects, bytes, by name."""
