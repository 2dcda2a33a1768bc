"""How far this machine's clock is off a venue's, measured as Cristian's algorithm does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class Sample(NamedTuple):
    """One measurement: the venue's time minus ours, give or take ``margin_ns``."""

    offset_ns: int
    margin_ns: int


class Skew:
    """The venue's time by our clock, from the best of the last few measurements.

    The venue's answer was written somewhere between our question and its arrival: taken to be in the
    middle, the error is at most half the round trip. Of the last ``keep`` measurements the one with
    the shortest round trip counts; when one contradicts it, a clock was set, and only the newest does.
    Read by any thread.
    """

    def __init__(self, keep: int = 5, wall: Callable[[], int] = time.time_ns) -> None:
        self._keep = keep
        self._wall = wall
        self._samples: tuple[Sample, ...] = ()
        self._best = Sample(0, 0)
        self.measurements = 0
        self.steps = 0

    def measured(self, sent_ns: int, venue_ns: int, received_ns: int) -> Sample:
        """Take in one answer; the times around it are our clock's."""
        half = max(0, received_ns - sent_ns) // 2
        sample = Sample(venue_ns - sent_ns - half, half)
        self.measurements += 1
        best = self._best
        if self._samples and abs(sample.offset_ns - best.offset_ns) > sample.margin_ns + best.margin_ns:
            self._samples = ()
            self.steps += 1
        self._samples = (*self._samples, sample)[-self._keep :]
        self._best = min(self._samples, key=lambda one: one.margin_ns)
        return sample

    @property
    def known(self) -> bool:
        """Whether there was a measurement at all."""
        return bool(self._samples)

    @property
    def offset_ns(self) -> int:
        """The venue's time minus ours; 0 before the first measurement."""
        return self._best.offset_ns

    @property
    def margin_ns(self) -> int:
        """How much ``offset_ns`` may be wrong."""
        return self._best.margin_ns

    def now_ns(self) -> int:
        """The venue's time."""
        return self._wall() + self._best.offset_ns

    def fault(self, bound_s: float) -> str:
        """Why our clock can't be used; empty if it certainly isn't more than ``bound_s`` off, or may not be."""
        least_s = (abs(self.offset_ns) - self.margin_ns) / 1e9
        if least_s <= bound_s:
            return ""
        found = f"{abs(self.offset_ns) / 1e9:.2f} s {'behind' if self.offset_ns > 0 else 'ahead of'} it"
        return (
            f"expected this machine's clock within {bound_s:g} s of the venue's, found it {found} "
            f"(give or take {self.margin_ns / 1e9:.2f} s); set the clock, for example with NTP"
        )

    def stats(self) -> dict[str, float]:
        """``clock_skew_ms`` (the venue's time minus ours), ``clock_margin_ms``, and how often it was measured."""
        return {
            "clock_skew_ms": self.offset_ns / 1e6,
            "clock_margin_ms": self.margin_ns / 1e6,
            "clock_measurements": float(self.measurements),
            "clock_steps": float(self.steps),
        }
