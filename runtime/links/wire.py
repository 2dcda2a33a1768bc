"""What a link needs from a transport, and a transport from a link."""

from __future__ import annotations

from typing import Protocol

from runtime.links.frames import Frame


class Wire(Protocol):
    """One connection attempt of one transport; never reused after it broke."""

    def room(self) -> int:
        """Bytes it takes now; 0 until ``WireOwner.writable``."""

    def write(self, data: bytes) -> None:
        """Send encoded frames."""

    def close(self, *, flush: bool = False) -> None:
        """Stop, without telling the owner; with ``flush``, after what was written has left."""


class WireOwner(Protocol):
    """Either end of a link, as its wire sees it."""

    def opened(self, wire: Wire) -> None:
        """The wire stands; called once, before any frame."""

    def received(self, wire: Wire, frame: Frame) -> None:
        """A frame came in. ``LinkError`` and ``FencedError`` end the wire."""

    def writable(self, wire: Wire) -> None:
        """There is room again."""

    def lost(self, wire: Wire, error: Exception | None) -> None:
        """The wire broke, or the other end closed it (``None``)."""

    @property
    def expecting(self) -> bool:
        """Whether acknowledgements are outstanding."""
