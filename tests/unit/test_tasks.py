"""Ending tasks for certain."""

from __future__ import annotations

import asyncio

from exchanges.tasks import end


def test_a_task_that_swallows_its_first_cancellation_is_ended_all_the_same() -> None:
    async def deaf() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)

    async def failing() -> None:
        raise RuntimeError("on its own")

    async def run() -> None:
        tasks = [asyncio.create_task(deaf()), asyncio.create_task(failing())]
        await asyncio.sleep(0)
        await asyncio.wait_for(end(tasks), 10)
        assert [task.done() for task in tasks] == [True, True]

    asyncio.run(run())
