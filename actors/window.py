"""Dicts that remember only the latest.

A plain dict finds its oldest key by looking past every key that was ever removed before it, thousands in a window that
has been full for long. A dict that is to be one for long is therefore made a ``window``, which finds it at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TypeVar

V = TypeVar("V")


def window(entries: Mapping[str, V]) -> dict[str, V]:
    """``entries`` as a dict that is quick to forget its oldest; encoded as any other."""
    return OrderedDict(entries)


def remember(kept: dict[str, V], key: str, value: V, limit: int) -> None:
    """Add to, or renew in, a dict that forgets its oldest keys beyond ``limit``."""
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > limit:
        del kept[next(iter(kept))]
