"""Bounded threads for blocking SDK calls: a crowd of questions holds up no order, hanging orders no cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class CallTimeout(TimeoutError):
    """The stack's patience with a call was over; an SDK's own timeout is another thing."""


class Pool:
    """Some threads, and as many asyncio calls at most."""

    def __init__(self, name: str, threads: int) -> None:
        self.threads = threads
        self._name = name
        self._executor: ThreadPoolExecutor | None = None
        self._free = asyncio.Semaphore(threads)
        self._flying: set[asyncio.Future[Any]] = set()

    @property
    def flying(self) -> int:
        """Calls under way, those included nobody waits for any more."""
        return len(self._flying)

    async def enter(self, timeout_s: float) -> bool:
        """Wait for a free place; whether there was one in time. ``leave`` or ``blocking`` gives it back."""
        if not self._free.locked():
            await self._free.acquire()
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._free.acquire()
        except TimeoutError:
            return False
        return True

    def leave(self) -> None:
        """Give a place back."""
        self._free.release()

    async def blocking(self, work: Callable[[], T], timeout_s: float) -> T:
        """Run ``work`` on a thread, in the place entered before; the place is free when the thread is.

        Raises:
            CallTimeout: there was no answer in time; the thread goes on until its own end.
        """
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self.threads, thread_name_prefix=self._name)
        try:
            future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        except BaseException:
            self.leave()
            raise
        self._flying.add(future)
        future.add_done_callback(self._ended)
        done, _ = await asyncio.wait((future,), timeout=timeout_s)
        if not done:
            raise CallTimeout
        return future.result()

    async def waiting(self, work: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        """Await ``work()``, in the place entered before; it is cancelled when its time is over."""
        try:
            async with asyncio.timeout(timeout_s) as limit:
                return await work()
        except TimeoutError as error:
            if limit.expired():
                raise CallTimeout from error
            raise
        finally:
            self.leave()

    def _ended(self, future: asyncio.Future[Any]) -> None:
        """A thread is free again; an error nobody waits for any more has been answered by the timeout."""
        self._flying.discard(future)
        self.leave()
        if not future.cancelled():
            future.exception()

    async def close(self, timeout_s: float) -> None:
        """Wait for the calls under way, but not for ever."""
        if self._flying:
            await asyncio.wait(set(self._flying), timeout=timeout_s)
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)


def make_pools(venue: str, threads: Mapping[str, int]) -> dict[str, Pool]:
    """The pools of one venue, by name."""
    return {name: Pool(f"{venue}-{name}", count) for name, count in threads.items()}
