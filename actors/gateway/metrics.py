"""An overview in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily

from runtime.telemetry.histogram import Histogram, merged


class _Overview:
    """A Prometheus collector over one overview."""

    def __init__(self, overview: dict[str, Any]) -> None:
        self._overview = overview

    def collect(self) -> Iterator[Metric]:
        """The metric families; names start with ``bigwheel_``."""
        overview = self._overview
        yield GaugeMetricFamily(
            "bigwheel_up", "1 if the root supervisor answers", value=0 if overview.get("error") else 1
        )
        if overview.get("error"):
            return
        yield from _actors(overview["actors"])
        yield _labelled(
            CounterMetricFamily("bigwheel_signals", "Signals by state", labels=["state"]), overview["signals"]
        )
        yield _labelled(
            CounterMetricFamily("bigwheel_events", "Counters of all hosts", labels=["name"]), overview["counters"]
        )
        yield from _money(overview)
        for name, dumps in overview["latency_dumps"].items():
            yield _latency(name, merged(dumps))


def _actors(actors: list[dict[str, Any]]) -> Iterator[Metric]:
    up = GaugeMetricFamily("bigwheel_actor_up", "1 if the actor runs", labels=["actor", "kind"])
    restarts = CounterMetricFamily("bigwheel_actor_restarts", "Restarts of the actor", labels=["actor", "kind"])
    mailbox = GaugeMetricFamily("bigwheel_mailbox_depth", "Messages waiting", labels=["actor", "kind"])
    for actor in actors:
        labels = [actor["name"], actor["kind"]]
        up.add_metric(labels, 1.0 if actor["state"] == "running" else 0.0)
        restarts.add_metric(labels, actor["restarts"])
        mailbox.add_metric(labels, actor["mailbox"])
    yield from (up, restarts, mailbox)


def _money(overview: dict[str, Any]) -> Iterator[Metric]:
    for name, text in (("cash", "Cash at the venues"), ("equity", "Cash and unrealised profit")):
        yield GaugeMetricFamily(f"bigwheel_{name}", text, value=float(overview[name]))
    position = GaugeMetricFamily("bigwheel_position", "Signed position, base units", labels=["symbol"])
    realized = GaugeMetricFamily("bigwheel_realized_pnl", "Realised profit, with fees and payments", labels=["symbol"])
    for symbol, facts in overview["symbols"].items():
        position.add_metric([symbol], float(facts["position"]))
        realized.add_metric([symbol], float(facts["realized"]))
    yield from (position, realized)


def _labelled(family: CounterMetricFamily, values: dict[str, int]) -> CounterMetricFamily:
    for name, value in sorted(values.items()):
        family.add_metric([name], value)
    return family


def _latency(name: str, histogram: Histogram) -> SummaryMetricFamily:
    family = SummaryMetricFamily(f"bigwheel_{name}_seconds", f"Latency {name.replace('_', ' ')}")
    family.add_metric([], count_value=histogram.count, sum_value=histogram.total / 1e9)
    return family


def render(overview: dict[str, Any]) -> bytes:
    """The exposition text of ``overview``."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Overview(overview))
    return generate_latest(registry)
