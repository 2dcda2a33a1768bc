"""The Ray transport: coalesced actor calls, one in flight for each peer.

Ray does not keep the order of one caller's calls to an async actor and a call costs about a
millisecond, so one call carries whatever has gathered while the last one flew, and its
answer carries the acknowledgements.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from runtime.errors import BigwheelError
from runtime.links.frames import Origin, decode, encode
from runtime.links.wire import WireOwner

log = logging.getLogger(__name__)

Call = Callable[[bytes], Awaitable[bytes]]

CALL_BYTES = 88 * 1024
"""Ray sends arguments above 100 KiB through its object store, which takes three times as long."""
_POLL_FIRST_S = 0.002
_POLL_EXPECTING_S = 0.05


def actor_call(target: Any) -> Call:
    """The call for an actor handle with a method ``link``; any other callable is used as it is."""
    method = getattr(target, "link", None)
    if method is None:
        call: Call = target
        return call

    async def call_actor(data: bytes) -> bytes:
        answer: bytes = await method.remote(data)
        return answer

    return call_actor


class RayWire:
    """The sending end of a Ray link.

    With nothing to send it asks for what is not acknowledged, ever less often; and where all is,
    once in ``keepalive_s`` whether the peer is still there.
    """

    def __init__(
        self, call: Call, owner: WireOwner, origin: Origin, *, timeout_s: float = 10.0, keepalive_s: float = 1.0
    ) -> None:
        self._call = call
        self._owner = owner
        self._origin = encode(origin)
        self._timeout_s = timeout_s
        self._keepalive_s = keepalive_s
        self._loop = asyncio.get_running_loop()
        self._flight: asyncio.Task[None] | None = None
        self._poll: asyncio.TimerHandle | None = None
        self._delay_s = _POLL_FIRST_S
        self._closed = False

    def room(self) -> int:
        """One call's worth, unless one is in flight."""
        return 0 if self._flight is not None or self._closed else CALL_BYTES

    def write(self, data: bytes) -> None:
        """Call the peer with ``data``."""
        self._delay_s = _POLL_FIRST_S
        self._launch(data)

    def close(self, *, flush: bool = False) -> None:
        """Send no more; what is in flight may still arrive."""
        self._closed = True
        if self._poll is not None:
            self._poll.cancel()
        if self._flight is not None and not flush:
            self._flight.cancel()

    def _launch(self, data: bytes = b"") -> None:
        if self._poll is not None:
            self._poll.cancel()
            self._poll = None
        if not self._closed:
            self._flight = self._loop.create_task(self._fly(self._origin + data))

    async def _fly(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._call(data)
        except Exception as error:
            self._lose(error)
            return
        self._flight = None
        if self._closed:
            return
        try:
            for frame in decode(answer) if answer else ():
                self._delay_s = _POLL_FIRST_S
                self._owner.received(self, frame)
            self._owner.writable(self)
        except Exception as error:
            if not isinstance(error, BigwheelError):
                log.exception("the host failed on an answer")
            self._lose(error)
            return
        if self._flight is None and not self._closed:
            self._poll = self._loop.call_later(self._pause(), self._launch)

    def _pause(self) -> float:
        """Seconds until it asks again."""
        if not self._owner.expecting:
            return self._keepalive_s
        delay_s = self._delay_s
        self._delay_s = min(delay_s * 2, _POLL_EXPECTING_S)
        return delay_s

    def _lose(self, error: Exception) -> None:
        self._flight = None
        if not self._closed:
            self._closed = True
            self._owner.lost(self, error)
