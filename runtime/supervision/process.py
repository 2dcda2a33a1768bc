"""The operating system's view of a child: proof that it is gone.

Ray reports an actor dead before its process has ended, up to five seconds before when the
process is stopped (measured, Ray 2.60). A process descriptor names one process for ever,
unlike its number, so killing through it can never hit another.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal

import ray

_STEP_S = 0.002


class Process:
    """A child's process; on another node, or where there are no descriptors, only its number."""

    def __init__(self, pid: int, *, local: bool) -> None:
        self.pid = pid
        self._fd = -1
        self._ended = False
        if not local or not hasattr(os, "pidfd_open"):
            return
        try:
            self._fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._ended = True

    @property
    def gone(self) -> bool:
        """Whether its end is proven; always false for a process of another node."""
        if self._fd >= 0 and not self._ended:
            poll = select.poll()
            poll.register(self._fd, select.POLLIN)
            self._ended = bool(poll.poll(0))
        return self._ended

    async def kill(self, within_s: float = 2.0) -> bool:
        """Kill it and wait for its end; ``True`` when that is proven."""
        if self._fd >= 0 and not self.gone:
            signal.pidfd_send_signal(self._fd, signal.SIGKILL)  # type: ignore[attr-defined,unused-ignore]
        return await self.wait(within_s)

    async def wait(self, within_s: float) -> bool:
        """Wait for its end; ``True`` when that is proven."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + within_s
        while self._fd >= 0 and not self.gone and loop.time() < limit:
            await asyncio.sleep(_STEP_S)
        return self.gone

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            self._ended = self.gone
            os.close(self._fd)
            self._fd = -1


def whereabouts(_actor: object) -> tuple[int, str]:
    """Process and node, run inside an actor by ``__ray_call__``. Here, where little is imported with it."""
    return os.getpid(), ray.get_runtime_context().get_node_id()
