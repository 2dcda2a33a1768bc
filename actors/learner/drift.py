"""Notices that a source has stopped to pay.

The detector is river's, imported where it is first needed: with scipy and pandas it costs a second
and 60 MB, which only the learner's own process should have (its shell imports it at the start,
so that no message waits for it). Its state is kept pickled, 400 bytes, in the snapshot.
"""

from __future__ import annotations

import pickle
from typing import Any

from actors.learner.settings import LearnerSettings
from runtime.errors import SnapshotError


def fallen(kept: bytes, value: float, settings: LearnerSettings) -> tuple[bool, bytes]:
    """Whether the mean of a series has fallen with this ``value``, and what to keep for the next.

    Page's test (E. S. Page, Biometrika 41, 1954) on values in units of their own deviation: the sum
    of what they lack against the mean so far, less ``drift_tolerance`` each, exceeds
    ``drift_threshold``. It starts anew after an alarm. ``kept`` is empty at first.

    Raises:
        SnapshotError: ``kept`` is not the state of a detector of this version of river.
    """
    detector = _awake.pop(kept, None) or (revive(kept) if kept else _new(settings))
    detector.update(value)
    alarm = bool(detector.drift_detected)
    detector = _new(settings) if alarm else detector
    now_kept = pickle.dumps(detector, protocol=5)
    _awake[now_kept] = detector
    if len(_awake) > _AWAKE:
        del _awake[next(iter(_awake))]
    return alarm, now_kept


_AWAKE = 256
_awake: dict[bytes, Any] = {}
"""Detectors by their state, so that the next value finds them as they are."""


def revive(kept: bytes) -> Any:
    """The detector in ``kept``; raises ``SnapshotError`` if there is none."""
    try:
        return pickle.loads(kept)
    except Exception as error:
        # Unpickling runs code of another package's classes, which may raise anything.
        raise SnapshotError(
            f"expected the state of a drift detector, found {len(kept)} bytes that can't be read ({error}); "
            "was river replaced? Remove the learner's snapshot, and the state is rebuilt from the journal"
        ) from error


def load() -> type[Any]:
    """The detector's class."""
    from river.drift import PageHinkley

    detector: type[Any] = PageHinkley
    return detector


def _new(settings: LearnerSettings) -> Any:
    return load()(
        min_instances=settings.drift_minimum,
        delta=settings.drift_tolerance,
        threshold=settings.drift_threshold,
        alpha=1.0,
        mode="down",
    )
