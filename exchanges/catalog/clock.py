"""When rows are known: by the venue's clock, or by that of whoever recorded them."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import numpy.typing as npt

from exchanges.catalog.series import Series
from exchanges.recording.schemas import SECOND

Ints = npt.NDArray[np.int64]

DOUBTFUL_NS = 60 * SECOND
"""What was received further from the moment it could be known was not received live: it was downloaded or imported."""


class Clock(enum.StrEnum):
    """Whose clock a stream goes by."""

    VENUE = "venue"
    """An event is known at its own time, a bar when it ends."""
    RECEIVED = "received"
    """A row is known when the recorder received it, after those before it in its series; a row that was not received
    live as by the venue's clock."""


def due_times(series: Series, rows: Any, clock: Clock, last_ns: int) -> Ints:
    """When each of ``rows`` (a record batch in time order) is known, never before ``last_ns``."""
    known: Ints = rows.column("ts_ns").to_numpy() + series.interval_ns
    if clock is Clock.VENUE or "recv_ns" not in rows.schema.names:
        return known
    received = rows.column("recv_ns").to_numpy()
    due = np.where(np.abs(received - known) <= DOUBTFUL_NS, received, known)
    return np.maximum(np.maximum.accumulate(due), last_ns)
