"""From the SDK's thread to the event loop: bounded, lossless, one wake-up for a burst."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable

BATCH = 512
"""Messages handled in one turn of the event loop."""


class Inlet:
    """A buffer that blocks its writer when full, so that TCP holds the venue back."""

    def __init__(self, loop: asyncio.AbstractEventLoop, take: Callable[[str, int], None], capacity: int) -> None:
        self._loop = loop
        self._take = take
        self._capacity = capacity
        self._buffer: deque[tuple[str, int]] = deque()
        self._room = threading.Condition()
        self._scheduled = False
        self._closed = False
        self._paused = False
        self.last_s = time.monotonic()
        self.blocked = False
        self.waits = 0
        self.bytes = 0

    def put(self, text: str) -> None:
        """Called on the SDK's thread; stamps the message, and waits while there is no room."""
        recv_ns = time.time_ns()
        with self._room:
            if len(self._buffer) >= self._capacity:
                self.waits += 1
                self.blocked = True
                while len(self._buffer) >= self._capacity and not self._closed:
                    self._room.wait(1.0)
                self.blocked = False
            if self._closed:
                return
            self.last_s = time.monotonic()
            self.bytes += len(text)
            self._buffer.append((text, recv_ns))
            wake = not self._scheduled and not self._paused
            self._scheduled = self._scheduled or wake
        if wake:
            self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._drain)
        except RuntimeError:
            # The loop has been closed under us: nobody is left to read.
            self.close()

    def _drain(self) -> None:
        """Hand over one batch; the rest gets its own turn, so that the loop stays responsive."""
        if self._paused or self._closed:
            self._scheduled = False
            return
        with self._room:
            buffer = self._buffer
            batch = [buffer.popleft() for _ in range(min(BATCH, len(buffer)))]
            more = self._scheduled = bool(buffer)
            self._room.notify()
        take = self._take
        for text, recv_ns in batch:
            take(text, recv_ns)
        if more:
            self._loop.call_soon(self._drain)

    def pause(self, paused: bool) -> None:
        """Stop or go on handing over; called on the loop."""
        with self._room:
            self._paused = paused
            wake = not paused and bool(self._buffer) and not self._scheduled
            self._scheduled = self._scheduled or wake
        if wake:
            self._loop.call_soon(self._drain)

    @property
    def idle_s(self) -> float:
        """Seconds since the last message; 0 while we are the ones who don't read."""
        return 0.0 if self.blocked or self._paused else time.monotonic() - self.last_s

    def close(self) -> None:
        """Let a waiting writer go; what is buffered is dropped."""
        with self._room:
            self._closed = True
            self._buffer.clear()
            self._room.notify_all()
