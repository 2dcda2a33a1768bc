"""What follows when a child ends: start it again, leave it, give it up or escalate.

Pure: the time is passed in and the jitter comes from a seed, so the supervisor, the host
(for its cells) and the simulation decide alike.
"""

from __future__ import annotations

import enum
import random
from collections import deque

import msgspec

NANOSECONDS = 1_000_000_000


class Restart(enum.StrEnum):
    """Which ends of a child are followed by a new start."""

    PERMANENT = "permanent"
    """Every one."""
    TRANSIENT = "transient"
    """Crashes and hangs; a normal end is final."""
    TEMPORARY = "temporary"
    """None."""


class Intensity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many restarts are borne, and how far apart they are. All times in seconds.

    More than ``restarts`` within any ``window_s`` means that starting again does not help; time
    spent waiting for a sign of life is not counted, or what hangs each time would go on for ever.
    The first restart of a quiet window is immediate; the n-th after it waits a uniformly
    random part of ``min(cap_s, base_s * 2**(n-1))``: exponential backoff with full jitter
    (M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
    """

    restarts: int = 5
    window_s: float = 60.0
    base_s: float = 0.2
    cap_s: float = 10.0

    def __post_init__(self) -> None:
        if self.restarts < 0 or self.window_s <= 0 or not 0 <= self.base_s <= self.cap_s:
            raise ValueError(
                "expected restarts >= 0, window_s > 0 and 0 <= base_s <= cap_s, found "
                f"restarts={self.restarts} window_s={self.window_s} base_s={self.base_s} cap_s={self.cap_s}; "
                "correct the restart intensity"
            )


class Again(msgspec.Struct, frozen=True):
    """Start the child at ``at_ns`` (on the clock that ``decide`` was given)."""

    at_ns: int


class Leave(msgspec.Struct, frozen=True):
    """The child has ended for good, and that is how it was meant."""

    reason: str


class GiveUp(msgspec.Struct, frozen=True):
    """Stop and report the child; its siblings go on."""

    reason: str


class Escalate(msgspec.Struct, frozen=True):
    """The supervisor can't do its work without this child: its parent must decide."""

    reason: str


Decision = Again | Leave | GiveUp | Escalate


class RestartPolicy:
    """Decides about one child; remembers its restarts within the window.

    Args:
        intensity: How many restarts are borne, and their backoff.
        restart: Which ends are followed by a new start.
        critical: Whether a child that exceeds the intensity escalates instead of being given up.
        seed: Where the jitter comes from: the same seed and exits give the same decisions.
    """

    def __init__(
        self,
        intensity: Intensity = Intensity(),  # noqa: B008 - frozen
        *,
        restart: Restart = Restart.PERMANENT,
        critical: bool = False,
        seed: int = 0,
    ) -> None:
        self.intensity, self.restart, self.critical = intensity, restart, critical
        self.total = 0
        self._random = random.Random(seed)
        self._recent: deque[tuple[int, int]] = deque()

    def decide(self, now_ns: int, *, normal: bool = False, reason: str = "", silent_ns: int = 0) -> Decision:
        """What follows an end at ``now_ns``.

        Args:
            now_ns: when the end was noticed.
            normal: the child ended by itself without an error.
            reason: why, in words.
            silent_ns: how long the child had given no sign of life by then.
        """
        if self.restart is Restart.TEMPORARY or (normal and self.restart is Restart.TRANSIENT):
            return Leave(reason)
        self._forget(now_ns - silent_ns)
        if len(self._recent) >= self.intensity.restarts:
            text = (
                f"more than {self.intensity.restarts} restarts within {self.intensity.window_s:g} s; "
                f"the last end: {reason or 'no reason given'}"
            )
            return Escalate(text) if self.critical else GiveUp(text)
        delay_ns = self._delay_ns(len(self._recent))
        self._recent.append((now_ns, silent_ns))
        self.total += 1
        return Again(now_ns + delay_ns)

    def recent(self, now_ns: int) -> int:
        """How many restarts the window that ends at ``now_ns`` holds."""
        self._forget(now_ns)
        return len(self._recent)

    def forgive(self) -> None:
        """Forget the restarts so far: somebody has looked after the child."""
        self._recent.clear()

    def _forget(self, now_ns: int) -> None:
        window_ns = round(self.intensity.window_s * NANOSECONDS)
        silent_ns = sum(silent for _, silent in self._recent)
        while self._recent:
            first_ns, before_ns = self._recent[0]
            # Its own silence was over when it was noted; those of the others came after it.
            silent_ns -= before_ns
            if now_ns - silent_ns - first_ns < window_ns:
                break
            self._recent.popleft()

    def _delay_ns(self, before: int) -> int:
        if before == 0:
            return 0
        # Beyond 2**62 the power alone overflows what the cap would cut off anyway.
        ceiling = min(self.intensity.cap_s, self.intensity.base_s * 2.0 ** min(before - 1, 62))
        return round(self._random.uniform(0.0, ceiling) * NANOSECONDS)
