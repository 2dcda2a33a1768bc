"""Answers kept for a while, and one call for all who ask the same thing at the same time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, TypeVar

from cachetools import TLRUCache

from exchanges.failures import VenueError
from exchanges.resilience import refusal
from exchanges.resilience.endpoint import Endpoint
from exchanges.tasks import end

T = TypeVar("T")
_Key = tuple[str, Hashable]


class _Entry:
    """An answer with the time it is kept for."""

    __slots__ = ("ttl_s", "value")

    def __init__(self, value: Any, ttl_s: float) -> None:
        self.value, self.ttl_s = value, ttl_s


def _until(_key: _Key, entry: _Entry, now: float) -> float:
    return now + entry.ttl_s


class Cache:
    """Keeps good answers for their endpoint's ``ttl_s``; errors are shared, never kept.

    Counters: ``cache_hits``, ``cache_misses``, ``cache_coalesced``, each also by endpoint.
    """

    def __init__(self, entries: int, clock: Callable[[], float], counters: Counter[str]) -> None:
        self._kept: TLRUCache[_Key, _Entry] = TLRUCache(entries, _until, timer=clock)
        self._flying: dict[_Key, asyncio.Task[Any]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._counters = counters
        self._closed = False

    @property
    def flying(self) -> int:
        """How many shared calls are under way."""
        return len(self._tasks)

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, endpoint: Endpoint, key: Hashable, fetch: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The answer to ``key``: kept, being fetched already, or fetched now.

        A caller that is cancelled leaves the call to the others.

        Raises:
            VenueError: the call failed; each who waited for it gets an error of its own.
        """
        name = (endpoint.name, key)
        entry = self._kept.get(name)
        if entry is not None:
            self._count(endpoint, "hits")
            return entry.value  # type: ignore[no-any-return]
        if self._closed:
            raise refusal.closed()
        task = self._flying.get(name)
        if task is None:
            self._count(endpoint, "misses")
            task = asyncio.get_running_loop().create_task(self._fetch(endpoint, name, fetch))
            self._flying[name] = task
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        else:
            self._count(endpoint, "coalesced")
        return await self._share(task)

    def put(self, endpoint: Endpoint, key: Hashable, value: Any) -> None:
        """Keep an answer that came another way (the venue pushed it); it is newer than what is under way."""
        self.forget(endpoint, key)
        self._kept[endpoint.name, key] = _Entry(value, endpoint.ttl_s)

    def forget(self, endpoint: Endpoint, key: Hashable) -> None:
        """Something has changed: neither a kept answer nor one under way will do for who asks from now on."""
        self._kept.pop((endpoint.name, key), None)
        self._flying.pop((endpoint.name, key), None)

    def forget_all(self, endpoint: Endpoint) -> None:
        """The same for every key of ``endpoint``."""
        for name in [name for name in (*self._kept, *self._flying) if name[0] == endpoint.name]:
            self._kept.pop(name, None)
            self._flying.pop(name, None)

    async def close(self) -> None:
        """End what is under way; who waits for it gets ``VenueError``."""
        self._closed = True
        tasks = list(self._tasks)
        await end(tasks)
        self._kept.clear()

    # -- parts -----------------------------------------------------------------------------

    async def _fetch(self, endpoint: Endpoint, name: _Key, fetch: Callable[[], Awaitable[T]]) -> T:
        own = asyncio.current_task()
        try:
            value = await fetch()
            if self._flying.get(name) is own:
                self._kept[name] = _Entry(value, endpoint.ttl_s)
            return value
        finally:
            if self._flying.get(name) is own:
                del self._flying[name]

    @staticmethod
    async def _share(task: asyncio.Task[T]) -> T:
        try:
            return await asyncio.shield(task)
        except VenueError as error:
            raise VenueError(error.failure) from error
        except asyncio.CancelledError:
            own = asyncio.current_task()
            if task.cancelled() and not (own is not None and own.cancelling()):
                raise refusal.closed() from None
            raise

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Looked at here, so that an error whose askers have all gone isn't reported as forgotten.
            task.exception()

    def _count(self, endpoint: Endpoint, what: str) -> None:
        self._counters[f"cache_{what}"] += 1
        self._counters[f"cache_{what}_{endpoint.name}"] += 1
