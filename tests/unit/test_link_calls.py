"""How often a link by calls asks: for what is not acknowledged soon and again, else only whether the peer is there."""

from __future__ import annotations

import asyncio

from runtime.links.frames import Frame, Origin
from runtime.links.ray import RayWire
from runtime.links.wire import Wire


class Owner:
    """Waits for acknowledgements, or for none."""

    def __init__(self, expecting: bool) -> None:
        self.expecting = expecting
        self.errors: list[Exception | None] = []

    def opened(self, wire: Wire) -> None:
        raise AssertionError("expected a wire that calls, found one that was opened")

    def received(self, wire: Wire, frame: Frame) -> None:
        raise AssertionError(f"expected no frame in an empty answer, found {frame}")

    def writable(self, wire: Wire) -> None:
        """Nothing waits."""

    def lost(self, wire: Wire, error: Exception | None) -> None:
        self.errors.append(error)


async def calls(owner: Owner, wanted: int, most_s: float) -> int:
    """How many calls one write leads to, until there are as many as wanted or the time is over."""
    enough = asyncio.Event()
    made = 0

    async def call(data: bytes) -> bytes:
        nonlocal made
        made += 1
        if made >= wanted:
            enough.set()
        return b""

    wire = RayWire(call, owner, Origin("risk", 1), keepalive_s=60.0)
    wire.write(b"")
    try:
        await asyncio.wait_for(enough.wait(), most_s)
    except TimeoutError:
        assert made < wanted
    wire.close()
    return made


def test_nothing_is_asked_for_where_everything_is_acknowledged() -> None:
    owner = Owner(expecting=False)
    assert asyncio.run(calls(owner, 2, 0.1)) == 1
    assert owner.errors == []


def test_what_is_not_acknowledged_is_asked_for_again_and_again() -> None:
    owner = Owner(expecting=True)
    assert asyncio.run(calls(owner, 5, 30.0)) == 5
    assert owner.errors == []
