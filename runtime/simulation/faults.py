"""What goes wrong in one run, drawn from its seed.

Each seed switches some kinds of faults off altogether ("swarm testing"): a run in which
everything fails at once hides what only shows when one thing fails often.
"""

from __future__ import annotations

import random
from typing import Literal, get_args

import msgspec

CrashPoint = Literal["before_commit", "after_commit", "before_ack", "after_ack", "before_send", "after_send"]
"""A place in a host's work where its process may end: nothing after it has happened."""

CRASH_POINTS: tuple[CrashPoint, ...] = get_args(CrashPoint)

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000

Span = tuple[int, int]
"""A least and a greatest duration in nanoseconds."""


class FaultPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Rates and durations of one run. Probabilities are for each occasion, means in nanoseconds.

    A mean of 0 switches that fault off. ``crashes`` gives the probability of dying at each
    crash point; ``sweep_ns`` is how often a host looks whether its peers are there, or replaced;
    ``skew_ns`` is how far the clock of an incarnation may be off, either way; ``crash_every_ns`` is
    the mean time between crashes of one host at no point in particular. A ``zombie`` crash leaves
    the old process running, cut off from everybody, until its lease of ``lease_ns`` has run out;
    then the successor starts, and some time later the old one wakes up and tries to go on.
    """

    delay_ns: Span = (20 * MICROSECOND, 200 * MICROSECOND)
    step_ns: Span = (5 * MICROSECOND, 50 * MICROSECOND)
    commit_ns: Span = (200 * MICROSECOND, 600 * MICROSECOND)
    linger_ns: int = 3 * MILLISECOND
    reconnect_ns: Span = (1 * MILLISECOND, 20 * MILLISECOND)
    restart_ns: Span = (20 * MILLISECOND, 1500 * MILLISECOND)
    snapshot_every_ns: int = 400 * MILLISECOND
    sweep_ns: int = SECOND
    skew_ns: int = 0
    lease_ns: int = 500 * MILLISECOND
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    break_every_ns: int = 0
    partition_every_ns: int = 0
    partition_ns: Span = (10 * MILLISECOND, 2 * SECOND)
    crash_every_ns: int = 0
    crashes: dict[str, float] = {}
    zombie: float = 0.0
    snapshot_lost: float = 0.0
    snapshot_corrupt: float = 0.0

    @classmethod
    def from_seed(cls, seed: int) -> FaultPlan:
        """The plan of ``seed``: which kinds of faults there are, and how often."""
        rng = random.Random(f"plan {seed}")
        slow = rng.random() < 0.25
        return cls(
            delay_ns=(20 * MICROSECOND, _scale(rng, MILLISECOND // 10, 50 * MILLISECOND if slow else 3 * MILLISECOND)),
            commit_ns=(100 * MICROSECOND, _scale(rng, 300 * MICROSECOND, 30 * MILLISECOND)),
            linger_ns=_scale(rng, MILLISECOND, 20 * MILLISECOND),
            restart_ns=(10 * MILLISECOND, _scale(rng, 30 * MILLISECOND, 2 * SECOND)),
            snapshot_every_ns=_scale(rng, 50 * MILLISECOND, 4 * SECOND),
            skew_ns=_scale(rng, MILLISECOND, 200 * MILLISECOND) if rng.random() < 0.3 else 0,
            loss=_chance(rng, 0.05),
            duplicate=_chance(rng, 0.2),
            reorder=_chance(rng, 0.05),
            break_every_ns=_every(rng, 50 * MILLISECOND, 5 * SECOND),
            partition_every_ns=_every(rng, 300 * MILLISECOND, 10 * SECOND),
            crash_every_ns=_every(rng, 300 * MILLISECOND, 10 * SECOND),
            crashes={point: _chance(rng, 0.1 if "commit" in point else 0.03) for point in CRASH_POINTS},
            zombie=0.3 if rng.random() < 0.5 else 0.0,
            snapshot_lost=_chance(rng, 0.5),
            snapshot_corrupt=_chance(rng, 0.3),
        )

    def slower(self, times: int) -> FaultPlan:
        """The same with ``times`` as long between two faults that come by themselves."""
        return msgspec.structs.replace(
            self,
            break_every_ns=self.break_every_ns * times,
            partition_every_ns=self.partition_every_ns * times,
            crash_every_ns=self.crash_every_ns * times,
        )

    def rarer(self, times: int) -> FaultPlan:
        """The same with faults that need an occasion ``times`` as rare."""
        return msgspec.structs.replace(
            self,
            loss=self.loss / times,
            reorder=self.reorder / times,
            crashes={point: chance / times for point, chance in self.crashes.items()},
        )

    def healed(self) -> FaultPlan:
        """The same timing, with nothing going wrong any more."""
        return msgspec.structs.replace(
            self,
            loss=0.0,
            duplicate=0.0,
            reorder=0.0,
            break_every_ns=0,
            partition_every_ns=0,
            crash_every_ns=0,
            crashes={},
            zombie=0.0,
            snapshot_lost=0.0,
            snapshot_corrupt=0.0,
        )


def _scale(rng: random.Random, least: int, most: int) -> int:
    """A duration between the two, spread evenly over the orders of magnitude."""
    return int(least * (most / least) ** rng.random())


def _chance(rng: random.Random, most: float) -> float:
    """A probability up to ``most``; none at all half of the time."""
    return most * rng.random() ** 2 if rng.random() < 0.5 else 0.0


def _every(rng: random.Random, least: int, most: int) -> int:
    """A mean time between two faults; 0 (never) half of the time."""
    return _scale(rng, least, most) if rng.random() < 0.5 else 0
