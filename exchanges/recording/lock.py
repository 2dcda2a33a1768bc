"""Who may write a folder of recordings: one at a time, across processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.lock import Lock

DOWNLOAD = ".download.lock"
"""Held in a venue's folder by whoever writes its history: a download or an import."""


@contextmanager
def only_one(path: Path) -> Iterator[bool]:
    """Hold the lock file at ``path`` during the block; gives False at once where another holds it."""
    lock = Lock(path)
    held = not lock.take()
    try:
        yield held
    finally:
        lock.free()
