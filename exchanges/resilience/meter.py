"""What the stack counts: calls, ends and durations by endpoint."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Hashable

from exchanges.failures import Failure
from exchanges.resilience.endpoint import Endpoint
from runtime.telemetry.histogram import Histogram

logger = logging.getLogger(__name__)


class Meter:
    """Counters and latency histograms of one venue.

    Counters, each in total and by endpoint: ``calls``, ``failures``, ``retries``, ``slow``;
    ``failed_<kind>`` in total.
    """

    def __init__(self, venue: str, slow_s: float) -> None:
        self.venue = venue
        self.counters: Counter[str] = Counter()
        self.latency: dict[str, Histogram] = {}
        self._slow_s = slow_s

    def count(self, what: str, endpoint: Endpoint) -> None:
        """Count ``what`` of ``endpoint`` and in total."""
        self.counters[what] += 1
        self.counters[f"{what}_{endpoint.name}"] += 1

    def ended(self, endpoint: Endpoint, key: Hashable, seconds: float, failure: Failure | None) -> None:
        """One call to the venue has ended; the log gets its name and end, never what it carried."""
        histogram = self.latency.get(endpoint.name)
        if histogram is None:
            histogram = self.latency[endpoint.name] = Histogram()
        histogram.add(int(seconds * 1e9))
        self.count("calls", endpoint)
        if seconds > self._slow_s:
            self.count("slow", endpoint)
        if failure is not None:
            self.count("failures", endpoint)
            self.counters[f"failed_{failure.kind.value}"] += 1
        if logger.isEnabledFor(logging.DEBUG):
            said = "ok" if failure is None else f"{failure.kind.value} {failure.code}"
            logger.debug("%s %s %s: %s in %.1f ms", self.venue, endpoint.name, key, said, seconds * 1000)

    def stats(self) -> dict[str, float]:
        """All counters, and ``latency_ms_<endpoint>_<p50|p95|p99|n>``."""
        made = {name: float(count) for name, count in self.counters.items()}
        for name, histogram in self.latency.items():
            made.update({f"latency_ms_{name}_{figure}": value for figure, value in histogram.summary().items()})
        return made
