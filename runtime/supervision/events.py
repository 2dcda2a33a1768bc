"""What a supervisor reports about its children."""

from __future__ import annotations

import msgspec


class SupervisionEvent(msgspec.Struct, frozen=True, tag=True):
    """Base of what ``Supervisor.notify`` is called with. ``child`` is a logical name."""

    child: str


class Started(SupervisionEvent, frozen=True):
    """The child answers for the first time under this supervisor."""

    epoch: int
    ray_name: str
    pid: int


class Readopted(SupervisionEvent, frozen=True):
    """The child outlived its supervisor's crash and is watched again."""

    epoch: int
    ray_name: str
    pid: int


class Restarted(SupervisionEvent, frozen=True):
    """A successor answers; ``recovery_ns`` is counted from when the end was noticed."""

    epoch: int
    reason: str
    recovery_ns: int
    ray_name: str
    pid: int


class SpareUsed(SupervisionEvent, frozen=True):
    """A warm spare took over; ``adoption_ns`` until it had its assignment."""

    epoch: int
    ray_name: str
    adoption_ns: int


class Exited(SupervisionEvent, frozen=True):
    """The child ended; ``delay_ns`` until its next start, or -1 when there will be none."""

    epoch: int
    reason: str
    delay_ns: int


class Stopped(SupervisionEvent, frozen=True):
    """The child ended and was meant to."""

    reason: str


class GaveUp(SupervisionEvent, frozen=True):
    """The child exceeded its restart intensity and stays down."""

    reason: str
    restarts: int


class Escalated(SupervisionEvent, frozen=True):
    """A critical child can't be kept alive; ``parent`` decides (empty: nobody is above)."""

    reason: str
    parent: str
