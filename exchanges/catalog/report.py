"""What was found in market data: counts with examples, by series."""

from __future__ import annotations

import enum
import heapq
from collections.abc import Iterable

import msgspec

EXAMPLES = 5


class Weight(enum.StrEnum):
    """What a fault means for the data."""

    REFUSED = "refused"
    """It can't be repaired: the data are not taken."""
    REPAIRED = "repaired"
    """It can be repaired, and is where the policy says so."""
    TOLD = "told"
    """It may well be right."""


class Fault(enum.StrEnum):
    """What can be wrong with rows."""

    TIME = "time"
    PRICE = "price"
    SIZE = "size"
    RANGE = "range"
    CROSSED = "crossed"
    SIDE = "side"
    LEVELS = "levels"
    OVERLAP = "overlap"
    DISORDER = "disorder"
    DUPLICATE = "duplicate"
    REVISION = "revision"
    REPEAT = "repeat"
    GAP = "gap"
    OUTSIDE = "outside"
    OUTLIER = "outlier"

    @property
    def weight(self) -> Weight:
        return _WEIGHTS.get(self, Weight.REFUSED)

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_WEIGHTS = {
    Fault.DISORDER: Weight.REPAIRED,
    Fault.DUPLICATE: Weight.REPAIRED,
    Fault.REVISION: Weight.REPAIRED,
    Fault.REPEAT: Weight.TOLD,
    Fault.GAP: Weight.TOLD,
    Fault.OUTSIDE: Weight.TOLD,
    Fault.OUTLIER: Weight.TOLD,
}
_MEANINGS = {
    Fault.TIME: "no time after 1970",
    Fault.PRICE: "no finite price above 0",
    Fault.SIZE: "no finite size (above 0 of trades, not below 0 of others)",
    Fault.RANGE: "high below low, or open or close outside of them",
    Fault.CROSSED: "bid above ask",
    Fault.SIDE: "a side that is neither buy nor sell",
    Fault.LEVELS: "book levels that are not best first, or prices without sizes",
    Fault.OVERLAP: "a bar that begins before the one before it ends",
    Fault.DISORDER: "earlier than a row before it (repair: sorted by time)",
    Fault.DUPLICATE: "the same row again (repair: dropped)",
    Fault.REVISION: "other values under the same identity (repair: the last is kept)",
    Fault.REPEAT: "equal to a row of the same time; kept, for such rows have no identity",
    Fault.GAP: "spans without data",
    Fault.OUTSIDE: "outside of the market's regular hours",
    Fault.OUTLIER: "a jump of the price beyond what is usual",
}


class Example(msgspec.Struct, frozen=True):
    """One row with a fault: its number in the source, counted from 1 (0: unknown), its time, and what it holds."""

    row: int
    ts_ns: int
    text: str


class Finding(msgspec.Struct):
    """How often a fault was found, how much of it was repaired, and the first examples."""

    count: int = 0
    repaired: int = 0
    examples: list[Example] = []

    def add(self, count: int, examples: Iterable[Example]) -> None:
        """Count more of it."""
        self.count += count
        self.examples = [*self.examples, *examples][:EXAMPLES]


class Gap(msgspec.Struct, frozen=True, order=True):
    """A span without data; ``missing`` counts the bars it lacks (0 where none can be counted)."""

    length_ns: int
    start_ns: int
    end_ns: int
    missing: int


class SeriesReport(msgspec.Struct):
    """What was found in one series. ``rows`` were read, ``kept`` remain; times are those of the kept ones."""

    symbol: str
    kind: str
    rows: int = 0
    kept: int = 0
    first_ns: int = 0
    last_ns: int = 0
    missing: int = 0
    findings: dict[Fault, Finding] = {}
    longest_gaps: list[Gap] = []
    added: int = 0
    """Rows that an import wrote; the others were there."""
    revised: int = 0
    """Rows of the catalog that an import put others in the place of."""

    def find(self, fault: Fault, count: int, examples: Iterable[Example] = ()) -> None:
        """Count a fault, if there is any."""
        if count:
            self.findings.setdefault(fault, Finding()).add(count, examples)

    def gap(self, found: Gap) -> None:
        """Count a gap; the longest are kept."""
        self.find(Fault.GAP, 1)
        self.missing += found.missing
        self.longest_gaps = heapq.nlargest(EXAMPLES, [*self.longest_gaps, found])

    def count(self, weight: Weight) -> int:
        """How many faults of that weight were found."""
        return sum(finding.count for fault, finding in self.findings.items() if fault.weight is weight)


class Report(msgspec.Struct):
    """What was found in all series of a source, and what became of them."""

    source: str
    policy: str
    series: list[SeriesReport] = []
    refused: str = ""
    """Why nothing was written; empty if it was."""

    @property
    def impossible(self) -> int:
        """Faults that can't be repaired."""
        return sum(each.count(Weight.REFUSED) for each in self.series)

    @property
    def repairable(self) -> int:
        """Faults that can be repaired."""
        return sum(each.count(Weight.REPAIRED) for each in self.series)

    @property
    def rows(self) -> int:
        return sum(each.rows for each in self.series)

    @property
    def added(self) -> int:
        return sum(each.added for each in self.series)

    @property
    def revised(self) -> int:
        return sum(each.revised for each in self.series)

    def json(self) -> str:
        """The report for programs."""
        return msgspec.json.encode(self).decode()

    def worst(self) -> str:
        """The gravest fault in one sentence; empty if there is none that anything is refused for."""
        for weight in (Weight.REFUSED, Weight.REPAIRED):
            for each in self.series:
                for fault, finding in each.findings.items():
                    if fault.weight is weight:
                        return f"{each.symbol} {each.kind}: {finding.count} times {fault.meaning}{_at(finding)}"
        return ""


def _at(finding: Finding) -> str:
    if not finding.examples:
        return ""
    first = finding.examples[0]
    return f"; first in row {first.row} ({first.text})" if first.row else f"; first at {first.ts_ns} ({first.text})"
