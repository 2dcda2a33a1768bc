"""Settings of a recorder."""

from __future__ import annotations

from pathlib import Path

import msgspec


class RecorderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to record to, and how much may be lost with the process or kept in memory.

    A crash loses at most what is not on the disk yet: ``queue_rows``, and of each table of each symbol ``flush_rows``
    rows or the last ``flush_s`` seconds. ``epoch`` is that of the connection that records.
    """

    folder: Path
    venue: str
    epoch: int = 1
    flush_rows: int = 50_000
    """A table of a symbol with this many rows is written."""
    flush_s: float = 60.0
    """So is one whose oldest row has waited this long."""
    queue_rows: int = 65_536
    """Pieces of market data waiting for the recorder's thread; what comes while they are as many is dropped."""
    buffer_rows: int = 500_000
    """Rows kept in all. Beyond it the largest tables are written early, or lose their oldest rows if they can't be."""
    turn_s: float = 0.25
    """How often the recorder's thread looks for work."""
    retry_s: float = 5.0
    """A file that could not be written is tried again after this."""
    settle_s: float = 600.0
    """A day's files are merged when the day has ended and nothing came for it for this long."""
    most_parts: int = 64
    """As many small files of a running day are merged into one."""

    def __post_init__(self) -> None:
        for name in ("flush_rows", "flush_s", "queue_rows", "buffer_rows", "turn_s", "retry_s", "settle_s"):
            if getattr(self, name) <= 0:
                raise ValueError(
                    f"expected {name} above 0, found {getattr(self, name)}; correct the recorder's setting"
                )
        if self.most_parts < 2:
            raise ValueError(f"expected most_parts of 2 or more, found {self.most_parts}; one file needs no merging")
