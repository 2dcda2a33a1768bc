"""One at a time, across processes; the operating system frees a lock when its holder ends, however it does."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Lock:
    """A file, or a folder that is there, which one process at a time holds. A file says who: its process id."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = -1

    def take(self) -> str:
        """Empty if it is ours now; else the process that holds it (``unknown`` where that is not written).

        Raises:
            OSError: it can't be opened, or made.
        """
        folder = self.path.is_dir()
        handle = os.open(self.path, os.O_RDONLY if folder else os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found = "unknown" if folder else _written(handle)
            os.close(handle)
            return found
        if not folder:
            os.truncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())
        self._handle = handle
        return ""

    def free(self) -> None:
        """Let go of it, if it is ours."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


def holder(path: Path) -> str:
    """The process that holds the lock file at ``path`` now; empty if there is none."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return ""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written(handle)
    finally:
        os.close(handle)
    return ""


def _written(handle: int) -> str:
    return os.pread(handle, 64, 0).decode("ascii", "replace").strip() or "unknown"
