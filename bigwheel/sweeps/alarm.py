"""A limit of time for code that runs in this process."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SOON_S = 0.001


class Overtime(BaseException):
    """The time is over. No ``Exception``: what code of others catches must not be this."""


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise ``Overtime`` in what runs longer than that; 0 lets it run.

    Only the main thread can be interrupted; in another one there is no limit.
    """
    if seconds <= 0 or threading.current_thread() is not threading.main_thread():
        yield
        return
    before, began = signal.signal(signal.SIGALRM, _over), time.monotonic()
    # Who called may have an alarm of its own: it goes on, with the time it had left.
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - began), _SOON_S))


def _over(number: int, frame: FrameType | None) -> None:
    raise Overtime
