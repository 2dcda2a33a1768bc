"""A circuit breaker: what fails too often is left alone for a while, then tried once."""

from __future__ import annotations

import enum
from collections import deque
from typing import NamedTuple


class BreakerState(enum.IntEnum):
    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Pass(NamedTuple):
    """Leave to call; it goes back to the breaker with the call's end. ``turn`` dates it."""

    turn: int
    trial: bool


class Breaker:
    """Opens after ``failures`` within the last ``window_s``; after ``open_s`` lets one trial through.

    Successes in between do not make up for failures: the window does. Pure: the caller says what
    time it is, in seconds of any one monotonic clock.
    """

    __slots__ = (
        "_failed", "_failures", "_open_s", "_opened_s", "_trial", "_turn", "_window_s", "cause", "opens", "refused"
    )  # fmt: skip

    def __init__(self, failures: int, window_s: float, open_s: float) -> None:
        self._failures, self._window_s, self._open_s = failures, window_s, open_s
        self._failed: deque[float] = deque(maxlen=failures)
        self._opened_s: float | None = None
        self._trial = False
        self._turn = 0
        self.cause = ""
        self.opens = 0
        self.refused = 0

    def state(self, now: float) -> BreakerState:
        """The state it would be in for a call now."""
        if self._opened_s is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if now >= self._opened_s + self._open_s else BreakerState.OPEN

    def wait_s(self, now: float) -> float:
        """How long until a trial may be made."""
        return 0.0 if self._opened_s is None else max(0.0, self._opened_s + self._open_s - now)

    def admit(self, now: float, *, urgent: bool = False) -> Pass | None:
        """Leave to call, ``None`` while there is none; who is ``urgent`` always gets it."""
        state = self.state(now)
        if state is BreakerState.CLOSED:
            return Pass(self._turn, False)
        if state is BreakerState.HALF_OPEN and not self._trial:
            self._trial = True
            return Pass(self._turn, True)
        if urgent:
            return Pass(self._turn, False)
        self.refused += 1
        return None

    def succeeded(self, leave: Pass) -> None:
        """The venue answered; closes the circuit if the call began after it opened."""
        if leave.turn == self._turn and self._opened_s is not None:
            self._opened_s, self._trial = None, False
            self._turn += 1
            self._failed.clear()

    def failed(self, leave: Pass, now: float, cause: str = "") -> None:
        """The venue did not answer, or not as a venue does; ``cause`` is kept for whoever is refused."""
        if leave.turn != self._turn:
            return
        self.cause = cause
        if self._opened_s is not None:
            if leave.trial:
                self._open(now)
            return
        self._failed.append(now)
        if len(self._failed) == self._failures and now - self._failed[0] <= self._window_s:
            self._open(now)

    def abandoned(self, leave: Pass) -> None:
        """The call was not made after all, or nobody knows how it ended: another may try."""
        if leave.trial and leave.turn == self._turn:
            self._trial = False

    def _open(self, now: float) -> None:
        self._opened_s, self._trial = now, False
        self._turn += 1
        self._failed.clear()
        self.opens += 1
