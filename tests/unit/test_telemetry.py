"""Counters, histograms and log lines."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.telemetry import logs
from runtime.telemetry.histogram import Histogram, merged
from runtime.telemetry.registry import Telemetry

durations = st.lists(st.integers(1, 10**12), min_size=1, max_size=60)


def filled(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


@settings(max_examples=80, deadline=None)
@given(durations, st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_at_most_five_per_cent_above_the_true_one(values: list[int], fraction: float) -> None:
    wanted = fraction * len(values)
    true = next(value for rank, value in enumerate(sorted(values), 1) if rank >= wanted)
    read = filled(values).percentile(fraction)
    assert true * 0.999999 <= read <= true * 1.0500001


@settings(max_examples=50, deadline=None)
@given(durations, durations)
def test_merged_histograms_are_the_histogram_of_everything(one: list[int], two: list[int]) -> None:
    dumps = [json.loads(json.dumps(filled(values).dump())) for values in (one, two)]
    together = merged(dumps)
    assert together.dump() == filled(one + two).dump() | {"buckets": together.dump()["buckets"]}
    assert together.buckets == filled(one + two).buckets
    assert together.count == len(one) + len(two)


def test_a_negative_duration_counts_as_none() -> None:
    assert filled([-5, 0]).summary() == {"p50": 0.0, "p95": 0.0, "p99": 0.0, "n": 2}


def test_an_empty_histogram_has_no_percentiles() -> None:
    assert Histogram().summary() == {"p50": 0.0, "p95": 0.0, "p99": 0.0, "n": 0}


def test_a_summary_is_in_milliseconds() -> None:
    assert filled([2_000_000] * 100).summary() == {"p50": 2.0, "p95": 2.0, "p99": 2.0, "n": 100}


def test_counters_add_up_and_dump_as_json() -> None:
    telemetry = Telemetry()
    telemetry.count("drops")
    telemetry.count("drops", 4)
    telemetry.observe("path", 1_000)
    dump = json.loads(json.dumps(telemetry.dump()))
    assert dump["counters"] == {"drops": 5}
    assert merged([dump["latency"]["path"]]).count == 1


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    yield logger
    for handler in [h for h in logger.handlers if h not in handlers]:
        handler.close()
    logger.handlers[:] = handlers
    logger.setLevel(level)


def test_a_log_line_is_json_with_actor_correlation_extras_and_error(tmp_path: Path, root: logging.Logger) -> None:
    logs.configure(str(tmp_path / "logs"), "strategy/trend/bybit:BTCUSDT")
    actor, correlation = logs.actor.set("strategy/trend"), logs.correlation.set("s1")
    try:
        raise ValueError("broken\nin two lines")
    except ValueError:
        logging.getLogger("room").error("it %s", "failed", exc_info=True, extra={"attempt": 3, "odd": {1}})
    finally:
        logs.actor.reset(actor)
        logs.correlation.reset(correlation)
    (line,) = (tmp_path / "logs" / "strategy-trend-bybit-BTCUSDT.jsonl").read_text().splitlines()
    found = json.loads(line)
    assert (found["level"], found["logger"], found["text"], found["attempt"]) == ("ERROR", "room", "it failed", 3)
    assert (found["actor"], found["correlation"], found["odd"]) == ("strategy/trend", "s1", "{1}")
    assert found["error"].endswith("ValueError: broken\nin two lines\n")
    assert found["time"].endswith("Z")


def test_a_log_file_is_rotated_at_its_size_and_the_oldest_goes(tmp_path: Path, root: logging.Logger) -> None:
    logs.configure(str(tmp_path), "busy", logs.LogRules("WARNING", max_bytes=400, keep=2))
    logger = logging.getLogger("room")
    for number in range(40):
        logger.info("too small a matter %d", number)
        logger.warning("line %d", number)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["busy.jsonl", "busy.jsonl.1", "busy.jsonl.2"]
    kept = [json.loads(line)["text"] for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert "line 39" in kept
    assert "line 0" not in kept
    assert not any("small" in text for text in kept)


def test_logging_is_configured_once_whatever_was_there(tmp_path: Path, root: logging.Logger) -> None:
    for name in ("one", "two"):
        logs.configure(str(tmp_path), name)
    logging.getLogger("room").info("where?")
    assert (tmp_path / "one.jsonl").read_text() == ""
    assert len((tmp_path / "two.jsonl").read_text().splitlines()) == 1
