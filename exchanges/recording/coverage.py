"""Spans of time, and which of them the files of a recording cover without a gap."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from exchanges.recording.layout import DAY_NS, Partition, day_of, note_of, parts


class Span(NamedTuple):
    """``[start_ns, end_ns)``."""

    start_ns: int
    end_ns: int

    @property
    def length_ns(self) -> int:
        return self.end_ns - self.start_ns


def union(spans: Iterable[tuple[int, int]]) -> list[Span]:
    """The same time in the fewest spans, by time."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if joined and start <= joined[-1].end_ns:
            joined[-1] = Span(joined[-1].start_ns, max(end, joined[-1].end_ns))
        else:
            joined.append(Span(start, end))
    return joined


def missing(wanted: Span, covered: Iterable[tuple[int, int]]) -> list[Span]:
    """The parts of ``wanted`` that ``covered`` leaves open, by time."""
    open_spans, reached = [], wanted.start_ns
    for start, end in union(covered):
        if start >= wanted.end_ns:
            break
        if start > reached:
            open_spans.append(Span(reached, start))
        reached = max(reached, end)
    if reached < wanted.end_ns:
        open_spans.append(Span(reached, wanted.end_ns))
    return open_spans


def by_day(span: Span) -> list[Span]:
    """``span`` cut at each midnight (UTC)."""
    pieces, start = [], span.start_ns
    while start < span.end_ns:
        end = min(span.end_ns, (start // DAY_NS + 1) * DAY_NS)
        pieces.append(Span(start, end))
        start = end
    return pieces


def covered(root: Path, venue: str, symbol: str, table: str, span: Span) -> list[Span]:
    """What the files under ``root`` cover of the days of ``span``.

    Raises:
        RecordingError: one of them can't be read.
    """
    found: list[tuple[int, int]] = []
    for piece in by_day(span):
        folder = Partition(venue, symbol, day_of(piece.start_ns)).folder(root)
        for part in parts(folder, table):
            found.extend(note_of(part.path).covers)
    return union(found)
