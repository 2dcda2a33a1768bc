"""Dicts that remember only the latest.

A plain dict finds its oldest key by looking past every key that was ever removed before it, thousands in a window that
has been full for long. A dict that is to be one for long is therefore made a ``window``, which finds it at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import TypeVar

K = TypeVar("K", str, int)
V = TypeVar("V")


def window(entries: Mapping[K, V] | Iterable[tuple[K, V]] = ()) -> dict[K, V]:
    """``entries`` as a dict that is quick to forget its oldest; encoded as any other."""
    return OrderedDict(entries)


def open_windows(state: object, *names: str) -> None:
    """Make a window of each of these dicts of ``state``."""
    for name in names:
        setattr(state, name, window(getattr(state, name)))


def remember(kept: dict[K, V], key: K, value: V, limit: int) -> None:
    """Add to, or renew in, a window that forgets its oldest keys beyond ``limit``."""
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > limit:
        forget_oldest(kept)


def oldest(kept: dict[K, V]) -> tuple[K, V]:
    """The oldest entry of a window that has any."""
    key = next(iter(kept))
    return key, kept[key]


def forget_oldest(kept: dict[K, V]) -> tuple[K, V]:
    """Take the oldest entry out of a window that has any; returns it."""
    key, value = oldest(kept)
    del kept[key]
    return key, value
