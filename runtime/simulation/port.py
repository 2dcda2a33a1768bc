"""Simulated counterparts outside the hosts, such as a venue."""

from __future__ import annotations

from typing import Protocol

from runtime.message import Message


class Line(Protocol):
    """The connection of one incarnation of a host to a port; dead once the host has died."""

    @property
    def cell(self) -> str: ...

    @property
    def epoch(self) -> int: ...

    @property
    def alive(self) -> bool: ...

    def answer(self, message: Message) -> None:
        """Deliver to the cell now; nothing happens when its incarnation is dead."""


class Port(Protocol):
    """What a cell reaches under a name such as ``@venue``. It outlives the host's crashes."""

    def opened(self, line: Line) -> None:
        """An incarnation has started and may be talked to."""

    def received(self, line: Line, message: Message) -> None:
        """The cell sent ``message``; answer through the line, now or later."""

    def closed(self, line: Line) -> None:
        """The incarnation is gone; what it sent is on its way all the same."""
