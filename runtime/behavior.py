"""What a brain is and what it may do.

A behavior is plain, synchronous and deterministic: a message in, effects out. It never
reads a clock, a socket, a file or a random source of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from runtime.lanes import Delivery
from runtime.message import Message


class Context(Protocol):
    """The only door from a behavior to the world, passed to each ``receive``."""

    @property
    def name(self) -> str:
        """The behavior's own logical name, such as ``strategy/trend/bybit:BTCUSDT``."""

    @property
    def epoch(self) -> int:
        """The incarnation: higher than any before it under the same name."""

    @property
    def now(self) -> int:
        """Nanoseconds since the Unix epoch, on the driver's clock."""

    @property
    def sender(self) -> str:
        """Who sent the message in hand (the own name for timers and lifecycle messages)."""

    def send(
        self,
        to: str,
        message: Message,
        *,
        eager: bool = False,
        delivery: Delivery = Delivery.ALL,
    ) -> None:
        """Send to a logical name, or to a port of the own host (``@venue``).

        In a behavior that journals, a send waits until everything recorded so far is
        flushed, unless it is ``eager``: allowed for requests the receiver may see twice.
        ``delivery`` matters on the ``DATA`` lane alone.
        """

    def record(
        self,
        event: Message,
        *,
        keys: Mapping[str, str],
        correlation: str = "",
        causation: int = 0,
        urgent: bool = True,
    ) -> int:
        """Append to the journal this host owns; returns the record's sequence number.

        ``keys`` are the index entries (``{"signal": id, "symbol": s}``). ``urgent=False``
        lets the record wait a few milliseconds for company before it is flushed.
        Raises ``JournalError`` in a host without a journal.
        """

    def timer(self, key: str, delay_ns: int, message: Message) -> None:
        """Deliver ``message`` to this behavior after ``delay_ns``; replaces the key's timer.

        Timers do not survive a restart: arm them again on ``Started``.
        """

    def cancel(self, key: str) -> None:
        """Forget the timer of ``key``, if there is one."""

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter shown in metrics and status."""

    def observe(self, name: str, nanoseconds: int) -> None:
        """Add a duration to the latency histogram ``name``."""


@runtime_checkable
class Behavior(Protocol):
    """One hosted brain.

    One whose snapshot leaves out what a successor can do without says what that is in an attribute
    ``forgets``: a replay that begins in the middle then does not hold it to market data and timers.
    """

    def receive(self, message: Message, ctx: Context) -> None:
        """Handle one message. An exception makes the host restore and go on without it."""

    def snapshot(self) -> bytes:
        """The whole state, from which ``restore`` makes an equal behavior."""

    def restore(self, data: bytes) -> None:
        """Take over the state of ``snapshot``; called on a fresh object, before anything else."""

    def status(self) -> dict[str, object]:
        """A few JSON-ready facts for ``bigwheel status``."""
