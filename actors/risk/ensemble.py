"""What all sources say of a symbol together."""

from __future__ import annotations

import math

import msgspec

from actors.risk.policy import Terms
from actors.window import remember
from strategies.signal import Signal

_VOICES = 64
"""Strategies heard on one symbol; the one heard longest ago is forgotten beyond that."""


class Voice(msgspec.Struct, frozen=True):
    """The opinions of a strategy's latest judged signal on a symbol, from ``since_ns`` until ``until_ns``."""

    signal_id: str
    opinions: dict[str, float]
    since_ns: int
    until_ns: int


class Opinion(msgspec.Struct, frozen=True):
    """One source's part in the sum: -1 (sell) to 1 (buy), its weight, and how old it is in ns."""

    source: str
    strategy: str
    value: float
    weight: float
    age_ns: int


class Chorus(msgspec.Struct, frozen=True):
    """Every opinion that counted, and their weighted mean; ``None`` where none has any weight."""

    opinions: tuple[Opinion, ...]
    combined: float | None


def voice(signal: Signal) -> Voice:
    """What a signal says from now on. An exit says that its strategy has no opinion any more.

    A dry run is not heard by the others: it must change nothing.
    """
    silent = signal.reduce_only or signal.dry_run
    until = signal.created_ns + signal.ttl_ns
    return Voice(signal.id, {} if silent else _clean(signal.opinions), signal.created_ns, until)


def hear(voices: dict[str, Voice], strategy: str, heard: Voice) -> None:
    """Take a judged signal for the strategy's word on the symbol, unless a later one is known."""
    known = voices.get(strategy)
    if known is None or (known.since_ns, known.signal_id) <= (heard.since_ns, heard.signal_id):
        remember(voices, strategy, heard, _VOICES)


def combine(signal: Signal, voices: dict[str, Voice], terms: Terms) -> Chorus:
    """The signal's opinions and those of the other strategies that are still alive, weighted.

    ``sum(w * o) / sum(w)``, weights by the policy. A strategy's earlier signal gives way to this one.
    """
    now = terms.now
    parts = [
        Opinion(source, signal.strategy, value, terms.weight(source), max(now - signal.created_ns, 0))
        for source, value in _clean(signal.opinions).items()
    ]
    for strategy in sorted(voices):
        other = voices[strategy]
        if strategy != signal.strategy and now < other.until_ns:
            parts += [
                Opinion(source, strategy, value, terms.weight(source), max(now - other.since_ns, 0))
                for source, value in other.opinions.items()
            ]
    total = sum(part.weight for part in parts)
    return Chorus(tuple(parts), sum(part.weight * part.value for part in parts) / total if total > 0 else None)


def _clean(opinions: dict[str, float]) -> dict[str, float]:
    """Opinions within -1 to 1; one that is no number is none."""
    return {source: min(max(value, -1.0), 1.0) for source, value in opinions.items() if math.isfinite(value)}
