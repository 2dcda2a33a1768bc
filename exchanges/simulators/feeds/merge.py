"""Rows of many files in time order, each file opened when its first row is due."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from exchanges.simulators.feeds.row import TS, Row


class Stream(NamedTuple):
    """Rows in time order, none earlier than ``first_ns``; nothing happens before the first is asked for."""

    first_ns: int
    rows: Iterator[Row]


def in_time_order(streams: Sequence[Stream]) -> Iterator[Row]:
    """All rows of ``streams``; those of one time in the order of the streams.

    A recording of months has more files than a process may have open: only those are that overlap.
    """
    waiting = deque(sorted(enumerate(streams), key=lambda numbered: numbered[1].first_ns))
    begun: list[tuple[int, int, Row, Iterator[Row]]] = []
    while begun or waiting:
        due_ns = begun[0][0] if begun else waiting[0][1].first_ns
        while waiting and waiting[0][1].first_ns <= due_ns:
            number, (_, rows) = waiting.popleft()
            first = next(rows, None)
            if first is not None:
                heapq.heappush(begun, (first[TS], number, first, rows))
        if begun:
            _, number, row, rows = begun[0]
            yield row
            following = next(rows, None)
            if following is None:
                heapq.heappop(begun)
            else:
                heapq.heapreplace(begun, (following[TS], number, following, rows))
