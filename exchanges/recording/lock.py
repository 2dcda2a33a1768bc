"""One at a time, across processes; the operating system frees the lock when its holder ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DOWNLOAD = ".download.lock"
"""Held in a venue's folder by whoever writes its history: a download or an import."""


@contextmanager
def only_one(path: Path) -> Iterator[bool]:
    """Hold the lock file at ``path`` during the block; gives False at once where another holds it."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
