"""What sessions under ``kill -9`` have taught about links."""

from __future__ import annotations

import asyncio
from pathlib import Path

import uvloop

from runtime.links import unix
from runtime.links.frames import Frame
from runtime.links.wire import Wire


class Impatient:
    """An owner that gives its attempt to connect up in the moment it succeeds."""

    def __init__(self) -> None:
        self.attempt: asyncio.Task[unix.UnixWire] | None = None
        self.had: list[Wire] = []
        self.gone: list[Wire] = []
        self.expecting = False

    def opened(self, wire: Wire) -> None:
        self.had.append(wire)
        assert self.attempt is not None
        self.attempt.cancel()

    def received(self, wire: Wire, frame: Frame) -> None:
        raise AssertionError("nothing is sent")

    def writable(self, wire: Wire) -> None:
        raise AssertionError("nothing is sent")

    def lost(self, wire: Wire, error: Exception | None) -> None:
        self.gone.append(wire)


def test_an_attempt_cancelled_as_it_connects_takes_its_connection_with_it(tmp_path: Path) -> None:
    async def story() -> None:
        server = await asyncio.get_running_loop().create_unix_server(asyncio.Protocol, str(tmp_path / "s"))
        owner = Impatient()
        owner.attempt = asyncio.ensure_future(unix.connect(str(tmp_path / "s"), owner))
        await asyncio.wait({owner.attempt})
        await asyncio.sleep(0.01)
        assert owner.attempt.cancelled()
        assert owner.had and owner.gone == owner.had
        server.close()

    uvloop.run(story())
