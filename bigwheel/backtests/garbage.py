"""Python's collector of garbage, which finds next to nothing in a run and looks often."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_AFTER = 50_000


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Have the collector look once every 50,000 new objects.

    What a run makes by the hundred thousand, market data and rows, is in no cycle; what is goes at its end.
    """
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], _AFTER) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
