"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

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
