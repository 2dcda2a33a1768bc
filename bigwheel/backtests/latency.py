"""How long market data, commands and answers take between us and the venue."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import msgspec

from bigwheel.backtests.errors import BacktestError
from conf import Settings
from exchanges.matching.synthetic import mix

WAYS = ("feed", "order", "answer", "jitter")
_MS = 1_000_000


class Latency(msgspec.Struct, frozen=True):
    """The ways in nanoseconds: a command's to the venue, its answer's back, and that of market data.

    Each takes up to ``jitter_ns`` longer, evenly distributed by ``seed``; one that takes no time has no jitter.
    """

    order_ns: int
    answer_ns: int
    feed_ns: int = 0
    jitter_ns: int = 0
    seed: int = 0

    @property
    def longest_ns(self) -> int:
        """At most so long after a piece of data what was ordered because of it has been answered."""
        return self.feed_ns + self.order_ns + self.answer_ns + 3 * self.jitter_ns


class Way:
    """How long each thing takes that goes one way; ``name`` keeps the jitter of several ways apart."""

    def __init__(self, base_ns: int, latency: Latency, name: str) -> None:
        self._base_ns = base_ns
        self._jitter_ns = latency.jitter_ns if base_ns else 0
        self._key, self._count = mix(latency.seed, zlib.crc32(name.encode())), 0

    def next_ns(self) -> int:
        """The next one's time."""
        if not self._jitter_ns:
            return self._base_ns
        self._count += 1
        return self._base_ns + mix(self._key, self._count) % (self._jitter_ns + 1)


def latency(settings: Settings, told: float | Mapping[str, float] | None, seed: int) -> Latency:
    """What was told, and for the rest what the configuration says.

    Args:
        told: milliseconds of commands and answers, or some of ``WAYS``.

    Raises:
        BacktestError: it names another way, or one is below 0.
    """
    ways = dict(told) if isinstance(told, Mapping) else {} if told is None else {"order": told, "answer": told}
    unknown = [name for name in ways if name not in WAYS]
    if unknown:
        raise BacktestError(f"expected latencies of {', '.join(WAYS)}, found {unknown[0]!r}; name some of these")
    research = settings.backtest
    order = ways.get("order", settings.simulator.latency_ms)
    otherwise = order if research.answer_latency_ms is None else research.answer_latency_ms
    found = {
        "order": order,
        "answer": ways.get("answer", otherwise),
        "feed": ways.get("feed", research.feed_latency_ms),
        "jitter": ways.get("jitter", research.jitter_ms),
    }
    below = [f"{name} {value:g} ms" for name, value in found.items() if value < 0]
    if below:
        raise BacktestError(f"expected latencies of at least 0, found {', '.join(below)}")
    return Latency(**{f"{name}_ns": int(value * _MS) for name, value in found.items()}, seed=seed)
