"""Dicts that remember only the latest."""

from __future__ import annotations

from typing import TypeVar

V = TypeVar("V")


def remember(window: dict[str, V], key: str, value: V, limit: int) -> None:
    """Add to, or renew in, a dict that forgets its oldest keys beyond ``limit``."""
    window.pop(key, None)
    window[key] = value
    while len(window) > limit:
        del window[next(iter(window))]
