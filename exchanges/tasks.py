"""The tasks of a connection, and ending tasks for certain."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

logger = logging.getLogger(__name__)

AGAIN_S = 0.2


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel ``tasks`` and wait until each has ended, however it does.

    Up to Python 3.11 ``asyncio.wait_for`` swallows a cancellation that meets the very result it waits
    for: a task that goes on is cancelled again.
    """
    wanted = list(tasks)
    pending = {task for task in wanted if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_S)
    for task in wanted:
        if not task.cancelled():
            task.exception()


class Tasks:
    """What one connection has under way: keepers that run as long as it does, and calls that end by themselves.

    One that fails is logged under its name, counted as ``tasks_failed`` and told to ``failed``, in a sentence.
    All methods belong to one event loop.
    """

    def __init__(self, venue: str, counters: Counter[str], failed: Callable[[str], None] | None = None) -> None:
        self._venue, self._counters, self._failed = venue, counters, failed
        self._keepers: list[asyncio.Task[None]] = []
        self._calls: set[asyncio.Task[None]] = set()

    def keep(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` until ``end``."""
        self._keepers.append(self._start(name, work))

    def call(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` until it ends, or until some time after the connection does."""
        task = self._start(name, work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def end(self) -> None:
        """End the keepers."""
        await end(self._keepers)
        self._keepers = []

    async def settle(self, timeout_s: float) -> None:
        """Wait for the calls in flight; those that take longer are ended."""
        if self._calls:
            _, late = await asyncio.wait(self._calls, timeout=timeout_s)
            await end(late)

    def unheard(self, message: object) -> None:
        """The sink of a connection that has none yet: what comes is logged and counted."""
        self._counters["messages_unheard"] += 1
        logger.error("a %s came from %s before connect()", type(message).__name__, self._venue)

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=f"{self._venue} {name}")
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            return
        self._counters["tasks_failed"] += 1
        logger.error("%s failed", task.get_name(), exc_info=task.exception())
        if self._failed is not None:
            self._failed(f"{task.get_name()} failed: {task.exception()!r}")
