"""What a host must offer to own an endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from runtime.lanes import Lane
from runtime.links.frames import Item


class Receiver(Protocol):
    """Called on the endpoint's loop; each call must be short and must not raise."""

    def arrived(self, host: str, epoch: int, lane: Lane, seq: int, item: Item) -> None:
        """An item no one has seen before; answer with ``Endpoint.handled`` when done with it."""

    def peer_up(self, cells: Sequence[str], epoch: int) -> None:
        """The link to the host of ``cells`` stands; ``epoch`` is that host's incarnation."""

    def peer_down(self, cells: Sequence[str]) -> None:
        """The link to the host of ``cells`` broke; it is being opened again."""

    def drained(self) -> None:
        """No link is congested any more, after ``send`` had answered ``False``."""

    def dead_letter(self, item: Item, reason: str) -> None:
        """``item`` will not be delivered by this endpoint."""
