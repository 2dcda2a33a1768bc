"""The virtual clock: a heap of calls in one total order, without threads and without waiting."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

Event = list[Any]
"""A scheduled call, ``[when, number, call, arguments]``; only ``Scheduler`` looks inside."""


class Scheduler:
    """Runs calls at their virtual time, in nanoseconds.

    Calls due at the same nanosecond run in the order in which they were scheduled, so one
    seed is one history.
    """

    __slots__ = ("_heap", "_number", "fired", "now")

    def __init__(self, start_ns: int = 0) -> None:
        self.now = start_ns
        self.fired = 0
        self._number = 0
        self._heap: list[Event] = []

    def at(self, when: int, call: Callable[..., None], *arguments: Any) -> Event:
        """Run ``call(*arguments)`` at ``when`` (at once, but later, if that has passed)."""
        number = self._number = self._number + 1
        event: Event = [when if when > self.now else self.now, number, call, arguments]
        heappush(self._heap, event)
        return event

    def after(self, delay_ns: int, call: Callable[..., None], *arguments: Any) -> Event:
        """Run ``call(*arguments)`` in ``delay_ns``."""
        number = self._number = self._number + 1
        event: Event = [self.now + delay_ns if delay_ns > 0 else self.now, number, call, arguments]
        heappush(self._heap, event)
        return event

    @staticmethod
    def cancel(event: Event | None) -> None:
        """Forget a scheduled call; one that has run already is no error."""
        if event is not None:
            event[2], event[3] = None, ()

    def empty(self, call: Callable[..., None]) -> None:
        """Let go of what ``call`` is to be given; it is still called when it is due, with ``None``."""
        for event in self._heap:
            if event[2] == call:
                event[3] = (None,) * len(event[3])

    def step(self, until_ns: int) -> bool:
        """Run the next call due by ``until_ns``; ``False`` (and the clock there) if there is none."""
        heap = self._heap
        while heap and heap[0][0] <= until_ns:
            when, _, call, arguments = heappop(heap)
            if call is None:
                continue
            self.now = when
            self.fired += 1
            call(*arguments)
            return True
        self.now = max(self.now, until_ns)
        return False

    def __len__(self) -> int:
        return len(self._heap)
