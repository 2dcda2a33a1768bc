"""One host's counters and histograms."""

from __future__ import annotations

from runtime.telemetry.histogram import Histogram


class Telemetry:
    """Named counters and latency histograms of one host, read by status and metrics."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}
        self.histograms: dict[str, Histogram] = {}

    def count(self, name: str, amount: int = 1) -> None:
        self.counters[name] = self.counters.get(name, 0) + amount

    def observe(self, name: str, nanoseconds: int) -> None:
        histogram = self.histograms.get(name)
        if histogram is None:
            histogram = self.histograms[name] = Histogram()
        histogram.add(nanoseconds)

    def dump(self) -> dict[str, object]:
        """JSON-ready: ``counters`` and ``latency`` (histogram dumps) by name."""
        return {
            "counters": dict(self.counters),
            "latency": {name: histogram.dump() for name, histogram in self.histograms.items()},
        }
