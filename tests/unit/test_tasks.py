"""The tasks of a connection, and ending tasks for certain."""

from __future__ import annotations

import asyncio
from collections import Counter

from exchanges.tasks import Tasks, end


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


def test_a_connection_waits_for_its_calls_ends_what_is_late_and_tells_what_failed() -> None:
    done: list[str] = []
    told: list[str] = []
    counters: Counter[str] = Counter()

    async def call(name: str, takes_s: float) -> None:
        await asyncio.sleep(takes_s)
        done.append(name)

    async def failing() -> None:
        raise RuntimeError("on its own")

    async def run() -> None:
        tasks = Tasks("somewhere", counters, told.append)
        tasks.keep("keeper", call("keeper", 60))
        tasks.keep("broken", failing())
        tasks.call("soon", call("soon", 0.01))
        tasks.call("late", call("late", 60))
        await asyncio.sleep(0)
        await asyncio.wait_for(tasks.end(), 10)
        await asyncio.wait_for(tasks.settle(0.2), 10)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        tasks.unheard("a message")

    asyncio.run(run())
    assert done == ["soon"]
    assert told == ["somewhere broken failed: RuntimeError('on its own')"]
    assert counters == {"tasks_failed": 1, "messages_unheard": 1}
